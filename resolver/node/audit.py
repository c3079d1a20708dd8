"""The audit: whether the rows of a store mean the same wherever they say the same thing.

``storage.check`` reads every row and its checksum; this knows what the rows mean and compares: counters and set
hash of each prefix against its records, each record against the journal entry it names, each journal entry
against what is there now, restricted rows against the mark of their record, indexes against what they index.

It runs beside writers. Rows are taken in bites, each in a read transaction of its own, and whatever is compared
is read in the same transaction, so every comparison is of one moment. A prefix takes many bites: its sums are
compared only when its tally has the same serial in all of them; a prefix that is written without pause is
summed once more in a single transaction that does nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from resolver.handle.name import fold_octets, key_of_octets
from resolver.node import audit_rows, record_octets, search, shares
from resolver.node.audit_files import to_its_end
from resolver.node.ledger import serial_key
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import registry_pb2 as registry
from resolver.v1 import stored_pb2 as stored
from storage.errors import PageCorrupt, RowCorrupt
from storage.tables import MARK, Table, marks_of, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storage.check import CheckReport
    from storage.engine import Engine, Reader

BITE_ROWS = 1_000
"""Rows of one read transaction: some ten milliseconds with everything they are compared to."""

BITE_OCTETS = 4 << 20
"""Octets of rows after which a bite ends early."""

_HASH_MODULUS = 1 << 256
_AFTER_SLASH = b"0"
"""The octet after '/': handle keys of prefix P lie from P/ up to P0."""

Row = tuple[bytes, bytes]
T = TypeVar("T")


class _Sums(NamedTuple):
    """What the records of a prefix add up to."""

    handle_count: int
    record_octets: int
    set_hash: int

    def plus(self, key: bytes, public: bytes, restricted: bytes) -> _Sums:
        digest = int.from_bytes(record_octets.digest(key, public, restricted), "big")
        return _Sums(
            self.handle_count + 1,
            self.record_octets + len(public) + len(restricted),
            (self.set_hash + digest) % _HASH_MODULUS,
        )


_NOTHING = _Sums(0, 0, 0)


class _Bite(NamedTuple):
    """Some records of a prefix: its tally then, the sums with them, the rows, and what is wrong with them."""

    tally: bytes | None
    sums: _Sums
    rows: list[Row]
    findings: list[tuple[bytes, str]]


def audit(engine: Engine, report: CheckReport, progress: Callable[[int], None] | None = None) -> None:
    """Compare everything; what does not fit is added to the report.

    ``progress`` is called with the rows compared so far. Rows that do not fit their checksum are passed over:
    ``storage.check.check`` tells of them. Damage that ends the comparison of a table is a finding too.
    """
    done = 0

    def tell(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done)

    with to_its_end(report, Table.RECORDS):
        _audit_prefixes(engine, report, tell)
    for table, judge in JUDGES.items():
        with to_its_end(report, table):
            for findings, rows in _bites(engine, table, judge):
                for key, problem in findings:
                    report.find(table, key, problem)
                tell(rows)


def _bites(
    engine: Engine, table: Table, judge: Callable[[Reader, bytes, bytes], Iterator[str]]
) -> Iterator[tuple[list[tuple[bytes, str]], int]]:
    """What a judge finds in each bite of a table, and how many rows the bite had."""
    start = b""
    with engine.read() as reader:
        last = reader.last_key(table)
    stop = b"" if last is None else last + b"\0"
    while start < stop:

        def bite(reader: Reader, start: bytes = start) -> tuple[list[tuple[bytes, str]], list[Row]]:
            rows = _take(reader, table, start, stop)
            return [(key, problem) for key, row in rows for problem in _judged(judge, reader, table, key, row)], rows

        findings, rows = _reading(engine, bite)
        if not rows:
            return
        yield findings, len(rows)
        start = rows[-1][0] + b"\0"


def _judged(
    judge: Callable[[Reader, bytes, bytes], Iterator[str]], reader: Reader, table: Table, key: bytes, row: bytes
) -> list[str]:
    try:
        return list(judge(reader, key, unseal(table, key, row)))
    except RowCorrupt:
        return []
    except (DecodeError, UnicodeDecodeError, IndexError) as error:
        return [f"cannot be read ({error}): restore it from a backup or a mirror"]


def _reading(engine: Engine, work: Callable[[Reader], T]) -> T:
    """The result of work in one read transaction; tried twice, as PageCorrupt may be a false alarm."""
    try:
        with engine.read() as reader:
            return work(reader)
    except PageCorrupt:
        with engine.read() as reader:
            return work(reader)


def _take(reader: Reader, table: Table, start: bytes, stop: bytes) -> list[Row]:
    rows: list[Row] = []
    octets = 0
    for key, row in reader.scan_rows(table, start, stop):
        rows.append((key, row))
        octets += len(row)
        if len(rows) >= BITE_ROWS or octets >= BITE_OCTETS:
            break
    return rows


# Prefixes and their records


def _audit_prefixes(engine: Engine, report: CheckReport, tell: Callable[[int], None]) -> None:
    seen: set[bytes] = set()
    start = b""
    while (prefix_key := _reading(engine, lambda reader, start=start: _next_prefix(reader, start))) is not None:  # type: ignore[misc]
        _audit_prefix(engine, report, prefix_key, tell)
        seen.add(prefix_key)
        start = prefix_key + _AFTER_SLASH
    for findings, _ in _bites(engine, Table.TALLIES, lambda _reader, key, _body: iter(() if key in seen else ("",))):
        for prefix_key, _problem in findings:
            _audit_prefix(engine, report, prefix_key, tell)


def _next_prefix(reader: Reader, start: bytes) -> bytes | None:
    """The prefix of the first record from a key on."""
    for key, _ in reader.scan_rows(Table.RECORDS, start):
        return key.partition(b"/")[0]
    return None


def _audit_prefix(engine: Engine, report: CheckReport, prefix_key: bytes, tell: Callable[[int], None]) -> None:
    stop = prefix_key + _AFTER_SLASH
    start = prefix_key + b"/"
    sums = _NOTHING
    tallies: set[bytes | None] = set()
    while True:

        def bite(reader: Reader, start: bytes = start, sums: _Sums = sums) -> _Bite:
            found: list[tuple[bytes, str]] = []
            rows = _take(reader, Table.RECORDS, start, stop)
            for key, row in rows:
                restricted = _restricted(reader, key)
                found += [(key, problem) for problem in _record_problems(reader, key, row, restricted)]
                sums = sums.plus(key, row[5:], restricted)
            return _Bite(_tally(reader, prefix_key), sums, rows, found)

        tally, sums, rows, found = _reading(engine, bite)
        tallies.add(tally)
        for key, problem in found:
            report.find(Table.RECORDS, key, problem)
        tell(len(rows))
        if not rows:
            break
        start = rows[-1][0] + b"\0"
    if len(tallies) > 1:
        tally, sums = _reading(engine, lambda reader: _sums_at_once(reader, prefix_key))
    for problem in () if tally is None else _tally_problems(tally, sums):
        report.find(Table.TALLIES, prefix_key, problem)


def _sums_at_once(reader: Reader, prefix_key: bytes) -> tuple[bytes | None, _Sums]:
    """Tally and sums of a prefix at one moment."""
    sums = _NOTHING
    for key, row in reader.scan_rows(Table.RECORDS, prefix_key + b"/", prefix_key + _AFTER_SLASH):
        sums = sums.plus(key, row[5:], _restricted(reader, key) if marks_of(row) & MARK else b"")
    return _tally(reader, prefix_key), sums


def _tally(reader: Reader, prefix_key: bytes) -> bytes | None:
    """The tally of a prefix, None when it does not fit its checksum."""
    try:
        return reader.get(Table.TALLIES, prefix_key) or b""
    except RowCorrupt:
        return None


def _restricted(reader: Reader, key: bytes) -> bytes:
    row = reader.get_row(Table.RESTRICTED, key)
    return b"" if row is None else row[5:]


def _tally_problems(body: bytes, sums: _Sums) -> Iterator[str]:
    tally = stored.StoredTally.FromString(body)
    for what, says, are in (
        ("handles", tally.handle_count, sums.handle_count),
        ("octets of records", tally.record_octets, sums.record_octets),
    ):
        if says != are:
            yield f"counts {says} {what} where {are} are: a record was lost or added outside of a transaction"
    if int.from_bytes(tally.set_hash, "big") != sums.set_hash:
        yield "has another set hash than its records: a record was lost, added or changed outside of a transaction"


def _record_problems(reader: Reader, key: bytes, row: bytes, restricted: bytes) -> Iterator[str]:
    try:
        public = unseal(Table.RECORDS, key, row)
        record = record_octets.parse(public)
    except RowCorrupt:
        return
    except (DecodeError, IndexError) as error:
        yield f"is no record ({error}): restore it from a backup or a mirror"
        return
    if key_of_octets(record.name.encode()) != key:
        yield f"holds the record of another handle, {record.name!r}"
        return
    if bool(marks_of(row) & MARK) != bool(restricted):
        yield (
            "is marked as having restricted values and has none"
            if not restricted
            else ("has restricted values and is not marked")
        )
    entry = _change(reader, record.serial)
    if entry is None:
        yield f"names serial {record.serial}, which the journal does not have"
    elif key_of_octets(entry.name.encode()) != key or entry.version != record.version:
        journal = f"version {entry.version} of {entry.name!r}"
        yield f"is version {record.version} by serial {record.serial}, which is {journal} in the journal"
    elif entry.record_digest != record_octets.digest(key, public, restricted):
        yield f"differs from what serial {record.serial} of the journal recorded: restore it from a backup or a mirror"
    if lacking := search.missing(reader, key, public):
        yield f"cannot be found by {lacking} of its values that can be searched for"


def _change(reader: Reader, serial: int) -> changes.Change | None:
    try:
        body = reader.get(Table.CHANGES, serial_key(serial))
        return None if body is None else changes.Change.FromString(body)
    except (RowCorrupt, DecodeError):
        return None


# Tables that are judged row by row


def _judge_change(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    """What an entry did must be there still, or something later."""
    entry = changes.Change.FromString(body)
    if serial_key(entry.serial) != key:
        yield f"says that it is serial {entry.serial}"
        return
    handle_key = key_of_octets(entry.name.encode())
    record = reader.get(Table.RECORDS, handle_key)
    if record is not None:
        serial, version = record_octets.parse(record).serial, record_octets.parse(record).version
        what = "record"
    else:
        tombstone = stored.StoredTombstone.FromString(reader.get(Table.TOMBSTONES, handle_key) or b"")
        serial, version, what = tombstone.serial, tombstone.version, "trace of a deletion"
    share = shares.share_of(reader)
    if share is not None and not serial and not share.holds(fold_octets(entry.name.encode())):
        return  # it has gone to the server that it belongs to
    if serial < entry.serial:
        there = f"the {what} there is of serial {serial}" if serial else "there is neither record nor deletion"
        yield f"made version {entry.version} of {entry.name!r}, and {there}: the change was lost"
    elif serial == entry.serial and version != entry.version:
        yield f"made version {entry.version} of {entry.name!r}, and the {what} there is version {version}"


_BURYING = {changes.OPERATION_DELETE, changes.OPERATION_ARRIVE}


def _judge_tombstone(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    tombstone = stored.StoredTombstone.FromString(body)
    if reader.get_row(Table.RECORDS, key) is not None:
        yield "is deleted and registered at once"
    entry = _change(reader, tombstone.serial)
    if entry is None or entry.operation not in _BURYING or key_of_octets(entry.name.encode()) != key:
        yield f"names serial {tombstone.serial}, which is not its deletion"


def _judge_restricted(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    stored.StoredRestricted.FromString(body)
    row = reader.get_row(Table.RECORDS, key)
    if row is None:
        yield "holds values of a handle that has no record"


def _judge_prefix(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = registry.Prefix.FromString(body)
    if reader.get_row(Table.OWNED, row.enterprise_id.encode() + b"\0" + key) is None:
        yield f"is not in the list of prefixes of enterprise {row.enterprise_id!r}"
    if row.enterprise_id and reader.get_row(Table.ENTERPRISES, row.enterprise_id.encode()) is None:
        yield f"belongs to enterprise {row.enterprise_id!r}, which does not exist"


def _judge_owned(reader: Reader, key: bytes, _: bytes) -> Iterator[str]:
    enterprise_id, _nul, prefix_key = key.partition(b"\0")
    body = reader.get(Table.PREFIXES, prefix_key)
    if body is None or registry.Prefix.FromString(body).enterprise_id.encode() != enterprise_id:
        yield "lists a prefix that the enterprise does not own"


def _judge_enterprise(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    code = registry.Enterprise.FromString(body).credit_code.encode()
    if code and reader.get(Table.CREDIT_CODES, code) != key:
        yield f"cannot be found by its credit code {code.decode()}"


def _judge_credit_code(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = reader.get(Table.ENTERPRISES, body)
    if row is None or registry.Enterprise.FromString(row).credit_code.encode() != key:
        yield f"names enterprise {body.decode()!r}, which has another credit code or does not exist"


def _judge_key(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = stored.StoredKey.FromString(body)
    if reader.get(Table.KEY_IDS, row.key_id.encode()) != key:
        yield f"cannot be found by its id {row.key_id!r}: it could not be revoked"
    if reader.get(Table.HELD, _held_key(row)) != key:
        yield f"is not in the list of credentials of principal {row.principal_id!r}"
    if reader.get_row(Table.PRINCIPALS, row.principal_id.encode()) is None:
        yield f"belongs to principal {row.principal_id!r}, which does not exist"


def _judge_key_id(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = reader.get(Table.KEYS, body)
    if row is None or stored.StoredKey.FromString(row).key_id.encode() != key:
        yield "names a credential that does not exist"


def _held_key(row: stored.StoredKey) -> bytes:
    return row.principal_id.encode() + b"\0" + (2**64 - 1 - row.create_time_us).to_bytes(8, "big") + row.key_id.encode()


def _judge_held(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = reader.get(Table.KEYS, body)
    if row is None or _held_key(stored.StoredKey.FromString(row)) != key:
        yield "lists a credential that the principal does not have"


def _judge_member(reader: Reader, key: bytes, _: bytes) -> Iterator[str]:
    enterprise_id, _nul, principal_id = key.partition(b"\0")
    body = reader.get(Table.PRINCIPALS, principal_id)
    if body is None or registry.Principal.FromString(body).enterprise_id.encode() != enterprise_id:
        yield "lists a principal that does not act for the enterprise"


def _judge_principal(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = registry.Principal.FromString(body)
    if row.enterprise_id and reader.get_row(Table.MEMBERS, row.enterprise_id.encode() + b"\0" + key) is None:
        yield f"is not in the list of principals of enterprise {row.enterprise_id!r}"
    if row.enterprise_id and reader.get_row(Table.ENTERPRISES, row.enterprise_id.encode()) is None:
        yield f"acts for enterprise {row.enterprise_id!r}, which does not exist"


def _judge_search(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    if problem := search.problems(reader, key, body):
        yield f"{problem}: choose other types to search for and these again, which builds the table anew"


JUDGES: dict[Table, Callable[[Reader, bytes, bytes], Iterator[str]]] = {
    Table.CHANGES: _judge_change,
    Table.TOMBSTONES: _judge_tombstone,
    Table.RESTRICTED: _judge_restricted,
    Table.PREFIXES: _judge_prefix,
    Table.OWNED: _judge_owned,
    Table.ENTERPRISES: _judge_enterprise,
    Table.CREDIT_CODES: _judge_credit_code,
    Table.KEYS: _judge_key,
    Table.KEY_IDS: _judge_key_id,
    Table.PRINCIPALS: _judge_principal,
    Table.MEMBERS: _judge_member,
    Table.HELD: _judge_held,
    Table.SEARCH: _judge_search,
    **audit_rows.JUDGES,
}
"""For each table what must hold for a row, as sentences about the row that does not."""
