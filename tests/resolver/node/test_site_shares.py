"""Servers of one site without processes: shares, the registry that follows, and changes of the site under writes."""

import random

import pytest

from resolver.errors import HandleNotFound, InvalidField, InvalidTransition, NotThisServer, SiteChanging
from resolver.federation.siblings import pulls_of
from resolver.handle.name import PREFIX_OF_PREFIXES, fold_octets
from resolver.node import administer, row_log, share_copy, shares, site_info, site_record, site_role, site_steps
from resolver.node.administer import Target
from resolver.node.audit import audit
from resolver.node.authorize import ANONYMOUS
from resolver.node.ledger import Ledger
from resolver.node.prefixes import ServedPrefixes
from resolver.node.record_octets import parse
from resolver.node.resolve import resolve
from resolver.node.share_source import REGISTRY_TABLES, ShareSource, is_of_registry
from resolver.registry import enterprises
from resolver.registry.first_start import first_start
from resolver.v1 import mirror_pb2, registration_pb2, site_pb2
from resolver.wire.hash_selection import key_index, server_index
from storage.check import CheckReport
from storage.memory_engine import MemoryEngine
from storage.recording import RecordingWriter
from storage.tables import Table
from tests.support.builders import ADMIN, HIDDEN, add_prefix, enterprise, value

MOST = 1 << 20
PREFIX, SUFFIX, WHOLE = site_pb2.SITE_HASH_PREFIX, site_pb2.SITE_HASH_SUFFIX, site_pb2.SITE_HASH_WHOLE
LONG = "88.300.1/" + "x" * 600


class Server:
    """One store, changed as a write lane changes it."""

    def __init__(self, number, clock):
        self.number, self.clock, self.engine = number, clock, MemoryEngine()
        self.grpc = f"server-{number}:2640"
        self.site = site_info.site_of(f"192.0.2.{number}", 2641, 2641, b"", "", grpc_port=2640).to_wire()

    def commit(self, change, *, everywhere=False):
        with self.engine.write() as writer:
            site = site_role.site_of(writer)
            watched = RecordingWriter(writer, row_log.TABLES) if site.logging else None
            ledger = Ledger(watched or writer, self.clock.now_us())
            fence = ledger.share.fence(self.clock.now_us()) if ledger.share is not None else None
            if fence is not None and not everywhere:
                raise fence
            result = change(ledger)
            ledger.close()
            if watched is not None:
                row_log.append(writer, watched.touched, ledger.serial)
        return result

    def log_rows(self):
        def log(ledger):
            site = site_role.site_of(ledger.writer)
            site.logging = True
            site_role.store(ledger.writer, site)

        self.commit(log)

    def join(self, registry):
        def begin(ledger):
            row = shares.server_row(ledger.writer)
            row.id, row.follows_registry = self.number, True
            row.pulls.add(registry=True, grpc=registry.grpc)
            shares.store_server(ledger.writer, row)

        self.commit(begin)
        self.log_rows()

    def row(self):
        with self.engine.read() as reader:
            return shares.server_row(reader)

    def step(self, step, following, **fields):
        request = site_pb2.ChangeSiteRequest(step=step, next=following, **fields)
        self.commit(lambda ledger: site_steps.take(ledger, request, self.clock.now_us()), everywhere=True)

    def register(self, name, *, hidden=False, data="data"):
        given = [value(data=data), *([value(2, "geheim", permissions=HIDDEN)] if hidden else [])]
        draft = administer.prepare(name, given, "", 1, MOST)
        return self.commit(lambda ledger: administer.create(ledger, ADMIN, draft, registration_pb2.ON_EXISTING_REPLACE))

    def delete(self, name):
        return self.commit(lambda ledger: administer.delete(ledger, ADMIN, Target.of(name, None)))

    def resolve(self, name):
        served = ServedPrefixes()
        with self.engine.read() as reader:
            served.take_share(shares.share_of(reader))
            return parse(resolve(reader, served, ANONYMOUS, name, None))

    def pull(self, servers, most=1_000_000):
        """Copy what there is to copy, over a stream for each pull that ends after so many messages."""
        for pull in pulls_of(self.row()):
            origin = next(server for server in servers if server.grpc == pull.grpc)
            known = share_copy.pull_of(self.row(), pull.server, registry=pull.wanted.share.registry)
            request = mirror_pb2.FollowRequest(
                epoch=known.epoch,
                held=known.held,
                share=pull.wanted.share,
                start_sweep=not known.complete and not known.HasField("catching_up") and not known.HasField("sweep"),
            )
            if known.HasField("sweep"):
                request.sweep.CopyFrom(known.sweep)
            source = ShareSource(request.share)
            with origin.engine.read() as reader:
                greeting = source.greet(reader, request)
            registry = pull.wanted.share.registry
            self.commit(
                lambda ledger, pull=pull, greeting=greeting, registry=registry: share_copy.adopt_greeting(
                    ledger, pull.server, registry, greeting
                ),
                everywhere=True,
            )
            for _ in range(most):
                with origin.engine.read() as reader:
                    message = source.next_message(reader)
                if not message.HasField("chunk") and not message.HasField("rows"):
                    break
                octets = message.SerializeToString()
                self.commit(
                    lambda ledger, pull=pull, octets=octets: share_copy.apply(
                        ledger, pull.server, pull.wanted, mirror_pb2.FollowResponse.FromString(octets)
                    ),
                    everywhere=True,
                )

    def drop(self):
        while self.commit(lambda ledger: share_copy.drop_leftovers(ledger, 7), everywhere=True):
            pass

    def names(self):
        with self.engine.read() as reader:
            found = {parse(body).name for _, body in reader.scan(Table.RECORDS)}
        return {name for name in found if not name.startswith(PREFIX_OF_PREFIXES + "/")}

    def registry(self):
        with self.engine.read() as reader:
            return [
                (table.name, key, body)
                for table in sorted(REGISTRY_TABLES, key=str)
                for key, body in reader.scan(table)
                if is_of_registry(table, key)
            ]

    def findings(self):
        report = CheckReport()
        audit(self.engine, report)
        return report.findings

    def serial(self):
        with self.engine.read() as reader:
            return site_role.position(reader).serial


class Site:
    """Servers and what was acknowledged: name → version and data, None for a deleted one."""

    def __init__(self, clock, randomness):
        self.clock = clock
        first = Server(1, clock)
        first_start(first.engine, "88.300", clock.now_us(), randomness)
        first.log_rows()
        self.servers = [first]
        self.layout = self.layout_of([first], WHOLE, 1)
        self.acknowledged = {}

    @staticmethod
    def layout_of(servers, hash_, serial):
        rows = [site_pb2.SiteServer(id=each.number, grpc=each.grpc, site=each.site) for each in servers]
        return site_pb2.SiteLayout(serial=serial, hash=hash_, registry_server=1, servers=rows)

    def join(self, number):
        server = Server(number, self.clock)
        server.join(self.servers[0])
        self.servers.append(server)
        server.pull(self.servers)
        return server

    def write(self, name, *, deletes=False, **fields):
        """A change through whichever server takes it."""
        for server in self.servers:
            try:
                done = server.delete(name) if deletes else server.register(name, **fields)
            except NotThisServer:
                continue
            except HandleNotFound:
                return
            known = self.acknowledged.get(name)
            if known is not None and done.reason != administer.UNCHANGED:
                assert done.version == known[0] + 1
            self.acknowledged[name] = (done.version, None if deletes else fields.get("data", "data"))
            return
        raise AssertionError(f"no server takes {name}")

    def move(self, chosen, hash_, between=lambda: None):
        following = self.layout_of(chosen, hash_, self.layout.serial + 1)
        everyone = list(self.servers)
        for server in everyone:
            server.step(site_pb2.SITE_STEP_PREPARE, following, server=server.number, current=self.layout)
        between()
        for server in everyone:
            server.pull(everyone)
        between()
        for server in everyone:
            server.step(site_pb2.SITE_STEP_FENCE, following, lease_ms=10000)
        for _ in range(2):
            for server in everyone:
                server.pull(everyone)
        for step in (site_pb2.SITE_STEP_HOLD, site_pb2.SITE_STEP_SWITCH, site_pb2.SITE_STEP_STRICT):
            for server in everyone:
                server.step(step, following, expected_serial=server.serial())
                self.check_reads()
        for server in everyone:
            server.step(site_pb2.SITE_STEP_SERVE, following)
        self.layout = following
        between()
        for server in everyone:
            server.drop()
            server.pull(everyone)

    def check_reads(self):
        """Every acknowledged handle is answered by somebody, and nobody answers anything else."""
        for name, (version, data) in self.acknowledged.items():
            answers = []
            for server in self.servers:
                try:
                    record = server.resolve(name)
                    answers.append((record.version, record.values[0].data.decode()))
                except (NotThisServer, HandleNotFound):
                    pass
            assert set(answers) == (set() if data is None else {(version, data)}), name

    def check(self):
        self.check_reads()
        for server in self.servers:
            place = shares.place_of(self.layout, server.number)
            option = shares.hash_option(self.layout.hash)
            for name in server.names():
                assert server_index(name, option, len(self.layout.servers)) == place
            assert server.registry() == self.servers[0].registry()
            assert server.findings() == []
        with_records = {name for name, (_, data) in self.acknowledged.items() if data is not None}
        assert set().union(*(server.names() for server in self.servers)) == with_records


@pytest.fixture
def site(clock, randomness):
    return Site(clock, randomness)


@pytest.mark.parametrize("option", [0, 1, 2])
def test_one_function_chooses_for_servers_and_clients(option):
    for name in ("88.300.1/abc", "88.300.1/a/b", "88.300.2/产品", LONG, "88.300.1/ümlaut"):
        folded = fold_octets(name.encode())
        for count in (1, 2, 3, 16):
            assert key_index(folded, option, count) == server_index(name, option, count)


def test_a_node_alone_has_no_share_and_looks_at_no_hash(site):
    server = site.servers[0]
    with server.engine.read() as reader:
        assert shares.share_of(reader) is None
    server.register("88.300.1/A")
    assert server.resolve("88.300.1/A").version == 1


def test_a_new_server_follows_the_registry_and_has_no_handles(site):
    site.write("88.300.1/A")
    second = site.join(2)
    assert second.registry() == site.servers[0].registry()
    assert second.names() == set()
    with pytest.raises(NotThisServer, match="no part of its site yet"):
        second.resolve("88.300.1/A")
    with pytest.raises(NotThisServer):
        second.register("88.300.1/B")
    draft = administer.prepare("0.NA/88.300.1", [value()], "", 1, MOST)
    with pytest.raises(NotThisServer, match="registry"):
        second.commit(lambda ledger: administer.create(ledger, ADMIN, draft))
    row = enterprise("later")
    first = site.servers[0]
    first.commit(lambda ledger: enterprises.create(ledger.writer, ADMIN, row, ledger.now_us, bytes))
    second.pull(site.servers, most=1)
    assert second.registry() == first.registry()


@pytest.mark.parametrize("hash_", [PREFIX, SUFFIX, WHOLE])
def test_handles_go_where_their_hash_says_with_versions_and_secrets(site, hash_):
    names = [f"88.300.{1 + number % 2}/N-{number}" for number in range(40)]
    first = site.servers[0]
    first.commit(lambda ledger: add_prefix(ledger.writer, "88.300.2"))
    for name in [*names, LONG]:
        site.write(name, hidden=name.endswith("7"))
    site.write(names[0], data="changed")
    site.write(names[1], deletes=True)
    site.join(2)
    site.join(3)
    site.move(site.servers, hash_)
    site.check()
    assert sum(len(server.names()) for server in site.servers) == 40
    site.write(names[1], data="again")  # its version goes on where it was deleted
    site.write(LONG, data="longer")
    site.check()


def test_a_refusal_names_the_server_and_its_doors(site):
    site.join(2)
    site.move(site.servers, WHOLE)
    first = site.servers[0]
    name = next(f"88.300.1/{number}" for number in range(99) if server_index(f"88.300.1/{number}", 2, 2) == 1)
    with pytest.raises(NotThisServer) as refused:
        first.register(name)
    assert refused.value.details == {"server": "2", "grpc": "server-2:2640", "hdl": "192.0.2.2:2641"}
    with pytest.raises(NotThisServer):
        first.resolve(name)


def test_the_record_of_the_site_lists_all_servers_in_order(site):
    site.join(2)
    site.move(site.servers[::-1], SUFFIX)
    record = site_record.hs_site(site.layout)
    assert [server.id for server in record.servers] == [2, 1]
    assert (record.hash_option, record.serial) == (1, 2)
    assert ("idis.grpc.2", "2640") in record.attributes


def test_changes_wait_while_servers_are_held_and_a_fence_lapses_by_itself(site, clock):
    second = site.join(2)
    first = site.servers[0]
    following = site.layout_of(site.servers, WHOLE, 2)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_PREPARE, following, server=server.number, current=site.layout)
    first.register("88.300.1/A")
    first.step(site_pb2.SITE_STEP_FENCE, following, lease_ms=2000)
    with pytest.raises(SiteChanging) as refused:
        first.register("88.300.1/B")
    assert refused.value.retry_after_s
    clock.advance(2.1)
    first.register("88.300.1/B")
    with pytest.raises(InvalidTransition, match="lapsed"):
        first.step(site_pb2.SITE_STEP_HOLD, following, expected_serial=first.serial())
    first.step(site_pb2.SITE_STEP_FENCE, following, lease_ms=2000)
    with pytest.raises(InvalidTransition, match="journal ends"):
        first.step(site_pb2.SITE_STEP_HOLD, following, expected_serial=first.serial() - 1)
    first.step(site_pb2.SITE_STEP_HOLD, following, expected_serial=first.serial())
    clock.advance(100)
    with pytest.raises(SiteChanging):
        first.register("88.300.1/C")
    second.pull(site.servers)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_CANCEL, following)
        server.drop()
    assert second.names() == set()
    first.register("88.300.1/C")
    assert first.names() == {"88.300.1/A", "88.300.1/B", "88.300.1/C"}
    assert second.findings() == []


def test_a_change_begun_anew_knows_nothing_that_has_gone_since(site):
    first, second = site.servers[0], site.join(2)
    names = [f"88.300.1/{number}" for number in range(20)]
    for name in names:
        site.write(name)
    following = site.layout_of(site.servers, WHOLE, 2)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_PREPARE, following, server=server.number, current=site.layout)
        server.pull(site.servers)
    assert second.names()
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_CANCEL, following)
    for number, name in enumerate(names):  # what second has is still on its disk when the next change begins
        if number % 2 or name not in second.names():
            first.delete(name)
        else:  # as after a restore of the first server from before the registration
            first.commit(lambda ledger, name=name: share_copy.leave(ledger, name.encode()))
        site.acknowledged[name] = (2, None)
    site.move(site.servers, WHOLE)
    site.check()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda layout: layout.servers.pop(), "not among the servers|1 to"),
        (lambda layout: setattr(layout, "hash", 0), "hashed"),
        (lambda layout: setattr(layout, "registry_server", 9), "not among"),
        (lambda layout: setattr(layout, "serial", 0), "serial"),
        (lambda layout: layout.servers.add(id=1, grpc="x:1", site=b""), "id of its own"),
        (lambda layout: layout.servers.add(id=2, grpc="x:1", site=b"?"), "site record"),
    ],
)
def test_layouts_that_no_site_can_have_are_refused(site, change, words):
    layout = site.layout_of(site.servers, WHOLE, 2)
    change(layout)
    with pytest.raises(InvalidField, match=words):
        site.servers[0].step(site_pb2.SITE_STEP_PREPARE, layout, server=1, current=site.layout)


def test_steps_out_of_order_and_of_another_change_are_refused(site):
    site.join(2)
    first = site.servers[0]
    following = site.layout_of(site.servers, WHOLE, 2)
    for step in (
        site_pb2.SITE_STEP_HOLD,
        site_pb2.SITE_STEP_SWITCH,
        site_pb2.SITE_STEP_STRICT,
        site_pb2.SITE_STEP_SERVE,
    ):
        with pytest.raises(InvalidTransition, match="serving"):
            first.step(step, following)
    first.step(site_pb2.SITE_STEP_PREPARE, following, server=1, current=site.layout)
    first.step(site_pb2.SITE_STEP_PREPARE, following, server=1, current=site.layout)
    other = site.layout_of(site.servers, PREFIX, 2)
    with pytest.raises(InvalidTransition, match="another layout"):
        first.step(site_pb2.SITE_STEP_FENCE, other, lease_ms=1000)
    with pytest.raises(InvalidTransition, match="this is server 1"):
        first.step(site_pb2.SITE_STEP_PREPARE, following, server=2, current=site.layout)


@pytest.mark.parametrize("seed", range(6))
def test_sites_grow_and_shrink_under_writes_and_lose_nothing(clock, randomness, seed):
    chance = random.Random(seed)
    site = Site(clock, randomness)
    names = [f"88.300.1/{number}" for number in range(60)]

    def writes():
        for _ in range(chance.randrange(20)):
            clock.advance(0.001)
            name = chance.choice(names)
            if chance.random() < 0.25:
                site.write(name, deletes=True)
            else:
                site.write(name, data=f"{chance.random()}", hidden=chance.random() < 0.2)
        for server in site.servers:
            server.pull(site.servers, most=chance.randrange(4))
        site.check_reads()

    writes()
    site.join(2)
    site.move(site.servers, chance.choice([PREFIX, SUFFIX, WHOLE]), writes)
    site.check()
    writes()
    site.join(3)
    site.move(site.servers, WHOLE, writes)
    site.check()
    writes()
    site.move([site.servers[0], site.servers[2]], SUFFIX, writes)
    site.check()
    assert site.servers[1].names() == set()
    site.move(site.servers[::-1], WHOLE, writes)
    site.check()
