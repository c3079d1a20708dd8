"""The octets of a record: ``0x0a · varint(length) · HandleRecord``, field 1 of every answer that holds a record.

A record is made of a head (name and public values, known before the transaction) and a tail (version, serial, times,
known only inside it). Both are serialised HandleRecord messages; set one after the other they are the serialised
whole, because the fields of the head have the lower numbers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from resolver.v1 import handle_pb2 as pb
from resolver.v1 import stored_pb2 as stored

if TYPE_CHECKING:
    from collections.abc import Iterable

FIELD_1 = b"\x0a"
"""Tag of field 1 with a length: what every stored record starts with."""


def varint(number: int) -> bytes:
    """A number in protobuf's base-128 encoding."""
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
    return pb.HandleRecord(
        version=version,
        serial=serial,
        create_time_us=create_time_us,
        update_time_us=update_time_us,
        template_id=template_id,
    ).SerializeToString(deterministic=True)


def frame(record: bytes) -> bytes:
    """A serialised HandleRecord as field 1 of an answer."""
    return FIELD_1 + varint(len(record)) + record


def parse(body: bytes) -> pb.HandleRecord:
    """The record in the body of a stored row."""
    start = 2
    while body[start - 1] & 0x80:
        start += 1
    return pb.HandleRecord.FromString(body[start:])


def restricted_octets(values: list[pb.HandleValue]) -> bytes:
    """The body of a row of RESTRICTED; empty when there are no such values."""
    return stored.StoredRestricted(values=values).SerializeToString(deterministic=True) if values else b""


def digest(key: bytes, public: bytes, restricted: bytes) -> bytes:
    """What a record adds to the set hash of its prefix: SHA-256 over key length, key and both bodies."""
    return hashlib.sha256(len(key).to_bytes(2, "big") + key + public + restricted).digest()
