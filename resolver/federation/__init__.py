"""Asking other nodes: which server of which site, in which protocol, and what it said.

Nothing here decides what this node answers. What comes from another node is believed as far as it proves itself:
request id, digest of the request, signature of the site's key, MAC of the session.
"""
