"""A primary and its mirrors without processes: copies, streams cut anywhere, promotions, ends that are lost."""

import random

import pytest

from resolver.errors import InvalidTransition, MalformedMessage, NotPrimary, RecordCorrupt, ResolverError
from resolver.node import administer, mirror_copy, mirror_source, row_log, site_role
from resolver.node.administer import Target
from resolver.node.audit import audit
from resolver.node.ledger import Ledger, serial_key
from resolver.node.mirror_source import MirrorSource
from resolver.registry import admin_token, enterprises
from resolver.registry.first_start import first_start
from resolver.v1 import mirror_pb2 as pb
from resolver.v1 import registration_pb2
from storage.check import CheckReport
from storage.memory_engine import MemoryEngine
from storage.recording import RecordingWriter
from storage.tables import Table
from tests.support.builders import ADMIN, HIDDEN, enterprise, value

MOST = 1 << 20
EQUAL = sorted((row_log.TABLES | {Table.RECORDS, Table.RESTRICTED, Table.TOMBSTONES, Table.CHANGES}), key=str)


class Node:
    """One store, changed as a write lane changes it."""

    def __init__(self, name, clock):
        self.name, self.clock, self.engine = name, clock, MemoryEngine()
        self.start_sweep = False

    def commit(self, change, *, everywhere=False):
        with self.engine.write() as writer:
            site = site_role.site_of(writer)
            refusal = site_role.refusal(site)
            if refusal is not None and not everywhere:
                raise refusal
            watched = RecordingWriter(writer, row_log.TABLES) if site.logging and refusal is None else None
            ledger = Ledger(watched or writer, self.clock.now_us())
            result = change(ledger)
            ledger.close()
            if watched is not None:
                row_log.append(writer, watched.touched, ledger.serial)
        return result

    def site(self):
        with self.engine.read() as reader:
            return site_role.site_of(reader)

    def held(self):
        with self.engine.read() as reader:
            return site_role.position(reader)

    def become_primary(self, randomness):
        first_start(self.engine, "88.300", self.clock.now_us(), randomness)

        def log(ledger):
            site = site_role.site_of(ledger.writer)
            site.logging, site.site_id = True, b"site"
            site_role.store(ledger.writer, site)

        self.commit(log)

    def follow(self, primary, most=1_000_000):
        """Follow for so many messages; whether everything was settled."""
        if self.site().role != pb.SITE_ROLE_MIRROR or self.site().primary != primary.name:
            is_new = self.held().serial == 0
            self.commit(
                lambda ledger: site_role.follow(ledger.writer, primary.name, self.name, is_new=is_new), everywhere=True
            )
        site = self.site()
        request = pb.FollowRequest(
            mirror_id=self.name,
            epoch=site_role.epoch_of(site),
            held=self.held(),
            site_id=site.site_id,
            start_sweep=self.start_sweep or site_role.needs_copy(site),
        )
        if site.HasField("sweep"):
            request.sweep.CopyFrom(site.sweep)
        source = MirrorSource()
        with primary.engine.read() as reader:
            greeting = source.greet(reader, request)
        self.parted = greeting.parted.serial if greeting.HasField("parted") else None
        self.commit(lambda ledger: mirror_copy.adopt_greeting(ledger.writer, greeting), everywhere=True)
        self.start_sweep = False
        for _ in range(most):
            with primary.engine.read() as reader:
                message = source.next_message(reader)
                if not message.HasField("chunk") and not message.HasField("rows"):
                    message = source.check(reader)
            octets = message.SerializeToString()
            copied = self.commit(
                lambda ledger, octets=octets: mirror_copy.apply(ledger, pb.FollowResponse.FromString(octets)),
                everywhere=True,
            )
            self.start_sweep = self.start_sweep or bool(copied.parted)
            if message.rows.settled and not message.rows.changes and not message.rows.log:
                return not copied.parted
        return False

    def register(self, name, *, hidden=False):
        given = [value(), *([value(2, "geheim", permissions=HIDDEN)] if hidden else [])]
        draft = administer.prepare(name, given, "", 1, MOST)
        return self.commit(lambda ledger: administer.create(ledger, ADMIN, draft, registration_pb2.ON_EXISTING_REPLACE))

    def delete(self, name):
        return self.commit(lambda ledger: administer.delete(ledger, ADMIN, Target.of(name, None)))

    def rows(self):
        """What the nodes of a site have in common."""
        found = []
        with self.engine.read() as reader:
            for table in EQUAL:
                found += [
                    (table.name, key, row)
                    for key, row in reader.scan(table)
                    if table is not Table.META or row_log.is_followed(table, key)
                ]
            found += [("TALLY", key, row) for key, row in reader.scan(Table.TALLIES)]
        return found

    def findings(self):
        report = CheckReport()
        audit(self.engine, report)
        return report.findings


@pytest.fixture
def primary(clock, randomness):
    node = Node("primary", clock)
    node.become_primary(randomness)
    return node


def mirror(clock, name="mirror"):
    return Node(name, clock)


def test_a_new_mirror_copies_everything_and_follows(primary, clock):
    names = [f"88.300.1/P-{number}" for number in range(30)]
    for name in names:
        primary.register(name, hidden=name.endswith("7"))
    primary.delete(names[3])
    other = mirror(clock)
    assert other.follow(primary)
    assert other.rows() == primary.rows()
    primary.register("88.300.1/later")
    primary.register("88.300.1/" + "long" * 200)
    primary.delete(names[5])
    primary.commit(
        lambda ledger: enterprises.create(ledger.writer, ADMIN, enterprise("acme"), clock.now_us(), lambda n: b"e" * n)
    )
    assert other.follow(primary)
    assert other.rows() == primary.rows()
    assert other.findings() == []
    assert other.site().complete


def test_a_mirror_takes_no_changes(primary, clock):
    other = mirror(clock)
    other.follow(primary)
    with pytest.raises(NotPrimary, match="primary"):
        other.register("88.300.1/A")


def test_a_copy_goes_on_where_it_was_cut(primary, clock, monkeypatch):
    monkeypatch.setattr(mirror_source, "OCTETS_MAX", 300)
    for number in range(20):
        primary.register(f"88.300.1/P-{number}")
    other = mirror(clock)
    cuts = 0
    while not other.follow(primary, most=3):
        cuts += 1
        if cuts == 4:
            primary.register("88.300.1/in-between")
            primary.delete("88.300.1/P-0")
        assert not (other.site().complete and other.site().HasField("sweep"))
    assert cuts > 8
    assert other.rows() == primary.rows()
    assert other.findings() == []


def test_what_a_fenced_primary_alone_has_is_told_and_given_up(primary, clock):
    first, second = mirror(clock, "first"), mirror(clock, "second")
    for number in range(5):
        primary.register(f"88.300.1/P-{number}")
    assert first.follow(primary)
    assert second.follow(primary)
    primary.register("88.300.1/LOST")
    kept = first.held().serial
    assert second.follow(primary)  # this one has heard of it
    epoch = first.commit(lambda ledger: site_role.promote(ledger, kept), everywhere=True)
    assert (epoch.number, epoch.start.serial) == (2, kept)
    first.register("88.300.1/NEW")
    primary.commit(lambda ledger: site_role.fence(ledger.writer, 2, "first"), everywhere=True)
    with pytest.raises(NotPrimary, match="first"):
        primary.register("88.300.1/TOO-LATE")
    for old in (primary, second):
        with old.engine.read() as reader:
            lost = mirror_copy.discarded(reader, kept, 10)
        assert [change.name for change in lost] == ["88.300.1/LOST"]
        assert old.follow(first)
        assert old.parted == kept
        assert old.rows() == first.rows()
        assert old.findings() == []


def test_rows_that_differ_are_found_and_copied_again(primary, clock):
    primary.register("88.300.1/A")
    primary.register("88.300.1/B")
    other = mirror(clock)
    other.follow(primary)
    with other.engine.write() as writer:  # damage that no checksum can see: a row has gone
        writer.delete(Table.RECORDS, b"88.300.1/A")
        ledger = Ledger(writer, clock.now_us())
        ledger._tally(b"88.300.1").handles -= 1
        ledger.close()
    assert not other.follow(primary)
    assert other.start_sweep
    assert other.follow(primary)
    assert other.rows() == primary.rows()
    assert other.findings() == []


DAMAGED = [
    (Table.RECORDS, b"88.300.1/A"),
    (Table.RECORDS, b"88.300.1/GONE"),
    (Table.TALLIES, b"88.300.1"),
    (Table.CHANGES, serial_key(1)),
    (Table.TOMBSTONES, b"88.300.1/BURIED"),
    (Table.ENTERPRISES, b"acme"),
]


@pytest.mark.parametrize(("table", "key"), DAMAGED)
@pytest.mark.parametrize("again", [False, True], ids=["followed", "copied"])
def test_a_mirror_heals_what_is_damaged_on_its_own_disk(primary, clock, table, key, again):
    for name in ("A", "B", "GONE", "BURIED"):
        primary.register(f"88.300.1/{name}", hidden=True)
    primary.delete("88.300.1/BURIED")
    primary.commit(
        lambda ledger: enterprises.create(ledger.writer, ADMIN, enterprise("acme"), clock.now_us(), lambda n: b"e" * n)
    )
    other = mirror(clock)
    other.follow(primary)
    with other.engine.write() as writer:
        rows = writer._tables[table].by_key
        rows[key] = rows[key][:-1] + bytes([rows[key][-1] ^ 1])
    primary.register("88.300.1/A")
    primary.delete("88.300.1/GONE")
    primary.register("88.300.1/BURIED")
    other.start_sweep = again
    for _ in range(3):
        other.follow(primary)
    if again or table not in (Table.CHANGES, Table.ENTERPRISES):  # what nobody changes is not sent
        assert other.rows() == primary.rows()
        assert other.findings() == []
    assert other.held() == primary.held()


def test_a_tally_that_is_wrong_is_made_anew(primary, clock):
    """A copy changes no record then, and would be begun again for ever."""
    primary.register("88.300.1/A")
    other = mirror(clock)
    other.follow(primary)
    with other.engine.write() as writer:
        ledger = Ledger(writer, clock.now_us())
        ledger._tally(b"88.300.1").handles += 1
        ledger.close()
    assert other.follow(primary)
    assert other.rows() == primary.rows()


def test_a_mirror_that_was_away_too_long_copies_again(primary, clock, monkeypatch):
    other = mirror(clock)
    other.follow(primary)
    monkeypatch.setattr(row_log, "ROW_LOG_ENTRIES_MAX", 3)
    for number in range(12):
        primary.commit(
            lambda ledger, n=number: enterprises.create(
                ledger.writer, ADMIN, enterprise(f"ent-{n}"), clock.now_us(), lambda k: b"e" * k
            )
        )
    with primary.engine.read() as reader:
        assert row_log.first_sequence(reader) > 2
    assert other.follow(primary)
    assert other.rows() == primary.rows()


def test_promotion_is_refused_where_it_would_lose_more_than_said(primary, clock):
    other = mirror(clock)
    with pytest.raises(InvalidTransition, match="only a mirror"):
        primary.commit(lambda ledger: site_role.promote(ledger, 0), everywhere=True)
    primary.register("88.300.1/A")
    other.commit(lambda ledger: site_role.follow(ledger.writer, "primary", "mirror", is_new=True), everywhere=True)
    with pytest.raises(InvalidTransition, match="not finished copying"):  # it has not even begun
        other.commit(lambda ledger: site_role.promote(ledger, 0), everywhere=True)
    other.follow(primary, most=1)
    with pytest.raises(InvalidTransition, match="not finished copying"):
        other.commit(lambda ledger: site_role.promote(ledger, 0), everywhere=True)
    other.follow(primary)
    with pytest.raises(InvalidTransition, match="holds changes up to"):
        other.commit(lambda ledger: site_role.promote(ledger, 99), everywhere=True)


def test_the_store_of_another_site_is_no_mirror(primary, clock, randomness):
    stranger = Node("stranger", clock)
    stranger.become_primary(randomness)
    stranger.register("88.300.1/X")
    stranger.commit(lambda ledger: setattr_site(ledger, b"other"))
    before = stranger.rows()
    with pytest.raises(InvalidTransition, match="another site"):
        stranger.follow(primary)
    assert stranger.rows() == before


def setattr_site(ledger, site_id):
    site = site_role.site_of(ledger.writer)
    site.site_id = site_id
    site_role.store(ledger.writer, site)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (pb.FollowResponse(rows=pb.ChangedRows(first_serial=99, changes=[b"x"])), MalformedMessage),
        (pb.FollowResponse(rows=pb.ChangedRows(first_sequence=99, log=[b"x"])), MalformedMessage),
        (pb.FollowResponse(rows=pb.ChangedRows(rows=[pb.RowImage(table="none", key=b"k")])), MalformedMessage),
        (
            pb.FollowResponse(rows=pb.ChangedRows(rows=[pb.RowImage(table="keys", key=b"k", row=b"\1damaged")])),
            RecordCorrupt,
        ),
        (pb.FollowResponse(chunk=pb.SweepChunk(table="keys", rows=[b"k", b"\1damaged"])), RecordCorrupt),
    ],
)
def test_what_cannot_be_right_changes_nothing(primary, clock, message, error):
    other = mirror(clock)
    other.follow(primary)
    before = other.rows()
    with pytest.raises(error):
        other.commit(lambda ledger: mirror_copy.apply(ledger, message), everywhere=True)
    assert other.rows() == before


@pytest.mark.parametrize("seed", range(25))
def test_any_history_ends_with_equal_nodes(clock, randomness, monkeypatch, seed):
    """Three nodes, changes, cut streams and promotions at random; all follow the last primary at the end."""
    monkeypatch.setattr(mirror_source, "OCTETS_MAX", 400)
    monkeypatch.setattr(mirror_source, "ENTRIES_MAX", 4)
    chance = random.Random(seed)
    nodes = [Node(name, clock) for name in ("a", "b", "c")]
    nodes[0].become_primary(randomness)
    primary = nodes[0]
    for step in range(120):
        roll = chance.random()
        name = f"88.300.1/P-{chance.randrange(12)}"
        if roll < 0.4:
            primary.register(name, hidden=chance.random() < 0.3)
        elif roll < 0.5:
            try:
                primary.delete(name)
            except ResolverError:
                continue
        elif roll < 0.6:
            row = enterprise(f"ent-{step}")
            primary.commit(
                lambda ledger, row=row: enterprises.create(
                    ledger.writer, ADMIN, row, clock.now_us(), lambda n: b"e" * n
                )
            )
        elif roll < 0.95:
            other = chance.choice([node for node in nodes if node is not primary])
            other.follow(primary, most=chance.randrange(1, 9))
        else:
            other = chance.choice([node for node in nodes if node is not primary])
            try:
                other.commit(lambda ledger: site_role.promote(ledger, 0), everywhere=True)
            except InvalidTransition:
                continue
            epoch = site_role.epoch_of(other.site())
            old = primary
            old.commit(lambda ledger, epoch=epoch: site_role.fence(ledger.writer, epoch, ""), everywhere=True)
            primary = other
        clock.advance(0.5)
    for node in nodes:
        if node is not primary:
            assert node.follow(primary)
            assert node.rows() == primary.rows()
            assert node.findings() == []
    assert primary.findings() == []


def test_a_new_token_of_the_administrator_reaches_mirrors_also_from_a_promoted_one(primary, clock, randomness):
    """Made at a mirror it would part it from the others unseen; behind a promotion it is the new epoch's."""
    one, other = mirror(clock, "one"), mirror(clock, "other")
    for each in (one, other):
        each.follow(primary)
    primary.commit(lambda ledger: admin_token.renew(ledger, randomness, lambda _: None))
    for each in (one, other):
        assert each.follow(primary)
        assert each.rows() == primary.rows()
    one.commit(lambda ledger: site_role.promote(ledger, 0), everywhere=True)
    one.commit(lambda ledger: admin_token.renew(ledger, randomness, lambda _: None))
    for each in (other, primary):
        each.commit(lambda ledger: site_role.fence(ledger.writer, 2, "one"), everywhere=True)
        assert each.follow(one)
        assert each.rows() == one.rows()
        assert each.findings() == []
