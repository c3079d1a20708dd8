"""The layout of a sharded site as the record that the Handle System knows: HS_SITE."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from resolver.handle.value import HandleValue
from resolver.node.shares import hash_option
from resolver.node.site_info import GRPC_ATTRIBUTE, SITE_INDEX
from resolver.node.values import to_pb
from resolver.v1 import site_pb2 as pb
from resolver.wire.predefined.hs_site import HsSite

if TYPE_CHECKING:
    from resolver.node.shares import Share
    from resolver.v1 import handle_pb2
    from resolver.wire.predefined.hs_site import Server


def hs_site(layout: pb.SiteLayout) -> HsSite:
    """The site as the Handle System knows it: all servers, with the gRPC port of each that offers one."""
    servers: list[Server] = []
    attributes: list[tuple[str, str]] = []
    for each in layout.servers:
        own = HsSite.from_wire(each.site)
        servers.append(own.servers[0]._replace(id=each.id))
        named = dict(own.attributes)
        if not attributes:
            attributes += [pair for pair in own.attributes if pair[0] != GRPC_ATTRIBUTE]
        if GRPC_ATTRIBUTE in named:
            attributes.append((f"{GRPC_ATTRIBUTE}.{each.id}", named[GRPC_ATTRIBUTE]))
    return HsSite(
        tuple(servers), serial=layout.serial, hash_option=hash_option(layout.hash), attributes=tuple(attributes)
    )


@lru_cache(maxsize=8)
def _site_value(layout: bytes) -> handle_pb2.HandleValue:
    return to_pb(HandleValue(SITE_INDEX, "HS_SITE", hs_site(pb.SiteLayout.FromString(layout)).to_wire()))


def referral(share: Share) -> list[handle_pb2.HandleValue]:
    """The site as a value, for who has asked the wrong server; nothing while there is no layout."""
    if not share.layout.servers:
        return []
    return [_site_value(share.layout.SerializeToString(deterministic=True))]
