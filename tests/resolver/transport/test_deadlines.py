"""Thousands of connections whose time is over at once keep nobody waiting who asks."""

import asyncio
import itertools
import socket

from resolver.transport.deadlines import LOOKED_AT_ONCE, Untaken, acknowledged_octets, check_all


class Due:
    def __init__(self, seen):
        self.seen = seen

    def check(self, now_s):
        self.seen.append(now_s)


def test_others_get_their_turn_in_between():
    async def main():
        seen, turns = [], []

        async def asks():
            while len(seen) < 10 * LOOKED_AT_ONCE + 1:
                turns.append(len(seen))
                await asyncio.sleep(0)

        await asyncio.gather(check_all([Due(seen)] * (10 * LOOKED_AT_ONCE + 1), 5.0), asks())
        assert seen == [5.0] * (10 * LOOKED_AT_ONCE + 1)
        return [after - before for before, after in itertools.pairwise(turns)]

    assert max(asyncio.run(main())) <= LOOKED_AT_ONCE


def test_a_defect_in_one_connection_keeps_no_other_from_its_end():
    class Defective:
        def check(self, now_s):
            raise ZeroDivisionError

    class Sound:
        seen = 0.0

        def check(self, now_s):
            self.seen = now_s

    sound = Sound()
    asyncio.run(check_all([Defective(), sound], 5.0))
    assert sound.seen == 5.0


async def acknowledged_at_last(transport):
    """The octets acknowledged when the kernel of a client that does not read takes no more."""
    before = -1
    while before != (acked := acknowledged_octets(transport)):
        before = acked
        await asyncio.sleep(0.1)
    return acked


def test_what_the_kernel_holds_is_not_taken_yet():
    """It takes more in pieces of a megabyte: who takes it slowly seemed to take nothing."""

    async def main():
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            client.connect(listening.getsockname())
            client.setblocking(False)
            accepted, _ = listening.accept()
            transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, accepted)
            transport.write(bytes(8 << 20))
            untaken = Untaken()
            assert 0 < await acknowledged_at_last(transport) < 8 << 20
            untaken.begin(transport, 30.0)
            assert not untaken.is_over(transport, 29.0, 30.0)
            for _ in range(40):
                await loop.sock_recv(client, 4_096)
            await acknowledged_at_last(transport)
            assert not untaken.is_over(transport, 31.0, 30.0)
            assert not untaken.is_over(transport, 60.0, 30.0)
            assert untaken.is_over(transport, 61.0, 30.0)
            transport.abort()
            await asyncio.sleep(0)
            assert acknowledged_octets(transport) == 0

    asyncio.run(main())
