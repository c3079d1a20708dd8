"""Ordered octets on disk: tables of keys and values in one transaction. Knows nothing of handles.

Start with ``engine.py``, the interface; ``lmdb_engine.py`` is what a node runs on and
``memory_engine.py`` its honest twin. ``FORMAT.md`` is the layout on disk.
"""
