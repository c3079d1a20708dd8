"""Answers made from requests, against those of the running reference server in every octet but its signature."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resolver.handle.codes import ResponseCode
from resolver.wire import sessions
from resolver.wire.answers import answer, refusal
from resolver.wire.ciphers import CipherCode
from resolver.wire.credential import mac_credential
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header, OpFlag
from resolver.wire.message import Message, request_message
from resolver.wire.requests import Resolution
from resolver.wire.responses import Challenge, Done, Failure
from resolver.wire.stream import FrameStream
from resolver.wire.versions import Version
from tests.resolver.wire.test_captured_frames import MALFORMED, frames, refused_as_unreadable
from tests.resolver.wire.vectors import each, octets

OTHER_FLAGS = OpFlag.CONTINUOUS | OpFlag.OVERWRITE | OpFlag.MINT_SUFFIX


def check(request, theirs, op_code=None):
    ours = answer(
        request,
        theirs.header.response_code,
        theirs.body,
        site_serial=theirs.header.site_serial,
        expiration_s=theirs.header.expiration_s,
        is_primary=theirs.header.has(OpFlag.AUTHORITATIVE),
        session_id=theirs.envelope.session_id,
        op_code=op_code,
        more_flags=theirs.header.flags & OTHER_FLAGS,
    )
    assert ours.header == theirs.header
    assert ours.request_digest == theirs.request_digest
    assert ours.header_and_body == theirs.header_and_body
    assert ours.envelope._replace(message_octets=0) == theirs.envelope._replace(message_octets=0)


@each("live_exchanges", having="responses")
def test_answer_is_laid_out_as_recorded(vector):
    if refused_as_unreadable(vector):
        return
    (request,) = frames(vector["request_hex"], vector["transport"])
    for frame in frames([given["hex"] for given in vector["responses"]], vector["transport"]):
        check(Message.from_frame(request), Message.from_frame(frame))


@each("live_exchanges", having="exchange")
def test_answers_of_an_exchange_are_laid_out_as_recorded(vector):
    op_code = None
    for step in vector["exchange"]:
        for frame in frames(step["hex"], vector["transport"]):
            message = Message.from_frame(frame)
            if step["dir"] == "request":
                asked = message
                if message.header.op_code != 200:
                    op_code = message.header.op_code
            else:
                check(asked, message, op_code)


def request(minor: int, flags: int = 0) -> Message:
    version = Version(2, minor)
    return request_message(
        Envelope(version, version, 0, 0, 7, 0, 0), Header(1, 0, flags, 1, 3, 0, 0), Resolution("88.300/a")
    )


@pytest.mark.parametrize("minor", [0, 1, 4, 5, 7, 11])
@pytest.mark.parametrize("flags", [0, OpFlag.REQUEST_DIGEST])
def test_challenges_always_carry_the_digest(minor, flags):
    made = answer(
        request(minor, flags),
        ResponseCode.AUTHENTICATION_NEEDED,
        Challenge(bytes(16)),
        site_serial=1,
        expiration_s=9,
        session_id=5,
    )
    read = Message.from_wire(made.to_wire())
    assert read == made
    assert read.request_digest is not None
    assert read.envelope.session_id == 5
    assert read.header.recursion_count == 3


def test_old_clients_are_told_other_codes():
    made = answer(request(4), ResponseCode.SERVER_BACKUP, Failure("x"), site_serial=1, expiration_s=9)
    assert made.header.response_code == 303
    assert Message.from_wire(made.to_wire()).body == Failure("x")


def test_only_a_primary_is_authoritative():
    options = {"site_serial": 1, "expiration_s": 9}
    assert answer(request(11), 1, Failure(), **options).header.has(OpFlag.AUTHORITATIVE)
    assert not answer(request(11), 1, Failure(), is_primary=False, **options).header.has(OpFlag.AUTHORITATIVE)


@each("live_exchanges", starting="tcp-")
def test_refusal_is_laid_out_as_recorded(vector):
    if vector["id"] not in MALFORMED:
        return
    for given in vector["responses"]:
        theirs = Message.from_wire(octets(given["hex"]))
        ours = refusal(
            None,
            theirs.header.response_code,
            theirs.body.message,
            expiration_s=theirs.header.expiration_s,
        )
        assert ours.to_wire() == octets(given["hex"])


def test_refusal_repeats_the_id_when_the_envelope_could_be_read():
    made = refusal(request(5).envelope, ResponseCode.PROTOCOL_ERROR, "no", expiration_s=9)
    assert (made.envelope.version, made.envelope.request_id) == (Version(2, 3), 7)
    assert Message.from_wire(made.to_wire()) == made


def test_a_signed_answer_in_a_session_reads_back_on_the_other_side():
    key = sessions.derive(bytes(range(1, 129)), CipherCode.AES)
    made = answer(request(11), 1, Done(), site_serial=1, expiration_s=9, session_id=5, op_code=101)
    credential = mac_credential(made.envelope, made.header_and_body, key.octets, 1)
    frame = sessions.encrypt(replace(made, credential=credential).to_frame(), key, bytes(range(16)))
    (received,) = FrameStream().receive_data(frame.to_wire())
    read = Message.from_frame(sessions.decrypt(received, key))
    assert read.credential.is_mac_of(read.envelope, read.header_and_body, key.octets)
    assert (read.body, read.envelope.session_id, read.header.op_code) == (Done(), 5, 101)
