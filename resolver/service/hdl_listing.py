"""Lists over the Handle protocol: handles of a prefix, prefixes under one, prefixes homed here.

A list goes out in messages of fifty names, each read from the store when the peer has taken those before, so that a
prefix of any size costs a page of memory. Others are answered between two pages. Nobody lists twice at the same time.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from resolver.errors import InvalidPrefix, PrefixNotServed
from resolver.handle.codes import ResponseCode
from resolver.handle.name import PREFIX_OF_PREFIXES, Prefix, fold, fold_octets
from resolver.node import handle_admin, listing, record_octets
from resolver.node.authorize import Action
from resolver.node.authorize import require as require_policy
from resolver.node.hdl_declined import Declined, not_an_administrator
from resolver.service.hdl_turn import ChallengeWanted
from resolver.v1 import registry_pb2 as registry
from resolver.v1 import stored_pb2 as stored
from resolver.wire import bounds, requests, responses
from resolver.wire.header import OpFlag
from resolver.wire.predefined.hs_admin import AdminPermission
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from resolver.node.handle_admin import Identity
    from resolver.service.core import Core
    from resolver.service.hdl_turn import Turn
    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

_PAGE = bounds.HANDLES_PER_ANSWER_MAX
_SKIP = 2_000
"""Rows passed over in one read transaction: about a millisecond."""

_OCTETS_AT_ONCE = 256 << 10
"""Octets of rows that are parsed in one read transaction: some milliseconds."""

_OF_ROOT = f"{PREFIX_OF_PREFIXES}/{PREFIX_OF_PREFIXES}/"


class HandleListing:
    """Handlers of the listing operations."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._busy: set[str] = set()

    async def handles(self, turn: Turn) -> None:
        """The handles of a prefix; ``0.NA/0.NA/P`` means the prefixes derived from P."""
        name = _name(turn)
        if fold(name).startswith(_OF_ROOT):
            await self._derived(turn, Prefix.from_text(name[len(_OF_ROOT) :]))
            return
        try:
            prefix = _prefix(name)
        except InvalidPrefix as error:
            raise PrefixNotServed(error.message) from None  # what is no prefix is homed nowhere
        with self._core.reading() as reader:
            self._core.served.require(reader, prefix.text)
        identity = turn.require_identity()
        self.require_handles(identity, prefix)
        with self._alone(identity):
            await self._send(turn, prefix.handle_key_start, Table.RECORDS, _handle)

    def require_handles(self, identity: Identity | None, prefix: Prefix) -> None:
        """Raise unless the identity may list the handles of a prefix; ChallengeWanted for nobody."""
        with self._core.reading() as reader:
            self._core.served.require(reader, prefix.text)
            if identity is None:
                raise ChallengeWanted
            self._require(reader, identity, prefix, AdminPermission.LIST_HANDLES)

    def handle_count(self, prefix: Prefix) -> int:
        """How many handles a prefix has."""
        with self._core.reading() as reader:
            body = reader.get(Table.TALLIES, prefix.key)
        return 0 if body is None else int(stored.StoredTally.FromString(body).handle_count)

    async def pages(self, identity: Identity, prefix: Prefix, skip: int, count: int | None) -> AsyncIterator[list[str]]:
        """Handles of a prefix in the order of their keys, after the first ``skip``, at most ``count``; in pages.

        The reader of the pages sets the pace; nothing is kept between them but a key.
        """
        with self._alone(identity):
            start = prefix.handle_key_start
            stop = listing.after(start)
            here: bytes | None = start
            while skip and here is not None:
                here, skipped = self._skip(here, stop, min(skip, _SKIP))
                skip -= skipped
                await asyncio.sleep(0)
            while here is not None and (count is None or count > 0):
                names, here = await self._page(start, here, Table.RECORDS, _handle)
                yield names if count is None else names[:count]
                count = None if count is None else count - len(names)
                await asyncio.sleep(0)

    def _skip(self, start: bytes, stop: bytes | None, count: int) -> tuple[bytes | None, int]:
        """Where to go on behind so many rows, None at the end; and how many there were."""
        skipped = 0
        with self._core.reading() as reader:
            for key, _ in reader.scan_rows(Table.RECORDS, start, stop):
                skipped += 1
                if skipped == count:
                    return key + b"\0", skipped
        return None, skipped

    async def derived_prefixes(self, turn: Turn) -> None:
        """The prefixes derived from a prefix, wherever their handles live."""
        await self._derived(turn, _prefix(_name(turn)))

    async def _derived(self, turn: Turn, prefix: Prefix) -> None:
        identity = turn.require_identity()
        with self._core.reading() as reader:
            alternatives = (AdminPermission.LIST_DERIVED_PREFIXES, AdminPermission.LIST_HANDLES)
            self._require(reader, identity, prefix, *alternatives)
        with self._alone(identity):
            await self._send(turn, prefix.folded.encode() + b".", Table.PREFIXES, _prefix_handle)

    async def homed_prefixes(self, turn: Turn) -> None:
        """The prefixes homed here."""
        identity = turn.require_identity()
        if not identity.is_server_admin:
            raise not_an_administrator()
        require_policy(identity.caller, Action.READ_REGISTRY, "", "the prefixes of this node")
        with self._alone(identity):
            await self._send(turn, b"", Table.PREFIXES, _homed_prefix_handle)

    def _require(self, reader: Reader, identity: Identity, prefix: Prefix, *bits: AdminPermission) -> None:
        """Raise unless policy and HS_ADMIN values of the prefix handle permit listing."""
        owner = self._core.served.owner(reader, prefix.folded)
        require_policy(identity.caller, Action.LIST_HANDLES, owner, f"prefix {prefix.text!r}")

        def lookup(name: str) -> list[pb.HandleValue]:
            return handle_admin.values_of(reader, name)

        handle_admin.require(identity, lookup(prefix.prefix_handle), lookup, *bits)

    @contextmanager
    def _alone(self, identity: Identity) -> Iterator[None]:
        """One list at a time for an identity. Raises Declined."""
        name = fold(identity.text)
        if name in self._busy:
            raise Declined(ResponseCode.SERVER_BUSY, "a list for you is under way already: wait for its end")
        self._busy.add(name)
        try:
            yield
        finally:
            self._busy.discard(name)

    async def _send(self, turn: Turn, start: bytes, table: Table, shown: Callable[[bytes], str | None]) -> None:
        """Send the names under a key in messages of fifty, the last one without the CONTINUOUS flag."""
        names, after = await self._page(start, start, table, shown)
        while after is not None:
            following, next_after = await self._page(start, after, table, shown)
            if not following:
                break
            await turn.answer(responses.Handles(tuple(names)), flags=OpFlag.CONTINUOUS.value)
            await asyncio.sleep(0)  # writing waits only for a peer that is slow
            if turn.peer.has_left:
                return
            names, after = following, next_after
        await turn.answer(responses.Handles(tuple(names)))

    async def _page(
        self, start: bytes, after: bytes, table: Table, shown: Callable[[bytes], str | None]
    ) -> tuple[list[str], bytes | None]:
        """Fifty names from a key on and the key to go on at, or those that are left and None.

        Others have their turn while rows are looked at that are large, or not to be listed.
        """
        names, here = self._some(start, after, table, shown, _PAGE)
        while here is not None and len(names) < _PAGE:
            await asyncio.sleep(0)
            more, here = self._some(start, here, table, shown, _PAGE - len(names))
            names += more
        return names, here

    def _some(
        self, start: bytes, after: bytes, table: Table, shown: Callable[[bytes], str | None], most: int
    ) -> tuple[list[str], bytes | None]:
        """Names of some rows from a key on, its own of several servers, and the key to go on at; None at the end."""
        names: list[str] = []
        looked = octets = 0
        share = self._core.served.share
        sifting = share if share is not None and share.sifts and table is Table.RECORDS else None
        if sifting is not None and not sifting.lists(start):
            return names, None
        with self._core.reading() as reader:
            for key, body in reader.scan(table, after, listing.after(start) if start else None):
                name = shown(body)
                if name is not None and (sifting is None or sifting.answers(fold_octets(name.encode()))):
                    names.append(name)
                looked, octets = looked + 1, octets + len(body)
                if len(names) == most or looked == _SKIP or octets > _OCTETS_AT_ONCE:
                    return names, key + b"\0"
        return names, None


def _handle(body: bytes) -> str:
    """The name to list for a record."""
    return record_octets.parse(body).name


def _prefix_handle(body: bytes) -> str:
    """The name to list for a prefix."""
    return f"{PREFIX_OF_PREFIXES}/{registry.Prefix.FromString(body).prefix}"


def _homed_prefix_handle(body: bytes) -> str | None:
    """The same; None for one that is not homed."""
    row = registry.Prefix.FromString(body)
    return f"{PREFIX_OF_PREFIXES}/{row.prefix}" if row.homed else None


def _name(turn: Turn) -> str:
    body = turn.request.body
    assert isinstance(body, requests.OfHandle)  # noqa: S101 - the codec chose it by the operation
    return body.handle


def _prefix(name: str) -> Prefix:
    """The prefix a prefix handle describes. Raises InvalidPrefix."""
    try:
        return Prefix.from_text(name)
    except InvalidPrefix:
        raise InvalidPrefix(
            f"{name[:80]!r} is no prefix handle: give one such as 0.NA/88.300.1", field="prefix"
        ) from None
