"""The short way through a resolution request agrees with the long one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.errors import MalformedMessage
from resolver.handle.codes import OpCode
from resolver.handle.value import HandleValue, Reference, Ttl
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header, OpFlag, answer_flags
from resolver.wire.message import Message, parse_resolution, request_message, resolution_answer, response_message
from resolver.wire.requests import Resolution
from resolver.wire.responses import Resolved
from resolver.wire.values import value_to_wire
from resolver.wire.versions import OWN, Version
from tests.resolver.wire.vectors import each, octets


def agree(whole: bytes) -> None:
    long, short = Message.from_wire(whole), parse_resolution(whole)
    if long.header.op_code != OpCode.RESOLUTION or long.header.is_answer or long.credential:
        assert short is None
        return
    assert short.name.decode("utf-8", "surrogateescape") == long.body.handle
    assert (short.indexes, short.types) == (long.body.indexes, long.body.types)
    assert short.identity == long.body.identity
    assert short.flags == long.header.flags
    assert short.version == long.envelope.answered_in()
    assert (short.session_id, short.request_id) == (long.envelope.session_id, long.envelope.request_id)
    assert short.recursion_count == long.header.recursion_count


@each("messages_requests")
def test_recorded_requests(vector):
    agree(octets(vector["hex"]))


@each("messages_responses")
def test_recorded_answers(vector):
    agree(octets(vector["hex"]))


def request(body=None, op_code=OpCode.RESOLUTION, **changes) -> bytes:
    envelope = Envelope(OWN, OWN, 0, 0, 7, 0, 0)._replace(**changes)
    return request_message(envelope, Header(op_code, 0, 0, 1, 0, 0, 0), body or Resolution("88.300/a")).to_wire()


def test_what_is_left_to_the_long_way():
    assert parse_resolution(request(flags=0x40)) is None
    assert parse_resolution(request(sequence=1)) is None
    assert parse_resolution(request() + b"\0") is None
    assert parse_resolution(request()[:47]) is None
    assert parse_resolution(request(op_code=OpCode.GET_SITE_INFO)) is None
    without_credential_length = bytearray(request()[:-4])
    without_credential_length[16:20] = (len(without_credential_length) - 20).to_bytes(4, "big")
    assert parse_resolution(bytes(without_credential_length)).name == b"88.300/a"


@pytest.mark.parametrize(
    ("place", "octet"),
    [
        pytest.param(40, 0x7F, id="body longer than the message"),
        pytest.param(44, 0x7F, id="handle longer than the body"),
        pytest.param(47, 0x7F, id="handle a little longer than the body"),
        pytest.param(56, 0x7F, id="more indexes than octets"),
        pytest.param(60, 0x7F, id="more types than octets"),
    ],
)
def test_lies_about_lengths_are_refused(place, octet):
    whole = bytearray(request())
    whole[place] = octet
    with pytest.raises(MalformedMessage):
        parse_resolution(bytes(whole))
    with pytest.raises(MalformedMessage):
        Message.from_wire(bytes(whole))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.text(max_size=40),
    st.lists(st.integers(0, 2**32 - 1), max_size=4),
    st.lists(st.text(max_size=9), max_size=4),
    st.binary(max_size=9),
    st.integers(0, 11),
)
def test_any_request(handle, indexes, types, identity, minor):
    try:
        body = Resolution(handle, tuple(indexes), tuple(types), identity)
        body.to_wire()
    except MalformedMessage:
        return
    agree(request(body, suggested=Version(2, minor)))


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("minor", [0, 3, 11])
def test_answer_is_the_one_of_the_long_way(count, minor):
    values = tuple(
        HandleValue(index, "URL", b"x" * index, Ttl(60), references=(Reference("88.300/r", 2),) * index)
        for index in range(count)
    )
    asked = parse_resolution(request(suggested=Version(2, minor)))
    flags = answer_flags(OpFlag.PUBLIC_ONLY | OpFlag.OVERWRITE, is_primary=True)
    assert flags == OpFlag.AUTHORITATIVE | OpFlag.RECURSIVE | OpFlag.PUBLIC_ONLY
    short = resolution_answer(asked, map(value_to_wire, values), flags=flags, site_serial=5, expiration_s=99)
    envelope = Envelope(asked.version, OWN, 0, 0, asked.request_id, 0, 0)
    header = Header(OpCode.RESOLUTION, 1, flags, 5, 0, 99, 0)
    assert short == response_message(envelope, header, Resolved("88.300/a", values)).to_wire()
    assert Message.from_wire(short).body == Resolved("88.300/a", values)
