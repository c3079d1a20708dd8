"""Which prefixes this node answers for: the rows of PREFIXES seen by resolution and registration.

The life cycle itself is the registry's. ``ServedPrefixes`` is the per-worker cache of resolution: it is
dropped as a whole when the registry version changes, at most a second after the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import HandleNotFound, PrefixElsewhere, PrefixNotEnabled, PrefixNotServed, Refused
from resolver.handle.name import PREFIX_OF_PREFIXES, fold, fold_octets
from resolver.node.shares import share_of
from resolver.v1 import registry_pb2 as registry
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.node.shares import Share
    from storage.engine import Reader

NODE_PREFIX_KEY = b"node_prefix"
"""Key in META of the secondary prefix of the node."""

_CACHE_MAX = 200_000

_PREPARED, _SWITCHED = registry.MOVE_STAGE_PREPARED, registry.MOVE_STAGE_SWITCHED


def prefix_row(reader: Reader, folded: str) -> registry.Prefix | None:
    """The row of a folded prefix, None when the node does not know it."""
    body = reader.get(Table.PREFIXES, folded.encode())
    return None if body is None else registry.Prefix.FromString(body)


def is_node_prefix(reader: Reader, folded: str) -> bool:
    """Whether a folded prefix is the node's own."""
    return fold((reader.get(Table.META, NODE_PREFIX_KEY) or b"").decode()) == folded


def why_not_written(row: registry.Prefix | None, prefix: str) -> Refused | None:
    """Why handles of the prefix cannot be changed here; None when they can.

    A prefix that is about to move here is filled while its handles still live elsewhere.
    """
    reason = why_not_served(row, prefix)
    if isinstance(reason, PrefixElsewhere) and row is not None and _is_moving(row, registry.HOSTING_HERE, _PREPARED):
        return None
    return reason


def why_not_read(row: registry.Prefix | None, prefix: str) -> Refused | None:
    """Why handles of the prefix that are stored cannot be answered here; None when they can.

    A prefix that has moved away is still answered from here, until the move is finished.
    """
    reason = why_not_served(row, prefix)
    if isinstance(reason, PrefixElsewhere) and row is not None and is_moved_away(row):
        return None
    return reason


def is_moved_away(row: registry.Prefix) -> bool:
    """Whether a prefix has moved elsewhere and its old clients are still answered here."""
    return _is_moving(row, registry.HOSTING_ELSEWHERE, _SWITCHED)


def is_moved_here(row: registry.Prefix) -> bool:
    """Whether a prefix has moved here and what is missing is still asked at its old home."""
    return _is_moving(row, registry.HOSTING_HERE, _SWITCHED)


def _is_moving(row: registry.Prefix, to: registry.Hosting, stage: registry.MoveStage) -> bool:
    return row.HasField("move") and row.move.to == to and row.move.stage == stage


def why_not_served(row: registry.Prefix | None, prefix: str) -> Refused | None:
    """Why handles of the prefix do not live here; None when they do."""
    if row is None:
        return PrefixNotServed(
            f"prefix {prefix[:80]!r} is not served by this node: check it, or ask the node it belongs to",
            details={"prefix": prefix[:80]},
        )
    if row.status != registry.PREFIX_STATUS_ENABLED:
        status = registry.PrefixStatus.Name(row.status).removeprefix("PREFIX_STATUS_").lower().replace("_", " ")
        return PrefixNotEnabled(
            f"prefix {row.prefix!r} is not in service, its status is {status!r}: the administrator of the node can "
            "enable it",
            details={"prefix": row.prefix, "status": status},
        )
    if row.hosting == registry.HOSTING_ELSEWHERE:
        routes = ", ".join(map(_route_text, row.routes))
        return PrefixElsewhere(
            f"handles of prefix {row.prefix!r} live in another node: ask {routes or 'its enterprise'}",
            details={"prefix": row.prefix, "routes": routes},
        )
    if not row.homed:
        return PrefixNotServed(
            f"prefix {row.prefix!r} is registered and not homed in this node: home it first",
            details={"prefix": row.prefix},
        )
    return None


def _route_text(route: registry.Route) -> str:
    """Where a route leads, in words."""
    if route.site:
        return "the servers of its site"
    return route.service or f"{route.address}:{route.tcp_port or route.udp_port}"


class ServedPrefixes:
    """Answers "is this prefix served here?" from memory; ``drop`` when the registry changed."""

    def __init__(self) -> None:
        self._reasons: dict[str, Refused | None] = {PREFIX_OF_PREFIXES: None}
        self._owners: dict[str, str | None] = {PREFIX_OF_PREFIXES: ""}
        self._moving: dict[str, Refused] = {}
        """What is said of handles that a moving prefix has not got here."""
        self.share: Share | None = None
        """What of its site this node has, None for everything; whoever drops the rest looks again."""
        self.sifts = False
        """Whether a handle that is found may be another server's."""

    def drop(self) -> None:
        """Forget everything."""
        self._reasons = {PREFIX_OF_PREFIXES: None}
        self._owners = {PREFIX_OF_PREFIXES: ""}
        self._moving = {}

    def take_share(self, share: Share | None) -> None:
        """Answer for a share from now on."""
        self.share = share
        self.sifts = share is not None and share.sifts

    def require_share(self, name: str, octets: bytes | None = None) -> None:
        """Raise NotThisServer for a handle that is here and another server answers; ``octets`` as for ``absent``."""
        if self.share is None:
            return
        whole = fold_octets(name.encode("utf-8", "surrogateescape") if octets is None else octets)
        if not self.share.answers(whole) and (refusal := self.share.refusal_of(whole, name)) is not None:
            raise refusal

    def require_own(self, name: str) -> None:
        """Raise NotThisServer for a handle that another server of the site changes."""
        refusal = None if self.share is None else self.share.refusal(name)
        if refusal is not None:
            raise refusal

    def refusal(self, reader: Reader, folded: str, spelling: str = "") -> Refused | None:
        """Why the prefix is not served, in the caller's ``spelling`` where it is known; None when it is.

        A refusal is looked up anew, so that a prefix acts at once when it is enabled or homed; but for those that live
        elsewhere, whose handles are asked for all the time.
        """
        try:
            reason = self._reasons[folded]
        except KeyError:
            return self._load(reader, folded, spelling)
        return reason if reason is None or isinstance(reason, PrefixElsewhere) else self._load(reader, folded, spelling)

    def owner(self, reader: Reader, folded: str) -> str | None:
        """The enterprise that owns the prefix, "" for the node, None for an unknown prefix."""
        if folded not in self._owners:
            self._load(reader, folded)
        return self._owners.get(folded)

    def _load(self, reader: Reader, folded: str, spelling: str = "") -> Refused | None:
        row = prefix_row(reader, folded)
        reason = why_not_read(row, spelling or folded)
        if row is None:
            return reason  # unknown prefixes are asked by anybody: they may not fill the cache
        if len(self._reasons) >= _CACHE_MAX:
            self.drop()
        self._reasons[folded] = reason
        self._owners[folded] = row.enterprise_id
        if reason is None and (is_moved_away(row) or is_moved_here(row)):
            self._moving[folded] = PrefixElsewhere(
                f"prefix {row.prefix!r} is moving between two homes, and this handle is not here",
                details={"prefix": row.prefix},
            )
        return reason

    def require(self, reader: Reader, prefix: str) -> None:
        """Raise the refusal of a prefix, as the caller spells it, that is not served."""
        reason = self.refusal(reader, fold(prefix), prefix)
        if reason is not None:
            raise reason.again()

    def absent(self, reader: Reader, folded: str, name: str, octets: bytes | None = None) -> Refused:
        """What to say of a handle without a record: that it, or already its prefix, is not here.

        ``octets`` are those of the whole handle when ``name`` shows less.
        """
        spelling, slash, _ = name.partition("/")
        reason = self.refusal(reader, folded, spelling if slash and fold(spelling) == folded else "")
        if reason is not None:
            return reason.again()
        # As this transaction sees it: a worker that stood still while the site changed would deny what has gone.
        share = share_of(reader)
        if share is not None:
            whole = fold_octets(name.encode("utf-8", "surrogateescape") if octets is None else octets)
            if not share.answers(whole) and (elsewhere := share.refusal_of(whole, name)) is not None:
                return elsewhere
        if folded in self._moving:
            return self._moving[folded].again()
        return HandleNotFound(
            f"handle {name[:200]!r} is not registered: check its spelling, or register it",
            details={"name": name[:200]},
        )
