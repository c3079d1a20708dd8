"""Watching the journal: pages read when the reader is ready for them, so nothing piles up.

A reader that takes nothing for ``watch_write_timeout_s`` is ended with an error that says where to resume; the
door measures that, because only it knows whether a message was taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import InvalidField, TooManyItems
from resolver.handle.name import Prefix
from resolver.node import changes
from resolver.node.authorize import Action, Caller, permits, require
from resolver.v1 import changes_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from resolver.service.call import Call
    from resolver.service.core import Core
    from storage.engine import Reader

_HEARTBEAT_S = 10.0
_PREFIXES_MAX = limits.PAGE_MAX


class Changes:
    """Handlers of ChangesService."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def watch(self, call: Call, request: pb.WatchRequest) -> AsyncIterator[pb.WatchResponse]:
        """Changes from a serial on, then new ones as they come."""
        core = self._core
        if len(request.prefixes) > _PREFIXES_MAX:
            raise TooManyItems(f"more than {_PREFIXES_MAX} prefixes are named: watch all instead", field="prefixes")
        wanted = {Prefix.from_text(text).folded for text in request.prefixes}
        core.poll()
        with core.reading() as reader:
            self._authorize(reader, call.caller, wanted)
        serial = request.from_serial or core.serial + 1
        if serial > core.serial + 1:
            raise InvalidField(
                f"from_serial is {serial} and the journal ends at {core.serial}: resume with {core.serial + 1}; if you "
                "have seen later changes, the node was restored from an older backup and you must read it anew",
                field="from_serial",
            )
        while True:
            core.refuse_when_draining()
            core.identify_again(call)
            with core.reading() as reader:
                self._authorize(reader, call.caller, wanted)
                may_see = self._filter(reader, call.caller, wanted)
                page = changes.page(reader, serial, may_see, include_records=request.include_records)
            if page.changes or page.through_serial >= serial:
                yield pb.WatchResponse(changes=page.changes, through_serial=page.through_serial)
                serial = max(serial, page.through_serial + 1)
            if not page.at_end:
                continue
            if request.stop_at_end:
                return
            before = core.serial
            if core.serial < serial:
                await core.wait_for_change(_HEARTBEAT_S)
            if core.serial == before:
                yield pb.WatchResponse(through_serial=serial - 1)

    def _authorize(self, reader: Reader, caller: Caller, wanted: set[str]) -> None:
        """Raise unless the caller may watch everything it names, or anything at all when it names nothing."""
        if not wanted:
            require(caller, Action.WATCH, caller.enterprise_id, "the journal")
        for prefix in wanted:
            owner = self._core.served.owner(reader, prefix)
            require(caller, Action.WATCH, owner, f"prefix {prefix!r}")

    def _filter(self, reader: Reader, caller: Caller, wanted: set[str]) -> Callable[[str], bool]:
        if wanted:
            return wanted.__contains__
        served = self._core.served
        return lambda prefix: permits(caller, Action.WATCH, served.owner(reader, prefix))
