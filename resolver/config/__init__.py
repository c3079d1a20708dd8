"""The configuration: one frozen object, read once from files, environment and flags.

``settings`` is the tree with every default and one sentence for each key; ``sources`` fills it;
``listing`` prints it as TOML that is itself a valid configuration; ``changes`` tells what a changed
key needs to take effect; ``endpoint`` reads ``HOST:PORT``. Nothing here knows a room that uses it.
"""
