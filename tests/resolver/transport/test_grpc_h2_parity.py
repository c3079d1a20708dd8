"""The same question at both gRPC doors gets the same code, sentence, rich error and octets."""

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from resolver import methods
from resolver.methods import METHODS, Shape
from resolver.transport.health import CHECK
from resolver.transport.reflection import INFO_V1, INFO_V1ALPHA
from resolver.v1 import changes_pb2, registration_pb2, resolution_pb2
from tests.resolver.transport.h2_doors import both_clients, run
from tests.support.builders import HIDDEN, PREFIX_A, register, value

NAME = f"{PREFIX_A}/one"
LONG = "x" * 400
WRITE_FAILED = "Internal error from Core"
"""What grpc.aio says in the place of the status when its first write meets a call that is over (grpc/grpc 36066)."""

TOKENS = {"bad token": "Bearer idis_nobody", "not bearer": "Basic abc", "too long": "Bearer " + "x" * 600}

CASES = {
    "resolve": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=NAME)]),
    "resolve folded": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=NAME.upper())]),
    "resolve long name": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/{LONG}")]),
    "resolve restricted": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/mixed")]),
    "resolve by user": ("user_a", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=NAME)]),
    "resolve types": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=NAME, types=["EMAIL"])]),
    "resolve indexes": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=NAME, indexes=[1])]),
    "resolve values missing": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=NAME, types=["NONE"])]),
    "resolve chinese": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/产品")]),
    "resolve missing": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/none 100% 产品")]),
    "resolve elsewhere": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name="10.1000/182")]),
    "resolve nothing": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest()]),
    "resolve no suffix": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/")]),
    "resolve no prefix": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name="/x")]),
    "resolve prefix handle": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=PREFIX_A)]),
    "resolve newline": ("", methods.RESOLVE, [resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/a\nb")]),
    "resolve garbage": ("", methods.RESOLVE, [b"\xff\xff\xff"]),
    "resolve bad utf-8": ("", methods.RESOLVE, [b"\x0a\x02\xff/"]),
    "resolve too large": ("", methods.RESOLVE, [b"\x0a" * ((64 << 10) + 1)]),
    "resolve forbidden": (
        "app_a",
        methods.RESOLVE,
        [resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/mixed", include_restricted=True)],
    ),
    "batch": ("", methods.BATCH_RESOLVE, [resolution_pb2.BatchResolveRequest(names=[NAME, "x", f"{PREFIX_A}/no"])]),
    "batch of all sorts": (
        "",
        methods.BATCH_RESOLVE,
        [
            resolution_pb2.BatchResolveRequest(
                names=[
                    NAME,
                    f"{PREFIX_A}/{LONG}",
                    "no/x",
                    f"{PREFIX_A}/产品",
                    "",
                    NAME.upper(),
                    PREFIX_A,
                    f"{PREFIX_A}/",
                    f"{PREFIX_A}/mixed",
                    f"{PREFIX_A}/ı",
                    f"{PREFIX_A}/ſ",
                    NAME,
                ]
            )
        ],
    ),
    "batch garbage": ("", methods.BATCH_RESOLVE, [b"\xff\xff"]),
    "batch of nothing": ("", methods.BATCH_RESOLVE, [b""]),
    "batch types": ("", methods.BATCH_RESOLVE, [resolution_pb2.BatchResolveRequest(names=[NAME], types=["EMAIL"])]),
    "batch too many": ("", methods.BATCH_RESOLVE, [resolution_pb2.BatchResolveRequest(names=[NAME] * 1001)]),
    "stream": ("", methods.STREAM_RESOLVE, [resolution_pb2.StreamResolveRequest(tag=7, name=NAME)]),
    "stream miss": ("", methods.STREAM_RESOLVE, [resolution_pb2.StreamResolveRequest(tag=7, name="nobody/x")]),
    "stream nothing": ("", methods.STREAM_RESOLVE, []),
    "stream garbage": ("", methods.STREAM_RESOLVE, [b"\xff\xff"]),
    "stream too large": ("", methods.STREAM_RESOLVE, [b"\x0a" * ((64 << 10) + 1)]),
    "list": ("user_a", methods.LIST_HANDLES, [resolution_pb2.ListHandlesRequest(prefix=PREFIX_A)]),
    "list anonymous": ("", methods.LIST_HANDLES, [resolution_pb2.ListHandlesRequest(prefix=PREFIX_A)]),
    "create exists": (
        "user_a",
        methods.CREATE_HANDLE,
        [registration_pb2.CreateHandleRequest(name=NAME, values=[value()])],
    ),
    "create too large": ("user_a", methods.CREATE_HANDLE, [b"\x0a" * ((2 << 20) + 1)]),
    "import out of order": (
        "user_a",
        methods.IMPORT_HANDLES,
        [registration_pb2.ImportHandlesRequest(import_id="i", chunk=5)]
        if "chunk" in registration_pb2.ImportHandlesRequest.DESCRIPTOR.fields_by_name
        else [registration_pb2.ImportHandlesRequest()],
    ),
    "import garbage": ("user_a", methods.IMPORT_HANDLES, [b"\xff\xff"]),
    "watch": ("administrator", methods.WATCH, [changes_pb2.WatchRequest(from_serial=1, stop_at_end=True)]),
    "watch anonymous": ("", methods.WATCH, [changes_pb2.WatchRequest(from_serial=1, stop_at_end=True)]),
    "watch garbage": ("", methods.WATCH, [b"\xff\xff"]),
    "health": ("", CHECK, [health_pb2.HealthCheckRequest()]),
    "health of nothing": ("", CHECK, [health_pb2.HealthCheckRequest(service="nothing")]),
    "reflection": ("", INFO_V1, [reflection_pb2.ServerReflectionRequest(list_services="*")]),
    "reflection alpha": (
        "",
        INFO_V1ALPHA,
        [
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="resolver.v1.ResolutionService"),
            reflection_pb2.ServerReflectionRequest(file_by_filename="none"),
        ],
    ),
}
for each in METHODS.values():
    for caller in ("", "user_a"):
        if each.shape is Shape.UNARY:
            # An empty request of every method: each says something of its own.
            CASES[f"{each.name} empty by {caller or 'nobody'}"] = (caller, each, [each.request()])


async def outcome(client, who, method, requests, **options):
    """Code, sentence, details and messages of a call as octets."""
    raw = type("Raw", (), {"FromString": staticmethod(bytes)})
    plain = type("Method", (), {"path": method.path, "shape": method.shape, "response": raw})
    call = client.start(who, plain, requests, **options)
    messages = []
    try:
        if method.shape is Shape.UNARY:
            messages.append(await call)
        else:
            messages.extend([message async for message in call])
    except grpc.aio.AioRpcError:
        pass
    details = [octets for key, octets in await call.trailing_metadata() if key == "grpc-status-details-bin"]
    return await call.code(), await call.details(), details, messages


def fill(world):
    register(world.engine, world.clock, NAME, [value(), value(2, "a@example.com", "EMAIL")])
    register(world.engine, world.clock, f"{PREFIX_A}/{LONG}")
    register(world.engine, world.clock, f"{PREFIX_A}/产品")
    register(world.engine, world.clock, f"{PREFIX_A}/mixed", [value(), value(2, "secret", permissions=HIDDEN)])


def test_every_call_has_the_same_outcome_at_both_doors(world):
    fill(world)

    async def main():
        async with both_clients(world) as clients:
            for name, (who, method, requests) in CASES.items():
                found = {kind: await outcome(client, who, method, requests) for kind, client in clients.items()}
                assert found["h2"] == found["grpcio"], name
            codes = {kind: [(m.path, code) for m, code, _ in c.observed] for kind, c in clients.items()}
            assert sorted(codes["h2"]) == sorted(codes["grpcio"])
            assert all(seconds >= 0 for _, _, seconds in clients["h2"].observed)

    run(main())


@pytest.mark.parametrize("header", TOKENS.values(), ids=TOKENS)
def test_bad_credentials_are_refused_alike(world, header):
    async def main():
        async with both_clients(world) as clients:
            for method in (methods.RESOLVE, methods.CREATE_HANDLE, methods.STREAM_RESOLVE, methods.WATCH, CHECK):
                request = method.request()
                metadata = (("authorization", header),)
                found = {
                    kind: await outcome(client, "", method, [request], metadata=metadata)
                    for kind, client in clients.items()
                }
                while found["grpcio"][1] == WRITE_FAILED:
                    found["grpcio"] = await outcome(clients["grpcio"], "", method, [request], metadata=metadata)
                assert found["h2"] == found["grpcio"], method.name
            assert found["h2"][0] is grpc.StatusCode.OK  # health takes no credential

    run(main())


def test_writes_answer_alike(world):
    async def main():
        async with both_clients(world) as clients:
            found = {}
            for kind, client in clients.items():
                request = registration_pb2.CreateHandleRequest(name=f"{PREFIX_A}/{kind:6}", values=[value()])
                code, sentence, details, (octets,) = await outcome(client, "user_a", methods.CREATE_HANDLE, [request])
                response = methods.CREATE_HANDLE.response.FromString(octets)
                found[kind] = (code, sentence, details, type(response), len(octets))
                assert response.ByteSize() == len(octets)
            assert found["h2"] == found["grpcio"]

    run(main())


def test_unknown_methods_and_encodings(world):
    async def main():
        async with both_clients(world) as clients:
            found = {}
            for kind, client in clients.items():
                call = client.channel.unary_unary("/resolver.v1.ResolutionService/Nothing")(b"", timeout=60)
                found[kind] = (await call.code(), await call.details())
            assert found["h2"] == found["grpcio"]
            assert found["h2"][0] is grpc.StatusCode.UNIMPLEMENTED

    run(main())


def test_compressed_requests_are_understood_alike(world):
    fill(world)
    request = resolution_pb2.BatchResolveRequest(names=[NAME] * 500)

    async def main():
        async with both_clients(world) as clients:
            for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
                found = {}
                for kind, client in clients.items():
                    call = client.channel.unary_unary(methods.BATCH_RESOLVE.path)(
                        request.SerializeToString(), timeout=60, compression=compression
                    )
                    found[kind] = await call
                assert found["h2"] == found["grpcio"]
                assert len(found["h2"]) > 10_000

    run(main())


def test_both_doors_count_alike(world):
    fill(world)

    async def main():
        async with both_clients(world) as clients:
            core = clients["h2"].core
            found = {}
            for kind, client in clients.items():
                core.roll()
                core.counting.take()
                for name, (who, method, requests) in CASES.items():
                    if name.startswith(("resolve", "batch", "stream")):
                        await outcome(client, who, method, requests)
                core.roll()
                waiting = core.counting.take().waiting
                found[kind] = (waiting.prefixes, waiting.sources)
            assert found["h2"] == found["grpcio"]
            assert sum(asked for asked, _ in found["h2"][0].values()) > 30

    run(main())
