"""The creation's short way against the usual one: whatever draft it makes of octets, the usual way makes the same."""

import functools

from resolver.handle.value import HandleValue, Permission, Ttl
from resolver.node import administer
from resolver.node.values import to_pb
from resolver.service.hdl_changes import check_indexes
from resolver.wire import requests
from resolver.wire.cursor import Cursor
from tests.fuzz import lengths
from tests.fuzz.handle_node import Node
from tests.support.builders import PREFIX_A

INSTRUMENT = ("resolver.service.hdl_plain_creations", "resolver.wire.values")

_NAME_OCTETS_MAX = 127
_GIVEN = (
    (HandleValue(1, "URL", b"http://example.org/"),),
    (HandleValue(1, "URL", b"a"), HandleValue(100, "HS_ADMIN", bytes(20)), HandleValue(2_000, "名称", "轴承".encode())),
    (HandleValue(3, "N", b"x" * 200, Ttl(0), Permission(15)), HandleValue(4, "N", b"\0", Ttl(1), Permission(2))),
)

SEEDS = tuple(
    requests.WithValues(f"{PREFIX_A}/{name}", values).to_wire() for values in _GIVEN for name in ("A", "产品-1")
)


@functools.cache
def _creations():
    return Node.only().protocol._creations


def feed(octets):
    """The body of a creation, as it came and with lengths that agree."""
    _draft(octets)
    mended = lengths.mended(requests.WithValues.from_wire, octets)
    if mended != octets:
        _draft(mended)


def _draft(octets):
    name_octets = int.from_bytes(octets[:4], "big")
    at = 4 + name_octets
    if not 0 < name_octets <= _NAME_OCTETS_MAX or at + 4 > len(octets):
        return
    creations = _creations()
    draft = creations._draft(octets, octets[4:at], at, len(octets))
    if draft is None:
        return
    body = requests.WithValues.from_wire(Cursor(octets))
    check_indexes(body.values)
    now_s = creations._core.clock.now_us() // 1_000_000
    given = [to_pb(value) for value in body.values]
    assert draft == administer.prepare(body.handle, given, "", now_s, creations._core.options.record_octets_max)
