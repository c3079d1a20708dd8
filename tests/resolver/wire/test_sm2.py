"""SM2 verification against the example of GB/T 32918.5 and against a signer written here."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from resolver.errors import MalformedMessage
from resolver.wire import sm2
from resolver.wire.challenges import KeyPairAnswer
from resolver.wire.cursor import text_from_wire
from resolver.wire.jws import Jws
from resolver.wire.keys import Sm2PublicKey, base64url, public_key_from_jwk, public_key_from_wire
from resolver.wire.predefined.hs_pubkey import HsPubkey

PRIVATE = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
KEY = Sm2PublicKey(
    0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
    0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
)
R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA


def sign(octets: bytes, identity: bytes = sm2.DEFAULT_IDENTITY, seed: int = 1) -> bytes:
    k = random.Random(seed).randrange(1, sm2.N)
    x, _ = sm2.multiply_add(k, sm2.G, 0, sm2.G)
    r = (sm2.signed_digest(KEY, octets, identity) + x) % sm2.N
    s = pow(1 + PRIVATE, -1, sm2.N) * (k - r * PRIVATE) % sm2.N
    return encode_dss_signature(r, s)


def test_the_example_of_the_standard():
    assert sm2.multiply_add(PRIVATE, sm2.G, 0, sm2.G) == (KEY.x, KEY.y)
    assert sm2.verify(KEY, encode_dss_signature(R, S), b"message digest")
    assert not sm2.verify(KEY, encode_dss_signature(R, S), b"message digesT")
    assert not sm2.verify(KEY, encode_dss_signature(R, S), b"message digest", b"1234567812345679")
    assert not sm2.verify(KEY, encode_dss_signature(R, S + 1), b"message digest")


def test_sm3_of_the_standard():
    assert sm2.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


@pytest.mark.parametrize("signature", [b"", b"0", encode_dss_signature(0, 1), encode_dss_signature(1, sm2.N)])
def test_signatures_that_cannot_be(signature):
    assert not sm2.verify(KEY, signature, b"message digest")


def test_a_point_off_the_curve_verifies_nothing():
    off = Sm2PublicKey(KEY.x, KEY.y ^ 1)
    assert not sm2.verify(off, encode_dss_signature(R, S), b"message digest")


def test_the_group_law():
    a, b = 12_345, 67_890
    second = sm2.multiply_add(2, sm2.G, 0, sm2.G)
    assert sm2.multiply_add(a, sm2.G, b, second) == sm2.multiply_add(a + 2 * b, sm2.G, 0, sm2.G)
    assert sm2.multiply_add(sm2.N, sm2.G, 0, sm2.G) is None
    assert sm2.multiply_add(1, sm2.G, 1, sm2.G) == second
    assert sm2.multiply_add(1, sm2.G, 1, (sm2.G[0], sm2.P - sm2.G[1])) is None


def test_login_answer_names_the_user_as_identity():
    nonce, digest = bytes(16), bytes(32)
    signature = sign(sm2.sm3(nonce + digest), "88.300.1/用户".encode())
    answer = KeyPairAnswer.from_wire(KeyPairAnswer(b"SM3", signature).to_wire())
    assert answer.is_of(KEY, nonce, digest, "88.300.1/用户")
    assert not answer.is_of(KEY, nonce, digest, "88.300.1/other")
    assert not KeyPairAnswer(b"SHA-256", signature).is_of(KEY, nonce, digest, "88.300.1/用户")


@pytest.mark.parametrize("algorithm", ["SM2SM3", "SM2256"])
def test_web_signatures_of_both_sdks(algorithm):
    protected, payload = base64url(f'{{"alg":"{algorithm}"}}'.encode()), base64url(b'{"sub":"88.300/a"}')
    signature = sign(f"{protected}.{payload}".encode())
    whole = f'{{"payload":"{payload}","signatures":[{{"header":"{protected}","signature":"{base64url(signature)}"}}]}}'
    assert Jws.from_wire(whole.encode()).is_signed_by(KEY)
    assert not Jws.from_wire(whole.encode())._replace(payload_text=base64url(b"{}")).is_signed_by(KEY)


def test_the_forms_a_key_comes_in():
    assert public_key_from_wire(KEY.to_wire()) == KEY
    assert public_key_from_wire(KEY.to_der()) == KEY
    assert public_key_from_wire(KEY.to_pem().encode()) == KEY
    assert public_key_from_wire(b"\n" + KEY.to_pem().replace("\n", "\r\n").encode()) == KEY
    assert public_key_from_jwk(KEY.to_jwk()) == KEY
    assert public_key_from_jwk({"kty": "SM2", "d": base64url(KEY.to_der())}) == KEY
    bare = b"\x04" + KEY.x.to_bytes(32, "big") + KEY.y.to_bytes(32, "big")
    assert Sm2PublicKey.from_octets(bare) == Sm2PublicKey.from_octets(bare[1:]) == KEY
    with pytest.raises(MalformedMessage):
        Sm2PublicKey.from_octets(bare[:-2])


def test_a_stored_key_goes_out_as_it_came():
    pem = KEY.to_pem().encode()
    assert HsPubkey.from_wire(pem).to_wire() == pem
    assert HsPubkey.from_wire(pem) == HsPubkey(KEY)


@pytest.mark.parametrize("large", ["x", "y"])
def test_numbers_too_large_for_the_curve_are_no_key(large):
    """They were a key, and one that nothing could write: who stored it over REST met a defect."""
    document = KEY.to_jwk() | {large: base64url(b"\1" + bytes(32))}
    with pytest.raises(MalformedMessage, match="at most 256 bits"):
        public_key_from_jwk(document)


def test_a_login_by_a_name_that_is_no_utf8_is_checked_like_any():
    """Its identity is the octets of the name."""
    answer = KeyPairAnswer(b"SM3", sign(sm2.sm3(b"noncedigest"), b"88/\xff"))
    assert answer.is_of(KEY, b"nonce", b"digest", text_from_wire(b"88/\xff"))
    assert not answer.is_of(KEY, b"nonce", b"digest", "88/é")
