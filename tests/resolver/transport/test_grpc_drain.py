"""A drain waits for calls, and for no stream that would never end: at both doors."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from resolver import methods
from resolver.transport import health, reflection
from resolver.v1 import resolution_pb2
from tests.resolver.transport.h2_doors import DOORS, door_of, run
from tests.support.node import Client

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.mark.parametrize("kind", DOORS)
def test_streams_without_an_end_do_not_hold_up_a_drain(world, kind):
    async def main():
        async with (
            world.serving() as asker,
            door_of(kind, asker.service) as place,
            grpc.aio.insecure_channel(place.target) as channel,
        ):
            client = Client(channel, world)
            watch = client.start("", health.WATCH, [health_pb2.HealthCheckRequest()])
            unknown = client.start("", health.WATCH, [health_pb2.HealthCheckRequest(service="none")])
            assert (await watch.read()).status == SERVING
            assert (await unknown.read()).status == UNKNOWN
            open_ended = [watch, unknown]
            for method, request in (
                (reflection.INFO_V1, reflection_pb2.ServerReflectionRequest(list_services="")),
                (methods.STREAM_RESOLVE, resolution_pb2.StreamResolveRequest(name="a/b", tag=1)),
            ):
                dialogue = channel.stream_stream(method.path)()
                await dialogue.write(request.SerializeToString())
                await dialogue.read()
                open_ended.append(dialogue)
            asker.service.begin_drain()
            async with asyncio.timeout(60):
                await place.door.drain(600.0)
            assert (await watch.read()).status == NOT_SERVING
            for stream in open_ended:
                assert await stream.code() is grpc.StatusCode.UNAVAILABLE

    run(main())
