"""Answers that come later than those to the questions after them."""

import asyncio

import pytest

from resolver.service.later import Later


async def questions(*some):
    for question in some:
        yield question


def test_late_answers_come_between_and_behind_the_questions():
    async def main():
        gate = asyncio.Event()

        async def answers(requests):
            await gate.wait()
            for request in requests:
                yield request.upper().encode()

        later, found = Later(answers), []
        async for each in later.between(questions("a", "b", "c")):
            found.append(each)
            if each == "a":
                later.add(["a"])
            elif each == "c":
                gate.set()
        assert found == ["a", "b", "c", b"A"]

    asyncio.run(main())


@pytest.mark.parametrize("given", [0, 1])
def test_a_defect_in_a_late_answer_ends_the_stream_instead_of_holding_it_for_ever(given):
    async def main():
        async def answers(requests):
            for request in requests[:given]:
                yield request.encode()
            raise ZeroDivisionError

        later, found = Later(answers), []

        async def take():
            async for each in later.between(questions("a", "b")):
                found.append(each)
                if each == "b":
                    later.add(["x", "y"])

        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(take(), 30)
        assert found == ["a", "b", b"x"][: 2 + given]

    asyncio.run(main())
