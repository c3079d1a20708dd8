"""The admin door with clients that mean harm: whoever asks is answered, or a healthy node would be restarted."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from resolver.transport import admin_http
from resolver.transport.admin_http import AdminDoor, Readiness


class View:
    def readiness(self):
        return Readiness(ready=True, parts={})

    def version(self):
        return {"version": "test"}

    def metrics(self):
        return b"# nothing\n"


@asynccontextmanager
async def serving():
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    door = AdminDoor(View())
    await door.start(listening)
    try:
        yield port
    finally:
        await door.close()


async def alive(port):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        return (await client.get("/livez")).text


def test_a_crowd_that_asks_nothing_keeps_nobody_out(monkeypatch):
    monkeypatch.setattr(admin_http, "CONNECTIONS_MAX", 10)
    monkeypatch.setattr(admin_http, "LOOK_S", 3_600.0)

    async def main():
        async with serving() as port:
            crowd = []
            for _ in range(30):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /livez HTTP/1.1\r\n")
                crowd.append(writer)
            await asyncio.sleep(0.1)
            assert await alive(port) == "ok\n"
            for writer in crowd:
                writer.close()

    asyncio.run(main())


def test_a_crowd_that_comes_in_one_moment_is_no_larger_than_another(monkeypatch):
    """Each that was one too many closed the same client, which was closed already: all the others stayed."""
    monkeypatch.setattr(admin_http, "CONNECTIONS_MAX", 10)
    monkeypatch.setattr(admin_http, "LOOK_S", 3_600.0)

    async def main():
        async with serving() as port:
            crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
            closed = 0
            for client in crowd[:50]:  # the oldest go
                client.setblocking(False)
                with suppress(ConnectionError):
                    assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
                closed += 1
            assert closed == 50
            assert await alive(port) == "ok\n"
            for client in crowd:
                client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("kind", [b"keep-alive", b"close"])
def test_a_page_that_is_taken_slowly_is_not_cut_off(monkeypatch, kind):
    """Who scrapes over a slow line had ten seconds for all of it."""
    monkeypatch.setattr(admin_http, "LOOK_S", 3_600.0)
    page, made = b"# nothing\n" * 1_000_000, []
    monkeypatch.setattr(View, "metrics", lambda _: page)
    connection_made = admin_http._Connection.connection_made

    def noted(self, transport):
        made.append(self)
        connection_made(self, transport)

    monkeypatch.setattr(admin_http._Connection, "connection_made", noted)

    async def main():
        loop = asyncio.get_running_loop()
        async with serving() as port:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", port))
                await loop.sock_sendall(client, b"GET /metrics HTTP/1.1\r\nconnection: " + kind + b"\r\n\r\n")
                for _ in range(5):
                    took = 0
                    while took < 1_000_000:
                        took += len(await loop.sock_recv(client, 65_536))
                    (served,) = made
                    assert served.flow.write_paused
                    served._look()
                    assert served.transport.get_write_buffer_size()
                served._look()
                assert served._was_stuck
                served._look()
                assert not served.transport.get_write_buffer_size()

    asyncio.run(main())


def test_who_asks_nothing_or_without_end_is_closed(monkeypatch):
    monkeypatch.setattr(admin_http, "LOOK_S", 0.1)

    async def main():
        async with serving() as port:
            for octets in (b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nx: " + b"y" * 100_000):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(octets)
                async with asyncio.timeout(60):
                    with suppress(ConnectionError):
                        assert await reader.read() == b""
                writer.close()

    asyncio.run(main())


def test_a_client_that_asks_again_and_again_is_kept(monkeypatch):
    monkeypatch.setattr(admin_http, "LOOK_S", 0.02)

    async def main():
        async with serving() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(5):
                writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-a: " + b"y" * 10_000 + b"\r\n\r\n")
                assert (await reader.readuntil(b"# nothing\n")).startswith(b"HTTP/1.1 200")
                await asyncio.sleep(0.1)
            writer.close()

    asyncio.run(main())
