"""A planted defect: write lanes that answer before their commit, for the durability tests to find.

It stands here and not behind a switch of the product, so that nobody can turn it on there. In a process of the test's
own use ``planted()``; processes of a whole node get it by ``tests/support/planted``.
"""

import contextlib
import threading
from unittest import mock

from resolver.lanes import WriteLane
from resolver.node.ledger import Ledger


@contextlib.contextmanager
def planted():
    """Every lane answers when all of a group is applied and nothing of it committed."""
    here = threading.local()
    commit, close = WriteLane._commit, Ledger.close

    def commit_late(lane, first, late, join):
        here.group = (lane, first, late)  # ``late`` grows while the lock is held
        try:
            commit(lane, first, late, join)
        finally:
            here.group = None

    def close_and_answer(ledger):
        close(ledger)
        if (group := getattr(here, "group", None)) is not None:
            lane, first, late = group
            lane._loop.call_soon_threadsafe(lane._settle, first + late)

    with mock.patch.object(WriteLane, "_commit", commit_late), mock.patch.object(Ledger, "close", close_and_answer):
        yield
