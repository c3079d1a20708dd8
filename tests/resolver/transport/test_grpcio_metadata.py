"""Metadata beyond its bound at the grpcio door, from peers who never acknowledge the SETTINGS that name the bound."""

import gc

import pytest

from resolver import limits
from resolver.transport import grpc_server
from resolver.transport.grpc_server import OPTIONS
from resolver.v1 import resolution_pb2
from tests.resolver.transport.h2_doors import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    Peer,
    door_of,
    run,
    until,
)
from tests.support.builders import PREFIX_A

QUESTION = resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/none").SerializeToString()
FIELDS = b"\x00\x01a\x01b" * 2_000
"""Two thousand times ``a: b``, none of which is put into the table."""


async def unacknowledged(port):
    peer = await Peer.connect(port, greet=False)
    peer.writer.write(PREFACE)
    peer.send(SETTINGS)
    return peer


def tuples_of_metadata():
    return sum(type(found).__name__ == "_Metadatum" for found in gc.get_objects())


async def status(peer, stream_id):
    fields, _ = await peer.answer(stream_id)
    return fields["grpc-status"]


@pytest.mark.parametrize(
    ("octets", "code"), [(limits.METADATA_OCTETS_MAX // 2, "5"), (limits.METADATA_OCTETS_MAX + 1, "8"), (100_000, "8")]
)
def test_the_bound_holds_for_who_never_acknowledges_it(world, octets, code):
    async def main():
        async with world.serving() as asker, door_of("grpcio", asker.service) as place:
            peer = await unacknowledged(place.port)
            head = peer.headers(extra=[("x", "y" * octets)])
            first, *more = (head[at : at + 16_000] for at in range(0, len(head), 16_000))
            peer.send(HEADERS, 0, 1, first)
            for part in [*more, b""]:
                peer.send(CONTINUATION, 0 if part else END_HEADERS, 1, part)
            peer.message(1, QUESTION)
            assert await status(peer, 1) == code

    run(main())


def test_a_method_that_streams_refuses_it_without_a_message(world):
    async def main():
        async with world.serving() as asker, door_of("grpcio", asker.service) as place:
            peer = await unacknowledged(place.port)
            path = "/resolver.v1.ResolutionService/StreamResolve"
            peer.send(HEADERS, 0, 1, peer.headers(path))
            peer.send(CONTINUATION, END_HEADERS, 1, FIELDS)
            assert await status(peer, 1) == "8"

    run(main())


def test_half_a_million_fields_do_not_stay(world):
    """They were garbage that the collector of cycles had taken for old and looked at no more."""

    async def main():
        async with world.serving() as asker, door_of("grpcio", asker.service) as place:
            peer = await unacknowledged(place.port)
            peer.send(HEADERS, END_STREAM, 1, peer.headers())
            for _ in range(260):
                peer.send(CONTINUATION, 0, 1, FIELDS)
            await peer.answer(1)
            await until(lambda: tuples_of_metadata() < 1_000)

    gc.disable()  # it would come by itself, some time
    try:
        run(main())
    finally:
        gc.enable()


def test_who_never_acknowledges_is_shown_the_door(world, monkeypatch):
    """Grpcio's core would wait for a minute, with up to forty mebibytes of metadata in its hands."""
    name = "grpc.http2.settings_timeout"
    assert dict(OPTIONS)[name] == limits.SETTINGS_ACK_S * 1_000
    monkeypatch.setattr(grpc_server, "OPTIONS", tuple({**dict(OPTIONS), name: 3_000}.items()))

    async def main():
        async with world.serving() as asker, door_of("grpcio", asker.service) as place:
            acknowledging = await Peer.connect(place.port)  # first, so that its time would be over first
            silent = await unacknowledged(place.port)
            await silent.frames()
            await acknowledging.begin()

    run(main())
