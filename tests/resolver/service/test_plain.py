"""The short way of a door answers with the octets, and the counts, of the usual way; what it leaves out it says."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.handle.name import is_utf8
from resolver.node.resolve_plain import keys_of
from resolver.node.statistics import NODE
from resolver.service.plain import Plain
from resolver.v1 import resolution_pb2 as pb
from tests.support.builders import HIDDEN, PREFIX_A, PREFIX_B, register, value

NAMES = [f"{PREFIX_A}/one", f"{PREFIX_B}/Two", f"{PREFIX_A}/阀门"]
LONG = 1 << 20
SOURCE = "192.0.2.1"


@pytest.fixture
def serve(world):
    """Runs a function of the service and its short way on a started service with a few records."""
    for name in NAMES:
        register(world.engine, world.clock, name, [value(1, name.encode())])
    register(world.engine, world.clock, f"{PREFIX_A}/secret", [value(1, b"a"), value(2, b"b", permissions=HIDDEN)])

    def run(main):
        async def body():
            async with world.serving() as asker:
                return main(asker, Plain(asker.service.core))

        return asyncio.run(body())

    return run


def question(name, **fields):
    return pb.ResolveRequest(name=name, **fields).SerializeToString()


def asked(name, tag, **fields):
    return pb.StreamResolveRequest(name=name, tag=tag, **fields)


def counts(asker):
    asker.service.core.roll()
    job = asker.service.core.counting.take()
    rows = {} if job is None else job.waiting.prefixes
    return {prefix: tuple(found) for (_, prefix), found in rows.items() if prefix != NODE}


def test_plain_questions_have_the_answers_of_the_usual_way(serve):
    def main(asker, plain):
        call, resolve = asker.call(""), asker.service.resolution.resolve
        usual = [resolve(call, pb.ResolveRequest(name=name)) for name in NAMES]
        by_usual_way = counts(asker)
        assert plain.resolve(SOURCE, [question(name) for name in NAMES], LONG) == usual
        assert counts(asker) == by_usual_way == {PREFIX_A: (2, 2), PREFIX_B: (1, 1)}

    serve(main)


ODD = [
    b"",
    b"\x0a",
    b"\x0a\x00",
    b"\x0a\x7f/",
    question(NAMES[0], types=["URL"]),
    question(NAMES[0], include_restricted=True),
    question(f"{PREFIX_A}/" + "x" * 200),
    question(f"{PREFIX_A}/none"),
    question(f"{PREFIX_A}/secret"),
    question("88.300.77/x"),
    question(PREFIX_A),
    b"\x0a\x03\xff/\xff",
]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_plain_is_left_to_the_usual_way_and_not_counted(serve, odd):
    def main(asker, plain):
        found = plain.resolve(SOURCE, [odd, question(NAMES[0])], LONG)
        assert found[0] is None
        assert pb.ResolveResponse.FromString(found[1]).record.name == NAMES[0]
        assert counts(asker) == {PREFIX_A: (1, 1)}

    serve(main)


def test_a_burst_with_a_long_answer_is_left_whole_and_not_counted(serve):
    def main(asker, plain):
        assert plain.resolve(SOURCE, [question(name) for name in NAMES], 10) is None
        assert counts(asker) == {}

    serve(main)


@pytest.mark.parametrize("tags", [(1, 2, 3), (18, 127, 128), (0x12 << 7 | 0x12, 2**32, 2**62)])
def test_a_burst_of_a_stream_has_the_answer_of_the_usual_way(serve, tags):
    requests = [asked(name, tag) for name, tag in zip(NAMES, tags, strict=True)]

    def main(asker, plain):
        usual = asker.service.resolution.answer_stream(asker.call(""), requests)
        by_usual_way = counts(asker)
        found = plain.answer_stream(SOURCE, [request.SerializeToString() for request in requests])
        assert found.rest == []
        assert found.answer == usual
        assert counts(asker) == by_usual_way

    serve(main)


def test_questions_of_a_stream_that_are_not_found_are_left_with_their_places(serve):
    requests = [asked(f"{PREFIX_A}/none", 5), asked(NAMES[0], 6), asked(f"{PREFIX_A}/a\nb", 7), asked(NAMES[1], 8)]

    def main(asker, plain):
        found = plain.answer_stream(SOURCE, [request.SerializeToString() for request in requests])
        assert found.rest == [0, 2]
        answer = pb.StreamResolveResponse.FromString(found.answer)
        assert list(answer.tags) == [6, 8]
        assert [record.name for record in answer.records] == [NAMES[0], NAMES[1]]
        assert counts(asker) == {PREFIX_A: (1, 1), PREFIX_B: (1, 1)}
        nothing = plain.answer_stream(SOURCE, [requests[0].SerializeToString()])
        assert nothing.answer == b""
        assert nothing.rest == [0]

    serve(main)


@pytest.mark.parametrize(
    "odd",
    [
        asked(NAMES[0], 0).SerializeToString(),
        asked(NAMES[0], 2**64 - 1).SerializeToString(),
        asked(NAMES[0], 3, indexes=[1]).SerializeToString(),
        asked("", 3).SerializeToString(),
        asked(NAMES[0], 3).SerializeToString() + b"\x28\x01",
        b"\x08\x05\x20\x01\x12\x03a/b",
        b"\x08\x05\x12\x04a/b",
        b"\x08\x80\x12\x12a/b".ljust(22, b"x"),
        b"\x08\x05\x12\x03\xff/b",
        b"",
    ],
)
def test_a_burst_with_a_question_that_is_more_than_tag_and_name_is_left_whole(serve, odd):
    def main(asker, plain):
        sound = asked(NAMES[0], 3).SerializeToString()
        assert plain.answer_stream(SOURCE, [sound, odd]) is None
        assert counts(asker) == {}

    serve(main)


def varied(draw_from):
    """Messages, some of them with an octet changed, left out or put in."""

    @st.composite
    def messages(draw):
        octets = bytearray(draw(draw_from))
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, max(0, len(octets) - 1)))
            match draw(st.integers(0, 2)):
                case 0:
                    octets[at : at + 1] = bytes([draw(st.integers(0, 255))])
                case 1:
                    del octets[at : at + 1]
                case _:
                    octets.insert(at, draw(st.sampled_from([0x08, 0x0A, 0x12, 0x20, 0x80, 0x00, 0xFF])))
        return bytes(octets)

    return messages()


NAME = st.sampled_from([*NAMES, f"{PREFIX_A}/none", "x", "阀门/é"])
QUESTIONS = st.builds(lambda name: pb.ResolveRequest(name=name).SerializeToString(), NAME)
STREAMED = st.builds(
    lambda name, tag: pb.StreamResolveRequest(name=name, tag=tag).SerializeToString(), NAME, st.integers(0, 2**64 - 1)
)


@given(varied(QUESTIONS))
@settings(max_examples=500)
def test_octets_taken_for_a_plain_question_are_one(octets):
    key = Plain.key_of(octets)
    if key is not None:
        try:
            parsed = pb.ResolveRequest.FromString(octets)
        except DecodeError:
            assert not is_utf8(octets[2:])  # no handle has such a key
            return
        assert parsed == pb.ResolveRequest(name=parsed.name)
        assert keys_of([parsed.name]) == [key]


@given(varied(STREAMED))
@settings(max_examples=500)
def test_octets_taken_for_a_plain_question_of_a_stream_are_one(octets):
    plain = Plain(SimpleNamespace(reading=lambda: nullcontext(Nothing()), served=None, elsewhere=None))
    if plain.answer_stream(SOURCE, [octets]) is not None:
        parsed = pb.StreamResolveRequest.FromString(octets)
        assert parsed == pb.StreamResolveRequest(name=parsed.name, tag=parsed.tag)
        assert plain.keys_of_stream([octets]) == keys_of([parsed.name])


class Nothing:
    """A store without rows."""

    def get_rows(self, _, keys):
        return [None] * len(keys)
