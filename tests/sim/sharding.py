"""Servers that share a site's handles, in one thread from one seed, while the site changes again and again.

The steps, the sources and copies of streams, the leader of a change and the reading of every worker are the real ones.
Between any two calls of the leader anything may happen: changes of handles, reads at any worker, messages that come
late, streams that break or stay open too long, servers that crash, workers that have not noticed yet what is stored,
and a leader who is gone for good, whom another one follows. What must hold:

* an answer is what was acknowledged last, whichever worker of whichever server is asked, and there always is one;
* versions of a handle go on by one, through deletions and from server to server;
* at the end each server has its own handles and no others, the same registry as the first, and a sound store.
"""

import contextlib
import random

import grpc

from resolver import methods
from resolver.client.failures import CallFailed, failure
from resolver.client.resharding import Resharding, Wanted
from resolver.errors import HandleNotFound, MalformedMessage, NotThisServer, ResolverError, SiteChanging
from resolver.federation.siblings import pulls_of
from resolver.handle.name import fold_octets
from resolver.node import share_copy, shares, site_role, site_steps
from resolver.node.authorize import ANONYMOUS
from resolver.node.prefixes import ServedPrefixes
from resolver.node.record_octets import parse
from resolver.node.resolve import resolve
from resolver.node.share_source import ShareSource
from resolver.v1 import mirror_pb2, site_pb2
from resolver.wire.hash_selection import key_index
from tests.support.clock import FakeClock, seeded_randomness
from tests.support.site import ALL, Site

NAMES = [f"88.300.1/{number}" for number in range(24)]
WORKERS = 2
NOTICED_S, SETTLE_S = 0.05, 0.1
"""Seconds within which a worker notices what is stored, and that a leader waits for it."""


class Violated(Exception):
    """An invariant does not hold."""


class Gone(Exception):
    """Whoever led the change is gone."""


class Stream:
    """A stream by which one server follows another one, with what is on its way."""

    def __init__(self, origin, target, pull):
        self.origin, self.target, self.pull = origin, target, pull
        self.source = ShareSource(pull.wanted.share)
        self.on_its_way = []

    def greet(self):
        known = share_copy.pull_of(self.target.row(), self.pull.server, registry=self.pull.wanted.share.registry)
        is_new = not known.complete and not known.HasField("catching_up")
        request = mirror_pb2.FollowRequest(
            epoch=known.epoch,
            held=known.held,
            share=self.pull.wanted.share,
            start_sweep=is_new and not known.HasField("sweep"),
        )
        if known.HasField("sweep"):
            request.sweep.CopyFrom(known.sweep)
        with self.origin.engine.read() as reader:
            greeting = self.source.greet(reader, request)
        self.target.commit(
            lambda ledger: share_copy.adopt_greeting(
                ledger, self.pull.server, self.pull.wanted.share.registry, greeting
            ),
            everywhere=True,
        )

    def send(self):
        with self.origin.engine.read() as reader:
            message = self.source.next_message(reader)
        if message.HasField("chunk") or message.HasField("rows"):
            self.on_its_way.append(message.SerializeToString())

    def deliver(self):
        """The next message arrives; whether the stream goes on."""
        if not self.on_its_way:
            return True
        message = mirror_pb2.FollowResponse.FromString(self.on_its_way.pop(0))
        try:
            self.target.commit(
                lambda ledger: share_copy.apply(ledger, self.pull.server, self.pull.wanted, message), everywhere=True
            )
        except MalformedMessage:
            return False
        return True


class Worker:
    """What one worker has noticed of what is stored."""

    def __init__(self, server, now_s):
        self.server = server
        self.look(now_s)

    def look(self, now_s):
        with self.server.engine.read() as reader:
            self.share = shares.share_of(reader)
        self.looked_s = now_s

    def read(self, name):
        """The version and data it answers, None for "not registered". Raises NotThisServer."""
        served = ServedPrefixes()
        served.take_share(self.share)
        try:
            with self.server.engine.read() as reader:
                record = parse(resolve(reader, served, ANONYMOUS, name, None))
        except HandleNotFound:
            return None
        return record.version, record.values[0].data.decode()


class Peer:
    """The leader's client of one server."""

    def __init__(self, world, server):
        self.world, self.server = world, server

    def call(self, method, request):
        self.world.something_happens()
        if self.world.leader_is_gone():
            raise Gone
        try:
            if method is methods.CHANGE_SITE:
                job = site_pb2.ChangeSiteRequest()
                job.CopyFrom(request)
                now_us = self.world.clock.now_us()
                words = f"{self.world.now_s:.4f} {site_pb2.SiteStep.Name(job.step)} at server {self.server.number}"
                self.world.steps.append(f"{words}, site record {job.next.serial}")
                self.server.commit(
                    lambda ledger: site_steps.take(ledger, job, now_us, int(SETTLE_S * 1e6)), everywhere=True
                )
        except ResolverError as error:
            raise failure(grpc.StatusCode.FAILED_PRECONDITION, str(error), reason=error.reason) from error
        if self.world.leader_is_gone():
            raise Gone  # after the server has done it
        with self.server.engine.read() as reader:
            state = site_steps.state_of(reader)
        state.own_site, state.settle_ms = self.server.site, int(SETTLE_S * 1_000)
        state.site_serial = max(1, state.layout.serial)
        return site_pb2.ChangeSiteResponse(site=state) if method is methods.CHANGE_SITE else state

    def close(self):
        pass


class World(Site):
    """The simulation of one seed; ``run`` it."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        super().__init__(FakeClock(), seeded_randomness(seed))
        self.leader_calls = None
        for name in NAMES:
            self.write(name, data="0")
        for number in (2, 3):
            self.join(number)
        self.streams = {}
        self.late = []
        """Streams that have ended, whose last messages were taken in already and are applied later."""
        self.workers = [Worker(server, self.now_s) for server in self.servers for _ in range(WORKERS)]
        self.reads = self.writes = 0
        self.steps = []
        """What leaders have done, in words."""

    @property
    def now_s(self):
        return self.clock.now_us() / 1e6

    def run(self):
        for _ in range(self.chance.randrange(2, 5)):
            numbers = self.chance.sample([1, 2, 3], self.chance.randrange(1, 4))
            self.change([1, *numbers] if 1 not in numbers else numbers)
        self.quiet()

    def change(self, numbers):
        """Lead the site to some servers, however many leaders that takes."""
        wanted = Wanted(tuple((number, self.servers[number - 1].grpc) for number in numbers), ALL)
        for attempt in range(20):
            self.leader_calls = self.chance.randrange(1, 120) if attempt < 4 else None
            lease_s = self.chance.choice([0.05, 0.5, 5.0])
            leading = Resharding(wanted, self.peer, sleep=self.pass_time, now_s=self.clock.monotonic_s, lease_s=lease_s)
            try:
                leading.begin()
                if leading.changes_nothing:
                    return
                leading.move()
            except Gone:
                self.clock.advance(self.chance.choice([0.0, 0.01, 10.0]))
                continue
            return
        raise Violated(f"no leader brings the change to {numbers} to its end")

    def peer(self, place):
        return Peer(self, next(server for server in self.servers if server.grpc == place))

    def leader_is_gone(self):
        if self.leader_calls is None:
            return False
        self.leader_calls -= 1
        return self.leader_calls <= 0

    def pass_time(self, seconds):
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.clock.advance(min(0.02, max(0.001, until_s - self.now_s)))
            self.something_happens()

    def something_happens(self):
        """A few things, in any order."""
        for worker in self.workers:
            if self.now_s - worker.looked_s >= NOTICED_S or self.chance.random() < 0.1:
                worker.look(self.now_s)
        for _ in range(self.chance.randrange(8)):
            self.chance.choice(
                (self.write_one, self.read_one, self.read_one, self.stream_on, self.stream_on, self.rare)
            )()

    def write_one(self):
        self.clock.advance(0.0001)
        name = self.chance.choice(NAMES)
        with contextlib.suppress(SiteChanging):
            self.writes += 1
            if self.chance.random() < 0.2:
                self.write(name, deletes=True)
            else:
                self.write(name, data=str(self.writes), hidden=self.chance.random() < 0.1)

    def read_one(self):
        """Ask any worker, and whom it names, as the node does: what must come is what was acknowledged last."""
        name = self.chance.choice(NAMES)
        worker = self.chance.choice(self.workers)
        expected = self.acknowledged[name]
        self.reads += 1
        for _ in range(3):
            try:
                found = worker.read(name)
            except NotThisServer:
                layout = worker.share.layout
                if not layout.servers:
                    return  # it is told so, as long as it is no part of a site
                place = key_index(fold_octets(name.encode()), shares.hash_option(layout.hash), len(layout.servers))
                number = layout.servers[place].id
                worker = self.chance.choice([each for each in self.workers if each.server.number == number])
                continue
            wanted = None if expected[1] is None else expected
            if found != wanted:
                raise Violated(f"server {worker.server.number} says {found} of {name}, where {wanted} was acknowledged")
            return
        raise Violated(f"{name}: the servers send from one to the other")

    def stream_on(self):
        """A stream is opened, or sends, or what it has sent arrives."""
        if self.late and self.chance.random() < 0.3:
            stream = self.chance.choice(self.late)
            stream.deliver()
            if not stream.on_its_way:
                self.late.remove(stream)
        target = self.chance.choice(self.servers)
        row = target.row()
        for pull in pulls_of(row):
            if not pull.wanted.share.registry and self.clock.now_us() < row.copy_from_us:
                continue
            if (target.number, pull) not in self.streams and self.chance.random() < 0.7:
                origin = next(server for server in self.servers if server.grpc == pull.grpc)
                stream = self.streams[target.number, pull] = Stream(origin, target, pull)
                stream.greet()
        for key in [key for key in self.streams if key[0] == target.number]:
            stream = self.streams[key]
            if self.chance.random() < 0.8:
                stream.send()
            if self.chance.random() < 0.7 and not stream.deliver():
                del self.streams[key]

    def rare(self):
        """A stream breaks, a server crashes, or lets go what is another one's; streams that end are noticed late."""
        kind = self.chance.random()
        server = self.chance.choice(self.servers)
        if kind < 0.2 and self.streams:
            self.late.append(self.streams.pop(self.chance.choice(list(self.streams))))
        elif kind < 0.25:
            for key in [key for key, stream in self.streams.items() if server in (stream.origin, stream.target)]:
                del self.streams[key]
            self.late = [stream for stream in self.late if stream.target is not server]
        elif kind < 0.7:
            row = server.row()
            if row.leftovers and row.stage == site_pb2.SITE_STAGE_UNSPECIFIED:
                server.commit(lambda ledger: share_copy.drop_leftovers(ledger, 3, 10), everywhere=True)
        else:
            wanted = pulls_of(server.row())
            for key in [key for key in self.streams if key[0] == server.number and key[1] not in wanted]:
                del self.streams[key]

    def quiet(self):
        """Let everything come to its end, and look at all of it."""
        self.streams.clear()
        for stream in self.late:
            while stream.on_its_way:
                stream.deliver()
        for server in self.servers:
            server.drop()
            server.pull(self.servers)
        with self.servers[0].engine.read() as reader:
            self.layout = shares.layout_of(reader)
            if site_role.site_of(reader).role != mirror_pb2.SITE_ROLE_PRIMARY:
                raise Violated("the first server is no primary any more")
        if not self.layout.servers:
            self.layout = self.layout_of(self.servers[:1], ALL, 1)
        try:
            self.check()
        except AssertionError as error:
            raise Violated(str(error)) from error


def run(seed):
    """One run: reads and writes. Raises Violated, and CallFailed when a leader is refused what it needs."""
    world = World(seed)
    try:
        world.run()
    except CallFailed as failed:
        raise Violated(str(failed)) from failed
    return world.reads, world.writes
