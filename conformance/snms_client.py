"""A client of the SNMS OpenAPI as its documents describe it, on http.client: knows nothing of any node."""

from __future__ import annotations

import hashlib
import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode

INDUSTRIES = {"industryCategory": "C", "industrySpecific": "34", "industryTrade": "345", "industrySubclass": "3451"}


class Snms:
    """An application: ``ask`` sends a request and returns the envelope. Raises AssertionError when it is none."""

    def __init__(self, place: str, token: str = "") -> None:
        self.place = place
        self.token = token

    def send(self, method: str, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer, over a connection of its own."""
        host, _, port = self.place.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            if self.token:
                headers["Authorization"] = f"Bearer {self.token}"
            connection.request(method, path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "", **query: str) -> dict[str, Any]:
        """The envelope of an answer; ``key`` is an Idempotency-Key."""
        octets = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        target = path + ("?" + urlencode(query, quote_via=quote) if query else "")
        headers = {"Idempotency-Key": key} if key else {}
        status, answer = self.send(method, target, octets, **headers)
        try:
            envelope: dict[str, Any] = json.loads(answer)
        except ValueError:
            raise AssertionError(f"{method} {path} answered {status} and no JSON: {answer[:200]!r}") from None
        if not isinstance(envelope, dict) or set(envelope) != {"message", "status", "data"}:
            raise AssertionError(f"{method} {path} answered no envelope: {answer[:200]!r}")
        if envelope["status"] not in {1, -1, -2, -3, -4}:
            raise AssertionError(f"{method} {path} answered status {envelope['status']}")
        return envelope

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """The envelope of an upload."""
        boundary = "conformance-7MA4YWxk"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        body = head + content + f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        envelope: dict[str, Any] = json.loads(self.send("POST", "/snms/api/file/upload", body, **kind)[1])
        return envelope

    def log_in(self, user_name: str, password: str) -> Snms:
        """The same application with a token."""
        answer = self.ask("POST", "/identity/token", {"username": user_name, "password": password})
        if answer["status"] != 1:
            raise AssertionError(f"the token request answered {answer}")
        return Snms(self.place, answer["data"]["token"])


def digest_of(password: str, date: str) -> str:
    """The digest form of a password: hex sha256(hex sha256(password) + yyyy-MM-dd)."""
    inner = hashlib.sha256(password.encode()).hexdigest()
    return hashlib.sha256((inner + date).encode()).hexdigest()


def item(id_type: str, index: int | None, *, required: bool = False, least: int = 0, most: int = 255) -> dict[str, Any]:
    """An item of a template."""
    metadata = {"type": "string", "minLength": least, "maxLength": most}
    row: dict[str, Any] = {"name": id_type, "idType": id_type, "required": required, "metadata": metadata}
    return row if index is None else row | {"idIndex": index}


def template(prefix: str, version: str, *items: dict[str, Any]) -> dict[str, Any]:
    """A template."""
    return {"prefix": prefix, "version": version, **INDUSTRIES, "type": 2, "items": list(items)}


def identifier(name: str, version: str, text: str = "轴承", index: int = 2000, kind: str = "NAME") -> dict[str, Any]:
    """An identifier with one value."""
    data = {"format": "string", "value": text}
    return {"handle": name, "templateVersion": version, "value": [{"index": index, "type": kind, "data": data}]}
