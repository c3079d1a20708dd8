"""Servers of one site without processes: real stores in memory, changed as a write lane changes them."""

from resolver.errors import HandleNotFound, NotThisServer
from resolver.federation.siblings import pulls_of
from resolver.handle.name import PREFIX_OF_PREFIXES
from resolver.node import administer, row_log, share_copy, shares, site_info, site_role, site_steps
from resolver.node.administer import Target
from resolver.node.audit import audit
from resolver.node.authorize import ANONYMOUS
from resolver.node.ledger import Ledger
from resolver.node.prefixes import ServedPrefixes
from resolver.node.record_octets import parse
from resolver.node.resolve import resolve
from resolver.node.share_source import REGISTRY_TABLES, ShareSource, is_of_registry
from resolver.registry.first_start import first_start
from resolver.v1 import mirror_pb2, registration_pb2, site_pb2
from resolver.wire.hash_selection import server_index
from storage.check import CheckReport
from storage.memory_engine import MemoryEngine
from storage.recording import RecordingWriter
from storage.tables import Table
from tests.support.builders import ADMIN, HIDDEN, value

MOST = 1 << 20
ALL = site_pb2.SITE_HASH_ALL


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
        self.commit(lambda ledger: site_steps.take(ledger, request, self.clock.now_us(), 0), everywhere=True)

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
        for stream in self.streams(servers):
            for _ in range(most):
                if not stream.take():
                    break

    def streams(self, servers):
        """Open a stream for each pull."""
        for pull in pulls_of(self.row()):
            yield Stream(self, next(server for server in servers if server.grpc == pull.grpc), pull)

    def drop(self):
        while self.commit(lambda ledger: share_copy.drop_leftovers(ledger, 3, 7), everywhere=True):
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


class Stream:
    """What one server copies of another, greeted."""

    def __init__(self, server, origin, pull):
        self.server, self.origin, self.pull = server, origin, pull
        known = share_copy.pull_of(server.row(), pull.server, registry=pull.wanted.share.registry)
        request = mirror_pb2.FollowRequest(
            epoch=known.epoch,
            held=known.held,
            share=pull.wanted.share,
            start_sweep=not known.complete and not known.HasField("catching_up") and not known.HasField("sweep"),
        )
        if known.HasField("sweep"):
            request.sweep.CopyFrom(known.sweep)
        self.source = ShareSource(request.share)
        with origin.engine.read() as reader:
            greeting = self.source.greet(reader, request)
        registry = pull.wanted.share.registry
        server.commit(
            lambda ledger: share_copy.adopt_greeting(ledger, pull.server, registry, greeting), everywhere=True
        )

    def take(self):
        """Take the next message; whether there was one."""
        with self.origin.engine.read() as reader:
            message = self.source.next_message(reader)
        if not message.HasField("chunk") and not message.HasField("rows"):
            return False
        octets = message.SerializeToString()
        self.server.commit(
            lambda ledger: share_copy.apply(
                ledger, self.pull.server, self.pull.wanted, mirror_pb2.FollowResponse.FromString(octets)
            ),
            everywhere=True,
        )
        return True


class Site:
    """Servers and what was acknowledged: name → version and data, None for a deleted one."""

    def __init__(self, clock, randomness):
        self.clock = clock
        first = Server(1, clock)
        first_start(first.engine, "88.300", clock.now_us(), randomness)
        first.log_rows()
        self.servers = [first]
        self.layout = self.layout_of([first], ALL, 1)
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
