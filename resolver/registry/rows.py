"""What all registry rows share: ids, field lengths, versions, pages, and the version of the registry as a whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from resolver import limits
from resolver.errors import AlreadyExists, InvalidField, NotFound, VersionMismatch
from resolver.node.listing import after, page_size, start_of, token_for
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper as EnumTypeWrapper

    from storage.engine import Reader, Writer

ID_OCTETS_MAX = 64
"""Octets of an id."""

_ID = re.compile(r"[a-z0-9._-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
_MINTED_OCTETS = 10
_REGISTRY_VERSION = b"registry_version"


class Row(Protocol):
    """A registry message: counts its changes and knows when it was made."""

    version: int
    create_time_us: int

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802 - protobuf's name
        """The row as octets."""


class _Sized(Protocol):
    def ByteSize(self) -> int:  # noqa: N802 - protobuf's name
        """Octets of a message."""


R = TypeVar("R", bound=_Sized)
T = TypeVar("T")


def registry_version(reader: Reader) -> int:
    """Counts the changes of the registry; caches of its rows are valid for one version."""
    return int.from_bytes(reader.get(Table.META, _REGISTRY_VERSION) or b"\0", "big")


def touch(writer: Writer) -> None:
    """Count a change of the registry."""
    writer.put(Table.META, _REGISTRY_VERSION, (registry_version(writer) + 1).to_bytes(8, "big"))


def check_id(text: str, field: str) -> None:
    """Raise InvalidField unless the text is an id of the registry."""
    if not _ID.fullmatch(text):
        raise InvalidField(
            f"{field} {text[:80]!r} is not an id: use 1 to 64 of a-z, 0-9, '-', '_' and '.'", field=field
        )


def mint_id(kind: str, randomness: Callable[[int], bytes]) -> str:
    """A fresh id: the kind and 20 hexadecimal digits."""
    return f"{kind}-{randomness(_MINTED_OCTETS).hex()}"


def check_text(text: str, octets_max: int, field: str, *, required: bool = False) -> None:
    """Raise InvalidField for a text that is too long, has control characters, or is missing."""
    if required and not text.strip():
        raise InvalidField(f"{field} is empty: give one", field=field)
    octets = len(text.encode())
    if octets > octets_max:
        raise InvalidField(f"{field} has {octets} octets; at most {octets_max} are allowed", field=field)
    if (control := _CONTROL.search(text)) is not None:
        raise InvalidField(f"{field} holds the control character U+{ord(control[0]):04X}: remove it", field=field)


def check_enum(kind: EnumTypeWrapper[Any], number: int, field: str) -> None:
    """Raise InvalidField for a number the enum has not: proto3 lets any through."""
    if number not in kind.values():
        raise InvalidField(f"{field} is {number}: give one of {', '.join(kind.keys())}", field=field)


def check_version(row: Row, if_version: int | None, thing: str) -> None:
    """Raise VersionMismatch unless the row has the version expected."""
    if if_version is not None and row.version != if_version:
        raise VersionMismatch(
            f"{thing} has version {row.version}, not {if_version}: read it again and decide anew", field="if_version"
        )


def insert(writer: Writer, table: Table, key: bytes, row: Row, now_us: int, thing: str) -> None:
    """Store a new row. Raises AlreadyExists."""
    if writer.get(table, key) is not None:
        raise AlreadyExists(f"{thing} exists already: choose another id, or update it")
    row.version = 1
    row.create_time_us = now_us
    writer.put(table, key, row.SerializeToString(deterministic=True))
    touch(writer)


def replace(writer: Writer, table: Table, key: bytes, row: Row, before: Row) -> None:
    """Store a changed row."""
    row.version = before.version + 1
    row.create_time_us = before.create_time_us
    writer.put(table, key, row.SerializeToString(deterministic=True))
    touch(writer)


def find(reader: Reader, table: Table, key: bytes, parse: Callable[[bytes], T], thing: str) -> T:
    """The row under a key. Raises NotFound."""
    body = reader.get(table, key) if 0 < len(key) <= 480 else None
    if body is None:
        raise NotFound(f"{thing} does not exist: check its id, or create it")
    return parse(body)


def page(
    reader: Reader,
    table: Table,
    listing: str,
    asked: int,
    token: str,
    parse: Callable[[bytes], R],
    wanted: Callable[[R], bool] = lambda _: True,
) -> tuple[list[R], str]:
    """One page of a whole table: the rows wanted, and the token of the next page or "".

    A page reads all rows up to its last: use an index where few are wanted of many. It ends where it fills an answer.
    """
    return _page(reader, table, b"", listing, asked, token, lambda _, body: parse(body), wanted)


def indexed_page(
    reader: Reader, index: Table, owner: str, listing: str, asked: int, token: str, load: Callable[[bytes, bytes], R]
) -> tuple[list[R], str]:
    """One page of what belongs to an owner: the rows of an index whose keys start with its id and NUL.

    ``load`` makes the row wanted of the rest of the key and the body.
    """
    first = owner.encode() + b"\0"
    return _page(reader, index, first, listing, asked, token, lambda key, body: load(key[len(first) :], body))


def _page(
    reader: Reader,
    table: Table,
    first: bytes,
    listing: str,
    asked: int,
    token: str,
    load: Callable[[bytes, bytes], R],
    wanted: Callable[[R], bool] = lambda _: True,
) -> tuple[list[R], str]:
    size = page_size(asked)
    rows: list[R] = []
    last, octets = b"", 0
    for key, body in reader.scan(table, start_of(listing, token, first), after(first) if first else None):
        row = load(key, body)
        if not wanted(row):
            continue
        if len(rows) == size or octets > limits.ANSWER_OCTETS_MAX // 2:
            return rows, token_for(listing, last)
        rows.append(row)
        last = key
        octets += row.ByteSize()
    return rows, ""
