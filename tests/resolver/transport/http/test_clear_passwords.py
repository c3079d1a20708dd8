"""Passwords that come over a network in clear are not looked at, by SNMS nor by the JSON API."""

import asyncio
from ipaddress import ip_network

import httpx
import pytest

from resolver import methods
from resolver.registry import passwords
from resolver.transport.http.application import Application
from resolver.transport.http.calls import HttpOptions
from tests.resolver.transport.http.snms_door import PASSWORD

AWAY, HERE = ("203.0.113.5", 4711), ("127.0.0.1", 4711)
TRUSTED = {"proxies": (ip_network("203.0.113.0/24"),)}
LOGINS = {
    "/identity/token": ("username", "password"),
    "/identity/token/v1": ("username", "password"),
    "/v1/logins:logIn": ("userName", "password"),
}


@pytest.mark.parametrize("path", LOGINS)
@pytest.mark.parametrize(
    ("peer", "scheme", "headers", "options", "is_heard"),
    [
        (AWAY, "http", {}, {}, False),
        (HERE, "http", {}, {}, True),
        (HERE, "http", {"x-forwarded-for": "203.0.113.9"}, {}, False),
        (HERE, "http", {"x-forwarded-proto": "https"}, {"proxies": (ip_network("127.0.0.0/8"),)}, True),
        (AWAY, "https", {}, {}, True),
        (AWAY, "http", {}, {"believes_clear_credentials": True}, True),
        (AWAY, "http", {"x-forwarded-proto": "https"}, {}, False),
        (AWAY, "http", {"x-forwarded-proto": "https"}, TRUSTED, True),
        (AWAY, "http", {"x-forwarded-proto": "http"}, TRUSTED, False),
    ],
)
def test_who_is_heard(world, monkeypatch, path, peer, scheme, headers, options, is_heard):
    monkeypatch.setattr(passwords, "LOG2_N", 4)
    monkeypatch.setattr(passwords, "PARALLEL_P", 1)

    async def main():
        async with world.serving() as asker:
            fields = {"principal_id": "user-a", "user_name": "a", "password": PASSWORD, "digest_login": True}
            await asker.ask("administrator", methods.SET_PASSWORD, **fields)
            app = Application(asker.service, HttpOptions("88.300", **options), lambda *_: None)
            transport = httpx.ASGITransport(app=app, client=peer)
            async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://node") as client:
                body = dict(zip(LOGINS[path], ("a", PASSWORD), strict=True))
                if path.endswith("/v1"):
                    body["password"] = passwords.digest_of(passwords.sha256_of(PASSWORD), "2026-05-29")
                return await client.post(path, json=body, headers=headers)

    answer = asyncio.run(main())
    token = (answer.json().get("data") or answer.json()).get("token", "")
    assert token.startswith("idis_") == is_heard, answer.text
    assert is_heard or answer.status_code == 401 or "请使用 HTTPS" in answer.json()["message"]
