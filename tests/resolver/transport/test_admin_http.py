"""The admin door with clients that mean harm: whoever asks is answered, or a healthy node would be restarted."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import httpx

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
