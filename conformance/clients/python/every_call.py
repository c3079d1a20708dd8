"""The calls of ``calls.py`` by a Python stack: what each answered, as lines that any language can write.

A line is ``path.of.field=value``: numbers in decimal, enums by number, octets in hexadecimal, the lines of an answer
sorted. Values of volatile fields are ``*``.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from dialogue import Stack

    Outcome = Callable[[Awaitable[Any]], Awaitable[dict[str, Any]]]


def _fields(message: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    """Paths, values and field names of all that is set."""
    for field, value in message.ListFields():
        start = path + field.name
        entry = field.message_type is not None and field.message_type.GetOptions().map_entry
        if entry:
            yield from ((f"{start}{{{key}}}", each, field.name) for key, each in value.items())
            continue
        several = hasattr(value, "append")
        for at, each in enumerate(value if several else [value]):
            here = f"{start}[{at}]" if several else start
            if field.message_type is not None:
                yield from _fields(each, here + ".")
            else:
                yield here, each, field.name


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _ask(call: Awaitable[Any], answers: list[Any]) -> None:
    answers.append(await call)


async def every_call(stack: Stack, token: str, run: str, outcome: Outcome) -> dict[str, Any]:
    """Make every call in order; what came of each by its name."""
    first, *rest = os.environ["IDIS_CALLS"].splitlines()
    volatile = set(first.split(","))
    known = {"NODE": token, "RUN": run}
    found = {}
    for line in rest:
        name, method, takes, _, who, keep, request = line.split("\t")
        for word, value in known.items():
            request, who = request.replace(f"${word}", value), who.replace(f"${word}", value)
        message = json_format.ParseDict(json.loads(request), stack.message(takes)())
        metadata = () if who == "-" else (("authorization", f"Bearer {who}"),)
        answers: list[Any] = []

        told = await outcome(_ask(stack.unary(method, message, metadata=metadata), answers))
        if not answers:
            found[name] = [f"{told['code']} {told['reason']} {' '.join(told['fields'])}".strip(), told["message"]]
        elif name.endswith("?"):
            found[name] = []
        else:
            fields = list(_fields(answers[0], ""))
            found[name] = sorted(f"{path}={'*' if last in volatile else _text(value)}" for path, value, last in fields)
            word, _, wanted = keep.partition("=")
            known.update((word, _text(value)) for path, value, _ in fields if path == wanted)
        found[name] = [line.replace(run, "$RUN") for line in found[name]]
    return found
