"""``GET /api/handles/<name>`` answered at once: the plain question, without a task, a route or a request object.

It is what nearly all traffic of the REST interface is. Anything more than a name and simple filters (other
parameters, credentials, another method, a name that lives elsewhere) gives None, and the long way answers; both give
the same JSON for one question.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from resolver.errors import HandleNotFound, ResolverError
from resolver.handle.name import key_of_octets
from resolver.node import hdl_resolve, record_json
from resolver.service.hdl_resolution import may_be_referred
from resolver.service.large_records import must_wait
from resolver.telemetry.calls import RESOLUTION, REST, Operation
from resolver.transport.http.rest_reply import CORS_HEADERS, JSON_TYPE, to_json
from resolver.wire.cursor import text_from_wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.service.core import Core

READ = Operation("rest", "resolution", RESOLUTION)
"""What reading a handle is counted as."""

_PATH = b"/api/handles/"
_LONG_WAY_HEADERS = {
    b"authorization",
    b"content-length",
    b"expect",
    b"transfer-encoding",
    b"upgrade",
    b"x-forwarded-for",
}
_HEADERS = "".join(
    f"{name}: {value}\r\n"
    for name, value in {"content-type": JSON_TYPE, "x-content-type-options": "nosniff", **CORS_HEADERS}.items()
).encode()
_NO_FILTERS: tuple[tuple[int, ...], tuple[str, ...]] = ((), ())
_INDEX_DIGITS = 9
"""Digits of an index that is surely one; larger ones are looked at the long way."""

_OK = b"HTTP/1.1 200 OK\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\n"


class PlainReads:
    """Answers the plain questions of one worker."""

    def __init__(self, core: Core, count: Callable[[bytes, str, int, str], None]) -> None:
        self._core = core
        self._count = count

    def at_once(  # noqa: PLR0911 - one return for each way out
        self, target: bytes, headers: list[tuple[bytes, bytes]], source: str, date: bytes
    ) -> bytes | None:
        """The octets of the answer to a GET of a target; None when it is not plain."""
        core = self._core
        if not target.startswith(_PATH) or not core.options.public_resolution:
            return None
        began_s = time.monotonic()
        name, question, query = target[len(_PATH) :].partition(b"?")
        wanted = _filters(query) if question else _NO_FILTERS
        if not name or wanted is None or any(header in _LONG_WAY_HEADERS for header, _ in headers):
            return None
        if b"%" in name:
            name = unquote_to_bytes(name)
        residency = core.residency
        residency.look(began_s)
        if residency.cold and residency.absent([key_of_octets(name)]):
            return None  # the long way reads it off the loop first
        status, line, code, values = "200", _OK, b"1", b""
        try:
            with core.reading() as reader:
                found = hdl_resolve.find(reader, core.served, name)
        except HandleNotFound:
            if may_be_referred(name) or b"/" not in name:
                return None
            status, line, code = "404", _NOT_FOUND, b"100"
            self._count(name, source, 0, REST)
        except ResolverError:
            return None
        else:
            if must_wait(core, len(found.body)):
                return None
            shown = record_json.values_of(found.body, *wanted)
            core.counting.resolved(found.prefix, source, 1, 1 if shown else 0, REST)
            values = b',"values":[%b]' % b",".join(shown)
            if not shown:
                code = b"200"
        body = b'{"responseCode":%b,"handle":%b%b}' % (code, _name(name), values)
        core.calls.observe(READ, status, time.monotonic() - began_s, 1, REST)
        return b"%bdate: %b\r\n%bcontent-length: %d\r\n\r\n%b" % (line, date, _HEADERS, len(body), body)


def _filters(query: bytes) -> tuple[tuple[int, ...], tuple[str, ...]] | None:
    """The indexes and types asked for; None when there are other parameters, or those that need a closer look."""
    indexes: list[int] = []
    types: list[str] = []
    for part in query.split(b"&"):
        key, _, text = part.partition(b"=")
        if key == b"index" and text.isdigit() and len(text) <= _INDEX_DIGITS:
            indexes.append(int(text))
        elif key == b"type" and text.replace(b".", b"").replace(b"_", b"").isalnum():
            types.append(text.decode())
        elif key != b"auth":  # the answer is authoritative in any case
            return None
    return tuple(indexes), tuple(types)


def _name(name: bytes) -> bytes:
    """The name as JSON, exactly as it was asked for."""
    return to_json(text_from_wire(name))
