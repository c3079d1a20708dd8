"""A node in the test's own process: store, service, gRPC door on loopback, and callers with real tokens.

Everything is the real thing, only the clock and the randomness belong to the test. ``World`` prepares two
enterprises, ``ent-a`` with prefix 88.300.10 and ``ent-b`` with 88.300.20, each with a user and an application.
"""

import asyncio
from contextlib import asynccontextmanager, contextmanager

import grpc
from google.rpc import error_details_pb2, status_pb2

from resolver import methods
from resolver.methods import METHODS, Shape
from resolver.registry import enterprises, keys, prefixes, principals
from resolver.registry.first_start import first_start
from resolver.service import Credential, Service, ServiceOptions
from resolver.transport.grpc_server import GrpcioDoor
from resolver.v1 import registry_pb2
from tests.support.builders import ADMIN, PREFIX_A, PREFIX_B, enterprise

OPTIONS = {
    "record_octets_max": 1 << 20,
    "public_resolution": True,
    "statistics_flush_s": 3_600.0,
    "watch_poll_s": 3_600.0,
    "watch_write_timeout_s": 5.0,
    "group_jobs_max": 2_000,
    "lane_queue_max": 20_000,
}


def options(**changes):
    return ServiceOptions(**(OPTIONS | changes))


@contextmanager
def no_second_ends(core):
    """Nothing that is counted inside the block is handed on by the timer, only by the ``roll`` that this gives."""
    roll = core.roll
    core.roll = lambda: None
    try:
        yield roll
    finally:
        del core.roll


class World:
    """A prepared store and the tokens of everybody in it: administrator, user_a, app_a, user_b, app_b."""

    def __init__(self, engine, clock, randomness):
        self.engine, self.clock, self.randomness = engine, clock, randomness
        now = clock.now_us()
        self.tokens = {"administrator": first_start(engine, "88.300", now, randomness)}
        for letter, prefix in (("a", PREFIX_A), ("b", PREFIX_B)):
            with engine.write() as writer:
                enterprises.create(writer, ADMIN, enterprise(f"ent-{letter}"), now, randomness)
                row = registry_pb2.Prefix(prefix=prefix, enterprise_id=f"ent-{letter}")
                prefixes.create(writer, ADMIN, row, now)
            self.add_principal(f"user_{letter}", f"ent-{letter}", registry_pb2.ROLE_ENTERPRISE_USER)
            self.add_principal(f"app_{letter}", f"ent-{letter}", registry_pb2.ROLE_APPLICATION)

    def add_principal(self, who, enterprise_id, role):
        """A principal ``user-a`` for ``user_a``, with a token."""
        row = registry_pb2.Principal(principal_id=who.replace("_", "-"), role=role, enterprise_id=enterprise_id)
        request = registry_pb2.CreateKeyRequest(principal_id=row.principal_id, kind=registry_pb2.KEY_KIND_API_TOKEN)
        now = self.clock.now_us()
        with self.engine.write() as writer:
            principals.create(writer, ADMIN, row, now, self.randomness)
            self.tokens[who] = keys.create(writer, ADMIN, request, now, self.randomness).token

    @asynccontextmanager
    async def serving(self, **changes):
        """A started service on the store."""
        service = Service(self.engine, self.clock, self.randomness, options(**changes), version="test")
        await service.start()
        try:
            yield Asker(service, self)
        finally:
            await service.close()

    @asynccontextmanager
    async def door(self, **changes):
        """A service behind a gRPC door on loopback, and a client of it."""
        async with self.serving(**changes) as asker:
            observed = []
            door = GrpcioDoor(
                asker.service,
                observe=lambda *call: observed.extend([call[:3]] * call[3]),
                clock=self.clock,
                write_timeout_s=5.0,
            )
            port = await door.start("127.0.0.1", 0, None)
            door.set_serving(True)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                client = Client(channel, self)
                client.door, client.observed, client.service = door, observed, asker.service
                client.address = f"127.0.0.1:{port}"
                try:
                    yield client
                finally:
                    await door.drain(0.0)


class Asker:
    """Calls handlers of a service as a door does, without a socket."""

    def __init__(self, service, world):
        self.service, self.world = service, world
        self._handlers = service.handlers()

    def call(self, who):
        token = self.world.tokens[who] if who else ""
        return self.service.call_from("192.0.2.1", Credential(token=token) if token else None)

    async def ask(self, who, method, request=None, **fields):
        """The response message of a unary method."""
        response = self._handlers[method.path](self.call(who), request or method.request(**fields))
        if asyncio.iscoroutine(response):
            response = await response
        return method.response.FromString(response) if isinstance(response, bytes) else response

    def stream(self, who, method, requests):
        """The responses of a streaming method, as messages; ``requests`` is one message or an async iterator."""
        responses = self._handlers[method.path](self.call(who), requests)
        return _parsed(method, responses)

    async def answers(self, who, method, requests):
        """All responses of a stream of requests."""

        async def stream():
            for request in requests:
                yield request

        return [answer async for answer in self.stream(who, method, stream())]


async def _parsed(method, responses):
    try:
        async for response in responses:
            yield method.response.FromString(response) if isinstance(response, bytes) else response
    finally:
        await responses.aclose()


class Client:
    """A grpc.aio client of every method in the table."""

    def __init__(self, channel, world):
        self.channel, self.world = channel, world

    def metadata(self, who):
        return (("authorization", f"Bearer {self.world.tokens[who]}"),) if who else ()

    def start(self, who, method, requests, *, timeout=60.0, metadata=None):
        """Start a call of any shape; ``requests`` are messages or octets."""
        serialize = _octets
        parse = method.response.FromString
        metadata = self.metadata(who) if metadata is None else metadata
        if method.shape is Shape.UNARY:
            return self.channel.unary_unary(method.path, serialize, parse)(
                requests[0], timeout=timeout, metadata=metadata
            )
        if method.shape is Shape.SERVER_STREAM:
            return self.channel.unary_stream(method.path, serialize, parse)(
                requests[0], timeout=timeout, metadata=metadata
            )
        return self.channel.stream_stream(method.path, serialize, parse)(
            _each(requests), timeout=timeout, metadata=metadata
        )

    async def ask(self, who, method, *requests, **options):
        """All responses of a call; raises Failed."""
        call = self.start(who, method, requests or (method.request(),), **options)
        try:
            if method.shape is Shape.UNARY:
                return [await call]
            return [response async for response in call]
        except grpc.aio.AioRpcError as error:
            raise Failed(error) from None


class Failed(Exception):
    """A failed call, with the rich error unpacked."""

    def __init__(self, error):
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code, self.message = error.code(), error.details()
        self.status, self.info, self.violations, self.retry = None, None, [], None
        for key, octets in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                self._unpack(status_pb2.Status.FromString(octets))

    @property
    def reason(self):
        return self.info.reason if self.info else ""

    def _unpack(self, status):
        self.status = status
        for detail in status.details:
            for kind, name in (
                (error_details_pb2.ErrorInfo, "info"),
                (error_details_pb2.BadRequest, "bad_request"),
                (error_details_pb2.RetryInfo, "retry"),
            ):
                if detail.Is(kind.DESCRIPTOR):
                    message = kind()
                    detail.Unpack(message)
                    setattr(self, name, message)
        self.violations = list(getattr(self, "bad_request", error_details_pb2.BadRequest()).field_violations)


def _octets(message):
    return message if isinstance(message, bytes) else message.SerializeToString()


async def _each(requests):
    for request in requests:
        yield request


def method_named(name):
    """The method of the node with a short name, such as CreateHandle."""
    return next(method for method in METHODS.values() if method.name == name)


__all__ = ["OPTIONS", "Asker", "Client", "Failed", "World", "method_named", "methods", "options"]
