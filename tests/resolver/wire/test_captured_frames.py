"""Every frame that crossed the wire in the recorded exchanges, decoded and built again from its parts."""

from __future__ import annotations

import contextlib

import pytest

from resolver.errors import WireError
from resolver.wire.challenges import KeyPairAnswer, SecretAnswer
from resolver.wire.datagrams import Reassembler
from resolver.wire.digests import digest_of
from resolver.wire.header import OpFlag
from resolver.wire.keys import public_key_from_der, public_key_from_wire
from resolver.wire.message import Frame, Message
from resolver.wire.signatures import is_signed_by
from resolver.wire.stream import FrameStream
from tests.resolver.wire.test_message_vectors import rebuilt
from tests.resolver.wire.vectors import each, load, octets, recorded

MALFORMED = {
    "tcp-short",
    "tcp-too-long",
    "tcp-truncated",
    "tcp-garbage",
    "tcp-body-length-lie",
}


def frames(parts, transport):
    parts = [octets(part) for part in ([parts] if isinstance(parts, str) else parts)]
    if transport == "udp":
        table = Reassembler()
        return [frame for part in parts if (frame := table.receive(part, "peer", "net", 0.0)) is not None]
    stream = FrameStream()
    received = [frame for part in parts for frame in stream.receive_data(part)]
    stream.end()
    return received


def messages(parts, transport):
    return [Message.from_frame(frame) for frame in frames(parts, transport)]


def refused_as_unreadable(vector):
    """Whether the recorded server could not read the request: it then answers to the id -1 in version 2.3."""
    return any(octets(answer["hex"])[:12].endswith(b"\xff" * 4) for answer in vector["responses"])


def check(frame):
    message = Message.from_frame(frame)
    again = rebuilt(message)
    assert again.header_and_body == message.header_and_body
    if frame.payload == message.header_and_body:  # A client that leaves out the length of the credential.
        return message
    assert again == message
    assert again.to_frame() == frame
    return message


@each("live_exchanges", having="responses")
def test_live_request_and_answers(vector):
    transport = vector["transport"]
    if vector["id"] in MALFORMED:
        with pytest.raises(WireError):
            messages(vector["request_hex"], transport)
    elif refused_as_unreadable(vector):
        with contextlib.suppress(WireError):  # What they cannot read we may.
            messages(vector["request_hex"], transport)
    else:
        for frame in frames(vector["request_hex"], transport):
            check(frame)
    answers = [answer["hex"] for answer in vector["responses"]]
    for frame in frames(answers, transport):
        check(frame)


@each("live_exchanges", having="exchange")
def test_live_authenticated_exchange(vector):
    asked = challenge = None
    for step in vector["exchange"]:
        for frame in frames(step["hex"], vector["transport"]):
            message = check(frame)
            if type(message.body).__name__ == "Challenge":
                challenge = message
                assert challenge.request_digest == digest_of(asked.header_and_body, message.envelope.version)
            elif type(message.body).__name__ == "ChallengeAnswer":
                answer = SecretAnswer.from_wire(message.body.signed_response)
                secret = vector["secret_utf8"].encode()
                assert answer.is_of(secret, challenge.body.nonce, challenge.request_digest.octets)
                assert not answer.is_of(b"", challenge.body.nonce, challenge.request_digest.octets)
            else:
                asked = message


@each("live_exchanges", starting="tcp-certified")
def test_live_certified_answer(vector):
    site = next(v for v in recorded("live_exchanges") if v["id"] == "tcp-site-info")
    key_octets = Message.from_wire(octets(site["responses"][0]["hex"])).body.site.servers[0].public_key
    key = public_key_from_wire(key_octets)
    for answer in vector["responses"]:
        message = Message.from_wire(octets(answer["hex"]))
        assert message.header.has(OpFlag.CERTIFIED)
        assert is_signed_by(message.credential, message.envelope, message.header_and_body, key)


@each("idsdk_captures")
def test_sdk_request_and_answers(vector):
    request = check(Frame.from_wire(octets(vector["request_hex"])))
    assert request.header_and_body[24:].hex() == vector["request_body_hex"]
    for answer in vector["responses"]:
        check(Frame.from_wire(octets(answer["hex"])))


def by_id(vector):
    return vector["id"]


@each("idsdk_captures", having="signer_public_key_spki_hex")
def test_sdk_login_answer_verifies(vector):
    if vector["signer_public_key_spki_hex"] is None:
        assert KeyPairAnswer.from_wire(Message.from_wire(octets(vector["request_hex"])).body.signed_response).signature
        return  # The recording does not say whose key this was.
    everything = sorted(
        {v["id"]: v for v in (*recorded("idsdk_captures"), *load("idsdk_captures"))}.values(), key=by_id
    )
    place = next(place for place, other in enumerate(everything) if other["id"] == vector["id"])
    challenges = [
        message
        for other in everything[:place]
        for answer in other["responses"]
        if (message := Message.from_wire(octets(answer["hex"]))).header.response_code == 402
    ]
    message = Message.from_wire(octets(vector["request_hex"]))
    key = public_key_from_der(octets(vector["signer_public_key_spki_hex"]))
    answer = KeyPairAnswer.from_wire(message.body.signed_response)
    last = challenges[-1]
    assert answer.is_of(key, last.body.nonce, last.request_digest.octets, message.body.user_handle)
    assert not answer.is_of(key, last.body.nonce + b"\0", last.request_digest.octets, message.body.user_handle)
