"""Claims beside the recorded ones: what RFC 7519 says of them, and what strangers may write."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.errors import WireError
from resolver.handle.value import HandleValue
from resolver.wire import claims as claims_module
from resolver.wire.claims import CertPermission, Claims, ValueDigest, report, value_digest
from resolver.wire.keys import RsaPublicKey, Sm2PublicKey
from tests.resolver.wire.test_jws_rules import signed
from tests.resolver.wire.test_wire_rules import rsa_key

SOME = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
GOOD = HandleValue(1, "URL", b"https://example.org/")
EVIL = HandleValue(1, "URL", b"https://evil.example.org/")


def of_values(values, digests, algorithm="SHA-256"):
    rows = [{"index": digest.index, "digest": digest.text} for digest in digests]
    payload = {"sub": "88.300/a", "digests": {"alg": algorithm, "digests": rows}}
    made = report("88.300/a", values, signed(payload), rsa_key().public, 1)
    assert made[:4] == (True, True, True, True)
    return made.verified, made.changed, made.missing, made.unsigned


def test_an_index_that_a_record_has_twice_is_verified_only_when_both_values_are_the_signed_one():
    digest = value_digest(GOOD)
    assert of_values([EVIL, GOOD], [digest]) == ((), (1,), (), ())
    assert of_values([GOOD, EVIL], [digest]) == ((), (1,), (), ())
    assert of_values([GOOD, GOOD], [digest]) == ((1,), (), (), ())


def test_an_index_that_is_claimed_twice_is_not_both_verified_and_changed():
    assert of_values([GOOD], [ValueDigest(1, "AAAA"), value_digest(GOOD)]) == ((), (1,), (), ())
    assert of_values([GOOD], [value_digest(GOOD)] * 2 + [ValueDigest(7, "")] * 2) == ((1,), (), (7,), ())


def test_a_report_is_in_the_order_of_the_record_as_the_reference_library_has_it():
    values = [HandleValue(index, "URL", b"x") for index in (30, 4, 100, 2, 5)]
    digests = [ValueDigest(9, ""), *map(value_digest, sorted(values, key=lambda value: value.index)[:3])]
    assert of_values(values, [*digests, ValueDigest(8, ""), ValueDigest(100, "no")]) == (
        (4, 2, 5),
        (100,),
        (9, 8),
        (30,),
    )


def test_each_value_is_digested_once_however_often_it_is_claimed(monkeypatch):
    digested = []

    def digest(octets):
        digested.append(octets)
        return hashlib.sha256(octets).digest()

    monkeypatch.setitem(claims_module._DIGESTS, "sha256", digest)
    assert of_values([GOOD, HandleValue(2, "X", b"")], [ValueDigest(1, "no")] * 2_048) == ((), (1,), (), (2,))
    assert len(digested) == 1


@pytest.mark.parametrize("payload", [{"sub": "88.300/a"}, {"digests": None}, {"digests": {"alg": "", "digests": []}}])
def test_claims_that_are_not_about_values_sign_none(payload):
    made = report("88.300/a", [GOOD], signed(payload), rsa_key().public, 1)
    assert made.is_signed
    assert not made.is_claims
    assert (made.verified, made.unsigned) == ((), (1,))


def test_claims_end_at_their_expiry_and_not_after_it():
    claims = Claims("", "", not_before_s=100, expires_s=200)
    assert [claims.is_in_date(now) for now in (99.5, 100, 199.5, 200, 201)] == [False, True, True, False, False]
    assert Claims("", "").is_in_date(0)


@pytest.mark.parametrize(
    ("written", "read"), [("1.5e9", 1_500_000_000), ("7.25", 7.25), ("-1", -1), ('"12"', 12), ("null", None)]
)
def test_times_are_numeric_dates(written, read):
    claims = Claims.from_payload(f'{{"exp":{written},"nbf":{written},"iat":{written}}}'.encode())
    assert (claims.expires_s, claims.not_before_s, claims.issued_s) == (read, read, read)


@pytest.mark.parametrize("written", ["NaN", "Infinity", "1e300", "true", "[]", "9007199254740993"])
def test_times_that_no_clock_shows_are_refused(written):
    with pytest.raises(WireError, match="exp"):
        Claims.from_payload(f'{{"exp":{written}}}'.encode())


def test_null_says_nothing():
    names = ("iss", "sub", "exp", "nbf", "iat", "chain", "digests", "perms", "publicKey")
    assert Claims.from_payload(json.dumps(dict.fromkeys(names)).encode()) == Claims("", "")


def test_the_handle_of_a_permission_is_read_as_the_id_sdk_writes_it():
    payload = {"perms": [{"identifier": "0.NA/88.300", "perm": "derivedPrefixes"}, {"perm": "everything"}]}
    claims = Claims.from_payload(json.dumps(payload).encode())
    assert claims.permissions == (CertPermission("derivedPrefixes", "0.NA/88.300"), CertPermission("everything"))


TEXTS = st.text(max_size=12)
INDEXES = st.integers(0, 2**32 - 1)
TIMES = st.none() | st.integers(-(2**53), 2**53)
KEYS = st.builds(RsaPublicKey, st.integers(0, 2**40), st.integers(0, 2**80)) | st.builds(
    Sm2PublicKey, st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1)
)
CLAIMS = st.builds(
    Claims,
    TEXTS,
    TEXTS,
    TIMES,
    TIMES | st.floats(-(2.0**40), 2.0**40),
    TIMES,
    st.lists(TEXTS, max_size=3).map(tuple),
    st.just(""),
    st.just(()),
    st.lists(st.builds(CertPermission, TEXTS, TEXTS), max_size=3).map(tuple),
    st.none() | KEYS,
) | st.builds(
    Claims,
    TEXTS,
    TEXTS,
    digest_algorithm=st.text(max_size=8),
    digests=st.lists(st.builds(ValueDigest, INDEXES, TEXTS), max_size=3).map(tuple),
)


@SOME
@given(CLAIMS)
def test_claims_come_back_as_they_were(claims):
    assert Claims.from_payload(json.dumps(claims.to_json()).encode()) == claims


@SOME
@given(st.lists(st.tuples(st.integers(1, 4), st.binary(max_size=2)), max_size=6), st.data())
def test_every_index_is_told_once_and_only_what_was_signed_is_verified(rows, data):
    values = [HandleValue(index, "URL", octets) for index, octets in rows]
    claimed = data.draw(st.lists(st.sampled_from([value_digest(value) for value in values] or [ValueDigest(9, "x")])))
    verified, changed, missing, unsigned = of_values(values, claimed)
    told = [*verified, *changed, *missing, *set(unsigned)]
    assert sorted(told) == sorted({index for index, _ in rows} | {digest.index for digest in claimed})
    assert all(value_digest(value) in claimed for value in values if value.index in verified)
