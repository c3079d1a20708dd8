"""The grpcio door on loopback: octets that are no message, credentials that are none, health and reflection."""

import asyncio
import gc
import tracemalloc

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from resolver import methods
from resolver.methods import METHODS, Shape
from resolver.transport import health, reflection
from resolver.transport.table import table_of
from resolver.v1 import resolution_pb2
from tests.support.builders import PREFIX_A, register, value
from tests.support.node import Failed

CODE = grpc.StatusCode


def run(world, main, **changes):
    async def body():
        async with world.door(**changes) as client:
            return await main(client)

    return asyncio.run(body())


async def failure(client, who, method, *requests, **options):
    with pytest.raises(Failed) as failed:
        await client.ask(who, method, *requests, **options)
    return failed.value


def test_every_method_has_a_handler(world):
    async def main():
        async with world.serving() as asker:
            assert set(asker.service.handlers()) == set(METHODS)
            table = table_of(asker.service, health.Health(), with_reflection=True)
            assert set(table) - set(METHODS) == {
                "/grpc.health.v1.Health/Check",
                "/grpc.health.v1.Health/Watch",
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            }
            assert not any(table[path].open for path in METHODS)

    asyncio.run(main())


def test_octets_that_are_no_message(world):
    async def main(client):
        for method in METHODS.values():
            error = await failure(client, "administrator", method, b"\xff\xff\xff")
            assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "MALFORMED_MESSAGE"), method.name
        for octets in (b"\x0a\xff", b"\x0a\x02\xff\xfe"):
            error = await failure(client, "", methods.RESOLVE, octets)
            assert "UTF-8" in error.message

    run(world, main)


def test_too_many_octets(world):
    async def main(client):
        for method in METHODS.values():
            if method.octets_max > 1 << 20 or method.shape is Shape.BIDIRECTIONAL:
                continue
            unknown_field = b"\xfa\x7f" + b"\xff\xff\x04" + bytes(0x13FFF)
            error = await failure(client, "administrator", method, unknown_field)
            assert (error.code, error.reason) == (CODE.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"), method.name
        huge = value(1, b"x" * (5 << 20))
        request = methods.CREATE_HANDLE.request(name=f"{PREFIX_A}/x", values=[huge])
        assert (await failure(client, "user_a", methods.CREATE_HANDLE, request)).code is CODE.RESOURCE_EXHAUSTED

    run(world, main)


def test_authorization(world):
    good = world.tokens["user_a"]

    async def main(client):
        for header in ("", "Bearer", "Bearer ", "Basic abc", good, "Bearer " + "x" * 600):
            error = await failure(client, "", methods.GET_NODE_INFO, metadata=(("authorization", header),))
            assert (error.code, error.reason) == (CODE.UNAUTHENTICATED, "CREDENTIAL_INVALID"), header
        for token in (good[:-1], good + "x", good.swapcase(), "idis_", "nonsense"):
            error = await failure(client, "", methods.GET_NODE_INFO, metadata=(("authorization", f"Bearer {token}"),))
            assert error.reason == "CREDENTIAL_INVALID"
            assert token not in error.message
        error = await failure(client, "", methods.LIST_ENTERPRISES)
        assert (error.code, error.reason) == (CODE.UNAUTHENTICATED, "CREDENTIAL_MISSING")
        for header in (f"Bearer {good}", f"bearer {good}", f"BEARER  {good} "):
            (answer,) = await client.ask("", methods.GET_PRINCIPAL, metadata=(("authorization", header),))
            assert answer.principal.principal_id == "user-a"

    run(world, main)


def test_rich_errors_reach_the_client(world):
    async def main(client):
        request = resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/none")
        error = await failure(client, "", methods.RESOLVE, request)
        assert (error.code, error.reason) == (CODE.NOT_FOUND, "HANDLE_NOT_FOUND")
        request = methods.CREATE_HANDLE.request(name=f"{PREFIX_A}/x", values=[value(0)])
        error = await failure(client, "user_a", methods.CREATE_HANDLE, request)
        assert error.code is CODE.INVALID_ARGUMENT
        assert [violation.field for violation in error.violations] == ["values[0].index"]
        for letter in ("\U000e0001", "标"):
            request = resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/{letter * 450}")
            assert (await failure(client, "", methods.RESOLVE, request)).reason == "HANDLE_NOT_FOUND"
        assert (methods.RESOLVE, 5) in [(method, code) for method, code, _ in client.observed]

    run(world, main)


def test_stored_octets_arrive_as_they_are(world):
    register(world.engine, world.clock, f"{PREFIX_A}/x", [value(1, "a"), value(2, b"\x00\xff")])

    async def main(client):
        names = [f"{PREFIX_A}/x", f"{PREFIX_A}/none", f"{PREFIX_A}/X"]
        (batch,) = await client.ask("", methods.BATCH_RESOLVE, resolution_pb2.BatchResolveRequest(names=names))
        (one,) = await client.ask("", methods.RESOLVE, resolution_pb2.ResolveRequest(name=names[0]))
        assert list(batch.records) == [one.record, one.record]
        assert [(miss.position, miss.code) for miss in batch.misses] == [(1, 5)]
        questions = [resolution_pb2.StreamResolveRequest(tag=tag, name=names[tag % 3]) for tag in range(30)]
        answers = await client.ask("", methods.STREAM_RESOLVE, *questions)
        found = [tag for answer in answers for tag in answer.tags]
        missed = [miss.position for answer in answers for miss in answer.misses]
        assert sorted(found + missed) == list(range(30))
        assert all(tag % 3 == 1 for tag in missed)

    run(world, main)


def test_unknown_method(world):
    async def main(client):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client.channel.unary_unary("/resolver.v1.NodeService/Nothing")(b"", timeout=60)
        assert error.value.code() is CODE.UNIMPLEMENTED

    run(world, main)


def test_health(world):
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING

    async def main(client):
        for service in ("", "resolver.v1.ResolutionService", "grpc.health.v1.Health"):
            (answer,) = await client.ask("", health.CHECK, health_pb2.HealthCheckRequest(service=service))
            assert answer.status == serving
        unknown = health_pb2.HealthCheckRequest(service="none")
        assert (await failure(client, "", health.CHECK, unknown)).code is CODE.NOT_FOUND
        watch = client.start("", health.WATCH, [health_pb2.HealthCheckRequest()])
        assert (await watch.read()).status == serving
        client.door.set_serving(False)
        assert (await watch.read()).status == not_serving
        watch.cancel()
        watch = client.start("", health.WATCH, [unknown])
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()
        garbled = (("authorization", "garbled"),)
        (answer,) = await client.ask("", health.CHECK, health_pb2.HealthCheckRequest(), metadata=garbled)
        assert answer.status == not_serving

    run(world, main)


@pytest.mark.parametrize("method", [reflection.INFO_V1, reflection.INFO_V1ALPHA])
def test_reflection(world, method):
    ask = reflection_pb2.ServerReflectionRequest

    async def main(client):
        answers = await client.ask(
            "",
            method,
            ask(list_services=""),
            ask(file_by_filename="resolver/v1/handle.proto"),
            ask(file_containing_symbol="resolver.v1.ChangesService.Watch"),
            ask(file_containing_symbol="resolver.v1.Nothing"),
            ask(),
        )
        services = {service.name for service in answers[0].list_services_response.service}
        assert services >= {row.service for row in METHODS.values()} | {"grpc.health.v1.Health"}
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0]).name
            for answer in answers[1:3]
        ]
        assert files == ["resolver/v1/handle.proto", "resolver/v1/changes.proto"]
        assert [answer.error_response.error_code for answer in answers[3:]] == [5, 3]

    run(world, main)


def test_refused_requests_are_forgotten_without_the_collector(world):
    """The exception of an abort stays with its call, in a cycle; it kept the request too."""
    octets = b"\xfa\x7f" + b"\x80\x80\x60" + bytes(0x180000)

    async def main(client):
        for _ in range(3):
            await failure(client, "", methods.BATCH_CREATE_HANDLES, octets)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(8):
                error = await failure(client, "", methods.BATCH_CREATE_HANDLES, octets)
                assert error.code is CODE.UNAUTHENTICATED
            left_octets, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        assert left_octets < 4 * len(octets)

    run(world, main)
