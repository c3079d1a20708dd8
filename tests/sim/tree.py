"""The stores a simulation begins with: a top, four secondary nodes, two enterprise nodes, one that homes nothing.

They are made once with the registry's own functions, and every run begins with copies.
"""

from functools import cache

from resolver.node.ledger import Ledger
from resolver.node.site_role import site_of, store
from resolver.registry import prefix_handles
from resolver.registry.first_start import NodeRole, first_start
from resolver.registry.handle_start import prepare_handle_service, prepare_root_handle
from resolver.v1 import registry_pb2
from resolver.wire.predefined.hs_site import QUERY, HsSite, Interface, Server, Transport, address_to_wire
from storage.memory_engine import MemoryEngine
from tests.sim.events import START_US
from tests.sim.nodes import _change
from tests.support.builders import ADMIN
from tests.support.clock import seeded_randomness

NAMES_EACH = 4

PLACES = {
    "top": ("10.0.0.1", "88", NodeRole.TOP),
    "sec-0": ("10.0.1.0", "88.300", NodeRole.SECONDARY),
    "sec-1": ("10.0.1.1", "88.301", NodeRole.SECONDARY),
    "sec-2": ("10.0.1.2", "88.302", NodeRole.SECONDARY),
    "sec-3": ("10.0.1.3", "88.303", NodeRole.SECONDARY),
    "ent-0": ("10.0.2.0", "88.300.17", NodeRole.ENTERPRISE),
    "ent-1": ("10.0.2.1", "88.301.17", NodeRole.ENTERPRISE),
    "rec": ("10.0.3.0", "", NodeRole.RECURSIVE),
}
"""Name of a node: its address, the prefix it homes, its role."""

PARENTS = {"sec-0": "top", "sec-1": "top", "sec-2": "top", "sec-3": "top", "ent-0": "sec-0", "ent-1": "sec-1"}

HOMES = {
    f"{prefix}.1" if role is NodeRole.SECONDARY else prefix: name
    for name, (_, prefix, role) in PLACES.items()
    if name.startswith(("sec", "ent"))
}
"""Prefix under which products are registered: the node they live in."""

NAMES = {f"{prefix}/P-{number}": node for prefix, node in HOMES.items() for number in range(NAMES_EACH)}
"""Every product and where it lives."""


def site(name):
    server = Server(1, address_to_wire(PLACES[name][0]), b"", (Interface(QUERY, Transport.TCP, 2641),))
    return HsSite((server,), roles=0x80)


@cache
def _templates():
    """A filled store for each node."""
    stores = {}
    for name, (_, prefix, role) in PLACES.items():
        engine = MemoryEngine()
        first_start(engine, prefix, START_US, seeded_randomness(), role)
        if prefix:
            prepare_handle_service(engine, prefix, site(name), b"", START_US)
        if role is NodeRole.TOP:
            prepare_root_handle(engine, site(name), START_US)
        stores[name] = engine
    for child, parent in PARENTS.items():
        address, prefix, _ = PLACES[child]
        row = registry_pb2.Prefix(prefix=prefix, hosting=registry_pb2.HOSTING_ELSEWHERE)
        row.routes.add(address=address, tcp_port=2641)
        with stores[parent].write() as writer:
            ledger = Ledger(writer, START_US)
            prefix_handles.create(ledger, ADMIN, row)
            ledger.close()
    for product, name in NAMES.items():
        with stores[name].write() as writer:
            ledger = Ledger(writer, START_US)
            _change(ledger, product, 0)
            ledger.close()
    with stores["sec-0"].write() as writer:
        row = site_of(writer)
        row.logging, row.site_id = True, b"site of sec-0"
        store(writer, row)
    return stores


def stores():
    """Fresh copies of all."""
    return {name: _copied(engine) for name, engine in _templates().items()}


def _copied(engine):
    """A store with the same rows; what a writer changes it copies first, so the tables may be shared."""
    copy = MemoryEngine()
    copy._tables = dict(engine._tables)
    copy._used_octets = engine._used_octets
    return copy
