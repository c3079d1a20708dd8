"""Web signatures and keys beside the recorded ones: what RFC 7515 forbids, and what strangers may write."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.errors import WireError
from resolver.wire import signatures
from resolver.wire.jws import Jws
from resolver.wire.keys import base64url, octets_of_base64url, public_key_from_jwk
from tests.resolver.wire.test_wire_rules import rsa_key

SOME = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def signed(payload, header=b'{"alg":"RS256"}'):
    key = rsa_key()
    protected, text = base64url(header), base64url(json.dumps(payload).encode())
    return Jws(protected, text, signatures.sign(key, b"SHA256", f"{protected}.{text}".encode()))


@pytest.mark.parametrize("header", [b'{"alg":"RS256","crit":["b64"],"b64":false}', b'{"crit":[],"alg":"RS256"}'])
def test_a_header_with_critical_extensions_is_not_valid(header):
    assert not signed({}, header).is_signed_by(rsa_key().public)
    assert signed({}, header.replace(b"crit", b"typ")).is_signed_by(rsa_key().public)


@pytest.mark.parametrize("kty", [None, 5, [["RSA"]], {"RSA": 1}])
def test_a_key_of_no_kind_is_refused(kty):
    with pytest.raises(WireError, match="kty"):
        public_key_from_jwk({"kty": kty, "n": "AQAB", "e": "AQAB"})


def test_a_kind_of_key_may_be_nested_as_deep_as_it_was_read():
    """A document is read in one frame and a key in a deeper one, where its text could not be made any more."""
    kty: list[object] = []
    for _ in range(100_000):
        kty = [kty]
    with pytest.raises(WireError, match="kty"):
        public_key_from_jwk({"kty": kty})


@pytest.mark.parametrize("part", ["\ud800", "a.b", "e3 0", "é"])
@pytest.mark.parametrize("member", ["protected", "payload"])
def test_parts_that_are_no_base64url_are_refused(member, part):
    parts = {"protected": "e30", "payload": "e30"} | {member: part}
    document = {"payload": parts["payload"], "signatures": [{"protected": parts["protected"], "signature": ""}]}
    with pytest.raises(WireError, match=member):
        Jws.from_wire(json.dumps(document).encode())


def test_both_alphabets_of_base64_are_read():
    assert octets_of_base64url("-_-_", "x") == octets_of_base64url("+/+/", "x") == b"\xfb\xff\xbf"
    assert octets_of_base64url("_w==", "x") == octets_of_base64url("/w", "x") == b"\xff"


@SOME
@given(st.binary(max_size=30), st.binary(max_size=30), st.binary(max_size=30))
def test_both_serializations_come_back_as_they_were(header, payload, signature):
    jws = Jws(base64url(header), base64url(payload), signature)
    assert Jws.from_wire(jws.to_compact()) == jws
    assert Jws.from_wire(json.dumps(jws.to_json()).encode()) == jws
    assert jws.payload == payload
