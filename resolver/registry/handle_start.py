"""What the Handle doors need in a store: the prefix handles of the node, with its site and its administrators' key.

Run before the doors open. Prefix handles that are missing are made; in those that are there only a site with the
node's own key is brought up to date, because address and ports may have changed. All else in them is the operator's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from resolver.errors import WireError
from resolver.handle.name import PREFIX_OF_PREFIXES, fold
from resolver.node import administer, handle_admin, site_info
from resolver.node.administer import Target
from resolver.node.authorize import Caller, Role
from resolver.node.ledger import Ledger
from resolver.registry.first_start import ADMINISTRATOR_ID, OWN_SEGMENT
from resolver.v1 import registration_pb2 as registration
from resolver.wire.predefined.hs_site import HsSite

if TYPE_CHECKING:
    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Engine

_CALLER = Caller(ADMINISTRATOR_ID, Role.NODE_ADMINISTRATOR)


def prepare_handle_service(
    engine: Engine, node_prefix: str, site: HsSite, admin_key: bytes, now_us: int, record_octets_max: int
) -> None:
    """Make or update the prefix handles of the node and of its own enterprise prefix.

    ``admin_key`` is the data of the HS_PUBKEY of an administrator, for prefix handles that are new.
    """
    own = f"{node_prefix}.{OWN_SEGMENT}"
    with engine.read() as reader:
        stored = {
            prefix: handle_admin.values_of(reader, f"{PREFIX_OF_PREFIXES}/{prefix}") for prefix in (node_prefix, own)
        }
    if all(values and _updated(values, site) is None for values in stored.values()):
        return
    with engine.write() as writer:
        ledger = Ledger(writer, now_us)
        for prefix, also in ((node_prefix, ""), (own, node_prefix)):
            name = f"{PREFIX_OF_PREFIXES}/{prefix}"
            values = handle_admin.values_in(ledger, name)
            if not values:
                new = site_info.prefix_values(prefix, site, admin_key, also)
                draft = administer.prepare(name, new, "", now_us // 1_000_000, record_octets_max)
                administer.create(ledger, _CALLER, draft)
                continue
            updated = _updated(values, site)
            if updated is not None:
                mode = registration.PUT_MODE_UNSPECIFIED
                target = Target.of(name, None)
                administer.put_values(ledger, _CALLER, target, [updated], mode, record_octets_max)
        ledger.close()


def _updated(values: list[pb.HandleValue], site: HsSite) -> pb.HandleValue | None:
    """The HS_SITE value of this node with its new address and ports; None when nothing changes."""
    for value in values:
        if fold(value.type) != "HS_SITE":
            continue
        try:
            stored = HsSite.from_wire(value.data)
        except WireError:
            continue
        if len(stored.servers) != 1 or stored.servers[0].public_key != site.servers[0].public_key:
            continue
        if stored.servers == site.servers:
            return None
        value.data = replace(stored, servers=site.servers, serial=stored.serial % 0xFFFE + 1).to_wire()
        return value
    return None
