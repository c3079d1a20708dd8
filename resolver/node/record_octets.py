"""The octets of a record: ``0x0a · varint(length) · HandleRecord``, field 1 of every answer that holds a record.

A record is made of a head (name and public values, known before the transaction) and a tail (version, serial, times,
known only inside it). Both are serialised HandleRecord messages; set one after the other they are the serialised
whole, because the fields of the head have the lower numbers.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.node import values
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import resolution_pb2 as resolution
from resolver.v1 import stored_pb2 as stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FIELD_1 = b"\x0a"
"""Tag of field 1 with a length: what every stored record starts with."""


_SHORT = [bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80, number >> 7)) for number in range(1_024)]
"""The numbers that lengths usually are."""

_KEY_LENGTHS = [number.to_bytes(2, "big") for number in range(limits.KEY_OCTETS_MAX + 1)]


def varint(number: int) -> bytes:
    """A number in protobuf's base-128 encoding."""
    if number < 1_024:
        return _SHORT[number]
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def head(name: str, values: Iterable[pb.HandleValue]) -> bytes:
    """Name and public values of a record, serialised."""
    return pb.HandleRecord(name=name, values=values).SerializeToString(deterministic=True)


def tail(version: int, serial: int, create_time_us: int, update_time_us: int, template_id: str) -> bytes:
    """The rest of a record, serialised."""
    return (
        number_field(3, version)
        + number_field(4, serial)
        + number_field(5, create_time_us)
        + number_field(6, update_time_us)
        + text_field(7, template_id.encode())
    )


def number_field(number: int, value: int) -> bytes:
    """A field of a varint type below 16, serialised; nothing for 0, as proto3 has it."""
    return bytes((number << 3,)) + varint(value) if value else b""


def text_field(number: int, octets: bytes) -> bytes:
    """A field below 16 of text, octets or a message, serialised; nothing when it is empty."""
    return bytes((number << 3 | 2,)) + varint(len(octets)) + octets if octets else b""


def frame(record: bytes) -> bytes:
    """A serialised HandleRecord as field 1 of an answer."""
    return FIELD_1 + varint(len(record)) + record


def parse(body: bytes) -> pb.HandleRecord:
    """The record in the body of a stored row: read as the answer that it is, because a slice of it would be a copy."""
    return resolution.ResolveResponse.FromString(body).record


def picked(body: bytes, wanted: Iterable[bool]) -> bytes:
    """The body with some of its values, by a word for each: their octets are copied, none is made or encoded."""
    answer = stored.AnswerOctets.FromString(body)
    chosen = [*compress(answer.record.values, wanted)]
    del answer.record.values[:]
    answer.record.values.extend(chosen)
    return answer.SerializeToString()


def restricted_octets(restricted: stored.StoredRestricted) -> bytes:
    """The body of a row of RESTRICTED; empty when there are no such values."""
    return restricted.SerializeToString(deterministic=True) if restricted.values else b""


class StoredRecord(NamedTuple):
    """A record as it is on disk: the public body, and the restricted one or b""."""

    public: bytes
    restricted: bytes

    def record(self) -> pb.HandleRecord:
        """The public record."""
        return parse(self.public)

    def all_values(self) -> list[pb.HandleValue]:
        """All values in their order."""
        return values.joined(self.record().values, self.restricted)


def digest(key: bytes, public: bytes, restricted: bytes) -> bytes:
    """What a record adds to the set hash of its prefix: SHA-256 over key length, key and both bodies."""
    return sha256(b"%b%b%b%b" % (_KEY_LENGTHS[len(key)], key, public, restricted)).digest()


def digests(keys: Sequence[bytes], records: Sequence[bytes]) -> list[bytes]:
    """The ``digest`` of each of many records without restricted values."""
    join, lengths = b"".join, _KEY_LENGTHS
    return [sha256(join((lengths[len(key)], key, record))).digest() for key, record in zip(keys, records, strict=True)]
