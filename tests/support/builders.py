"""Short ways to say what tests are made of: values, requests, callers, ledgers and dumps of a store."""

from contextlib import contextmanager

from resolver.node import administer, record_octets
from resolver.node.authorize import Caller, Role
from resolver.node.ledger import Ledger
from resolver.v1 import handle_pb2, registry_pb2, stored_pb2
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table

ADMIN = Caller("administrator", Role.NODE_ADMINISTRATOR)
USER_A = Caller("user-a", Role.ENTERPRISE_USER, "ent-a")
APP_A = Caller("app-a", Role.APPLICATION, "ent-a")
USER_B = Caller("user-b", Role.ENTERPRISE_USER, "ent-b")
APP_B = Caller("app-b", Role.APPLICATION, "ent-b")
PREFIX_A, PREFIX_B = "88.300.10", "88.300.20"

RECORD_OCTETS_MAX = 1 << 20

PUBLIC, HIDDEN, NOBODY = 14, 12, 0
"""Permissions 1110, 1100 and 0000."""


def value(index=1, data="data", type_="URL", **fields):
    return handle_pb2.HandleValue(
        index=index, type=type_, data=data.encode() if isinstance(data, str) else data, **fields
    )


def enterprise(enterprise_id, **fields):
    return registry_pb2.Enterprise(enterprise_id=enterprise_id, name=fields.pop("name", enterprise_id), **fields)


@contextmanager
def ledger_on(engine, clock):
    """A write transaction with its ledger, closed and committed at the end of the block."""
    with engine.write() as writer:
        ledger = Ledger(writer, clock.now_us())
        yield ledger
        ledger.close()


def register(engine, clock, name, values=None, caller=ADMIN, template_id="", on_existing=0):
    """Register one handle in a transaction of its own; the outcome."""
    given = [value()] if values is None else values
    draft = administer.prepare(name, given, template_id, clock.now_us() // 1_000_000, RECORD_OCTETS_MAX)
    with ledger_on(engine, clock) as ledger:
        return administer.create(ledger, caller, draft, on_existing)


def add_prefix(writer, prefix, enterprise_id="", status=registry_pb2.PREFIX_STATUS_ENABLED, **fields):
    """Put a prefix row as the registry would, without asking the policy."""
    row = registry_pb2.Prefix(
        prefix=prefix,
        enterprise_id=enterprise_id,
        status=status,
        homed=fields.pop("homed", True),
        hosting=fields.pop("hosting", registry_pb2.HOSTING_HERE),
        version=1,
        **fields,
    )
    writer.put(Table.PREFIXES, prefix.upper().encode(), row.SerializeToString())
    writer.put(Table.OWNED, enterprise_id.encode() + b"\0" + prefix.upper().encode(), b"")


def filled_store(directory, rows=2_000):
    """A store with so many records of no meaning, closed; its directory."""
    engine = LmdbEngine(directory)
    with engine.write() as writer:
        writer.put_many(Table.RECORDS, [(b"%06d" % number, b"x" * 200, 0) for number in range(rows)])
    engine.close()
    return directory


def dump(engine, tables=tuple(Table)):
    """Every row of some tables: table name, key, body."""
    with engine.read() as reader:
        return [(table.name, key, body) for table in tables for key, body in reader.scan(table)]


def recount(engine):
    """Handles, octets and set hash by prefix key, counted anew from the records."""
    found = {}
    with engine.read() as reader:
        for key, public in reader.scan(Table.RECORDS):
            hidden = reader.get(Table.RESTRICTED, key) or b""
            name = record_octets.parse(public).name
            tally = found.setdefault(name.partition("/")[0].upper().encode(), [0, 0, 0])
            tally[0] += 1
            tally[1] += len(public) + len(hidden)
            tally[2] = (tally[2] + int.from_bytes(record_octets.digest(key, public, hidden), "big")) % (1 << 256)
    return found


def tallies(engine):
    """What the store says of each prefix that has handles, in the form of ``recount``."""
    found = {}
    with engine.read() as reader:
        for key, body in reader.scan(Table.TALLIES):
            row = stored_pb2.StoredTally.FromString(body)
            if row.handle_count or any(row.set_hash) or row.record_octets:
                found[key] = [row.handle_count, row.record_octets, int.from_bytes(row.set_hash, "big")]
    return found


def journal(engine):
    """Every entry of the journal, with the serial of its key."""
    from resolver.v1 import changes_pb2

    with engine.read() as reader:
        return [
            (int.from_bytes(key, "big"), changes_pb2.Change.FromString(body))
            for key, body in reader.scan(Table.CHANGES)
        ]
