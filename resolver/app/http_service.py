"""The HTTP doors of one worker, made from the configuration. Loaded only where the extra ``http`` is installed."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from resolver.app.data_dir import StartRefused
from resolver.transport.http.calls import HttpOptions, networks_of
from resolver.transport.http.server import HttpDoor

if TYPE_CHECKING:
    from resolver.app.messages import Assignment
    from resolver.service import Service
    from resolver.transport.tls import TlsFiles

ALPN_PROTOCOLS = ("http/1.1",)
"""Protocols the HTTP port offers in the TLS handshake."""


class HttpDoors:
    """The HTTP port of one worker."""

    def __init__(self, service: Service, assignment: Assignment, tls: TlsFiles | None) -> None:
        config = assignment.config
        try:
            proxies = networks_of(config.http.trusted_proxies)
        except ValueError as error:
            raise StartRefused(f"http.trusted_proxies: {error}: write networks such as 10.0.0.0/8, by commas") from None
        options = HttpOptions(
            node_prefix=config.node.prefix,
            believes_clear_credentials=config.http.accept_clear_credentials,
            proxies=proxies,
        )
        self._place = assignment.doors["http"]
        self._tls = tls.ssl_context(ALPN_PROTOCOLS, ssl.CERT_OPTIONAL) if tls is not None else None
        self._door = HttpDoor(service, options, service.core.calls.observe, idle_s=config.http.idle_s)

    async def start(self) -> None:
        """Answer on the port of the assignment."""
        await self._door.start(*self._place, self._tls)

    async def drain(self, grace_s: float) -> None:
        """Take no new requests, let those under way finish for ``grace_s``."""
        await self._door.drain(grace_s)
