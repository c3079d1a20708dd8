"""Thousands of connections whose time is over at once keep nobody waiting who asks."""

import asyncio
import itertools

from resolver.transport.deadlines import LOOKED_AT_ONCE, check_all


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
