"""Whole messages of the reference library, decoded, compared field by field and encoded back."""

from __future__ import annotations

import pytest

from resolver.errors import MalformedMessage
from resolver.wire import requests, responses
from resolver.wire.digests import digest_of
from resolver.wire.envelope import COMPRESSED
from resolver.wire.header import OpFlag
from resolver.wire.keys import public_key_from_wire
from resolver.wire.message import Frame, Message, request_message, response_message
from resolver.wire.signatures import is_signed_by
from tests.resolver.wire.vectors import decoded_site, decoded_value, each, octets, signed

FLAG_NAMES = {
    OpFlag.AUTHORITATIVE: "authoritative",
    OpFlag.CERTIFIED: "certified",
    OpFlag.ENCRYPTION: "encryption",
    OpFlag.RECURSIVE: "recursive",
    OpFlag.CACHE_CERTIFY: "cache_certify",
    OpFlag.CONTINUOUS: "continuous",
    OpFlag.KEEP_ALIVE: "keep_alive",
    OpFlag.PUBLIC_ONLY: "public_only",
    OpFlag.REQUEST_DIGEST: "request_digest",
    OpFlag.OVERWRITE: "overwrite",
    OpFlag.MINT_SUFFIX: "mint_suffix",
    OpFlag.DO_NOT_REFER: "do_not_refer",
}


def envelope_fields(envelope):
    return {
        "protocol_version": str(envelope.version),
        "suggested_version": str(envelope.suggested),
        "compressed": bool(envelope.flags & COMPRESSED),
        "encrypted": envelope.is_encrypted,
        "truncated": envelope.is_truncated,
        "session_id": signed(envelope.session_id),
        "request_id": signed(envelope.request_id),
        "sequence_number": envelope.sequence,
        "message_length": envelope.message_octets,
    }


def header_fields(header):
    return {
        "op_code": header.op_code,
        "response_code": header.response_code,
        "op_flags_hex": f"{header.flags:08x}",
        "site_info_serial": header.site_serial,
        "recursion_count": header.recursion_count,
        "expiration": signed(header.expiration_s),
        "body_length": header.body_octets,
    }


def values_fields(values):
    return [decoded_value(value) for value in values]


def setup_fields(body):
    fields = {
        "key_exchange_mode": body.mode,
        "timeout": body.timeout_s,
        "identity_handle": body.identity_handle,
        "identity_index": signed(body.identity_index),
    }
    if body.public_key:
        fields["public_key_hex"] = body.public_key.hex()
    if body.mode == requests.MODE_HANDLE_KEY:
        fields |= {"exchange_key_handle": body.key_handle, "exchange_key_index": body.key_index}
    return fields


def dump_fields(body):
    fields = {"rcvr_hash_type": body.hash_option, "num_servers": body.servers, "server_num": body.server_number}
    if body.start is not None:
        fields |= {"starting_point_hex": body.start.hex(), "starting_point_type": body.start_kind}
    return fields


def verify_fields(body):
    return {
        "handle": body.user_handle,
        "index": body.user_index,
        "nonce_hex": body.nonce.hex(),
        "request_digest_hex": body.request_digest.octets.hex(),
        "signed_response_hex": body.signed_response.hex(),
    }


def retrieve_fields(body):
    since = getattr(body, "since", body)
    fields = {"rcvr_hash_type": since.hash_option, "num_servers": since.servers, "server_num": since.server_number}
    if hasattr(since, "state"):
        return fields | {"state": since.state.decode()}
    return fields | {"last_txn_id": since.transaction_id, "last_query_date": since.query_date_ms}


BODY_FIELDS = {
    "Resolution": lambda body: {"handle": body.handle, "indexes": [*map(signed, body.indexes)], "types": [*body.types]},
    "OfHandle": lambda body: {"handle": body.handle},
    "WithValues": lambda body: {"handle": body.handle, "values": values_fields(body.values)},
    "RemoveValues": lambda body: {"handle": body.handle, "indexes": [*map(signed, body.indexes)]},
    "SessionSetup": setup_fields,
    "ExchangeKey": lambda body: {"encrypted_session_key_hex": body.encrypted_key.hex()},
    "DumpHandles": dump_fields,
    "VerifyAnswer": verify_fields,
    "RetrieveTransactions": retrieve_fields,
    "RetrieveSince": retrieve_fields,
    "ChallengeAnswer": lambda body: {
        "auth_type": body.auth_type,
        "user_handle": body.user_handle,
        "user_index": body.user_index,
        "signed_response_hex": body.signed_response.hex(),
    },
    "Resolved": lambda body: {"handle": body.handle, "values": values_fields(body.values)},
    "SiteInfo": lambda body: {"site": decoded_site(body.site)},
    "Created": lambda body: {} if body.handle is None else {"handle": body.handle},
    "Done": lambda body: {},
    "Handles": lambda body: {"handles": [*body.handles]},
    "Verified": lambda body: {"valid": body.is_valid},
    "SessionAccepted": lambda body: {"key_exchange_mode": body.mode, "data_hex": body.data.hex()},
    "NextTransaction": lambda body: {"next_txn_id": body.transaction_id},
    "StreamFollows": lambda body: {"keep_alive": body.keeps_alive},
    "Challenge": lambda body: {"nonce_hex": body.nonce.hex()},
    "Referral": lambda body: (
        {"handle": body.handle} | ({} if body.values is None else {"values": values_fields(body.values)})
    ),
    "Failure": lambda body: {"message": body.message},
}


def shared(ours, theirs):
    """The members that both have: a vector may name fewer or further ones."""
    both = ours.keys() & theirs.keys()
    return {name: ours[name] for name in both}, {name: theirs[name] for name in both}


NAMED_OTHERWISE = {"NextTransaction", "StreamFollows", "RetrieveTransactions", "RetrieveSince"}


def check_fields(message, vector):
    assert envelope_fields(message.envelope) == vector["envelope"]
    header = dict(vector["header"])
    names = header.pop("flags")
    assert header_fields(message.header) == header
    known = {name for flag, name in FLAG_NAMES.items() if message.header.has(flag)}
    assert len(known) == len(names)
    kind = type(message.body).__name__
    ours, theirs = shared(BODY_FIELDS[kind](message.body), vector["body"])
    assert ours == theirs
    assert theirs or not vector["body"] or kind in NAMED_OTHERWISE


def rebuilt(message):
    """The message built again from its parts alone, with lengths forgotten."""
    envelope = message.envelope._replace(message_octets=0)
    header = message.header._replace(body_octets=0)
    if message.header.is_answer:
        return response_message(envelope, header, message.body, message.request_digest, message.credential)
    return request_message(envelope, header, message.body, message.credential)


@each("messages_requests")
def test_request_decodes_and_encodes_back(vector):
    message = Message.from_wire(octets(vector["hex"]))
    check_fields(message, vector)
    assert message.header_and_body[24:].hex() == vector["body_hex"]
    assert message.to_wire().hex() == vector["hex"]
    assert rebuilt(message).to_wire().hex() == vector["hex"]


@each("messages_responses")
def test_response_decodes_and_encodes_back(vector):
    message = Message.from_wire(octets(vector["hex"]))
    check_fields(message, vector)
    assert message.header_and_body[24:].hex() == vector["body_hex"]
    assert rebuilt(message).to_wire().hex() == vector["hex"]
    assert rebuilt(message) == message


@each("messages_responses", having="credential_hex")
def test_credential_encodes_back(vector):
    credential = Message.from_wire(octets(vector["hex"])).credential
    written = b"" if credential is None else credential.to_wire()
    assert (len(written).to_bytes(4, "big") + written).hex() == vector["credential_hex"]


@each("messages_responses", having="request_digest")
def test_response_says_the_digest_of_its_request(vector):
    message = Message.from_wire(octets(vector["hex"]))
    expected = vector["request_digest"]
    assert message.request_digest.code == expected["hash_code"]
    assert message.request_digest.octets.hex() == expected["hex"]
    if "request_hex" in vector:
        request = Message.from_wire(octets(vector["request_hex"]))
        if "request_digest_input_hex" in vector:
            assert request.header_and_body.hex() == vector["request_digest_input_hex"]
        assert digest_of(request.header_and_body, message.envelope.version) == message.request_digest


@each("messages_responses", having="signer_public_key_hex")
def test_signature_verifies_as_recorded(vector):
    message = Message.from_wire(octets(vector["hex"]))
    key = public_key_from_wire(octets(vector["signer_public_key_hex"]))
    arguments = (message.envelope, message.header_and_body, key)
    assert is_signed_by(message.credential, *arguments) is vector["verifies"]
    assert message.credential.counter == vector["session_counter"]
    tampered = message.credential._replace(signature=message.credential.signature[:-1] + b"\0")
    if tampered != message.credential:
        assert not is_signed_by(tampered, *arguments)


@each("messages_responses", having="session_key_hex")
def test_session_mac_is_as_recorded(vector):
    message = Message.from_wire(octets(vector["hex"]))
    key = octets(vector["session_key_hex"])
    credential = message.credential
    assert credential.counter == vector["session_counter"]
    assert credential.is_mac_of(message.envelope, message.header_and_body, key) is vector["verifies"]
    assert not credential.is_mac_of(message.envelope, message.header_and_body + b"\0", key)


APPENDIX_B_1 = (
    "0203020b0000000011223344000000000000003e"
    "000000010000000019000000ffff000066000000000000220000000b33352e544553542f6162630000000100000001"
    "000000010000000355524c00000000"
)


def test_frame_of_other_length_is_refused():
    whole = octets(APPENDIX_B_1)
    assert Message.from_wire(whole).to_wire() == whole
    for wrong in (whole + b"\0", whole[:-1]):
        with pytest.raises(MalformedMessage):
            Frame.from_wire(wrong)


def test_bodies_of_every_operation_are_reachable():
    assert {class_.__name__ for class_ in requests.BODIES.values()} <= BODY_FIELDS.keys() | {"Login"}
    assert {class_.__name__ for class_ in responses.SUCCESS_BODIES.values()} <= BODY_FIELDS.keys()
