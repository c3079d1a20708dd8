"""The shortest way to an answer: a question that is nothing but a short ASCII name, and a record that is public.

That is nearly every question a node gets. All checks of ``resolve`` are made here too: prefix served, checksum, no
restricted values. Whatever is not this case is answered with None, and ``resolve`` says what there is to say: so there
is one place only that knows what to refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node.record_octets import FIELD_1
from storage.tables import MARK, Table, unseal

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.node.prefixes import ServedPrefixes
    from storage.engine import Reader

_NAME_TAG = FIELD_1[0]
_NAME_OCTETS_MAX = 127
"""A length that protobuf writes in one octet; far below the length from which keys have digests."""


def resolve_plain(
    find: Callable[[bytes], bytes | None], reader: Reader, served: ServedPrefixes, question: bytes
) -> tuple[str, bytes] | None:
    """Folded prefix and body for the octets of a ResolveRequest; None when they, or the record, are not plain.

    ``find`` is the engine's getter of stored rows of RECORDS. Raises RowCorrupt.
    """
    length = len(question) - 2
    if not 0 < length <= _NAME_OCTETS_MAX or question[0] != _NAME_TAG or question[1] != length:
        return None  # other fields, no name, or a long one
    return _record(find, reader, served, question[2:].upper())


def find_plain(
    find: Callable[[bytes], bytes | None], reader: Reader, served: ServedPrefixes, name: str
) -> tuple[str, bytes] | None:
    """As ``resolve_plain``, for a name of which all public values are wanted. Raises RowCorrupt."""
    key = name.encode().upper()  # folds ASCII only, as a handle is folded
    return _record(find, reader, served, key) if len(key) <= _NAME_OCTETS_MAX else None


def _record(
    find: Callable[[bytes], bytes | None], reader: Reader, served: ServedPrefixes, key: bytes
) -> tuple[str, bytes] | None:
    """Folded prefix and body under the key of a short name; None when the name or the record is not plain."""
    prefix, _, suffix = key.partition(b"/")
    if not prefix or not suffix or not key.isascii():
        return None
    row = find(key)
    if row is None or row[0] & MARK:
        return None
    folded = prefix.decode()
    if served.refusal(reader, folded) is not None:
        return None
    return folded, unseal(Table.RECORDS, key, row)
