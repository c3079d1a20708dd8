"""``0.SITE/status``: what a server says about itself to its administrators, as the reference server does.

No row is behind this handle. Its values are private, so a question for public values finds none. Value 1 has the text
that tools of the Handle System read: octets of memory, milliseconds since the start, requests; they are those of the
worker that answers. Value 2 is that of a daemon which this node has not got; value 3 is the state of replication.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from resolver.errors import ValuesNotFound
from resolver.handle.value import HandleValue, Permission
from resolver.node import hdl_resolve
from resolver.node.hdl_declined import not_an_administrator
from resolver.node.ledger import last_serial
from resolver.node.values import to_pb
from resolver.wire.cursor import text_to_wire
from resolver.wire.header import OpFlag

if TYPE_CHECKING:
    from resolver.service.core import Core
    from resolver.service.hdl_turn import Turn
    from resolver.v1 import handle_pb2 as pb
    from resolver.wire.requests import Resolution

_NAME = b"0.SITE/STATUS"
_PRIVATE = Permission.ADMIN_READ | Permission.ADMIN_WRITE


class HandleStatus:
    """The status of one worker."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._since_s = core.clock.monotonic_s()

    @staticmethod
    def is_asked(body: Resolution) -> bool:
        """Whether a question is for the status."""
        return text_to_wire(body.handle).upper() == _NAME

    def values(self, turn: Turn, body: Resolution) -> list[pb.HandleValue]:
        """The values that a question chooses, for a server administrator. Raises what a client is to be told."""
        if turn.request.header.has(OpFlag.PUBLIC_ONLY) or (turn.is_plain and turn.known_identity() is None):
            raise ValuesNotFound("")
        if not turn.require_identity().is_server_admin:
            raise not_an_administrator()
        now_s = self._core.clock.now_us() // 1_000_000
        made = (
            HandleValue(1, "CNRI.SERVER_STATUS", self._server().encode(), permissions=_PRIVATE, timestamp_s=now_s),
            HandleValue(3, "CNRI.REPLICATION_STATUS", self._journal(), permissions=_PRIVATE, timestamp_s=now_s),
        )
        chosen = hdl_resolve.wanted(map(to_pb, made), body.indexes, body.types)
        if not chosen:
            raise ValuesNotFound("")
        return chosen

    def _server(self) -> str:
        page = os.sysconf("SC_PAGE_SIZE")
        free, whole = os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page
        since_ms = int((self._core.clock.monotonic_s() - self._since_s) * 1_000)
        facts = {
            "freemem": free,
            "totalmem": whole,
            "maxmem": whole,
            "runtime": since_ms,
            "numreqs": self._core.calls.count,
        }
        return "; ".join(f"{name}={number}" for name, number in facts.items())

    def _journal(self) -> bytes:
        with self._core.reading() as reader:
            return json.dumps({"latestTxnId": last_serial(reader)}).encode()
