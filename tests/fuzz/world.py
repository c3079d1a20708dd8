"""What the targets of the gRPC door stand on: a prepared node in memory, and connections whose socket is a list.

Everything else is the real thing, the loop included. What the node would log as a defect is a finding.
"""

import asyncio
import functools
from contextlib import contextmanager

import structlog

from resolver.service import Service
from resolver.transport.h2_mounts import mounts_of
from resolver.transport.h2_newcomer import Newcomer
from resolver.transport.h2_shared import Shared
from resolver.transport.health import Health
from resolver.transport.table import table_of
from storage.memory_engine import MemoryEngine
from tests.support.builders import PREFIX_A, USER_A, register
from tests.support.clock import FakeClock, seeded_randomness
from tests.support.node import World, options

TICK_S = 10.0
TURNS_MAX = 200


@functools.cache
def mounts():
    """The methods of a node by path, for those who look at headers only."""
    clock = FakeClock()
    service = Service(MemoryEngine(), clock, seeded_randomness(), options(), version="fuzz")
    return mounts_of(table_of(service, Health(), with_reflection=True))


class Door:
    """The gRPC door of a node with one handle, ``88.300.10/A``. There is one in a process: ``only``."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.defects = []
        self.loop.set_exception_handler(lambda _, context: self.defects.append(context))
        self.world = World(MemoryEngine(), self.clock, seeded_randomness())
        register(self.world.engine, self.clock, f"{PREFIX_A}/A", caller=USER_A)
        self.loop.run_until_complete(self._serve())

    @classmethod
    @functools.cache
    def only(cls):
        return cls()

    async def _serve(self):
        self.service = Service(self.world.engine, self.clock, seeded_randomness(), options(), version="fuzz")
        await self.service.start()
        self.health = Health()
        mounted = mounts_of(table_of(self.service, self.health, with_reflection=True))
        self.paths = sorted(mounted)
        self.shared = Shared(
            self.service,
            mounted,
            observe=lambda *_: None,
            clock=self.clock,
            loop=self.loop,
            write_timeout_s=5.0,
            tls=None,
        )

    def _on_log(self, _, level, event):
        if level in {"error", "critical", "exception"}:
            self.defects.append(event)
        raise structlog.DropEvent

    @contextmanager
    def connection(self):
        """A connection whose peer is gone at the end of the block; raises what the node would have logged."""
        with self.listening():
            connection = _Connection(self)
            try:
                yield connection
            finally:
                connection.transport.lose()
                connection.turn()

    @contextmanager
    def listening(self):
        """What the node logs as a defect inside the block is raised at its end."""
        before = structlog.get_config()
        structlog.configure(processors=[self._on_log])
        try:
            yield
        finally:
            structlog.configure(**before)
        if self.defects:
            defect = self.defects.pop()
            self.defects.clear()
            raise AssertionError(f"defect: {defect}") from defect.get("exc_info", defect.get("exception"))

    def is_idle(self):
        """Whether nothing is left of the connections there were, handlers that were cancelled included."""
        for _ in range(TURNS_MAX):
            if not self.shared.connections and not self.shared.held_octets and self._tasks() <= self._own:
                return True
            self.loop.run_until_complete(asyncio.sleep(0))
        return False

    @functools.cached_property
    def _own(self):
        """Tasks that the service keeps for itself."""
        return self._tasks()

    def _tasks(self):
        return len(asyncio.all_tasks(self.loop))


class _Connection:
    """One peer: octets in, turns of the loop, time."""

    def __init__(self, door):
        assert door.is_idle()
        self._door = door
        self.transport = _Transport(door.loop)
        self.transport.protocol = Newcomer(door.shared)
        self._run(lambda: self.transport.protocol.connection_made(self.transport))

    def receive(self, octets):
        if not self.transport.closing and not self.transport.paused and octets:
            self._run(lambda: self.transport.protocol.data_received(octets))

    def turn(self):
        self._run(lambda: None)

    def tick(self):
        self._door.clock.advance(TICK_S)
        self._run(self._tick)

    def _tick(self):
        """As the door does: whoever is lost is looked at no more."""
        for connection in list(self._door.shared.connections):
            connection.tick(self._door.clock.monotonic_s())

    def _run(self, step):
        """Do something inside the loop, and let what it has started go on."""

        async def inside():
            step()
            await asyncio.sleep(0)

        self._door.loop.run_until_complete(inside())


class _Transport:
    """A socket that takes everything at once."""

    def __init__(self, loop):
        self._loop, self.protocol = loop, None
        self.closing = self.paused = self.lost = False
        self.written = 0

    def get_extra_info(self, name, default=None):
        return ("192.0.2.1", 50_000) if name == "peername" else default

    def set_write_buffer_limits(self, high=None, low=None):
        del high, low

    def set_protocol(self, protocol):
        self.protocol = protocol

    def write(self, octets):
        assert self.lost or not self.closing, "written after the end"
        self.written += len(octets)

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False

    def is_closing(self):
        return self.closing

    def get_write_buffer_size(self):
        return 0

    def close(self):
        if not self.closing:
            self.closing = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def lose(self):
        """The peer is gone; the connection hears of it a little later."""
        self.lost = True
        self.close()
