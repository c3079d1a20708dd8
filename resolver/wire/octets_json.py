"""Octets in JSON: as text when they are, in base64 when not; hexadecimal is read as well.

What is read is what the reference server reads: the letter case of a format does not matter, base64 may be of either
alphabet and without padding, and a number or a flag is the text that it is written as.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import Any

from resolver.errors import InvalidValue
from resolver.handle.name import looks_binary
from resolver.wire.cursor import text_to_wire
from resolver.wire.json_members import member, member_text, text_of

_URL_SAFE = str.maketrans("-_", "+/")


def octets_to_json(octets: bytes, *, as_text: bool = True) -> dict[str, Any]:
    """An object with format and value; ``as_text`` allows text for octets that look like it."""
    if as_text and not looks_binary(octets):
        with contextlib.suppress(UnicodeDecodeError):  # Old forms of UTF-8 are text to some and no JSON.
            return {"format": "string", "value": octets.decode()}
    return {"format": "base64", "value": base64.b64encode(octets).decode()}


def octets_from_json(found: Any) -> bytes:
    """The octets of a bare text or of an object with format string, base64 or hex. Raises InvalidValue."""
    if isinstance(found, str | bool | int | float):
        return text_to_wire(text_of(found, "data"))
    format_ = member_text(found, "format", "string").lower()
    text = text_of(member(found, "value"), "value")
    try:
        if format_ == "string":
            return text_to_wire(text)
        if format_ == "base64":
            letters = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
            return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
        if format_ == "hex":
            return bytes.fromhex(text)
    except (binascii.Error, ValueError):
        raise InvalidValue(f"the data is not {format_}", field="data") from None
    raise InvalidValue(
        f"format {format_[:20]!r} of the data is unknown: string, base64, hex, admin, vlist, site and key are",
        field="data",
    )
