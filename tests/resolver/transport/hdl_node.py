"""A node with its Handle doors on loopback, in a thread of the test's process, and a raw client of it.

Everything is the real thing: store on disk, doors, sockets. The prefixes are those of the recorded exchanges,
88.300 and 88.300.1 to 88.300.10, with the secret key 301:0.NA/88.300 that they were recorded with.
"""

import asyncio
import os
import socket
import threading
from contextlib import contextmanager, suppress
from functools import cache
from types import SimpleNamespace

import uvloop
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from resolver.clock import SystemClock
from resolver.handle.value import HandleValue, Permission, Reference
from resolver.node import administer, site_info
from resolver.node.authorize import Caller, Role
from resolver.node.ledger import Ledger
from resolver.node.values import to_pb
from resolver.registry import enterprises, prefix_handles, prefixes
from resolver.registry.first_start import first_start
from resolver.registry.handle_start import prepare_handle_service
from resolver.service import Service, ServiceOptions
from resolver.service.handle_protocol import HandleOptions, HandleProtocol
from resolver.transport.hdl_rate import AnswerRate
from resolver.transport.hdl_relay import Relay
from resolver.transport.hdl_tcp import HandleTcpDoor
from resolver.transport.hdl_udp import HandleUdpDoor
from resolver.v1 import registry_pb2
from resolver.wire import challenges, requests, sessions, signatures
from resolver.wire.credential import mac_credential
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header
from resolver.wire.message import Frame, Message, request_message
from resolver.wire.predefined.hs_admin import HsAdmin
from resolver.wire.predefined.hs_vlist import HsVlist
from resolver.wire.private_keys import private_key_from_der
from resolver.wire.versions import OWN, Version
from storage.lmdb_engine import LmdbEngine

ADMIN = Caller("administrator", Role.NODE_ADMINISTRATOR)
SECRET = b"peer-secret"
PRIVATE = Permission.ADMIN_READ | Permission.ADMIN_WRITE
HSJ = 0x1800_0000
HSJ_PUBLIC = 0x1900_0000
OPTIONS = ServiceOptions(
    record_octets_max=1 << 20,
    public_resolution=True,
    statistics_flush_s=3_600.0,
    watch_poll_s=3_600.0,
    watch_write_timeout_s=5.0,
    group_jobs_max=2_000,
    lane_queue_max=20_000,
)


@cache
def rsa_key(name, bits=2_048):
    """A key of this run of the tests; ``name`` tells several apart."""
    native = rsa.generate_private_key(65_537, bits)
    return private_key_from_der(native.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def value(index, type_, data, permissions=None):
    data = data.encode() if isinstance(data, str) else data
    return (
        HandleValue(index, type_, data)
        if permissions is None
        else HandleValue(index, type_, data, permissions=permissions)
    )


def admin(handle, index, bits=0xFFF, at=100):
    return value(
        at, "HS_ADMIN", HsAdmin(Reference(handle, index), type(HsAdmin(Reference("x")).permissions)(bits)).to_wire()
    )


def group(*references, at=200):
    return value(at, "HS_VLIST", HsVlist(tuple(Reference(name, index) for index, name in references)).to_wire())


class HandleNode:
    """The node; ``stop`` it. ``on_loop`` runs a coroutine function in its loop."""

    def __init__(
        self,
        directory,
        *,
        workers=1,
        clock=None,
        answers_per_s=0,
        idle_s=600.0,
        takes_legacy=True,
        host="127.0.0.1",
        replication_admins=(),
        key=None,
        **service,
    ):
        self.key = key or rsa_key("node")
        self.directory = directory
        self.clock = clock or SystemClock()
        self.engine = LmdbEngine(directory / "store", map_octets=1 << 30)
        now_us = self.clock.now_us()
        first_start(self.engine, "88.300", now_us, os.urandom)
        site = site_info.site_of("127.0.0.1", 2641, 2641, self.key.public.to_wire(), "test")
        prepare_handle_service(self.engine, "88.300", site, rsa_key("admin").public.to_wire(), now_us)
        self.site = site
        self._prepare(now_us)
        self._arguments = SimpleNamespace(
            workers=workers,
            answers_per_s=answers_per_s,
            idle_s=idle_s,
            takes_legacy=takes_legacy,
            host=host,
            replication_admins=replication_admins,
        )
        self._service_changes = service
        self._loop = uvloop.new_event_loop()  # as a worker has it
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(100):
            raise AssertionError("the node did not start")

    def _prepare(self, now_us):
        with self.engine.write() as writer:
            for number in range(2, 11):
                prefixes.create(writer, ADMIN, registry_pb2.Prefix(prefix=f"88.300.{number}"), now_us)
        self.store(
            "0.NA/88.300",
            group((300, "0.NA/88.300"), (301, "0.NA/88.300")),
            value(301, "HS_SECKEY", SECRET, PRIVATE),
        )
        for number in range(1, 11):
            name = f"0.NA/88.300.{number}"
            self.store(
                name,
                value(1, "HS_SITE", self.site.to_wire()),
                admin("0.NA/88.300", 200),
                admin("0.NA/88.300", 301, at=101),
                group((300, "0.NA/88.300"), (301, "0.NA/88.300")),
                value(300, "HS_PUBKEY", rsa_key("admin").public.to_wire()),
                value(301, "HS_SECKEY", SECRET, PRIVATE),
            )

    def store(self, name, *values):
        """Put values into a handle, past all doors; it is made when missing."""
        now_us = self.clock.now_us()
        with self.engine.write() as writer:
            ledger = Ledger(writer, now_us)
            given = [to_pb(item) for item in values]
            target = administer.Target.of(name, None)
            if ledger.find(target.key) is None:
                administer.create(ledger, ADMIN, administer.prepare(name, given, "", now_us // 1_000_000, 1 << 20))
            else:
                for item in given:
                    item.timestamp_s = now_us // 1_000_000
                administer.put_values(ledger, ADMIN, target, given, 0, 1 << 20)
            ledger.close()

    def add_enterprise(self, enterprise_id, prefix, credit_code="91350100M000100Y43"):
        now_us = self.clock.now_us()
        with self.engine.write() as writer:
            row = registry_pb2.Enterprise(enterprise_id=enterprise_id, name=enterprise_id, credit_code=credit_code)
            enterprises.create(writer, ADMIN, row, now_us, os.urandom)
            ledger = Ledger(writer, now_us)
            prefix_handles.create(ledger, ADMIN, registry_pb2.Prefix(prefix=prefix, enterprise_id=enterprise_id))
            ledger.close()

    @staticmethod
    def randomness(octets):
        return os.urandom(octets)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        arguments = self._arguments
        self._stopping = asyncio.Event()
        self.ports, self.protocols, self.tcp, self.udp, self.services, closing = [], [], [], [], [], []
        for worker in range(arguments.workers):
            options = (
                OPTIONS if not self._service_changes else ServiceOptions(**(vars(OPTIONS) | self._service_changes))
            )
            service = Service(self.engine, self.clock, os.urandom, options, version="test")
            await service.start()
            self.services.append(service)
            protocol = HandleProtocol(
                service.core,
                HandleOptions(
                    worker,
                    "88.300",
                    self.site,
                    self.key,
                    replication_admins=arguments.replication_admins,
                    takes_legacy=arguments.takes_legacy,
                ),
            )
            relay = Relay(self.directory / "relay", worker, protocol)
            await relay.start()
            tcp = HandleTcpDoor(service.core, protocol, relay, self.clock, idle_s=arguments.idle_s)
            rate = AnswerRate(arguments.answers_per_s, os.urandom, buckets=1_024)
            udp = HandleUdpDoor(service.core, protocol, relay, self.clock, rate)
            port = await self._start_both(tcp, udp, arguments.host)
            self.ports.append(port)
            self.protocols.append(protocol)
            self.tcp.append(tcp)
            self.udp.append(udp)
            closing += [tcp.drain(0.0), udp.drain(0.1), udp.drain(0.0), relay.close(), service.close()]
        self._ready.set()
        await self._stopping.wait()
        for work in closing:
            await work
        await asyncio.sleep(0.02)

    @staticmethod
    async def _start_both(tcp, udp, host):
        """Start both doors on one free port: what is free for TCP may be taken for UDP."""
        for _ in range(20):
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as held:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                held.bind((host, 0))
                port = held.getsockname()[1]
                with suppress(OSError):
                    await udp.start(host, port)
                    return await tcp.start(host, port)
        raise AssertionError("no port is free for both")

    def on_loop(self, work):
        """What a coroutine gives that runs on the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(100)

    def stop(self):
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(100)
        self.engine.close()

    @property
    def port(self):
        return self.ports[0]

    def client(self, worker=0, **options):
        return HandleClient(self.ports[worker], **options)


@contextmanager
def handle_node(directory, **options):
    node = HandleNode(directory, **options)
    try:
        yield node
    finally:
        node.stop()


class HandleClient:
    """A raw client: one TCP connection at a time, requests of any version and with any flags."""

    def __init__(self, port, *, version=OWN, suggested=None, flags=HSJ, keep=False):
        self.port, self.version, self.flags, self.keep = port, Version(*version), flags, keep
        self.suggested = Version(*(suggested or version))
        self._ids = 100
        self._kept = None

    def request(self, op_code, body, *, flags=None, session_id=0, credential=None):
        self._ids += 1
        flags = self.flags if flags is None else flags
        envelope = Envelope(self.version, self.suggested, 0, session_id, self._ids, 0, 0)
        return request_message(envelope, Header(op_code, 0, flags, 0xFFFF, 0, 0, 0), body, credential)

    def connection(self):
        if self.keep:
            self._kept = self._kept or socket.create_connection(("127.0.0.1", self.port), timeout=60)
            return self._kept
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def close(self):
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def frames(self, octets):
        """All answers to some octets, the last without the CONTINUOUS flag."""
        connection = self.connection()
        try:
            connection.sendall(octets)
            found = [read_frame(connection)]
            while not found[-1].envelope.is_encrypted and found[-1].header.flags & 0x0400_0000:
                found.append(read_frame(connection))
            return found
        finally:
            if not self.keep:
                connection.close()

    def ask(self, op_code, body, **options):
        return self.send(self.request(op_code, body, **options))

    def send(self, message):
        return Message.from_frame(self.frames(message.to_wire())[0])

    def answer_to(self, challenge, request, identity, key, *, code=None):
        """The request that answers a challenge with a private key or a secret."""
        digest = challenge.request_digest.octets
        index, _, handle = identity.partition(":")
        if isinstance(key, bytes):
            code = challenges.secret_answer_code(self.version) if code is None else code
            made = challenges.answer_by_secret(key, challenge.body.nonce, digest, code, salt=b"0123456789abcdef")
            kind = "HS_SECKEY"
        else:
            algorithm = signatures.preferred_hash(self.version, key.kind)
            signed = signatures.sign(key, algorithm, challenge.body.nonce + digest)
            made, kind = challenges.KeyPairAnswer(algorithm, signed), "HS_PUBKEY"
        body = requests.ChallengeAnswer(kind, handle, int(index), made.to_wire())
        return self.request(200, body, flags=request.header.flags, session_id=challenge.envelope.session_id)

    def authenticated(self, message, identity="300:0.NA/88.300", key=None):
        """All answers to a request, a challenge being answered on the way."""
        key = rsa_key("admin") if key is None else key
        found = [Message.from_frame(frame) for frame in self.frames(message.to_wire())]
        if found[0].header.response_code != 402:
            return found
        answer = self.answer_to(found[0], message, identity, key)
        return [Message.from_frame(frame) for frame in self.frames(answer.to_wire())]

    def do(self, op_code, body, identity="300:0.NA/88.300", key=None, **options):
        """The (first) answer to an authenticated request."""
        return self.authenticated(self.request(op_code, body, **options), identity, key)[0]


class ClientSession:
    """The client's side of a Diffie-Hellman session."""

    def __init__(self, client, *, flags=0x5980_0000):
        self.client = client
        self.private = int.from_bytes(os.urandom(48), "big")
        ours = sessions.public_half(self.private, sessions.OAKLEY_2)
        setup = requests.SessionSetup(4, 86_400, "0.NA/88.300", 300, public_key=ours.to_wire())
        self.setup = client.ask(400, setup, flags=flags)
        assert self.setup.header.response_code == 1, self.setup.body
        cipher, theirs = sessions.exchange_data_from_wire(self.setup.body.data, self.setup.envelope.version)
        self.key = sessions.derive(sessions.shared_secret(self.private, theirs), cipher)
        self.id = self.setup.envelope.session_id
        self.counter = 0

    def request(self, op_code, body, *, flags=None, encrypts=False, counter=None):
        """A request with the session's MAC, as octets."""
        self.counter += 1
        plain = self.client.request(op_code, body, flags=flags, session_id=self.id)
        number = self.counter if counter is None else counter
        made = mac_credential(plain.envelope, plain.header_and_body, self.key.octets, number)
        frame = request_message(plain.envelope, plain.header, body, made).to_frame()
        return sessions.encrypt(frame, self.key, os.urandom(16)) if encrypts else frame

    def ask(self, op_code, body, *, identity="300:0.NA/88.300", key=None, **options):
        """The answer to a request, a challenge being answered without a MAC as CNRI's client does."""
        frame = self.request(op_code, body, **options)
        found = self.read(self.client.frames(frame.to_wire())[0])
        if found.header.response_code != 402:
            return found
        assert found.envelope.session_id == self.id
        request = Message.from_frame(sessions.decrypt(frame, self.key))
        answer = self.client.answer_to(found, request, identity, rsa_key("admin") if key is None else key)
        return self.read(self.client.frames(answer.to_wire())[0])

    def read(self, frame):
        """An answer, decrypted; ``was_encrypted`` tells whether it was hidden."""
        self.was_encrypted = frame.envelope.is_encrypted
        return Message.from_frame(sessions.decrypt(frame, self.key))


def read_exactly(connection, octets):
    found = b""
    while len(found) < octets:
        part = connection.recv(octets - len(found))
        if not part:
            raise EOFError(found)
        found += part
    return found


def read_frame(connection):
    head = read_exactly(connection, 20)
    return Frame.from_wire(head + read_exactly(connection, int.from_bytes(head[16:], "big")))
