"""What the connections of one HTTP/2 door share: the service, the clock, and the bounds on all of them together."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

from resolver.registry.keys import certificate_digest
from resolver.service import Credential
from resolver.service.plain import Plain
from resolver.telemetry.calls import GRPC
from resolver.transport import h2_bounds as bounds
from resolver.transport.unsent import UnsentAnswers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from google.protobuf.message import Message

    from resolver.clock import Clock
    from resolver.methods import Method
    from resolver.service import Service
    from resolver.transport.h2_connection import H2Connection
    from resolver.transport.h2_exchange import Exchange
    from resolver.transport.h2_mounts import Mount
    from resolver.transport.h2_newcomer import Newcomer
    from resolver.transport.tls import TlsFiles

    Observe = Callable[[Method[Message, Message], int, float, int], None]


class Shared:
    """One door's connections together."""

    def __init__(
        self,
        service: Service,
        mounts: dict[bytes, Mount],
        *,
        observe: Observe,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        write_timeout_s: float,
        tls: TlsFiles | None,
    ) -> None:
        self.service = service
        self.core = service.core
        self.plain = Plain(service.core)
        self.mounts = mounts
        self.observe = observe
        self.monotonic_s = clock.monotonic_s
        self.loop = loop
        self.write_timeout_s = write_timeout_s
        self.tls = tls
        self.connections: set[H2Connection | Newcomer] = set()
        self.unsent = UnsentAnswers(GRPC, service.core.calls.cut_off, lambda: self.connections)
        self.unsent.start(loop)
        self.draining = False
        self.made = 0
        """Newcomers that have become connections; the ages of these are spread by it."""
        self.held_octets = 0
        """Octets of unfinished requests."""
        self._connections_max = min(bounds.CONNECTIONS_MAX, _descriptors() - bounds.DESCRIPTORS_SPARE)

    def admit(self, connection: Newcomer) -> bool:
        """Count a connection in; False when there are as many as there may be."""
        if len(self.connections) >= self._connections_max:
            return False
        self.connections.add(connection)
        if self.tls is not None:
            self.tls.current()  # looks for renewed certificates; the next handshake has them
        return True

    def succeed(self, newcomer: Newcomer, connection: H2Connection) -> None:
        """A newcomer has become a connection."""
        self.made += 1
        self.connections.discard(newcomer)
        self.connections.add(connection)

    def hold(self, exchange: Exchange) -> bool:
        """Count what an exchange holds now; False when the worker holds too much: long ones go first, then all."""
        held = bounds.CALL_OCTETS + exchange.deframer.held_octets + exchange.inbox_octets
        self.held_octets += held - exchange.held_octets
        exchange.held_octets = held
        if self.held_octets <= bounds.HELD_OCTETS_MAX:
            return True
        return held <= bounds.HELD_OCTETS_FREE and self.held_octets <= bounds.HELD_OCTETS_END

    def release(self, exchange: Exchange) -> None:
        """An exchange holds nothing any more."""
        self.held_octets -= exchange.held_octets
        exchange.held_octets = 0


def source_of(transport: asyncio.BaseTransport) -> str:
    """The peer's address without port; an IPv4 peer of an IPv6 socket by its IPv4 address."""
    peer: Any = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return "unix"
    return str(peer[0]).removeprefix("::ffff:")


def certificate_of(transport: asyncio.BaseTransport) -> Credential | None:
    """The verified client certificate of a connection; None without mTLS."""
    tls: Any = transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return Credential(certificate=certificate_digest(der)) if der else None


def speaks_h2(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has agreed to HTTP/2: without TLS always, with TLS by ALPN (RFC 9113 section 3.2)."""
    tls: Any = transport.get_extra_info("ssl_object")
    return tls is None or tls.selected_alpn_protocol() == "h2"


def _descriptors() -> int:
    """How many file descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return bounds.CONNECTIONS_MAX + bounds.DESCRIPTORS_SPARE if soft == resource.RLIM_INFINITY else soft
