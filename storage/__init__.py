"""Ordered octets on disk: tables of keys and values in one transaction. Knows nothing of handles.

Start with ``engine.py``, the interface; ``lmdb_engine.py`` is what a node runs on and
``memory_engine.py`` its honest twin. ``check.py`` reads every row, ``backup.py`` keeps a store in one
file. ``FORMAT.md`` is the layout on disk.
"""
