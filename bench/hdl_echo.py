"""A server that answers every message with the same octets: what sockets and the loop cost, and nothing else.

    python -m bench.hdl_echo PORT

The answer has the size of an answer to a question of the benchmark, and its request's id.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import cast

import uvloop

from bench.hdl_load import resolution
from bench.workload import name_of, values_of
from resolver.node.hdl_resolve import value_to_wire
from resolver.wire.message import parse_resolution, resolution_answer

BURST = 64


def _answer() -> bytes:
    asked = parse_resolution(resolution(name_of(0), 0, 1))
    assert asked is not None  # noqa: S101 - our own question
    values = [value_to_wire(value) for value in values_of(0)]
    return resolution_answer(asked, values, flags=0x9900_0000, site_serial=1, expiration_s=0xFFFF_FFFF)


class _Echo(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # TCP gives nothing else

    def data_received(self, data: bytes) -> None:
        """Answer; the generator has one request in flight on a connection."""
        self._transport.write(self._answer[:8] + data[8:12] + self._answer[12:])


async def _serve(port: int) -> None:
    answer = _answer()
    loop = asyncio.get_running_loop()
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setblocking(False)
    bound.bind(("127.0.0.1", port))

    def receive() -> None:
        for _ in range(BURST):
            try:
                datagram, address = bound.recvfrom(513)
            except BlockingIOError:
                return
            bound.sendto(answer[:8] + datagram[8:12] + answer[12:], address)

    loop.add_reader(bound.fileno(), receive)
    server = await loop.create_server(lambda: _Echo(answer), "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
