"""The servers of a site share its handles by hash: which are this server's, and what is said of the others.

The layout of the site is a row of META that belongs to the registry, so every server of the site has the same; a
second row says which server this one is and how far it is in a change of the site. Both are read inside every write
transaction, so a change holds for all workers from its commit on. A store without these rows is the only server, and
has everything. Prefix handles (0.NA/…) belong to the registry and are at every server.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from resolver.errors import NotThisServer, SiteChanging
from resolver.handle.name import PREFIX_OF_PREFIXES, fold_octets
from resolver.v1 import site_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from resolver.wire.hash_selection import key_index
from resolver.wire.predefined.hs_site import HsSite, Transport
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.wire.predefined.hs_site import Server
    from storage.engine import Reader, Writer

LAYOUT_KEY = b"servers"
"""Row of META with the layout; part of the registry."""

SERVER_KEY = b"server"
"""Row of META that says which server this is; not part of the registry, but the same at its mirrors."""

FENCED_RETRY_S = 1.0
"""Seconds to wait before a change is tried again while shares change: a fence stands for about a second, for several on
a busy machine, and the six attempts that clients make have to outlast it."""

MINTED_MAX = 1_024
"""Names minted for one that is this server's: with a hundred servers one in 30,000 finds none and is refused."""

WAIT_MAX_MS = 60_000
"""Milliseconds that a server waits for a moment it has set: a fence is for longer at most."""

_SYSTEM_KEY = PREFIX_OF_PREFIXES.encode() + b"/"
_LENIENT = {pb.SITE_STAGE_HELD, pb.SITE_STAGE_SWITCHED}
_FENCED = {pb.SITE_STAGE_HELD, pb.SITE_STAGE_SWITCHED, pb.SITE_STAGE_STRICT}


def hash_option(hash_: int) -> int:
    """The number on the wire of what is hashed: 0 prefix, 1 suffix, 2 the whole handle."""
    return max(0, hash_ - 1) if hash_ else 2


def is_of_system(folded: bytes) -> bool:
    """Whether a folded handle describes a prefix: every server has those."""
    return folded.startswith(_SYSTEM_KEY)


@dataclass(frozen=True, slots=True)
class Share:
    """What of its site this server has. Make it by ``share_of``."""

    server: int
    """Id of this server."""
    layout: pb.SiteLayout
    """The servers; none in a site that is about to get its first ones."""
    place: int
    """Place of this server in the list, -1 when it is not there."""
    stage: int
    fence_until_us: int
    has_leftovers: bool
    follows_registry: bool
    registry: str
    """HOST:PORT of the gRPC door that takes changes of the registry; empty when that is this one's."""

    spans: tuple[pb.SiteLayout, ...] = ()
    """While servers switch, the layouts before and after: this server has what it is to have in either."""

    @property
    def sifts(self) -> bool:
        """Whether a handle that is found may be another server's: then ``answers`` has to be asked."""
        return self.has_leftovers or self.stage != pb.SITE_STAGE_UNSPECIFIED

    def answers(self, folded: bytes) -> bool:
        """Whether a handle that is found is answered here: it is this server's, or equal to what the other one has."""
        if not self.spans or is_of_system(folded):
            return self.holds(folded)
        return any(
            key_index(folded, hash_option(layout.hash), len(layout.servers)) == place_of(layout, self.server)
            for layout in self.spans
        )

    def holds(self, folded: bytes) -> bool:
        """Whether a handle is this server's, by its folded octets."""
        servers = len(self.layout.servers)
        if not servers:
            return not self.follows_registry or is_of_system(folded)
        if servers == 1 and self.place == 0:
            return True
        if is_of_system(folded):
            return True
        return key_index(folded, hash_option(self.layout.hash), servers) == self.place

    def lists(self, start: bytes) -> bool:
        """Whether a folded handle that begins so can be this server's: with a hash of prefixes one look tells."""
        return self.layout.hash != pb.SITE_HASH_PREFIX or b"/" not in start or self.answers(start)

    def refusal(self, name: str) -> NotThisServer | None:
        """Why a handle is not this server's; None when it is."""
        return self.refusal_of(fold_octets(name.encode("utf-8", "surrogateescape")), name)

    def refusal_of(self, folded: bytes, name: str) -> NotThisServer | None:
        """As ``refusal``, for folded octets and the name to show."""
        if self.holds(folded):
            return None
        servers = self.layout.servers
        if not servers:
            return NotThisServer(
                f"handle {name[:200]!r} is not at this server, which is no part of its site yet: ask {self.registry}",
                field="name",
                details={"grpc": self.registry},
            )
        other = servers[key_index(folded, hash_option(self.layout.hash), len(servers))]
        ways = _ways_to(other)
        over_hdl = f", or {ways['hdl']} in the Handle protocol" if "hdl" in ways else ""
        return NotThisServer(
            f"handle {name[:200]!r} belongs to server {other.id} of this site by its hash: ask {other.grpc}{over_hdl}",
            field="name",
            details=ways,
        )

    def first_held(self, mint: Callable[[], str]) -> str:
        """The first of some minted names that is this server's; the last one tried when none is."""
        name = mint()
        for _ in range(MINTED_MAX):
            if self.holds(fold_octets(name.encode("utf-8", "surrogateescape"))):
                break
            name = mint()
        return name

    def registry_refusal(self) -> NotThisServer | None:
        """Why the registry is not changed here; None when it is."""
        if not self.follows_registry:
            return None
        for server in self.layout.servers:
            if server.id == self.layout.registry_server:
                return NotThisServer(
                    f"server {server.id} of this site takes changes of the registry, and this one follows it: send it "
                    f"to {server.grpc}",
                    details=_ways_to(server),
                )
        return NotThisServer(
            f"this server follows the registry of {self.registry}: send changes of it there",
            details={"grpc": self.registry},
        )

    def fence(self, now_us: int) -> SiteChanging | None:
        """Why no handle may be changed at this moment; None when they may."""
        is_fenced = self.stage == pb.SITE_STAGE_FENCED and is_to_come(self.fence_until_us, now_us)
        if self.stage not in _FENCED and not is_fenced:
            return None
        return SiteChanging(
            "the servers of this site are taking over each other's handles, which takes about a second: try again",
            retry_after_s=FENCED_RETRY_S,
        )


def is_to_come(moment_us: int, now_us: int) -> bool:
    """Whether a moment is yet to come. One that is further away than any is set has passed: the clock was put back."""
    return now_us < moment_us <= now_us + WAIT_MAX_MS * 1_000


def _ways_to(server: pb.SiteServer) -> dict[str, str]:
    """Where another server answers, for programs."""
    found = {"server": str(server.id), "grpc": server.grpc}
    site = HsSite.from_wire(server.site)
    for interface in site.servers[0].interfaces:
        place = _place(site.servers[0], interface.port)
        if interface.transport == Transport.TCP:
            found["hdl"] = place
        elif interface.transport in {Transport.HTTP, Transport.HTTPS}:
            found["http"] = f"{Transport(interface.transport).name.lower()}://{place}"
    return found


def _place(server: Server, port: int) -> str:
    host = str(server.ip)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def share_of(reader: Reader) -> Share | None:
    """What of its site this node has; None when that is everything and always was."""
    server = reader.get(Table.META, SERVER_KEY)
    return None if server is None else _share(server, reader.get(Table.META, LAYOUT_KEY) or b"")


@lru_cache(maxsize=64)
def _share(server: bytes, layout: bytes) -> Share:
    """The share that two rows mean; the rows change rarely and are read with every transaction."""
    own, site = stored.StoredServer.FromString(server), pb.SiteLayout.FromString(layout)
    places = [place for place, other in enumerate(site.servers) if other.id == own.id]
    registry = next((pull.grpc for pull in own.pulls if pull.registry), "") if own.follows_registry else ""
    return Share(
        own.id,
        site,
        places[0] if places else -1,
        own.stage,
        own.fence_until_us,
        own.leftovers,
        own.follows_registry,
        registry,
        (own.previous, own.next) if own.stage in _LENIENT else (),
    )


def server_row(reader: Reader) -> stored.StoredServer:
    """Which server this is; an empty row for the only one."""
    return stored.StoredServer.FromString(reader.get(Table.META, SERVER_KEY) or b"")


def store_server(writer: Writer, row: stored.StoredServer) -> None:
    """Keep which server this is."""
    writer.put(Table.META, SERVER_KEY, row.SerializeToString(deterministic=True))


def layout_of(reader: Reader) -> pb.SiteLayout:
    """The layout; an empty one for a site of one server."""
    return pb.SiteLayout.FromString(reader.get(Table.META, LAYOUT_KEY) or b"")


def rows_of(reader: Reader) -> tuple[bytes, bytes]:
    """Both rows as they are: whoever keeps what follows from them compares these."""
    return reader.get(Table.META, SERVER_KEY) or b"", reader.get(Table.META, LAYOUT_KEY) or b""


def same_shares(one: pb.SiteLayout, other: pb.SiteLayout) -> bool:
    """Whether two layouts differ in nothing but where their servers answer, so that no handle has to go anywhere."""
    return one.hash == other.hash and [each.id for each in one.servers] == [each.id for each in other.servers]


def place_of(layout: pb.SiteLayout, server: int) -> int:
    """Place of a server in a layout, -1 when it is not there."""
    return next((place for place, each in enumerate(layout.servers) if each.id == server), -1)
