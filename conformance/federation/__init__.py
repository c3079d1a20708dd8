"""A tree of nodes as real processes: whether any identifier asked anywhere is answered from where it lives.

``python -m conformance.federation`` starts a top node, four secondary nodes, two nodes of enterprises and a recursive
one on loopback, registers real products at each, and asks for every product at every node through every door. A small
client of the Handle System of its own, which knows the top only, follows the referrals. Nothing here imports the
node's code.
"""
