"""Pages of ordered tables, and the opaque tokens that continue them (AIP-158).

A token is the last key seen and the list it belongs to; it grants nothing, because every page asks the policy
again.
"""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import InvalidField, InvalidPageToken, RecordCorrupt
from resolver.handle.name import Prefix, fold_octets
from resolver.node import record_octets, shares, values
from storage.errors import RowCorrupt
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

_TOKEN_OCTETS_MAX = 1_024
_FRAME_OCTETS = 5

PASSED_OVER_MAX = 2_000
"""Rows that a page passes over because they are none of the list: some milliseconds. The next page goes on there."""


def after(prefix: bytes) -> bytes | None:
    """The least key greater than every key that starts with ``prefix``; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def page_size(asked: int) -> int:
    """Rows of a page. Raises InvalidField above the limit."""
    if asked > limits.PAGE_MAX:
        raise InvalidField(
            f"page_size is {asked}; at most {limits.PAGE_MAX} are allowed: ask for further pages by their tokens",
            field="page_size",
        )
    return asked or limits.PAGE_DEFAULT


def token_for(listing: str, last_key: bytes) -> str:
    """The token that continues a list after a key."""
    return base64.urlsafe_b64encode(listing.encode() + b"\0" + last_key).decode().rstrip("=")


def start_of(listing: str, token: str, first: bytes) -> bytes:
    """Where a page starts: at ``first``, or after the key of the token. Raises InvalidPageToken."""
    if not token:
        return first
    octets = b""
    if len(token) <= _TOKEN_OCTETS_MAX:
        with suppress(ValueError, binascii.Error):
            octets = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    name, nul, key = octets.partition(b"\0")
    if not nul or name != listing.encode() or key < first:
        raise InvalidPageToken(
            "page_token was not made for this list: send next_page_token of the page before with the same request",
            field="page_token",
        )
    return key + b"\0"


def handles(
    reader: Reader, prefix: Prefix, suffix_start: str, token: str, *, size: int, include_restricted: bool
) -> Iterator[tuple[bytes, pb.HandleRecord | None]]:
    """Key and record of the handles of one page, in key order; at most ANSWER_OCTETS_MAX octets together.

    Without a record comes the key that a page ends at which has passed over too many rows: the list goes on behind it.
    Of a site of several servers only this one's. With ``include_restricted`` a record also has the values its owner may
    read.
    """
    suffix = fold_octets(suffix_start.encode("utf-8", "surrogatepass"))
    whole = prefix.handle_key_start + suffix
    first = whole[: limits.KEY_WHOLE_OCTETS_MAX]
    start = start_of(f"handles {prefix.folded}", token, first)
    octets = count = passed_over = 0
    share = shares.share_of(reader)
    sifting = share if share is not None and share.sifts else None
    if sifting is not None and not sifting.lists(whole):
        return
    try:
        for key, body in reader.scan(Table.RECORDS, start, after(first)):
            record = record_octets.parse(body)
            # What is another server's is on its way from here or to here. The keys of long handles end in a digest:
            # their order says nothing of their ends.
            if (sifting is not None and not sifting.answers(fold_octets(record.name.encode()))) or (
                len(whole) > len(first) and not fold_octets(record.name.encode()).startswith(whole)
            ):
                passed_over += 1
                if passed_over == PASSED_OVER_MAX:
                    yield key, None
                    return
                continue
            if include_restricted:
                _add_restricted(reader, key, record)
            octets += record.ByteSize() + _FRAME_OCTETS
            if count == size or (count and octets > limits.ANSWER_OCTETS_MAX):
                return
            yield key, record
            count += 1
    except RowCorrupt as error:
        raise RecordCorrupt(
            f"the list meets a record that is damaged on disk, after {start!r}: the operator can restore it from a "
            "backup or a mirror"
        ) from error


def _add_restricted(reader: Reader, key: bytes, record: pb.HandleRecord) -> None:
    hidden = reader.get(Table.RESTRICTED, key)
    if hidden is None:
        return
    merged = list(filter(values.readable_by_admin, values.joined(record.values, hidden)))
    del record.values[:]
    record.values.extend(merged)
