"""What the targets of the Handle door stand on: a prepared node in memory, its Handle service, and who speaks to it.

Everything is the real thing, the loop and the write lane included; only what takes a thread of its own for
milliseconds runs in place, so that its time is seen. The node is the one of the tests of the doors: prefix 88.300, the
secret ``301:0.NA/88.300`` and the key ``300:0.NA/88.300`` of its administrators, and ``88.300.10/A`` with public and
other values. What an input has written is undone before the next.
"""

import asyncio
import functools
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import structlog

from resolver.handle.value import HandleValue, Permission, Reference
from resolver.node import administer
from resolver.node.authorize import Caller, Role
from resolver.node.ledger import Ledger
from resolver.node.site_info import site_of
from resolver.node.values import to_pb
from resolver.registry.handle_start import prepare_handle_service
from resolver.service.handle_protocol import HandleOptions, HandleProtocol
from resolver.service.hdl_peer import Peer
from resolver.wire.predefined.hs_admin import AdminPermission, HsAdmin
from resolver.wire.predefined.hs_vlist import HsVlist
from storage.memory_engine import MemoryEngine
from tests.resolver.transport.hdl_node import rsa_key
from tests.support.builders import HIDDEN, NOBODY, PREFIX_A, PREFIX_B, register, value
from tests.support.clock import FakeClock, seeded_randomness
from tests.support.node import World

NODE_PREFIX = "88.300"
ADMIN_HANDLE = f"0.NA/{NODE_PREFIX}"
KEY_INDEX, SECRET_INDEX = 300, 301
SECRET = b"peer-secret"
QUIET_EVERY = 500
"""Inputs after which all sessions end: up to 2,000 of a network are kept on purpose, and would look like a leak."""

_OPERATOR = Caller("administrator", Role.NODE_ADMINISTRATOR)
_PRIVATE = Permission.ADMIN_READ | Permission.ADMIN_WRITE


class _Here(ThreadPoolExecutor):
    """Runs at once what is handed to it, in the thread that hands it over."""

    def submit(self, work, /, *arguments, **named):
        done = Future()
        try:
            done.set_result(work(*arguments, **named))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            done.set_exception(error)
        return done


class Node:
    """The node. There is one in a process: ``only``."""

    def __init__(self):
        self.fed = 0
        self.defects = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(_Here())
        self.engine, self.clock = MemoryEngine(), FakeClock()
        self._world = World(self.engine, self.clock, seeded_randomness())
        self.site = site_of("127.0.0.1", 2641, 2641, rsa_key("node").public.to_wire(), "fuzz")
        now_us = self.clock.now_us()
        prepare_handle_service(self.engine, NODE_PREFIX, self.site, rsa_key("admin").public.to_wire(), now_us)
        self._prepare()
        self.loop.run_until_complete(self._start())
        self._prepared = self.engine._tables, self.engine._used_octets

    @classmethod
    @functools.cache
    def only(cls):
        return cls()

    def _prepare(self):
        references = [Reference(ADMIN_HANDLE, KEY_INDEX), Reference(ADMIN_HANDLE, SECRET_INDEX)]
        admin = HsAdmin(Reference(ADMIN_HANDLE, 200), AdminPermission(0xFFF)).to_wire()
        self._store(
            ADMIN_HANDLE,
            HandleValue(200, "HS_VLIST", HsVlist(tuple(references)).to_wire()),
            HandleValue(SECRET_INDEX, "HS_SECKEY", SECRET, permissions=_PRIVATE),
        )
        for prefix in (PREFIX_A, PREFIX_B):
            self._store(f"0.NA/{prefix}", HandleValue(101, "HS_ADMIN", admin))
        given = [value(1, "x"), value(2, "y", permissions=HIDDEN), value(3, "z", permissions=NOBODY)]
        register(self.engine, self.clock, f"{PREFIX_A}/A", [*given, value(100, admin, "HS_ADMIN")])
        register(self.engine, self.clock, f"{PREFIX_A}/轴承", [value(1, "轴承", "名称")])

    def _store(self, name, *values):
        """Add values to a prefix handle, past all doors."""
        now_us = self.clock.now_us()
        with self.engine.write() as writer:
            ledger = Ledger(writer, now_us)
            given = [to_pb(item) for item in values]
            for item in given:
                item.timestamp_s = now_us // 1_000_000
            administer.put_values(ledger, _OPERATOR, administer.Target.of(name, None), given, 0, 1 << 20)
            ledger.close()

    async def _start(self):
        self._serving = self._world.serving()
        asker = await self._serving.__aenter__()
        self.core = asker.service.core
        self.protocol = HandleProtocol(self.core, HandleOptions(0, NODE_PREFIX, self.site, rsa_key("node")))

    @contextmanager
    def input(self):
        """One input; now and then time passes and nobody is left."""
        self.fed += 1
        if self.fed % QUIET_EVERY == 0:
            self._be_quiet()
        with self.undone():
            yield self

    @contextmanager
    def undone(self):
        """What is logged as a defect inside the block is raised, what was written is undone."""
        before = structlog.get_config()
        structlog.configure(processors=[self._on_log])
        try:
            yield self
        finally:
            structlog.configure(**before)
            self._undo()
        if self.defects:
            defect = self.defects.pop()
            self.defects.clear()
            raise AssertionError(f"defect: {defect}") from defect.get("exc_info", defect.get("exception"))

    def _on_log(self, _, level, event):
        if level in {"error", "critical", "exception"}:
            self.defects.append(event)
        raise structlog.DropEvent

    def _undo(self):
        self.core.failures._failures.clear()  # whoever is locked out by one input is not by the next
        if self.engine._tables is not self._prepared[0]:
            self.engine._tables, self.engine._used_octets = self._prepared
            self.core.serial = 0
            self.loop.run_until_complete(self._look())

    async def _look(self):
        """What a commit asks the loop to do is done, and the store of before is seen."""
        await asyncio.sleep(0)
        self.core.poll()

    def _be_quiet(self):
        self.clock.advance(60.0)
        sessions = self.protocol.authentication.sessions
        for id_ in [*sessions._sessions]:
            sessions.end(id_)
        assert [*sessions._sessions, *sessions._begun, *sessions._networks] == []

    def answers(self, frame, peer=None):
        """All that is sent in answer to a message, in order."""
        found = []

        async def send(answer):
            found.append(answer)

        peer = peer or Peer.of("192.0.2.1", is_stream=True)
        self.loop.run_until_complete(self.protocol.respond(frame, peer, send))
        return found
