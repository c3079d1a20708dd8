"""The streams that follow the answers to RETRIEVE_TRANSACTIONS and DUMP_HANDLES, sans-IO.

    kind of stream 4: 0 signed | -1 unsigned | 0x544C5300 TLS
    signed:           digest algorithm, then blocks, each with a signature of its octets behind it

``StreamWriter`` makes blocks of records, ``StreamReader`` takes octets in pieces of any size and gives the records
whose signature was right. A reader that has told of TLS is given decrypted octets from then on; ``unread`` is what it
had beyond the mark. The signature covers what follows the head of the stream; a first one that covers the head too is
taken as well. Every length and count is held against a bound before anything is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import Enum
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import MalformedMessage
from resolver.wire import bounds
from resolver.wire import replication_records as records
from resolver.wire.cursor import sized
from resolver.wire.signatures import hash_name
from resolver.wire.values import VALUE_OCTETS_MIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.wire.replication_records import Record

SIGNED = bytes(4)
UNSIGNED = b"\xff\xff\xff\xff"
TLS = b"TLS\0"

BLOCK_OCTETS_MAX = 64 << 20
"""Octets between two signatures: many times the largest record that a node of ours stores."""

_VALUE_OCTETS_MAX = bounds.FIELD_OCTETS_MAX + (bounds.FIELD_OCTETS_MAX >> 2)
_ALGORITHM_OCTETS_MAX = 64
_SIGNATURE_OCTETS_MAX = 4_096
_FORMATS = (1, 2)
_STATUSES = frozenset(records.Status)
_DUMP_VERSION_OLD = 1
_DUMP_VERSIONS = (_DUMP_VERSION_OLD, 2)
_DUMP_DONE = 0xFF

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes, bytes], bool]
"""Whether ``(algorithm, signature, octets)`` fit the key of the server."""

Parsing = Generator[int, bytes, None]
"""Asks for so many octets, is sent them."""


class Contents(Enum):
    """Which of the two streams it is."""

    TRANSACTIONS = "transactions"
    DUMP = "dump"


class StreamWriter:
    """Makes the octets of a stream. ``head`` first, then ``block`` for each record."""

    def __init__(self, algorithm: bytes = b"", sign: Sign | None = None) -> None:
        """Sign each record with ``sign``, whose hash is named; without it the stream is unsigned."""
        self._algorithm = algorithm
        self._sign = sign

    def head(self) -> bytes:
        """The start of the stream."""
        return UNSIGNED if self._sign is None else SIGNED + sized(self._algorithm)

    def block(self, record: Record) -> bytes:
        """A record and its signature. A signature takes a fifth of a millisecond: make many beside the loop."""
        octets = record.to_wire()
        if self._sign is None or isinstance(record, records.DumpEnds):
            return octets
        return octets + sized(self._sign(octets))

    def blocks(self, found: Iterable[Record]) -> bytes:
        """The blocks of several records."""
        return b"".join(map(self.block, found))


class StreamReader:
    """Understands a stream. Give it octets by ``receive_data`` until ``is_done``."""

    def __init__(self, contents: Contents, verify: Verify | None, *, takes_unsigned: bool = False) -> None:
        """``verify`` checks signatures; ``takes_unsigned`` is for channels that prove the server themselves."""
        self._contents = contents
        self._verify = verify
        self._takes_unsigned = takes_unsigned
        self._algorithm: bytes | None = None
        self._head = b""
        self._buffer = bytearray()
        self._block = bytearray()
        self._released: list[Record] = []
        self._broken: MalformedMessage | None = None
        self._parsing = self._parse()
        self._wanted = next(self._parsing)
        self.is_done = False
        """Whether the end of the stream has come."""
        self.wants_tls = False
        """Whether the octets that follow are a TLS handshake: take ``unread`` and call ``tls_began``."""

    @property
    def unread(self) -> bytes:
        """Octets received and not understood yet; taking them empties it."""
        octets = bytes(self._buffer)
        self._buffer.clear()
        return octets

    def tls_began(self) -> None:
        """The server has proved its key in a handshake: what is received now is decrypted."""
        self.wants_tls = False

    def receive_data(self, octets: bytes) -> list[Record]:
        """The records that octets complete. Raises MalformedMessage; the stream cannot go on then.

        Whoever gives it more after that is told the same again.
        """
        if self._broken is not None:
            raise self._broken.again()
        self._buffer += octets
        place = 0
        while not self.is_done and not self.wants_tls and len(self._buffer) - place >= self._wanted:
            part = bytes(self._buffer[place : place + self._wanted])
            place += self._wanted
            try:
                self._wanted = self._parsing.send(part)
            except StopIteration:
                self.is_done = True
            except MalformedMessage as error:
                self._broken = error.again()
                raise
        del self._buffer[:place]
        released, self._released = self._released, []
        return released

    def end(self) -> None:
        """The connection has ended. Raises MalformedMessage when the stream has not."""
        if not self.is_done:
            raise MalformedMessage("the stream ends in the middle: ask again from the last record", field="stream")

    def _parse(self) -> Parsing:
        kind = yield 4
        if kind == TLS:
            self.wants_tls = True
        elif kind == SIGNED:
            algorithm = yield from _sized_raw(_ALGORITHM_OCTETS_MAX, "digest algorithm")
            hash_name(algorithm)
            if self._verify is None:
                raise MalformedMessage("the stream is signed and the key of the server is not known", field="stream")
            self._algorithm = algorithm
            self._head = kind + sized(algorithm)
        elif kind != UNSIGNED:
            raise MalformedMessage(f"a stream of kind {kind.hex()} is unknown", field="stream")
        elif not self._takes_unsigned:
            raise MalformedMessage(
                "the stream is neither signed nor inside TLS: anybody could have made it", field="stream"
            )
        yield from self._dump() if self._contents is Contents.DUMP else self._transactions()

    def _transactions(self) -> Parsing:
        format_ = yield from self._number(4)
        if format_ not in _FORMATS:
            raise MalformedMessage(f"format {format_} of transactions is unknown: 1 and 2 are known", field="format")
        status = yield from self._number(4)
        yield from self._settle(records.TransactionsBegin(format_, status))
        if status not in _STATUSES:
            raise MalformedMessage(f"status {status} of transactions is unknown: 1 and 2 are known", field="status")
        while True:
            kind = yield from self._number(1)
            record: Record
            if kind == records.Transaction.KIND:
                record = yield from self._transaction()
            elif kind == records.QueueBegins.KIND:
                record = records.QueueBegins((yield from self._text(bounds.FIELD_OCTETS_MAX, "queue name")))
            elif kind == records.QueueEnds.KIND:
                record = records.QueueEnds((yield from self._long()))
            elif kind == records.TransactionsEnd.KIND:
                date_ms = (yield from self._long()) if format_ == 1 else None
                yield from self._settle(records.TransactionsEnd(date_ms))
                return
            else:
                raise MalformedMessage(f"a transaction record of kind {kind} is unknown", field="kind")
            yield from self._settle(record)

    def _transaction(self) -> Generator[int, bytes, records.Transaction]:
        id_ = yield from self._long()
        handle = yield from self._text(limits.NAME_OCTETS_MAX, "handle")
        action = yield from self._number(1)
        if action > records.Action.DELETE_ALL:
            raise MalformedMessage(f"action {action} of a transaction is unknown", field="action")
        date_ms = yield from self._long()
        values: tuple[bytes, ...] = ()
        if action in records.WITH_VALUES:
            values = yield from self._values()
        return records.Transaction(id_, handle, action, date_ms, values)

    def _dump(self) -> Parsing:
        version = yield from self._number(4)
        if version not in _DUMP_VERSIONS:
            raise MalformedMessage(f"version {version} of a dump is unknown: 1 and 2 are known", field="version")
        yield from self._settle(records.DumpBegins(version))
        while True:
            kind = yield from self._number(1)
            if kind == _DUMP_DONE:
                self._released.append(records.DumpEnds())
                return
            yield from self._settle((yield from self._dumped(kind)))
            if version == _DUMP_VERSION_OLD and kind == records.Position.KIND:
                self._released.append(records.DumpEnds())  # there the position comes last
                return

    def _dumped(self, kind: int) -> Generator[int, bytes, Record]:
        if kind == records.Position.KIND:
            date_ms = yield from self._long()
            return records.Position(date_ms, (yield from self._long()))
        if kind == records.OtherPositions.KIND:
            return records.OtherPositions((yield from self._text(bounds.FIELD_OCTETS_MAX, "other positions")))
        if kind not in {1, 2, 3, 4}:
            raise MalformedMessage(f"a dump record of kind {kind} is unknown", field="kind")
        handle = yield from self._text(limits.NAME_OCTETS_MAX, "handle")
        if kind == records.DumpedHandle.KIND:
            return records.DumpedHandle(handle, (yield from self._values()))
        if kind == records.HomedPrefix.KIND:
            return records.HomedPrefix(handle)
        date_ms = yield from self._long()
        priority = yield from self._number(4)
        made = records.HandleDate if kind == records.HandleDate.KIND else records.PrefixDate
        return made(handle, date_ms, priority)

    def _values(self) -> Generator[int, bytes, tuple[bytes, ...]]:
        count = yield from self._number(4)
        if count > limits.VALUES_MAX:
            raise MalformedMessage(
                f"values says {count} items; at most {limits.VALUES_MAX} are allowed", field="values"
            )
        found: list[bytes] = []
        for _ in range(count):
            octets = yield from self._sized(_VALUE_OCTETS_MAX, "value")
            if len(octets) < VALUE_OCTETS_MIN:
                raise MalformedMessage(f"a value of {len(octets)} octets is too short to be one", field="value")
            found.append(octets)
        return tuple(found)

    def _take(self, octets: int) -> Generator[int, bytes, bytes]:
        """So many octets of the block under way."""
        if len(self._block) + octets > BLOCK_OCTETS_MAX:
            raise MalformedMessage(f"a record has more than {BLOCK_OCTETS_MAX} octets", field="record")
        part = (yield octets) if octets else b""
        self._block += part
        return part

    def _number(self, octets: int) -> Generator[int, bytes, int]:
        return int.from_bytes((yield from self._take(octets)), "big")

    def _long(self) -> Generator[int, bytes, int]:
        return int.from_bytes((yield from self._take(8)), "big", signed=True)

    def _sized(self, octets_max: int, field: str) -> Generator[int, bytes, bytes]:
        octets = yield from self._number(4)
        if octets > octets_max:
            raise MalformedMessage(f"{field} says {octets} octets; at most {octets_max} are allowed", field=field)
        return (yield from self._take(octets))

    def _text(self, octets_max: int, field: str) -> Generator[int, bytes, str]:
        return (yield from self._sized(octets_max, field)).decode("utf-8", "surrogateescape")

    def _settle(self, record: Record) -> Parsing:
        """Believe a record once its signature is right."""
        if self._algorithm is not None:
            signature = yield from _sized_raw(_SIGNATURE_OCTETS_MAX, "signature")
            assert self._verify is not None  # noqa: S101 - a signed stream was refused without it
            block, head = bytes(self._block), self._head
            self._head = b""
            if not self._verify(self._algorithm, signature, block) and not (
                head and self._verify(self._algorithm, signature, head + block)
            ):
                raise MalformedMessage("a signature in the stream is wrong: what it covers is not believed")
        self._block.clear()
        self._released.append(record)


def _sized_raw(octets_max: int, field: str) -> Generator[int, bytes, bytes]:
    """A byte string outside any block: a signature, or the name of its algorithm."""
    octets = int.from_bytes((yield 4), "big")
    if octets > octets_max:
        raise MalformedMessage(f"{field} says {octets} octets; at most {octets_max} are allowed", field=field)
    return (yield octets) if octets else b""
