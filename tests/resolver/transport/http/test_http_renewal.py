"""A renewed certificate serves the next connection of the HTTP port, without anybody asking for it."""

import asyncio
import ssl

from resolver.clock import SystemClock
from resolver.transport.http import bounds
from resolver.transport.http.calls import HttpOptions
from resolver.transport.http.server import HttpDoor
from resolver.transport.tls import TlsFiles
from tests.resolver.transport.http.http_node import self_signed


def test_a_renewed_certificate_is_served(tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "SWEEP_S", 0.02)
    certificate, key = tmp_path / "node.crt", tmp_path / "node.key"

    def issue():
        chain, secret = self_signed("localhost")
        key.write_bytes(secret)
        certificate.write_bytes(chain)
        return ssl.PEM_cert_to_DER_cert(chain.decode())

    async def presented(port):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found

    async def main():
        first = issue()
        files = TlsFiles(certificate, key, None, poll_s=0.0, clock=SystemClock())
        door = HttpDoor(None, HttpOptions("88.300"), lambda *_: None, idle_s=5.0, doors=(), look=files.current)
        port = await door.start("127.0.0.1", 0, files.open_context(("http/1.1",), asks=True))
        assert await presented(port) == first
        second = issue()
        async with asyncio.timeout(60):
            while await presented(port) != second:  # noqa: ASYNC110 - the door tells nobody
                await asyncio.sleep(0.02)
        await door.drain(0.0)

    asyncio.run(main())
