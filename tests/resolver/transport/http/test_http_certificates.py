"""Client certificates at the HTTP doors, which browsers present by themselves."""

import json
import ssl

import httpx

from resolver import methods
from resolver.clock import SystemClock
from resolver.transport.http.calls import HttpOptions
from resolver.transport.http.server import HttpDoor
from resolver.transport.tls import TlsFiles
from resolver.v1 import registry_pb2
from tests.resolver.transport.http.http_node import self_signed
from tests.resolver.transport.http.test_json_api import encoded, reason, run
from tests.support.builders import PREFIX_A

FROM_ELSEWHERE = [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]


def test_a_certificate_does_not_count_where_a_page_of_another_site_asks(world, tmp_path):
    served, client = self_signed("localhost"), self_signed("a client")
    (tmp_path / "node.crt").write_bytes(served[0])
    (tmp_path / "node.key").write_bytes(served[1])
    (tmp_path / "client.pem").write_bytes(client[0] + client[1])

    async def main():
        async with world.serving() as asker:
            fields = {"kind": registry_pb2.KEY_KIND_CERTIFICATE, "certificate_pem": client[0].decode()}
            await asker.ask("administrator", methods.CREATE_KEY, principal_id="user-a", **fields)
            door = HttpDoor(asker.service, HttpOptions("88.300"), asker.service.core.calls.observe, idle_s=60.0)
            files = TlsFiles(tmp_path / "node.crt", tmp_path / "node.key", None, poll_s=60.0, clock=SystemClock())
            port = await door.start("127.0.0.1", 0, files.open_context(("http/1.1",), asks=True))
            context = ssl.create_default_context(cafile=str(tmp_path / "node.crt"))
            context.load_cert_chain(tmp_path / "client.pem")
            body = {"name": f"{PREFIX_A}/certified", "values": [{"index": 1, "type": "URL", "data": encoded("x")}]}
            try:
                async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=context) as browser:
                    for headers in FROM_ELSEWHERE:
                        answer = await browser.post("/v1/handles", content=json.dumps(body), headers=headers)
                        assert (answer.status_code, reason(answer)) == (401, "CREDENTIAL_INVALID")
                        assert (await browser.get("/v1/enterprises", headers=headers)).status_code == 401
                    own = {"origin": f"https://127.0.0.1:{port}", "sec-fetch-site": "same-origin"}
                    assert (await browser.post("/v1/handles", content=json.dumps(body), headers=own)).status_code == 200
                    for headers in FROM_ELSEWHERE:
                        assert (await browser.get(f"/v1/handles/{body['name']}", headers=headers)).status_code == 200
            finally:
                await door.drain(0.0)

    run(main())
