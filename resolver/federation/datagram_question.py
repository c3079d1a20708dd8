"""One question over UDP: a connected socket with a fresh port, three tries, packets put together (RFC 3652 2.3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from resolver.errors import WireError
from resolver.federation.connection import ServerUnreachable, cause_of
from resolver.wire.bounds import FRAGMENT_OCTETS
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.envelope import Envelope
from resolver.wire.message import Frame

if TYPE_CHECKING:
    from typing import Any

TRIES_S = (0.5, 0.5, 1.0)
"""Seconds that each try waits: the clients of the Handle System wait 0.5, 1 and 1.5, and had more time."""


class _Packets(asyncio.DatagramProtocol):
    """Collects the packets of the answer to one request."""

    def __init__(self, request_id: int, octets_max: int, answer: asyncio.Future[Frame]) -> None:
        self._request_id = request_id
        self._octets_max = octets_max
        self._answer = answer
        self._parts: dict[int, bytes] = {}

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 - the socket is connected
        """Take a packet; the answer is whole when all its octets are here."""
        if self._answer.done() or not 0 <= len(data) - ENVELOPE_OCTETS <= FRAGMENT_OCTETS:
            return
        try:
            envelope = Envelope.from_wire(data)
        except WireError:
            return
        if envelope.request_id != self._request_id:
            return
        total = envelope.message_octets
        if total > self._octets_max:
            self._answer.set_exception(ConnectionError(f"the answer has {total} octets, more than are taken"))
            return
        count = max(-(-total // FRAGMENT_OCTETS), 1)
        if envelope.sequence < count:
            self._parts[envelope.sequence] = data[ENVELOPE_OCTETS:]
        if len(self._parts) == count:
            payload = b"".join(self._parts[number] for number in range(count))
            if len(payload) == total:
                self._answer.set_result(Frame(envelope, payload))

    def error_received(self, exc: Exception) -> None:
        """The system says that the server is not there."""
        if not self._answer.done():
            self._answer.set_exception(exc)


async def ask_by_datagram(host: str, port: int, frame: Frame, timeout_s: float, octets_max: int) -> Frame:
    """The answer to a request. Raises ServerUnreachable."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Frame] = loop.create_future()
    octets = frame.to_wire()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Packets(frame.envelope.request_id, octets_max, answer), remote_addr=(host, port)
        )
    except OSError as error:
        raise ServerUnreachable(f"{host}:{port} cannot be reached: {cause_of(error)}", retry_after_s=1.0) from error
    try:
        async with asyncio.timeout(timeout_s):
            for wait_s in TRIES_S:
                transport.sendto(octets)
                done, _ = await asyncio.wait({answer}, timeout=wait_s)
                if done:
                    return answer.result()
            return await answer
    except TimeoutError:
        raise ServerUnreachable(f"{host}:{port} has not answered within {timeout_s:g} s", retry_after_s=1.0) from None
    except OSError as error:
        raise ServerUnreachable(f"{host}:{port} cannot be reached: {cause_of(error)}", retry_after_s=1.0) from error
    finally:
        answer.cancel()
        transport.close()
