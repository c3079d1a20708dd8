"""The life cycle of prefixes (前缀): applied, in audit, enabled, disabled, deleted.

Administrators of the node allot and move prefixes; enterprise users apply for them. A deleted prefix stays as a row,
so that nobody else is ever given the same one.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import (
    InvalidField,
    InvalidName,
    InvalidPrefix,
    InvalidTransition,
    NotFound,
    QuotaExhausted,
    WireError,
)
from resolver.handle.name import Handle, Prefix
from resolver.node.authorize import Action, Caller, Role, require
from resolver.node.prefixes import NODE_PREFIX_KEY, prefix_row
from resolver.registry import rows
from resolver.v1 import registry_pb2 as pb
from resolver.wire.keys import public_key_from_wire
from resolver.wire.predefined.hs_site import HsSite
from storage.tables import Table

if TYPE_CHECKING:
    from storage.engine import Reader, Writer

OPEN_APPLICATIONS_MAX = 16
"""Applications of one enterprise that may wait for an answer."""

_ROUTES_MAX = 16
_PORT_MAX = 65_535
_SITE_OCTETS_MAX = 65_536
"""Octets of a site in a route: some hundred servers with their keys."""

_APPLIED, _IN_AUDIT = pb.PREFIX_STATUS_APPLIED, pb.PREFIX_STATUS_IN_AUDIT
_ENABLED, _DISABLED, _DELETED = pb.PREFIX_STATUS_ENABLED, pb.PREFIX_STATUS_DISABLED, pb.PREFIX_STATUS_DELETED

TRANSITIONS: dict[pb.PrefixStatus, frozenset[pb.PrefixStatus]] = {
    _APPLIED: frozenset({_IN_AUDIT, _ENABLED, _DISABLED, _DELETED}),
    _IN_AUDIT: frozenset({_APPLIED, _ENABLED, _DISABLED, _DELETED}),
    _ENABLED: frozenset({_DISABLED, _DELETED}),
    _DISABLED: frozenset({_ENABLED, _DELETED}),
    _DELETED: frozenset({_ENABLED}),
}
"""Steps of the life cycle; a deleted prefix can be taken back by its owner only."""


def node_prefix(reader: Reader) -> Prefix:
    """The secondary prefix of the node. Raises NotFound in a store that was never started."""
    body = reader.get(Table.META, NODE_PREFIX_KEY)
    if body is None:
        raise NotFound("the store has no node prefix: start the node once with idis serve")
    return Prefix(body.decode())


def _check(reader: Reader, row: pb.Prefix) -> Prefix:
    """Check a new prefix; it must be derived from the node's."""
    prefix = Prefix.from_text(row.prefix)
    own = node_prefix(reader)
    if len(prefix.text.encode()) > limits.ALLOTTED_PREFIX_OCTETS_MAX:
        raise InvalidPrefix(
            f"the prefix has more than {limits.ALLOTTED_PREFIX_OCTETS_MAX} octets: choose a shorter one", field="prefix"
        )
    if not own.text:
        raise InvalidPrefix("this node homes no prefix: a recursive node only asks others", field="prefix")
    if not prefix.is_derived_from(own):
        raise InvalidPrefix(
            f"prefix {prefix.text!r} is not under this node's prefix {own.text!r}: choose one such as {own.text}.2",
            field="prefix",
        )
    check_fields(row)
    return prefix


def check_fields(row: pb.Prefix) -> None:
    """Raise InvalidField for a field of a row that breaks a rule of its own."""
    rows.check_enum(pb.PrefixStatus, row.status, "prefix.status")
    rows.check_enum(pb.Hosting, row.hosting, "prefix.hosting")
    rows.check_text(row.description, limits.DESCRIPTION_OCTETS_MAX, "prefix.description")
    if len(row.routes) > _ROUTES_MAX:
        raise InvalidField(f"more than {_ROUTES_MAX} routes: name the main ones", field="prefix.routes")
    for position, route in enumerate(row.routes):
        _check_route(route, f"prefix.routes[{position}]")
    if row.hosting == pb.HOSTING_ELSEWHERE and not row.routes:
        raise InvalidField("a prefix that is hosted elsewhere needs a route: add one", field="prefix.routes")


def _check_route(route: pb.Route, field: str) -> None:
    """Raise InvalidField for a route that leads nowhere: it needs a service handle, or an address and a port."""
    ports = (route.tcp_port, route.udp_port, route.http_port)
    if route.site:
        _check_site_route(route, field)
        return
    if route.service:
        if route.address or any(ports) or route.grpc_port or route.public_key:
            raise InvalidField("a route by a service handle has no address, port or key of its own", field=field)
        try:
            Handle.from_text(route.service)
        except InvalidName as error:
            raise InvalidField(f"the service handle of a route is none: {error.message}", field=field) from None
        return
    try:
        ipaddress.ip_address(route.address)
    except ValueError:
        raise InvalidField(f"{route.address[:60]!r} is not an IPv4 or IPv6 address", field=field) from None
    if not any(ports) or max(*ports, route.grpc_port) > _PORT_MAX:
        raise InvalidField(f"route {route.address} needs at least one port from 1 to 65535", field=field)
    try:
        if route.public_key:
            public_key_from_wire(route.public_key)
    except WireError as error:
        raise InvalidField(f"the key of route {route.address} is no HS_PUBKEY: {error.message}", field=field) from None


def _check_site_route(route: pb.Route, field: str) -> None:
    """Raise InvalidField for a whole site that leads nowhere."""
    alone = pb.Route(site=route.site)
    if route != alone or len(route.site) > _SITE_OCTETS_MAX:
        raise InvalidField(f"a route by a site has no other fields, and at most {_SITE_OCTETS_MAX} octets", field=field)
    try:
        servers = HsSite.from_wire(route.site).servers
    except WireError as error:
        raise InvalidField(f"the site of a route is no HS_SITE: {error.message}", field=field) from None
    if not servers or not all(any(each.port for each in server.interfaces) for server in servers):
        raise InvalidField("every server of a route's site needs a port", field=field)


def _owned_key(row: pb.Prefix, key: bytes) -> bytes:
    return row.enterprise_id.encode() + b"\0" + key


def create(writer: Writer, caller: Caller, row: pb.Prefix, now_us: int) -> pb.Prefix:
    """Allot a prefix, or apply for one when the caller is an enterprise user.

    Only the row: doors call ``prefix_handles.create``, which makes the prefix handle with it.
    """
    require(caller, Action.APPLY_PREFIX, row.enterprise_id or None, f"prefix {row.prefix[:80]!r}")
    prefix = _check(writer, row)
    if row.enterprise_id:
        thing = f"enterprise {row.enterprise_id[:64]!r}"
        rows.find(writer, Table.ENTERPRISES, row.enterprise_id.encode(), pb.Enterprise.FromString, thing)
    if caller.role is Role.NODE_ADMINISTRATOR:
        row.status = row.status or _ENABLED
    else:
        _check_ancestors(writer, caller, prefix)
        row.status = _APPLIED
        _check_applications(writer, caller.enterprise_id)
    row.hosting = row.hosting or pb.HOSTING_HERE
    row.homed = row.hosting == pb.HOSTING_HERE
    row.ClearField("move")
    rows.insert(writer, Table.PREFIXES, prefix.key, row, now_us, f"prefix {prefix.text!r}")
    writer.put(Table.OWNED, _owned_key(row, prefix.key), b"")
    return row


def _check_ancestors(reader: Reader, caller: Caller, prefix: Prefix) -> None:
    """Refuse an application under a prefix of another owner: what is derived from it is the owner's to ask for."""
    own, above = node_prefix(reader), prefix.parent
    while above is not None and above.is_derived_from(own):
        row = prefix_row(reader, above.folded)
        if row is not None:
            require(caller, Action.APPLY_PREFIX, row.enterprise_id or None, f"prefix {above.text!r}")
        above = above.parent


def _check_applications(reader: Reader, enterprise_id: str) -> None:
    waiting = sum(row.status in {_APPLIED, _IN_AUDIT} for row in owned(reader, enterprise_id))
    if waiting >= OPEN_APPLICATIONS_MAX:
        raise QuotaExhausted(
            f"{waiting} applications of this enterprise wait for an answer: let the administrator decide them first"
        )


def owned(reader: Reader, enterprise_id: str) -> list[pb.Prefix]:
    """All prefixes of an enterprise."""
    start = enterprise_id.encode() + b"\0"
    keys = [key[len(start) :] for key, _ in reader.scan(Table.OWNED, start, enterprise_id.encode() + b"\x01")]
    return [pb.Prefix.FromString(reader.get(Table.PREFIXES, key) or b"") for key in keys]


def get(reader: Reader, caller: Caller, text: str) -> pb.Prefix:
    """A prefix."""
    prefix = Prefix.from_text(text)
    thing = f"prefix {prefix.text!r}"
    body = reader.get(Table.PREFIXES, prefix.key)
    row = None if body is None else pb.Prefix.FromString(body)
    require(caller, Action.READ_REGISTRY, caller.enterprise_id if row is None else row.enterprise_id, thing)
    if row is None:
        raise NotFound(f"{thing} does not exist: check it, or create it", field="prefix")
    return row


def page(reader: Reader, caller: Caller, enterprise_id: str, size: int, token: str) -> tuple[list[pb.Prefix], str]:
    """Prefixes the caller may see, of one enterprise when it is named."""
    wanted = enterprise_id or caller.enterprise_id
    require(caller, Action.READ_REGISTRY, wanted, f"prefixes of enterprise {wanted[:64]!r}")
    if not wanted:
        return rows.page(reader, Table.PREFIXES, "prefixes ", size, token, pb.Prefix.FromString)
    return rows.indexed_page(
        reader,
        Table.OWNED,
        wanted,
        f"prefixes {wanted}",
        size,
        token,
        lambda key, _: pb.Prefix.FromString(reader.get(Table.PREFIXES, key) or b""),
    )


def update(writer: Writer, caller: Caller, request: pb.UpdatePrefixRequest) -> pb.Prefix:
    """Change status, homing, hosting or description; fields left out stay as they are.

    Only the row: doors call ``prefix_handles.update``, which changes the prefix handle with it.
    """
    require(caller, Action.ADMINISTER, "", f"prefix {request.prefix[:80]!r}")
    prefix = Prefix.from_text(request.prefix)
    thing = f"prefix {prefix.text!r}"
    before = rows.find(writer, Table.PREFIXES, prefix.key, pb.Prefix.FromString, thing)
    rows.check_version(before, request.if_version if request.HasField("if_version") else None, thing)
    row = pb.Prefix()
    row.CopyFrom(before)
    rows.check_enum(pb.PrefixStatus, request.status, "status")
    if request.status and request.status != before.status:
        if request.status not in TRANSITIONS[before.status]:
            raise InvalidTransition(
                f"{thing} is {_word(before.status)} and cannot become {_word(request.status)}: possible are "
                f"{', '.join(sorted(_word(status) for status in TRANSITIONS[before.status]))}",
                field="status",
            )
        row.status = request.status
    if request.HasField("homed"):
        row.homed = request.homed
    if request.hosting and before.HasField("move"):
        raise InvalidTransition(f"{thing} is moving: finish or cancel its move first", field="hosting")
    if request.hosting:
        row.hosting = request.hosting
        del row.routes[:]
        row.routes.extend(request.routes)
    if request.HasField("description"):
        row.description = request.description
    check_fields(row)
    rows.replace(writer, Table.PREFIXES, prefix.key, row, before)
    return row


def _word(status: pb.PrefixStatus) -> str:
    return pb.PrefixStatus.Name(status).removeprefix("PREFIX_STATUS_").lower().replace("_", " ")
