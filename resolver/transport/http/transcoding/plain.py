"""``GET /v1/handles/NAME`` answered at once: a record that is here, asked for without parameters and credentials.

It is what nearly all traffic of the JSON API is. Everything else, misses included, gives None and goes the long way,
which has the same answer for the same question.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from resolver.errors import ResolverError
from resolver.methods import RESOLVE
from resolver.node.authorize import ANONYMOUS
from resolver.node.resolve import resolve
from resolver.service.large_records import must_wait
from resolver.service.resolution import counted_prefix
from resolver.telemetry.calls import HTTP
from resolver.transport.http.transcoding import json_out
from resolver.transport.http.transcoding.bindings import bindings
from resolver.transport.http.transcoding.failures import MEDIA_TYPE
from resolver.transport.http.transcoding.paths import decoded
from storage.errors import StorageError

if TYPE_CHECKING:
    from resolver.service import Service
    from resolver.service.core import Core
    from resolver.transport.http.calls import HttpOptions
    from resolver.transport.http.door import AtOnce

_LONG_WAY_HEADERS = {
    b"authorization",
    b"content-length",
    b"expect",
    b"transfer-encoding",
    b"upgrade",
    b"x-forwarded-for",
}
_HEAD = b"HTTP/1.1 200 OK\r\ndate: %b\r\ncontent-length: %d\r\ncontent-type: " + MEDIA_TYPE.encode() + b"\r\n\r\n%b"


class PlainReads:
    """Answers the plain questions of one worker."""

    def __init__(self, core: Core) -> None:
        self._core = core
        template = next(each.template for each in bindings([RESOLVE]))
        self._path = template.partition("{")[0].encode()

    def at_once(self, target: bytes, headers: list[tuple[bytes, bytes]], source: str, date: bytes) -> bytes | None:
        """The octets of the answer to a GET of a target; None when it is not plain, or not here."""
        core = self._core
        if not target.startswith(self._path) or b"?" in target or not core.options.public_resolution:
            return None
        for header, _ in headers:
            if header in _LONG_WAY_HEADERS:
                return None
        began_s = time.monotonic()
        try:
            name = decoded(target[len(self._path) :])
            with core.reading() as reader:
                found = resolve(reader, core.served, ANONYMOUS, name, None)
        except (ResolverError, StorageError):
            return None
        if must_wait(core, len(found)):
            return None
        body = json_out.to_json(RESOLVE.response.FromString(found))
        core.counting.resolved(counted_prefix(name, None), source, 1, 1, HTTP)
        core.calls.observe(RESOLVE, "200", time.monotonic() - began_s, 1, HTTP)
        return _HEAD % (date, len(body), body)


def plain_reads(service: Service, options: HttpOptions) -> AtOnce:
    """What answers plain reads."""
    del options
    return PlainReads(service.core).at_once
