"""Names that other nodes are responsible for, at the Handle doors: referrals, and searching for those who ask for it.

A client may be told whom to ask (303 for a prefix handle below an ancestor's sites, 302 for any other handle) or have
this node ask (RECURSIVE; IDIS clients set no flag at all and cannot follow a referral, so theirs counts as set).
Prefix handles are referred whenever the client's version knows the newer referrals, since whoever has to ask often
learns the tree that way; a client below 2.10 is spared that, and one below 2.5 does not know the code.

A handle of another server of this site is fetched there for who wants it, as the reference server does for what is not
homed in it; everybody else is told 301, and a newer serial of the site than theirs says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.errors import (
    HandleNotFound,
    InvalidName,
    NotThisServer,
    PrefixElsewhere,
    PrefixNotServed,
    Refused,
    ValuesNotFound,
)
from resolver.handle.codes import ResponseCode
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold, is_derived_prefix_handle, split
from resolver.node import handle_admin, hdl_resolve, record_octets, site_info, values
from resolver.node.authority import Below, Here, authority_for, delegation
from resolver.node.foreign import Question
from resolver.node.hdl_declined import Declined
from resolver.wire import versions
from resolver.wire.header import CLIENT_FLAGS, OpFlag
from resolver.wire.responses import Referral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.service.core import Core
    from resolver.service.hdl_turn import Turn
    from resolver.v1 import handle_pb2 as pb
    from resolver.wire.requests import Resolution
    from storage.engine import Reader


class Ways(NamedTuple):
    """What may be said of a name that is not here.

    ``prefix_sites`` are whom a prefix referral names, ``sites`` whom a service referral names; ``is_open`` says that
    other nodes may have it.
    """

    prefix_sites: Sequence[pb.HandleValue] = ()
    sites: Sequence[pb.HandleValue] = ()
    is_open: bool = False


def ways(reader: Reader, name: str, *, has_top: bool) -> Ways:
    """What may be said of a whole name that is not here."""
    authority = authority_for(reader, name)
    prefix, suffix = split(name)
    is_below = isinstance(authority, Below)
    if fold(prefix) == PREFIX_OF_PREFIXES:
        found: Sequence[pb.HandleValue] = ()
        if is_derived_prefix_handle(name):
            found = site_info.prefix_referral(reader, fold(suffix))
        if isinstance(authority, Below):
            found = delegation(reader, authority, of_prefix=True) or found
        return Ways(found, (), is_below or bool(found) or (has_top and not isinstance(authority, Here)))
    if isinstance(authority, Below):
        return Ways((), delegation(reader, authority, of_prefix=False), is_open=True)
    return Ways(is_open=has_top and not isinstance(authority, Here))


def wants_search(flags: int) -> bool:
    """Whether a client wants this node to ask others: it says so, or sets none of the flags that CNRI clients set."""
    return bool(flags & OpFlag.RECURSIVE.value) or not flags & CLIENT_FLAGS.value


class HandleForeign:
    """Answers for other nodes' names at the Handle doors of one worker."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def answer(self, turn: Turn, body: Resolution, refusal: Refused) -> list[pb.HandleValue] | None:
        """The values another node has given, or None when the client was referred. Raises what stands otherwise."""
        try:
            name = Handle.from_text(body.handle).text
        except InvalidName:
            raise refusal from None
        elsewhere = self._core.elsewhere
        way = Ways(is_open=True) if isinstance(refusal, NotThisServer) else self._ways(name)
        header, version = turn.request.header, turn.asked.envelope.answered_in()
        searches = way.is_open and elsewhere is not None and self._core.options.recursion and wants_search(header.flags)
        refers = not header.has(OpFlag.DO_NOT_REFER)
        if (
            way.prefix_sites
            and refers
            and version >= (versions.PREFIX_REFERRAL if not searches else versions.ADMIN_REFERRAL)
        ):
            await _refer(turn, ResponseCode.PREFIX_REFERRAL, way.prefix_sites)
            return None
        if searches:
            return await self._search(turn, body, name)
        if way.sites and refers:
            await _refer(turn, ResponseCode.SERVICE_REFERRAL, way.sites)
            return None
        if isinstance(refusal, PrefixElsewhere):
            raise PrefixNotServed(refusal.message, details=refusal.details)  # 302 without a referral means nothing
        raise refusal

    async def refers_change(self, turn: Turn, name: str) -> bool:
        """Refer a change of the handle of a derived prefix that is not here to whom its ancestor names; whether so.

        Clients from 2.10 on follow that; others are answered as for any handle.
        """
        if not is_derived_prefix_handle(name) or turn.request.header.has(OpFlag.DO_NOT_REFER):
            return False
        if turn.asked.envelope.answered_in() < versions.ADMIN_REFERRAL:
            return False
        sites = self._sites_below(name)
        if sites:
            await _refer(turn, ResponseCode.PREFIX_REFERRAL, sites)
        return bool(sites)

    def _sites_below(self, name: str) -> Sequence[pb.HandleValue]:
        """Whom a prefix referral of a handle that is not here names."""
        with self._core.reading() as reader:
            if handle_admin.is_registered(reader, name):
                return ()
            return ways(reader, name, has_top=False).prefix_sites

    def _ways(self, name: str) -> Ways:
        """What may be said of a name; apart, because a coroutine that waits would hold on to the transaction."""
        elsewhere = self._core.elsewhere
        with self._core.reading() as reader:
            return ways(reader, name, has_top=elsewhere is not None and elsewhere.has_top)

    async def _search(self, turn: Turn, body: Resolution, name: str) -> list[pb.HandleValue]:
        """Ask other nodes. Raises what a client understands."""
        header = turn.request.header
        elsewhere = self._core.elsewhere
        assert elsewhere is not None  # noqa: S101 - looked at by the caller
        if header.recursion_count >= limits.RECURSIONS_MAX:
            raise Declined(ResponseCode.RECURSION_LIMIT, "too many servers have passed this request on")
        question = Question(name, authoritative=header.has(OpFlag.AUTHORITATIVE), recursions=header.recursion_count)
        try:
            found = (await elsewhere.find(question)).get()
        except PrefixNotServed as error:
            raise HandleNotFound(error.message, details=error.details) from error
        chosen = hdl_resolve.wanted(record_octets.parse(found.body).values, body.indexes, body.types)
        if not chosen:
            raise ValuesNotFound("")
        return chosen


async def _refer(turn: Turn, code: ResponseCode, sites: Sequence[pb.HandleValue]) -> None:
    """Tell the client whom to ask."""
    await turn.answer(Referral("", tuple(values.from_pb(value) for value in sites)), code=code)
