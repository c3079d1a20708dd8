"""Requests as octets: what is kept of them and what is not."""

import pytest

from resolver.errors import MalformedMessage, MessageTooLarge
from resolver.methods import CREATE_HANDLE, RESOLVE
from resolver.transport.requests import parse
from resolver.v1 import registration_pb2, resolution_pb2
from tests.support.builders import value

UNKNOWN = b"\xfa\x7f\x03abc"
"""Field 2047 with three octets: no version has it."""


def test_unknown_fields_of_writes_are_dropped_at_every_depth():
    """Fuzzing found them in stored records."""
    inner = value(1).SerializeToString() + UNKNOWN
    octets = b"\x0a\x0b88.300.10/A\x12" + bytes([len(inner)]) + inner + UNKNOWN
    request = parse(CREATE_HANDLE, octets)
    assert request == registration_pb2.CreateHandleRequest(name="88.300.10/A", values=[value(1)])
    assert b"abc" not in request.SerializeToString()


def test_unknown_fields_of_questions_do_no_harm():
    question = resolution_pb2.ResolveRequest(name="88.300.10/A")
    assert parse(RESOLVE, question.SerializeToString() + UNKNOWN).name == question.name


def test_what_is_no_message_is_refused():
    with pytest.raises(MalformedMessage, match="ResolveRequest"):
        parse(RESOLVE, b"\x0a\x02\xff\xfe")
    with pytest.raises(MessageTooLarge, match="at most"):
        parse(RESOLVE, bytes(RESOLVE.octets_max + 1))
