"""Any octets into every decoder: a message or a WireError comes out, nothing else."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.errors import WireError
from resolver.wire import claims, digests, jws, key_files, keys, private_keys, requests, responses, sessions
from resolver.wire.challenges import KeyPairAnswer, SecretAnswer
from resolver.wire.credential import Credential
from resolver.wire.cursor import Cursor
from resolver.wire.datagrams import Reassembler
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header
from resolver.wire.message import Frame, Message, parse_resolution
from resolver.wire.predefined import catalog
from resolver.wire.predefined.hs_namespace import HsNamespace
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.predefined.loc_10320 import Loc10320
from resolver.wire.signatures import verify
from resolver.wire.stream import FrameStream
from resolver.wire.value_json import value_from_json
from resolver.wire.values import value_from_wire, values_from_wire
from resolver.wire.versions import OWN, Version
from tests.resolver.wire.vectors import octets, recorded

SOME = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

MESSAGES = [octets(vector["hex"]) for file in ("messages_requests", "messages_responses") for vector in recorded(file)]
VALUES = [octets(vector["hex"]) for vector in recorded("handle_values")]
DATA = [octets(vector["decoded"]["data_hex"]) for vector in recorded("handle_values")]
KEYS = [octets(vector["public_key_hex"]) for vector in recorded("keys_and_sessions") if "public_key_hex" in vector]
PRIVATE = [octets(vector["private_key_hex"]) for vector in recorded("keys_and_sessions") if "private_key_hex" in vector]
DH = [octets(vector["client_public_hex"]) for vector in recorded("keys_and_sessions") if "client_public_hex" in vector]
SPKI = [octets(vector["spki_der_hex"]) for vector in recorded("keys_and_sessions") if "spki_der_hex" in vector]
PKCS8 = [octets(vector["pkcs8_der_hex"]) for vector in recorded("keys_and_sessions") if "pkcs8_der_hex" in vector]
CREDENTIALS = [octets(vector["credential_hex"])[4:] for vector in recorded("messages_responses")]
FILES = [octets(vector["file_hex"]) for vector in recorded("keys_and_sessions") if "file_hex" in vector]
JWS = [vector["jws_compact"].encode() for vector in recorded("signatures_jws") if "jws_compact" in vector]
JWS += [vector["jws_json"].encode() for vector in recorded("signatures_jws") if "jws_json" in vector]
PAYLOADS = [vector["payload"].encode() for vector in recorded("signatures_jws") if "payload" in vector]
ANSWERS = [octets(vector["response_hex"]) for vector in recorded("challenges") if "response_hex" in vector]


@st.composite
def damaged(draw, seeds):
    """A good encoding with some octets changed, cut or added."""
    whole = bytearray(draw(st.sampled_from(seeds or [b"\0" * 40])))
    for _ in range(draw(st.integers(0, 4))):
        if not whole:
            break
        place = draw(st.integers(0, len(whole) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                whole[place] = draw(st.integers(0, 255))
            case 1:
                del whole[place:]
            case 2:
                whole[place : place + 4] = draw(st.sampled_from([b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4)]))
            case 3:
                whole[place:place] = draw(st.binary(max_size=9))
            case 4:
                del whole[place : place + draw(st.integers(1, 8))]
    return bytes(whole)


def each_class(table):
    return [pytest.param(class_, id=class_.__name__) for class_ in dict.fromkeys(table)]


def survives(decode, octets_):
    with contextlib.suppress(WireError):
        decode(octets_)


def shared_secret(some):
    key = keys.public_key_from_wire(some)
    return sessions.shared_secret(5, key) if isinstance(key, keys.DhPublicKey) else b""


DECODERS = {
    "message": (Message.from_wire, MESSAGES),
    "resolution": (parse_resolution, MESSAGES),
    "frame": (Frame.from_wire, MESSAGES),
    "envelope": (Envelope.from_wire, MESSAGES),
    "header": (lambda some: Header.from_wire(Cursor(some)), [whole[20:] for whole in MESSAGES]),
    "stream": (lambda some: FrameStream().receive_data(some), MESSAGES),
    "datagram": (lambda some: Reassembler().receive(some, "peer", "net", 0.0), MESSAGES),
    "value": (lambda some: value_from_wire(Cursor(some)), VALUES),
    "values": (lambda some: values_from_wire(Cursor(some)), [b"\0\0\0\1" + value for value in VALUES]),
    "credential": (Credential.from_wire, [whole for whole in CREDENTIALS if whole]),
    "digest": (lambda some: digests.RequestDigest.from_wire(Cursor(some)), ANSWERS),
    "secret answer": (SecretAnswer.from_wire, ANSWERS),
    "key pair answer": (KeyPairAnswer.from_wire, ANSWERS),
    "public key": (keys.public_key_from_wire, KEYS),
    "public key DER": (keys.public_key_from_der, SPKI),
    "private key": (private_keys.private_key_from_wire, PRIVATE),
    "private key DER": (private_keys.private_key_from_der, PKCS8),
    "usable public key": (lambda some: verify(keys.public_key_from_wire(some), b"SHA1", some[-40:], b""), KEYS + SPKI),
    "usable private key": (lambda some: private_keys.private_key_from_wire(some).to_der(), PRIVATE),
    "shared secret": (shared_secret, DH),
    "key file": (key_files.open_key_file, FILES),
    "session key": (sessions.SessionKey.from_wire, KEYS),
    "exchange data": (lambda some: sessions.exchange_data_from_wire(some, OWN), [b"\0\0\0\3" + key for key in DH]),
    "web signature": (lambda some: jws.Jws.from_wire(some).payload, JWS),
    "claims": (claims.Claims.from_payload, PAYLOADS),
    "locations": (lambda some: Loc10320.from_wire(some).locations, DATA),
    "namespace": (lambda some: HsNamespace.from_wire(some).status, DATA),
}


@pytest.mark.parametrize("name", DECODERS)
@SOME
@given(data=st.data())
def test_decoder_survives(name, data):
    decode, seeds = DECODERS[name]
    survives(decode, data.draw(st.one_of(st.binary(max_size=200), damaged(seeds))))


@pytest.mark.parametrize("class_", each_class([*requests.BODIES.values(), requests.RetrieveSince, requests.Opaque]))
@SOME
@given(data=st.data())
def test_request_body_survives_and_is_stable(class_, data):
    some = data.draw(st.one_of(st.binary(max_size=120), damaged([whole[44:] for whole in MESSAGES])))
    try:
        body = class_.from_wire(Cursor(some))
    except WireError:
        return
    again = class_.from_wire(Cursor(body.to_wire()))
    assert again == body


@pytest.mark.parametrize(
    "class_",
    each_class(
        [*responses.SUCCESS_BODIES.values(), responses.Done, responses.Challenge, responses.Referral, responses.Failure]
    ),
)
@SOME
@given(data=st.data())
def test_response_body_survives_and_is_stable(class_, data):
    some = data.draw(st.one_of(st.binary(max_size=120), damaged([whole[44:] for whole in MESSAGES])))
    try:
        body = class_.from_wire(Cursor(some))
    except WireError:
        return
    again = class_.from_wire(Cursor(body.to_wire()))
    assert again == body


@pytest.mark.parametrize("class_", each_class(catalog.CLASSES.values()))
@SOME
@given(data=st.data())
def test_predefined_data_survives_and_is_stable(class_, data):
    some = data.draw(st.one_of(st.binary(max_size=120), damaged(DATA + JWS)))
    try:
        decoded = class_.from_wire(some)
        decoded.to_json()
    except WireError:
        return
    assert class_.from_wire(decoded.to_wire()) == decoded


MEMBERS = [
    *("index", "type", "data", "format", "value", "ttl", "timestamp", "permissions", "references", "handle"),
    *("servers", "serverId", "address", "publicKey", "interfaces", "protocol", "port", "query", "admin"),
    *("attributes", "name", "version", "kty", "n", "e", "x", "y"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@SOME
@given(JSON)
def test_json_survives(document):
    for read in (
        lambda: value_from_json(document, timestamp_s=0),
        lambda: HsSite.from_json(document),
        lambda: keys.public_key_from_jwk(document),
        lambda: claims.Claims.from_payload(json.dumps(document).encode()),
        *(lambda class_=class_: class_.from_json(document) for class_ in catalog.CLASSES.values()),
    ):
        survives(lambda _, read=read: read(), b"")


@SOME
@given(st.sampled_from(VALUES), st.dictionaries(st.sampled_from(["index", "ttl", "timestamp", "data", "type"]), JSON))
def test_damaged_json_value_survives(value, changes):
    from resolver.wire.value_json import value_to_json

    document = value_to_json(value_from_wire(Cursor(value))) | changes
    survives(lambda _: value_from_json(document, timestamp_s=0), b"")


def test_deep_json_is_refused():
    with pytest.raises(WireError):
        claims.Claims.from_payload(b"[" * 200_000)


@pytest.mark.parametrize("version", [Version(2, 0), Version(2, 3), Version(2, 11), Version(0, 0)], ids=str)
@SOME
@given(data=st.data())
def test_message_of_any_operation_survives(version, data):
    body = data.draw(st.binary(max_size=80))
    op_code = data.draw(st.sampled_from([*requests.BODIES, 0, 9_999]))
    code = data.draw(st.sampled_from([0, 0, 1, 2, 302, 303, 402]))
    flags = data.draw(st.sampled_from([0, 0x0080_0000]))
    header = Header(op_code, code, flags, 1, 0, 0, len(body))
    payload = header.to_wire() + body + data.draw(st.sampled_from([b"", bytes(4), b"\0\0\0\5abc"]))
    survives(Message.from_frame, Frame(Envelope(version, OWN, 0, 0, 1, 0, len(payload)), payload))
