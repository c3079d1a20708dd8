"""Who may register what: enterprises, the life cycle of prefixes, principals and their keys, templates.

Stands on ``node``: the policy and the prefix rows it reads are the node's. Every function takes a transaction and a
caller, asks the policy, and raises a ``ResolverError`` leaf when the answer is no.
"""
