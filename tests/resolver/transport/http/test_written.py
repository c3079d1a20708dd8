"""A transport that is closed again while its client takes the rest."""

import asyncio
import socket
import ssl
from types import SimpleNamespace

from starlette.responses import PlainTextResponse
from starlette.routing import Route

from resolver.clock import SystemClock
from resolver.transport.http.calls import HttpOptions
from resolver.transport.http.door import Door, told_plainly
from resolver.transport.http.server import HttpDoor
from resolver.transport.tls import TlsFiles
from tests.resolver.transport.http.http_node import self_signed


def _routes(service, options):
    async def answer(request):
        return PlainTextResponse("answered")

    return [Route("/api/answer", answer)]


def _says_no_goodbye(port, ca):
    """An encrypted connection whose answer came whole, with the server's goodbye; it says none itself."""
    context = ssl.create_default_context(cafile=str(ca))
    client = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=60), server_hostname="localhost")
    client.sendall(b"GET /api/answer HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    said = b""
    while octets := client.recv(65_536):
        said += octets
    assert said.endswith(b"answered")
    return client


def test_a_door_is_drained_though_an_encrypted_client_says_no_goodbye(tmp_path):
    """Of asyncio's own loop: a transport that was closed twice could not be asked what it held, and the drain broke."""
    certificate, key = self_signed("localhost")
    (tmp_path / "node.crt").write_bytes(certificate)
    (tmp_path / "node.key").write_bytes(key)

    async def main():
        files = TlsFiles(tmp_path / "node.crt", tmp_path / "node.key", None, poll_s=60.0, clock=SystemClock())
        door = HttpDoor(
            SimpleNamespace(),
            HttpOptions("88.300"),
            lambda *_: None,
            idle_s=60.0,
            doors=(Door("demo", ("/api/",), _routes, told_plainly),),
        )
        port = await door.start("127.0.0.1", 0, files.open_context(("http/1.1",), asks=False))
        with await asyncio.to_thread(_says_no_goodbye, port, tmp_path / "node.crt"):
            assert door.connection_count == 1
            await asyncio.wait_for(door.drain(0.0), 60)
            async with asyncio.timeout(60):
                while door.connection_count:  # noqa: ASYNC110 - the door tells nobody
                    await asyncio.sleep(0.005)

    asyncio.run(main())
