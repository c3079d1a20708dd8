"""Defects for the tests of durability to find, by name in IDIS_TEST_PLANTED: put before every process by PYTHONPATH.

They stand here and not behind a switch of the product, so that nobody can turn them on there.
"""

import os

PLANTED = os.environ.get("IDIS_TEST_PLANTED", "")

if PLANTED in {"no-sync", "no-metasync"}:
    import lmdb

    def _open(*args, _open=lmdb.open, **options):
        options |= {"sync": False} if PLANTED == "no-sync" else {"metasync": False}
        return _open(*args, **options)

    lmdb.open = _open

if PLANTED == "no-fsync":  # of files beside the store; LMDB does its own
    os.fsync = os.fdatasync = lambda _descriptor: None

if PLANTED == "early":
    from tests.support import early

    _for_ever = early.planted()
    _for_ever.__enter__()
