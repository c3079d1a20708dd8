"""Where a reader of the journal stands: which request resumes it and which changes are new.

Strategy: the cursor is the one state of a watch. Every answer moves it past ``through_serial``; whatever comes
below it again after a reconnect is dropped. So the changes a watch yields have neither gap nor repeat,
however often the stream breaks. It opens no stream; the front ends do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from resolver.client.failures import CallFailed, failure
from resolver.v1.changes_pb2 import WatchedChange, WatchRequest, WatchResponse

if TYPE_CHECKING:
    from collections.abc import Iterable


class WatchCursor:
    """A watch from one serial on.

    ``from_serial`` must be 1 or more: "from now on" is a serial that the front end asks for first, because a
    stream that breaks before its first answer could not resume otherwise.
    """

    def __init__(self, from_serial: int, prefixes: Iterable[str], *, include_records: bool, stop_at_end: bool) -> None:
        if from_serial < 1:
            raise ValueError(f"serial {from_serial} is not in a journal: give 1 or more")
        self.next_serial = from_serial
        self.stop_at_end = stop_at_end
        self._prefixes = list(prefixes)
        self._include_records = include_records

    def request(self) -> WatchRequest:
        """The request that starts or resumes the watch."""
        return WatchRequest(
            from_serial=self.next_serial,
            prefixes=self._prefixes,
            include_records=self._include_records,
            stop_at_end=self.stop_at_end,
        )

    def take(self, response: WatchResponse) -> list[WatchedChange]:
        """The changes of an answer that were not seen before; the cursor moves past them."""
        fresh = [change for change in response.changes if change.change.serial >= self.next_serial]
        last = fresh[-1].change.serial if fresh else 0
        self.next_serial = max(self.next_serial, last + 1, response.through_serial + 1)
        return fresh


def ended() -> CallFailed:
    """The failure that a stream without end stands for when the node ended it in good order."""
    return failure(grpc.StatusCode.UNAVAILABLE, "the node ended the stream, as it does when a worker drains")
