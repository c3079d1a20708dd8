"""Checked reading of members of JSON objects that cannot be trusted.

Each function names the member at fault and says what belongs there. It knows no Handle types.
"""

from __future__ import annotations

import json
from typing import Any

from resolver import limits
from resolver.errors import InvalidValue

_ABSENT = object()

_MARK = b"\xef\xbb\xbf"


def without_mark(octets: bytes) -> bytes:
    """JSON text without the byte order mark that some editors and clients put before it (RFC 8259, 8.1)."""
    return octets.removeprefix(_MARK)


def parse_json(octets: bytes | str) -> Any:
    """The document in some JSON text. Raises InvalidValue, also for nesting too deep to be real."""
    try:
        return json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"the text is not JSON: {error}") from None


def member(document: Any, name: str, default: Any = _ABSENT) -> Any:
    """A member of an object. Raises InvalidValue when the document is no object or has no such member."""
    if not isinstance(document, dict):
        raise InvalidValue(f"an object with the member {name!r} belongs here", field=name)
    found = document.get(name, default)
    if found is _ABSENT:
        raise InvalidValue(f"the member {name!r} is missing", field=name)
    return found


def member_text(document: Any, name: str, default: Any = _ABSENT) -> str:
    """A member that is a text."""
    found = member(document, name, default)
    if not isinstance(found, str):
        raise InvalidValue(f"{name} must be a text", field=name)
    return found


def member_handle(document: Any) -> str:
    """The member ``handle``: the name of a handle, no longer than one may be in the octets it is for."""
    found = member_text(document, "handle")
    octets = _octets_of_name(found)
    if octets > limits.NAME_OCTETS_MAX:
        raise InvalidValue(
            f"handle has {octets} octets; the name of a handle has at most {limits.NAME_OCTETS_MAX}", field="handle"
        )
    return found


def handle_to_json(name: str) -> str:
    """The name of a handle for JSON. Raises InvalidValue for one of octets that are no UTF-8: JSON cannot say them."""
    _octets_of_name(name)
    return name


def _octets_of_name(name: str) -> int:
    try:
        return len(name.encode())
    except UnicodeEncodeError:
        raise InvalidValue("handle has an unpaired surrogate: it cannot be written as UTF-8", field="handle") from None


def text_of(found: Any, name: str) -> str:
    """A text, or a number or flag as it is written in JSON, which peers whose JSON is loosely typed send for it.

    Raises InvalidValue.
    """
    if isinstance(found, bool | int | float):
        return json.dumps(found)
    if not isinstance(found, str):
        raise InvalidValue(f"{name} must be a text", field=name)
    return found


def member_integer(document: Any, name: str, default: Any = _ABSENT, *, least: int = 0, most: int) -> int:
    """A member that is an integer in a range; a text of digits is taken as well."""
    found = member(document, name, default)
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) <= 20:
        found = int(found)
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise InvalidValue(f"{name} must be an integer from {least} to {most}", field=name)
    return found


def member_index(document: Any, name: str, default: Any = _ABSENT) -> int:
    """A member that is an index; negative ones are the signed form of large indexes, as Java writes them."""
    return member_integer(document, name, default, least=-(2**31), most=limits.INDEX_MAX) % 2**32


def member_flag(document: Any, name: str, default: Any = _ABSENT) -> bool:
    """A member that is true or false; the texts ``true`` and ``false`` are taken as well."""
    found = member(document, name, default)
    if found in ("true", "false"):
        return bool(found == "true")
    if not isinstance(found, bool):
        raise InvalidValue(f"{name} must be true or false", field=name)
    return found


def member_list(document: Any, name: str, default: Any = _ABSENT, *, items_max: int) -> list[Any]:
    """A member that is a list of at most so many items."""
    found = member(document, name, default)
    if not isinstance(found, list) or len(found) > items_max:
        raise InvalidValue(f"{name} must be a list of at most {items_max} items", field=name)
    return found
