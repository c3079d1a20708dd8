"""A mirror in the simulation: the real source and copy, with the stream between them made of messages that get lost.

A stream is a conversation of requests and answers here; what breaks it is an answer that does not come in time.
"""

from resolver.errors import InvalidTransition, MalformedMessage, ResolverError
from resolver.node import mirror_copy, site_role
from resolver.node.mirror_source import MirrorSource
from resolver.v1 import mirror_pb2 as pb
from tests.sim.nodes import SimNode

ANSWER_S, IDLE_S = 0.5, 0.05


class SimMirror(SimNode):
    """A node that follows ``primary`` until it is promoted."""

    def join(self, primary):
        """Become the mirror of a primary."""
        self.primary, self._stream, self._source, self.needs_sweep = primary, 0, None, False
        self.commit(
            lambda ledger: site_role.follow(ledger.writer, primary.name, self.name, is_new=True), everywhere=True
        )
        self._greet()

    def start(self):
        super().start()
        self._greet()

    def held(self):
        with self.engine.read() as reader:
            return site_role.position(reader)

    def site(self):
        with self.engine.read() as reader:
            return site_role.site_of(reader)

    def _greet(self):
        """Begin a stream."""
        self._stream += 1
        site = self.site()
        if site.role != pb.SITE_ROLE_MIRROR or not self.is_up:
            return
        request = pb.FollowRequest(
            mirror_id=self.name,
            epoch=site_role.epoch_of(site),
            held=self.held(),
            site_id=site.site_id,
            start_sweep=self.needs_sweep or site_role.needs_copy(site),
        )
        if site.HasField("sweep"):
            request.sweep.CopyFrom(site.sweep)
        self._timeout = self.loop.after(ANSWER_S, self._break, self._stream)
        self.network.send(self.name, self.primary.name, self._greeted_primary, self._stream, self.primary.life, request)

    def _greeted_primary(self, stream, life, request):
        """At the primary."""
        if life != self.primary.life or stream != self._stream:
            return
        if not self.primary.is_primary():
            return
        self._source, self._asked = MirrorSource(), 0
        with self.primary.engine.read() as reader:
            greeting = self._source.greet(reader, request)
        self.network.send(self.primary.name, self.name, self._greeted, stream, self.life, greeting.SerializeToString())

    def _greeted(self, stream, life, octets):
        if stream != self._stream or life != self.life or self.site().role != pb.SITE_ROLE_MIRROR:
            return
        greeting = pb.FollowResponse.FromString(octets)
        self.commit(lambda ledger: mirror_copy.adopt_greeting(ledger.writer, greeting), everywhere=True)
        self.needs_sweep = False
        self._ask(stream, 1)

    def _ask(self, stream, number):
        """Want the next message; say what is held."""
        if stream != self._stream or not self.is_up or self.site().role != pb.SITE_ROLE_MIRROR:
            return
        self.loop.cancel(self._timeout)
        self._timeout = self.loop.after(ANSWER_S, self._break, stream)
        held = self.held()
        self.network.send(
            self.name, self.primary.name, self._asked_primary, stream, self.primary.life, number, held.serial
        )

    def _asked_primary(self, stream, life, number, held):
        """At the primary: each message of a stream is sent once, in order, as TCP would."""
        primary = self.primary
        if life != primary.life or stream != self._stream or self._source is None or number != self._asked + 1:
            return
        if not primary.is_primary():
            return
        if not self.site().HasField("sweep") and not self.site().HasField("catching_up"):
            primary.confirmed(held)
        self._asked = number
        with primary.engine.read() as reader:
            message = self._source.next_message(reader)
            if not message.HasField("chunk") and not message.HasField("rows"):
                message = self._source.check(reader)
        self.network.send(primary.name, self.name, self._take, stream, self.life, number, message.SerializeToString())

    def _take(self, stream, life, number, octets):
        if stream != self._stream or life != self.life or number != self._asked:
            return
        message = pb.FollowResponse.FromString(octets)
        try:
            copied = self.commit(lambda ledger: self._copy(ledger, message), everywhere=True)
        except (MalformedMessage, InvalidTransition):
            self._break(stream)
            return
        if copied.parted:
            self.needs_sweep = True
            self._break(stream)
            return
        is_idle = not message.HasField("chunk") and not message.rows.changes and not message.rows.log
        self.loop.after(IDLE_S if is_idle else 0.001, self._ask, stream, number + 1)

    @staticmethod
    def _copy(ledger, message):
        if site_role.site_of(ledger.writer).role != pb.SITE_ROLE_MIRROR:
            raise InvalidTransition("promoted")
        return mirror_copy.apply(ledger, message)

    def _break(self, stream):
        if stream == self._stream and self.is_up:
            self.loop.cancel(self._timeout)
            self._stream += 1
            self.loop.after(0.1, self._greet)

    def promote(self):
        """Become the primary; whether that was possible."""
        try:
            epoch = self.commit(lambda ledger: site_role.promote(ledger, 0), everywhere=True)
        except ResolverError:
            return None
        self.loop.tell(self.name, "is promoted at", epoch.start.serial)
        return epoch
