"""What is asked: endless iterators of request messages, seeded, for ours and for etcd.

etcd's messages are written by hand from its published contract (``rpc.proto``: RangeRequest.key = 1, serializable = 7;
PutRequest.key = 1, value = 2), so no generated code of etcd is needed. Keys of etcd are the names of the records.
"""

from __future__ import annotations

import random
from itertools import count, islice
from typing import TYPE_CHECKING

from bench.workload import NAME_OCTETS, PREFIX, name_of, numbers, values_of
from resolver.v1 import registration_pb2, resolution_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOLVE = "/resolver.v1.ResolutionService/Resolve"
BATCH = "/resolver.v1.ResolutionService/BatchResolve"
STREAM = "/resolver.v1.ResolutionService/StreamResolve"
CREATE = "/resolver.v1.RegistrationService/CreateHandle"
BATCH_CREATE = "/resolver.v1.RegistrationService/BatchCreateHandles"
ETCD_RANGE = "/etcdserverpb.KV/Range"
ETCD_PUT = "/etcdserverpb.KV/Put"
ETCD_TXN = "/etcdserverpb.KV/Txn"

CREATE_TIME_US = 1_790_000_000_000_000
"""Any moment: only its length counts."""

TAG_START = 1 << 14
"""Tags of stream questions have three octets each."""


def field(number: int, octets: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    size, length = bytearray(), len(octets)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes([number << 3 | 2]) + bytes(size) + octets


def resolve(records: int, seed: int) -> Iterator[bytes]:
    """ResolveRequest of random names."""
    for number in numbers(records, seed):
        yield field(1, name_of(number).encode())


def resolve_one(records: int, seed: int) -> Iterator[bytes]:
    """ResolveRequest of one name again and again: only to compare with generators that can do no better."""
    message = next(resolve(records, seed))
    while True:
        yield message


def batch(records: int, seed: int, size: int) -> Iterator[bytes]:
    """BatchResolveRequest of ``size`` random names."""
    source, head = numbers(records, seed), field(1, bytes(NAME_OCTETS))[:-NAME_OCTETS]
    while True:
        yield b"".join([head + name_of(number).encode() for number in islice(source, size)])


def stream(records: int, seed: int) -> Iterator[bytes]:
    """StreamResolveRequest with ascending tags."""
    for tag, number in zip(count(), numbers(records, seed), strict=False):
        request = resolution_pb2.StreamResolveRequest(tag=TAG_START + tag % 2_000_000, name=name_of(number))
        yield request.SerializeToString()


def nothing() -> Iterator[bytes]:
    """No body: for GET."""
    while True:
        yield b""


def new_name(records: int, seed: int, run: str) -> Iterator[str]:
    """Names that were never used, each behind a random one of the records; ``run`` keeps rounds apart.

    So every new row goes to a page of its own among those that are there, as random names in a full store do.
    """
    source = random.Random(f"{seed} {run}")
    while True:
        yield f"{name_of(source.randrange(records))}{source.getrandbits(32):08X}{run}"


def create_random(records: int, seed: int, run: str) -> Iterator[bytes]:
    """CreateHandleRequest of random names."""
    for number, name in enumerate(new_name(records, seed, run)):
        yield registration_pb2.CreateHandleRequest(name=name, values=values_of(number)).SerializeToString()


def create_minted(seed: int) -> Iterator[bytes]:
    """CreateHandleRequest whose suffix the node mints."""
    for number in count(seed):
        request = registration_pb2.CreateHandleRequest(name=f"{PREFIX}/", values=values_of(number), mint_suffix=True)
        yield request.SerializeToString()


def batch_create(records: int, seed: int, run: str, size: int, *, ordered: bool) -> Iterator[bytes]:
    """BatchCreateHandlesRequest of ``size`` new names, random or ascending."""
    names = (f"{PREFIX}/{run}{number:016d}" for number in count()) if ordered else new_name(records, seed, run)
    for number in count(0, size):
        rows = [registration_pb2.NewHandle(name=next(names), values=values_of(number + row)) for row in range(size)]
        yield registration_pb2.BatchCreateHandlesRequest(handles=rows).SerializeToString()


def value_of(number: int) -> bytes:
    """What etcd and redis keep under a key: octets as long as the record that we store and send."""
    answer = resolution_pb2.ResolveResponse()
    record = answer.record
    record.name = name_of(number)
    record.values.extend(values_of(number))
    record.version, record.serial, record.create_time_us = 1, number + 1, CREATE_TIME_US
    return answer.SerializeToString()


def etcd_range(records: int, seed: int, *, serializable: bool) -> Iterator[bytes]:
    """RangeRequest of random keys."""
    end = b"\x38\x01" if serializable else b""
    for message in resolve(records, seed):
        yield message + end


def etcd_put_random(records: int, seed: int, run: str) -> Iterator[bytes]:
    """PutRequest of new random keys."""
    for number, name in enumerate(new_name(records, seed, run)):
        yield field(1, name.encode()) + field(2, value_of(number))


def etcd_put_ordered(seed: int, run: str) -> Iterator[bytes]:
    """PutRequest of new ascending keys."""
    for number in count(seed):
        yield field(1, f"{PREFIX}/{run}{number:016d}".encode()) + field(2, value_of(number))


def etcd_txn(records: int, seed: int, run: str, size: int, *, ordered: bool) -> Iterator[bytes]:
    """TxnRequest messages with ``size`` puts of new keys, random or ascending."""
    puts = etcd_put_ordered(seed, run) if ordered else etcd_put_random(records, seed, run)
    while True:
        yield b"".join([field(2, field(2, next(puts))) for _ in range(size)])


def etcd_fill(records: int, size: int) -> Iterator[bytes]:
    """TxnRequest messages that put every record, ``size`` at once (success = 2, RequestOp.request_put = 2)."""
    for start in range(0, records, size):
        yield b"".join(
            field(2, field(2, field(1, name_of(number).encode()) + field(2, value_of(number))))
            for number in range(start, min(start + size, records))
        )
