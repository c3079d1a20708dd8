"""The composition root: the processes of a node and what binds them.

``supervisor`` is the process an operator starts: it owns the data directory, the ports, the admin door and the
signals, and keeps a ``crew`` of workers. ``worker`` is a process that answers: one loop, one store, all
doors. They share nothing but the files on disk, the ports and two pipes (``messages``).
"""
