"""What comes into the Handle REST interface: names in paths, parameters, and handle values in bodies.

Numbers and flags are read as the reference server reads them: an empty number is none, ``overwrite=yes`` is not true.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from resolver import limits
from resolver.errors import InvalidField, MalformedMessage, WireError
from resolver.handle.name import fold
from resolver.transport.http.calls import path_octets
from resolver.wire.cursor import text_from_wire
from resolver.wire.json_members import parse_json
from resolver.wire.value_json import value_from_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request

    from resolver.handle.value import HandleValue

VARIOUS = "various"
"""The index that stands for those of the values in the body."""

YES = frozenset({"", "yes", "true"})
"""Values of a flag that is set, in lower case."""

STRANGER_OCTETS_MAX = 64 << 10
"""Octets of a body that is parsed for whoever sends it: megabytes made for the purpose take a third of a second from
everybody else."""

PARTS_MAX = 1 << 17
"""Commas and quotes of a body outside of texts: the largest handle has some ten thousand, and between two may stand an
object of a hundred octets."""

_PARAMETERS_MAX = 2_100
FORM = "application/x-www-form-urlencoded"
"""What browsers send forms as."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,10}")
_KNOWN = {
    *("type", "index", "auth", "cert", "publicOnly", "doNotRefer", "pretty", "callback", "prefix", "page", "pageSize"),
    *("version", "sessionId", "id", "cnonce", "nonce", "alg", "signature", "salt", "iterations", "length"),
    "clientCert",
}
"""Parameters that are looked for; other members of a JSON body may be anything and are passed over."""


def name_in(request: Request, start: bytes) -> str:
    """The name in the path behind ``start``: percent-decoded once, ``+`` being itself, as octets that may be UTF-8."""
    octets = path_octets(request)
    if octets.startswith(start):
        return text_from_wire(unquote_to_bytes(octets[len(start) :]))
    return text_from_wire(unquote_to_bytes(octets)[len(start) :])  # letters of ``start`` may be percent-encoded, too


class Parameters(NamedTuple):
    """Parameters of a request by name, each with all its values."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def from_octets(cls, octets: bytes) -> Parameters:
        """The parameters in a query or a form. Raises InvalidField."""
        try:
            return cls(
                tuple(
                    parse_qsl(
                        octets.decode("latin-1"),
                        keep_blank_values=True,
                        errors="surrogateescape",
                        max_num_fields=_PARAMETERS_MAX,
                    )
                )
            )
        except ValueError:
            raise InvalidField(f"there are more than {_PARAMETERS_MAX} parameters") from None

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a parameter."""
        return next((value for key, value in self.pairs if key == name), default)

    def all(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [value for key, value in self.pairs if key == name]

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Whether a flag is set: by its name alone, or by anything but false, no and 0."""
        found = self.get(name)
        return default if found is None else found.strip().lower() not in {"false", "no", "0"}

    def says_yes(self, name: str, *, default: bool = False) -> bool:
        """Whether a flag is set as the reference server reads it: by its name alone, ``yes`` or ``true``."""
        found = self.get(name)
        return default if found is None else found.lower() in YES

    def is_true(self, name: str, *, default: bool = False) -> bool:
        """Whether a parameter is ``true`` and nothing else, as the reference server reads those of a write."""
        found = self.get(name)
        return default if found is None else found.lower() == "true"

    def number(self, name: str) -> int | None:
        """A parameter that is a number from 0; None when it is missing or less. Raises InvalidField."""
        text = self.get(name)
        if text is None:
            return None
        if not _NUMBER.fullmatch(text) or int(text) >= 2**31:
            raise InvalidField(f"{name} {text[:40]!r} is not a number", field=name)
        return int(text) if int(text) >= 0 else None

    def indexes(self) -> list[int]:
        """The parameter ``index``, which may come several times. Raises InvalidField.

        A negative one is the signed form of a large one, as Java writes it.
        """
        found = []
        for text in self.all("index"):
            if not _NUMBER.fullmatch(text) or not -(2**31) <= int(text) <= limits.INDEX_MAX:
                raise InvalidField(f"index {text[:40]!r} is not a number from 0 to {limits.INDEX_MAX}", field="index")
            found.append(int(text) % 2**32)
        return found


def query_of(request: Request) -> Parameters:
    """The parameters behind the path. Raises InvalidField."""
    return Parameters.from_octets(request.scope["query_string"])


def type_of(request: Request) -> str:
    """The type of a body, without what is said of its letters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def form_of(request: Request) -> Parameters:
    """The parameters in a body: of a form, or the members of a JSON object; others have none. Raises WireError."""
    body, kind = await request.body(), type_of(request)
    if len(body) > STRANGER_OCTETS_MAX:
        raise InvalidField(f"parameters in a body have at most {STRANGER_OCTETS_MAX} octets: to write values use PUT")
    if kind == "application/json":
        document = _parsed(body) if body.strip() else {}
        if not isinstance(document, dict):
            raise MalformedMessage("parameters in a JSON body are the members of one object; to write values use PUT")
        return Parameters(tuple(_members(document)))
    return Parameters.from_octets(body if kind == FORM else b"")


def _parsed(body: bytes) -> Any:
    """The JSON in a body. Raises MalformedMessage, which is what this interface calls all that cannot be read."""
    _require_few_parts(body)
    try:
        return parse_json(body)
    except WireError as error:
        raise MalformedMessage(error.message) from None


def _require_few_parts(body: bytes) -> None:
    """Raise MalformedMessage for JSON made of more parts than a handle has; texts may have any commas in them."""
    if body.count(b",") <= PARTS_MAX:
        return
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') <= 2 * PARTS_MAX and sum(part.count(b",") for part in plain.split(b'"')[::2]) <= PARTS_MAX:
        return
    raise MalformedMessage(f"the body has more than {PARTS_MAX} parts: a handle has at most {limits.VALUES_MAX} values")


def _members(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The members of an object as parameters; a list is the same one several times. Raises MalformedMessage."""
    for name, content in document.items():
        for item in content if isinstance(content, list) else [content]:
            if item is None or isinstance(item, (dict, list)):
                if name not in _KNOWN:
                    continue
                words = f"the parameter {name[:40]!r} in the body is no text, number or flag; to write values use PUT"
                raise MalformedMessage(words)
            yield name, str(item).lower() if isinstance(item, bool) else str(item)


async def carries_values(request: Request) -> bool:
    """Whether a body is more than parameters, as of a client that takes a POST for a way to write."""
    body, kind = await request.body(), type_of(request)
    return bool(body) and kind != FORM and (kind != "application/json" or b'"values"' in body)


async def values_in(request: Request, name: str, now_s: int) -> list[HandleValue]:
    """The values for a handle in a body: a list, an object with ``values``, or one value. Raises WireError."""
    if type_of(request) != "application/json":
        raise MalformedMessage("the body must be JSON: send the header Content-Type: application/json")
    document = _parsed(await request.body())
    return [_value(item, now_s) for item in _items(document, name)]


def _items(document: Any, name: str) -> Sequence[Any]:
    if isinstance(document, dict) and "values" in document:
        named = document.get("handle")
        if named is not None and (not isinstance(named, str) or fold(named) != fold(name)):
            raise MalformedMessage("the handle in the body is not the one in the path: leave it out")
        document = [] if document["values"] is None else document["values"]
    elif isinstance(document, dict):
        document = [document]
    if not isinstance(document, list):
        raise MalformedMessage("the body must be a list of values, an object with the list 'values', or one value")
    if len(document) > limits.VALUES_MAX:
        raise MalformedMessage(f"the body has {len(document)} values; a handle has at most {limits.VALUES_MAX}")
    return document


def _value(item: Any, now_s: int) -> HandleValue:
    try:
        return value_from_json(item, timestamp_s=now_s, as_reference_server=True)
    except WireError as error:
        raise MalformedMessage(f"a value cannot be read: {error.message}", field=error.field) from None
