"""The Handle System as a client meets it: from one server on to the server that answers for a name (RFC 3652 3.1).

``HandleSystem`` asks the server it was given for the handle of a name's prefix, and finds there the sites of the
prefix. In a site the hash of the name chooses the server; questions go to any site, changes to primary sites only; the
first TCP interface for the task is taken. Referrals lead on, a bounded number of times. Connections are kept, one for
each server, so that a batch runs over one. What sites say of themselves is not proof, but with their keys every
answer is verified.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from resolver.clock import SystemClock
from resolver.errors import MalformedMessage, PrefixNotServed, RecursionLimit, WireError
from resolver.federation.client import TIMEOUT_S, AnswerRefused, HandleClient
from resolver.federation.connection import ServerUnreachable
from resolver.federation.sites import SERVERS_TRIED_MAX, Place, is_any_address, places_for
from resolver.handle.codes import ResponseCode
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold
from resolver.wire.predefined.hs_site import HsSite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from ipaddress import IPv4Address, IPv6Address
    from types import TracebackType

    from resolver.clock import Clock
    from resolver.errors import ResolverError
    from resolver.federation.identity import Identity
    from resolver.handle.value import HandleValue

T = TypeVar("T")

REFERRALS_MAX = 10
"""Referrals followed for one name: the reference server's recursion limit."""

SERVICES_MAX = 8
"""HS_SERV values followed for one prefix."""

_SITE_TYPES = ("HS_SITE", "HS_SITE.6", "HS_SERV")
_REFERRALS = {ResponseCode.SERVICE_REFERRAL, ResponseCode.PREFIX_REFERRAL}


class Step(NamedTuple):
    """One thing asked on the way: what, of whom, how long it took, and what was said."""

    task: str
    name: str
    place: str
    took_s: float
    outcome: str


class Outcome(NamedTuple):
    """What became of one operation of a batch: its number from 0, and why it failed or None."""

    number: int
    error: ResolverError | None


class HandleSystem:
    """A client of every server that one server leads to. Use it in ``async with``.

    ``follows`` False asks the given server for everything. ``certifies`` demands signed answers: by the key that the
    prefix handle names, and of the given server by the one that its own site record names. ``in_session`` speaks in a
    session with each; ``observe`` is told each step.
    """

    def __init__(
        self,
        host: str,
        port: int = 2641,
        *,
        identity: Identity | None = None,
        follows: bool = True,
        certifies: bool = False,
        in_session: bool = False,
        timeout_s: float = TIMEOUT_S,
        allows: Callable[[IPv4Address | IPv6Address], bool] = is_any_address,
        observe: Callable[[Step], None] = lambda _: None,
        clock: Clock | None = None,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._start = Place(host, port, b"")
        self._identity = identity
        self._follows = follows
        self._certifies = certifies
        self._in_session = in_session
        self._timeout_s = timeout_s
        self._allows = allows
        self._observe = observe
        self._clock = clock or SystemClock()
        self._randomness = randomness
        self._clients: dict[Place, HandleClient] = {}
        self._sites: dict[str, tuple[HsSite, ...]] = {}

    async def __aenter__(self) -> Self:
        """Nothing is connected before something is asked."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all connections."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    async def resolve(
        self, name: str, *, types: Iterable[str] = (), indexes: Iterable[int] = (), public_only: bool = True
    ) -> tuple[HandleValue, ...]:
        """The values of a handle. Raises AnswerRefused, PrefixNotServed and ServerUnreachable."""
        wanted = tuple(types), tuple(indexes)
        return await self._ask(
            "resolve",
            name,
            lambda client: client.resolve(name, types=wanted[0], indexes=wanted[1], public_only=public_only),
        )

    async def create(
        self, name: str, values: Iterable[HandleValue], *, overwrites: bool = False, mints: bool = False
    ) -> str:
        """Create a handle; its name, with the suffix the server has minted. Raises as ``resolve`` does."""
        given = tuple(values)
        return await self._ask(
            "create",
            name,
            lambda client: client.create(name, given, overwrites=overwrites, mints=mints),
            administers=True,
        )

    async def delete(self, name: str) -> None:
        """Delete a handle. Raises as ``resolve`` does."""
        await self._ask("delete", name, lambda client: client.delete(name), administers=True)

    async def add_values(self, name: str, values: Iterable[HandleValue], *, overwrites: bool = False) -> None:
        """Add values to a handle. Raises as ``resolve`` does."""
        given = tuple(values)
        await self._ask(
            "add", name, lambda client: client.add_values(name, given, overwrites=overwrites), administers=True
        )

    async def modify_values(self, name: str, values: Iterable[HandleValue]) -> None:
        """Put values in place of those with the same indexes. Raises as ``resolve`` does."""
        given = tuple(values)
        await self._ask("modify", name, lambda client: client.modify_values(name, given), administers=True)

    async def remove_values(self, name: str, indexes: Iterable[int]) -> None:
        """Remove values from a handle. Raises as ``resolve`` does."""
        given = tuple(indexes)
        await self._ask("remove", name, lambda client: client.remove_values(name, given), administers=True)

    async def list_handles(self, prefix: str) -> list[str]:
        """The handles of a prefix. Raises as ``resolve`` does."""
        name = f"{PREFIX_OF_PREFIXES}/{prefix.removeprefix(f'{PREFIX_OF_PREFIXES}/')}"
        inside = name.removeprefix(f"{PREFIX_OF_PREFIXES}/") + "/*"  # any name of the prefix: its sites are the same
        return await self._ask("list", inside, lambda client: client.list_handles(name), administers=True)

    async def home_prefix(self, prefix: str, *, homed: bool = True) -> None:
        """Let the given server serve a prefix, or serve it no more. Raises AnswerRefused and ServerUnreachable."""
        name = f"{PREFIX_OF_PREFIXES}/{prefix.removeprefix(f'{PREFIX_OF_PREFIXES}/')}"
        client = await self._client(self._start)
        await (client.home_prefix(name) if homed else client.unhome_prefix(name))

    async def site_info(self) -> HsSite:
        """The site of the given server, as it says itself. Raises AnswerRefused and ServerUnreachable."""
        return await self._timed("site info", "/", self._start, lambda client: client.site_info())

    async def batch(self, operations: Iterable[Callable[[Self], Awaitable[object]]]) -> AsyncIterator[Outcome]:
        """Carry out operations one after the other over the same connections, and go on after those that fail.

        An operation is a function of this client, such as ``lambda system: system.delete(name)``.
        """
        for number, operation in enumerate(operations):
            try:
                await operation(self)
            except (AnswerRefused, WireError, PrefixNotServed, ServerUnreachable) as error:
                yield Outcome(number, error)
            else:
                yield Outcome(number, None)

    async def sites_of(self, name: str) -> tuple[HsSite, ...]:
        """The sites that answer for a name, by the handle of its prefix. Raises as ``resolve`` does."""
        handle = Handle.from_text(name)
        prefix = PREFIX_OF_PREFIXES if handle.prefix_folded == PREFIX_OF_PREFIXES else handle.prefix
        known = self._sites.get(fold(prefix))
        if known is None:
            known = self._sites[fold(prefix)] = await self._sites_in(f"{PREFIX_OF_PREFIXES}/{prefix}")
        return known

    async def _sites_in(self, service: str) -> tuple[HsSite, ...]:
        """The sites of a prefix handle, and of the service handles it names."""
        found: list[HsSite] = []
        waiting, seen = [service], set[str]()
        while waiting and len(seen) <= SERVICES_MAX:
            name = waiting.pop(0)
            if fold(name) in seen:
                continue
            seen.add(fold(name))
            for value in await self._site_values(name):
                if fold(value.type) == "HS_SERV":
                    waiting.append(value.data.decode(errors="replace"))
                else:
                    found += _site_in(value)
        return tuple(found)

    async def _site_values(self, name: str) -> tuple[HandleValue, ...]:
        """The values that name sites in a handle that the given server is asked for, or refers to."""
        place = self._start
        for _ in range(REFERRALS_MAX):
            try:
                return await self._timed(
                    "find sites", name, place, lambda client: client.resolve(name, types=_SITE_TYPES)
                )
            except AnswerRefused as refused:
                place = self._referred(refused, name, administers=False)[0]
        raise RecursionLimit(f"more than {REFERRALS_MAX} referrals for {name[:200]!r}: somebody refers in a circle")

    async def _ask(
        self, task: str, name: str, work: Callable[[HandleClient], Awaitable[T]], *, administers: bool = False
    ) -> T:
        """Ask the right server; follow where it refers to."""
        places = [self._start]
        if self._follows:
            places = places_for(name, await self.sites_of(name), administers=administers, allows=self._allows)
        for _ in range(REFERRALS_MAX):
            try:
                return await self._ask_places(task, name, places, work, administers=administers)
            except AnswerRefused as refused:
                places = self._referred(refused, name, administers=administers)
        raise RecursionLimit(f"more than {REFERRALS_MAX} referrals for {name[:200]!r}: somebody refers in a circle")

    async def _ask_places(
        self,
        task: str,
        name: str,
        places: list[Place],
        work: Callable[[HandleClient], Awaitable[T]],
        *,
        administers: bool,
    ) -> T:
        """Ask the first server that answers; a change is sent to one only, since it may have arrived."""
        last: ServerUnreachable | None = None
        for place in places[: 1 if administers else SERVERS_TRIED_MAX]:
            try:
                return await self._timed(task, name, place, work)
            except ServerUnreachable as error:
                last = error
        assert last is not None  # noqa: S101 - there is at least one place
        raise last

    def _referred(self, refused: AnswerRefused, name: str, *, administers: bool) -> list[Place]:
        """The places of a referral. Raises the refusal when it is none, or is not to be followed."""
        if not self._follows or refused.code not in _REFERRALS or refused.referral is None:
            raise refused
        sites = [site for value in refused.referral.values or () for site in _site_in(value)]
        if not sites:
            raise refused
        return places_for(name, sites, administers=administers, allows=self._allows)

    async def _timed(self, task: str, name: str, place: Place, work: Callable[[HandleClient], Awaitable[T]]) -> T:
        """Ask one server and tell the observer."""
        started = time.perf_counter()
        outcome = "answered"
        try:
            return await work(await self._client(place))
        except (AnswerRefused, WireError, ServerUnreachable) as error:
            outcome = error.message
            raise
        finally:
            took_s = time.perf_counter() - started
            self._observe(Step(task, name, f"{place.host}:{place.port}", took_s, outcome))

    async def _client(self, place: Place) -> HandleClient:
        """The client of a server, in a session when that is wanted."""
        client = self._clients.get(place)
        if client is None:
            key = await self._key_of(place) if self._certifies else b""
            known = self._clients.get(place)  # another task may have been quicker
            if known is not None:
                return known
            client = self._clients[place] = self._client_with(place, key)
            if self._in_session:
                try:
                    await client.begin_session()
                except BaseException:
                    del self._clients[place]
                    await client.close()
                    raise
        return client

    def _client_with(self, place: Place, server_key: bytes) -> HandleClient:
        return HandleClient(
            place.host,
            place.port,
            clock=self._clock,
            randomness=self._randomness,
            identity=self._identity,
            server_key=server_key,
            timeout_s=self._timeout_s,
        )

    async def _key_of(self, place: Place) -> bytes:
        """The key that a server's answers are verified with. Raises MalformedMessage when its site names none."""
        key = place.public_key
        if place is self._start:
            client = self._client_with(place, b"")
            try:
                key = _own_key(await client.site_info(), place)
            finally:
                await client.close()
        if not key:
            raise MalformedMessage(
                f"the site of {place.host}:{place.port} names no key: what it answers cannot be verified"
            )
        return key


def _own_key(site: HsSite, place: Place) -> bytes:
    """The key of the server at a place, in the record of its site; of the only one, when it tells of no such place."""
    here = [server for server in site.servers if any(door.port == place.port for door in server.interfaces)]
    found = [server for server in here if str(server.ip) == place.host] or here or list(site.servers)
    keys = {server.public_key for server in found}
    return keys.pop() if len(keys) == 1 else b""


def _site_in(value: HandleValue) -> list[HsSite]:
    """The site of a value; nothing for one that cannot be read, as other clients do."""
    if not fold(value.type).startswith("HS_SITE") and fold(value.type) != "HS_NA_DELEGATE":
        return []
    try:
        return [HsSite.from_wire(value.data)]
    except WireError:
        return []
