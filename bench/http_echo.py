"""uvicorn with one ASGI callable that answers every request with the same JSON: what the server costs by itself.

    python -m bench.http_echo PORT

The answer has the size of a record of the benchmark in the JSON of the Handle REST interface.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

from bench.workload import name_of, values_of
from resolver.node import record_json, record_octets

_BODY = b'{"responseCode":1,"handle":"%b","values":[%b]}' % (
    name_of(0).encode(),
    b",".join(record_json.values_of(record_octets.frame(record_octets.head(name_of(0), values_of(0))))),
)
_HEADERS = [
    (b"content-type", b"application/json;charset=utf-8"),
    (b"content-length", str(len(_BODY)).encode()),
]


async def answer(_scope: Any, _receive: Any, send: Any) -> None:
    """The same answer to whatever is asked."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    uvicorn.run(answer, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, lifespan="off")
