"""The changing operations of the Handle protocol: what is wrong at once, who asks, the change, the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.handle.name import Prefix
from resolver.node.hdl_declined import not_an_administrator
from resolver.wire import requests, responses
from resolver.wire.header import OpFlag

if TYPE_CHECKING:
    from resolver.service.hdl_changes import HandleChanges
    from resolver.service.hdl_foreign import HandleForeign
    from resolver.service.hdl_turn import Turn


class HandleWriting:
    """Handlers of the changing operations."""

    def __init__(self, changes: HandleChanges, foreign: HandleForeign) -> None:
        self._changes = changes
        self._foreign = foreign

    async def create(self, turn: Turn) -> None:
        """Create a handle, over another one or with a minted suffix when the flags say so."""
        body = _with_values(turn)
        overwrites = turn.request.header.has(OpFlag.OVERWRITE)
        mints = turn.request.header.has(OpFlag.MINT_SUFFIX)
        if not mints and await self._foreign.refers_change(turn, body.handle):
            return
        self._changes.before_create(body.handle, body.values, overwrites=overwrites, mints=mints)
        identity = turn.require_identity()
        name, replaced = await self._changes.create(
            identity, body.handle, body.values, overwrites=overwrites, mints=mints, door=turn.peer.door
        )
        flags = (OpFlag.OVERWRITE.value if replaced else 0) | (OpFlag.MINT_SUFFIX.value if mints else 0)
        await turn.answer(responses.Created(name), flags=flags)

    async def delete(self, turn: Turn) -> None:
        """Delete a handle."""
        name = _of_handle(turn)
        if await self._foreign.refers_change(turn, name):
            return
        self._changes.before_delete(name)
        await self._changes.delete(turn.require_identity(), name, door=turn.peer.door)
        await turn.answer(responses.Done())

    async def add(self, turn: Turn) -> None:
        """Add values to a handle."""
        body = _with_values(turn)
        if await self._foreign.refers_change(turn, body.handle):
            return
        self._changes.before_add(body.handle, body.values)
        identity = turn.require_identity()
        overwrites = turn.request.header.has(OpFlag.OVERWRITE)
        replaced = await self._changes.put(
            identity, body.handle, body.values, modifies=False, overwrites=overwrites, door=turn.peer.door
        )
        await turn.answer(responses.Done(), flags=OpFlag.OVERWRITE.value if replaced else 0)

    async def modify(self, turn: Turn) -> None:
        """Put values in place of those with the same indexes."""
        body = _with_values(turn)
        if await self._foreign.refers_change(turn, body.handle):
            return
        self._changes.before_modify(body.handle, body.values)
        if not body.values:
            await turn.answer(responses.Done())  # nothing to do takes no right
            return
        identity = turn.require_identity()
        await self._changes.put(
            identity, body.handle, body.values, modifies=True, overwrites=False, door=turn.peer.door
        )
        await turn.answer(responses.Done())

    async def remove(self, turn: Turn) -> None:
        """Remove values from a handle."""
        body = turn.request.body
        assert isinstance(body, requests.RemoveValues)  # noqa: S101 - the codec chose it by the operation
        if await self._foreign.refers_change(turn, body.handle):
            return
        self._changes.before_change(body.handle)
        await self._changes.remove(turn.require_identity(), body.handle, body.indexes, door=turn.peer.door)
        await turn.answer(responses.Done())

    async def home(self, turn: Turn) -> None:
        """Serve a prefix from now on."""
        await self._home(turn, homed=True)

    async def unhome(self, turn: Turn) -> None:
        """Serve a prefix no more."""
        await self._home(turn, homed=False)

    async def _home(self, turn: Turn, *, homed: bool) -> None:
        name = _of_handle(turn)
        prefix = Prefix.from_text(name)  # a name without a slash is that of a prefix, as everywhere in the protocol
        identity = turn.require_identity()
        if not identity.is_server_admin:
            raise not_an_administrator()
        await self._changes.home(identity, prefix, homed=homed, door=turn.peer.door)
        await turn.answer(responses.Done())


def _with_values(turn: Turn) -> requests.WithValues:
    body = turn.request.body
    assert isinstance(body, requests.WithValues)  # noqa: S101 - the codec chose it by the operation
    return body


def _of_handle(turn: Turn) -> str:
    body = turn.request.body
    assert isinstance(body, requests.OfHandle)  # noqa: S101 - the codec chose it by the operation
    return body.handle
