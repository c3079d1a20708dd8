"""Long answers of a burst leave one by one and in pieces: memory for all of them at once came and went page by page."""

import struct

from resolver import methods
from resolver.transport import h2_bounds
from resolver.v1 import resolution_pb2
from tests.resolver.transport import h2_doors
from tests.resolver.transport.h2_doors import Peer, h2_client, run
from tests.support.builders import PREFIX_A, register, value

NAMES = [f"{PREFIX_A}/{number}" for number in range(5)]
VALUE_OCTETS = 60_000
BATCHES = 6


class Recorder:
    """A transport that notes what is written, and what waited when it was."""

    def __init__(self, transport, session):
        self._transport, self._session = transport, session
        self.pieces, self.waiting = [], []

    def write(self, octets):
        self.pieces.append(len(octets))
        self.waiting.append(self._session.queued_body_size())
        self._transport.write(octets)

    def __getattr__(self, name):
        return getattr(self._transport, name)


def test_long_answers_of_a_burst_leave_one_by_one(world):
    async def main():
        for number, name in enumerate(NAMES):
            register(world.engine, world.clock, name, [value(1, str(number) * VALUE_OCTETS)])
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port, settings=struct.pack(">HI", 4, 2**31 - 1))
            peer.send(h2_doors.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
            await peer.begin()
            (connection,) = client.place.door._shared.connections
            recorder = connection._transport = Recorder(connection._transport, connection._session)
            for number in range(BATCHES):
                names = NAMES[number % 5 :] + NAMES[: number % 5]
                message = resolution_pb2.BatchResolveRequest(names=names).SerializeToString()
                peer.request(2 * number + 1, message, path=methods.BATCH_RESOLVE.path)
            for number in range(BATCHES):
                fields, data = await peer.answer(2 * number + 1)
                assert fields["grpc-status"] == "0"
                found = [record.name for record in resolution_pb2.BatchResolveResponse.FromString(data[5:]).records]
                assert found == NAMES[number % 5 :] + NAMES[: number % 5]
            assert sum(recorder.pieces) > BATCHES * 5 * VALUE_OCTETS
            assert max(recorder.pieces) <= h2_bounds.WRITE_OCTETS
            assert max(recorder.waiting) < 6 * VALUE_OCTETS  # one answer, not six

    run(main())
