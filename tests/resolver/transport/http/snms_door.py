"""The SNMS door of a node in the test's process: real sockets, a real HTTP client, user names and passwords."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import uvloop

from resolver import methods
from resolver.registry import passwords
from resolver.transport.http.calls import HttpOptions
from resolver.transport.http.server import HttpDoor
from tests.support.builders import PREFIX_A, PREFIX_B

PASSWORD = "123456 is not one"
INDUSTRIES = {"industryCategory": "C", "industrySpecific": "34", "industryTrade": "345", "industrySubclass": "3451"}


def string(name, id_type, index=None, *, required=False, least=0, most=255, **more):
    item = {"name": name, "idType": id_type, "required": required, **more}
    item["metadata"] = {"type": "string", "minLength": least, "maxLength": most}
    return item if index is None else item | {"idIndex": index}


ITEMS = [string("名称", "NAME", 2000, required=True, least=2, most=8), string("型号", "MODEL", 2001)]


def template(prefix=PREFIX_A, version="1.0", items=None, **more):
    return {"prefix": prefix, "version": version, **INDUSTRIES, "type": 2, "items": items or ITEMS, **more}


def value(index=2000, text="轴承", kind="NAME", **more):
    return {"index": index, "type": kind, "data": {"format": "string", "value": text}, **more}


def identifier(name, *values, version="1.0"):
    return {"handle": name, "templateVersion": version, "value": list(values or [value()])}


class Erp:
    """An application that speaks SNMS: a token, and requests as its documents print them."""

    def __init__(self, client, token=""):
        self.client, self.token = client, token

    async def send(self, method, path, body=None, **options):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= options.pop("headers", {})
        if body is not None:
            options["content"] = json.dumps(body, ensure_ascii=False)
            headers.setdefault("Content-Type", "application/json")
        return await self.client.request(method, path, headers=headers, **options)

    async def ask(self, method, path, body=None, **options):
        """The envelope, checked to be one."""
        response = await self.send(method, path, body, **options)
        assert response.headers["content-type"] == "application/json"
        envelope = response.json()
        assert set(envelope) == {"message", "status", "data"}, envelope
        assert envelope["status"] in {1, -1, -2, -3, -4}
        assert "Traceback" not in response.text
        return envelope

    async def log_in(self, name, password=PASSWORD):
        answer = await self.ask("POST", "/identity/token", {"username": name, "password": password})
        assert answer["status"] == 1, answer
        return Erp(self.client, answer["data"]["token"])


class Node:
    """The node, and who calls it: ``a`` and ``b`` are users of two enterprises, ``admin`` administers."""

    def __init__(self, asker, client, port):
        self.asker, self.client, self.port = asker, client, port
        self.nobody = Erp(client)

    async def furnish(self):
        for name, principal in (("a", "user-a"), ("b", "user-b"), ("admin", "administrator"), ("app", "app-a")):
            fields = {"principal_id": principal, "user_name": name, "password": PASSWORD, "digest_login": name == "a"}
            await self.asker.ask("administrator", methods.SET_PASSWORD, **fields)
            setattr(self, name, await self.nobody.log_in(name))
        for erp, prefix in ((self.a, PREFIX_A), (self.b, PREFIX_B)):
            answer = await erp.ask("POST", "/snms/api/v5/template", template(prefix))
            assert answer == {"message": "success", "status": 1, "data": True}


@asynccontextmanager
async def door(world, files_dir=None, *, furnished=True, **options):
    async with world.serving(files_dir=files_dir) as asker:
        server = HttpDoor(
            asker.service, HttpOptions("88.300", **options), asker.service.core.calls.observe, idle_s=60.0
        )
        port = await server.start("127.0.0.1", 0, None)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                node = Node(asker, client, port)
                if furnished:
                    await node.furnish()
                yield node
        finally:
            await server.drain(0.0)


def run(world, main, monkeypatch, **options):
    """Run a coroutine function on a node with cheap password hashes."""
    monkeypatch.setattr(passwords, "LOG2_N", 4)
    monkeypatch.setattr(passwords, "PARALLEL_P", 1)

    async def body():
        async with door(world, **options) as node:
            return await main(node)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(body())
