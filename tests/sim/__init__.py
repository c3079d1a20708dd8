"""A whole tree of nodes in one thread, from one seed: see ``world``; ``python -m tests.sim --help`` runs many seeds."""
