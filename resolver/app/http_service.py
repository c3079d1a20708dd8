"""The HTTP doors of one worker, made from the configuration. Loaded only where the extra ``http`` is installed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from resolver.app.data_dir import DataDir, StartRefused
from resolver.app.handle_service import load_or_make_key
from resolver.service.hdl_requests import HandleRequests
from resolver.service.http_identity import HttpIdentity
from resolver.transport.http.calls import HandleParts, HttpOptions, SnmsOptions, networks_of
from resolver.transport.http.server import HttpDoor

if TYPE_CHECKING:
    from resolver.app.messages import Assignment
    from resolver.config.settings import Config, Snms
    from resolver.service import Service
    from resolver.service.core import Core
    from resolver.service.handle_protocol import HandleProtocol
    from resolver.transport.hdl_relay import Relay
    from resolver.transport.tls import TlsFiles

ALPN_PROTOCOLS = ("http/1.1",)
"""Protocols the HTTP port offers in the TLS handshake."""


def handle_parts(core: Core, protocol: HandleProtocol, relay: Relay, config: Config) -> HandleParts:
    """What the doors of the Handle System share. Raises StartRefused."""
    key = load_or_make_key(DataDir(Path(config.node.data_dir)), "node_rsa")
    # The same in every worker and after every restart, and of no use for anything else.
    secret = hashlib.sha256(b"idis http sessions\0" + key.to_wire()).digest()
    identity = HttpIdentity(core, protocol.authentication, protocol.signer, secret)
    return HandleParts(protocol, HandleRequests(protocol), identity, relay)


class HttpDoors:
    """The HTTP port of one worker."""

    def __init__(
        self,
        service: Service,
        protocol: HandleProtocol,
        relay: Relay,
        assignment: Assignment,
        tls: TlsFiles | None,
    ) -> None:
        """Make the doors of one worker. Raises StartRefused."""
        config = assignment.config
        try:
            proxies = networks_of(config.http.trusted_proxies)
        except ValueError as error:
            raise StartRefused(f"http.trusted_proxies: {error}: write networks such as 10.0.0.0/8, by commas") from None
        options = HttpOptions(
            node_prefix=config.node.prefix,
            handle=handle_parts(service.core, protocol, relay, config),
            believes_clear_credentials=config.http.accept_clear_credentials,
            proxies=proxies,
            snms=snms_options(config.snms),
        )
        self._relay = relay
        self._place = assignment.doors["http"]
        self._tls = None if tls is None else tls.open_context(ALPN_PROTOCOLS, asks=config.http.client_certificates)
        self._door = HttpDoor(
            service,
            options,
            service.core.calls.observe,
            idle_s=config.http.idle_s,
            look=None if tls is None else tls.current,
        )

    async def start(self) -> None:
        """Answer on the port of the assignment."""
        await self._door.start(*self._place, self._tls)

    @property
    def connection_count(self) -> int:
        """Connections open."""
        return self._door.connection_count

    async def drain(self, grace_s: float) -> None:
        """Take no new requests, let those under way finish for ``grace_s``."""
        await self._door.drain(grace_s)
        await self._relay.close()


def snms_options(config: Snms) -> SnmsOptions:
    """What the SNMS door wants to know of the configuration."""
    return SnmsOptions(
        enabled=config.enabled,
        reference_type=config.reference_type,
        utc_offset_s=config.utc_offset_h * 3_600.0,
        first_page=config.first_page,
        proxy_server_id=config.proxy_server_id,
        ghr_name=config.ghr_name,
        mapped_http_status=config.mapped_http_status,
    )
