"""What comes into the Handle REST interface: names in paths, parameters, and handle values in bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from resolver import limits
from resolver.errors import InvalidField, MalformedMessage, WireError
from resolver.transport.http.calls import path_octets
from resolver.wire.cursor import text_from_wire
from resolver.wire.json_members import parse_json
from resolver.wire.value_json import value_from_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from resolver.handle.value import HandleValue

VARIOUS = "various"
"""The index that stands for those of the values in the body."""

_PARAMETERS_MAX = 2_100


def name_in(request: Request, start: bytes) -> str:
    """The name in the path behind ``start``: percent-decoded once, ``+`` being itself, as octets that may be UTF-8."""
    return text_from_wire(unquote_to_bytes(path_octets(request)[len(start) :]))


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

    def number(self, name: str) -> int | None:
        """A parameter that is a number from 0; None when it is missing or less. Raises InvalidField."""
        text = (self.get(name) or "").strip()
        if not text:
            return None
        sign, digits = text[0] == "-", text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
            raise InvalidField(f"{name} {text[:40]!r} is not a number", field=name)
        return None if sign else int(digits)

    def indexes(self) -> list[int]:
        """The parameter ``index``, which may come several times. Raises InvalidField."""
        found = []
        for text in self.all("index"):
            if text == VARIOUS:
                continue
            digits = text.strip()
            if not (digits.isascii() and digits.isdigit() and len(digits) <= 10) or int(digits) > limits.INDEX_MAX:
                raise InvalidField(f"index {text[:40]!r} is not a number from 0 to {limits.INDEX_MAX}", field="index")
            found.append(int(digits))
        return found


def query_of(request: Request) -> Parameters:
    """The parameters behind the path. Raises InvalidField."""
    return Parameters.from_octets(request.scope["query_string"])


async def values_in(request: Request, now_s: int) -> list[HandleValue]:
    """The values in a body: a list, an object with ``values``, or one value. Raises WireError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise MalformedMessage("the body must be JSON: send the header Content-Type: application/json")
    try:
        document = parse_json(await request.body())
    except WireError as error:
        raise MalformedMessage(error.message) from None
    return [_value(item, now_s) for item in _items(document)]


def _items(document: Any) -> Sequence[Any]:
    if isinstance(document, dict):
        document = document.get("values", [document])
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
