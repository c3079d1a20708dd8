"""HS_SIGNATURE and HS_CERT of the reference library: digests, reports, permissions."""

from __future__ import annotations

import json

from resolver.wire.claims import CertPermission, Claims, report, value_digest
from resolver.wire.cursor import Cursor
from resolver.wire.jws import Jws
from resolver.wire.keys import public_key_from_wire
from resolver.wire.predefined.hs_cert import HsCert
from resolver.wire.values import value_from_wire
from tests.resolver.wire.vectors import each, octets

RECORDED_AT_S = 1_795_000_000


def values_of(vector):
    return [value_from_wire(Cursor(octets(text))) for text in vector["values_hex"]]


@each("signatures_jws", starting="digest-")
def test_value_digests_are_as_recorded(vector):
    made = [value_digest(value, vector["alg"]) for value in values_of(vector)]
    assert [{"index": digest.index, "digest_base64": digest.text} for digest in made] == vector["digests"]


@each("signatures_jws", having="report")
def test_report_is_as_recorded(vector):
    key = public_key_from_wire(octets(vector["public_key_hex"]))
    made = report(
        vector["handle"], values_of(vector), Jws.from_wire(vector["jws_compact"].encode()), key, RECORDED_AT_S
    )
    assert {
        "signature_verifies": made.is_signed,
        "valid_payload": made.is_claims,
        "date_in_range": made.is_in_date,
        "correct_handle": made.is_of_handle,
        "verified_values": list(made.verified),
        "unsigned_values": list(made.unsigned),
        "bad_digest_values": list(made.changed),
        "missing_values": list(made.missing),
        "iss": made.issuer,
        "sub": made.subject,
    } == vector["report"]


@each("signatures_jws", having="jws_compact")
def test_serializations_read_and_write(vector):
    compact = Jws.from_wire(vector["jws_compact"].encode())
    assert compact.to_compact().decode() == vector["jws_compact"]
    if "jws_json" in vector:
        assert Jws.from_wire(vector["jws_json"].encode()) == compact
        assert compact.to_json() == json.loads(vector["jws_json"])
    if "payload" in vector:
        assert compact.payload.decode() == vector["payload"]
        claims = Claims.from_payload(compact.payload)
        assert claims.to_json() == json.loads(vector["payload"])


@each("signatures_jws", starting="hs_cert")
def test_certificate_validates(vector):
    cert = HsCert.from_wire(vector["jws_compact"].encode())
    key = public_key_from_wire(octets(vector["public_key_hex"]))
    assert cert.jws.is_signed_by(key) is vector["validates"]
    assert cert.to_wire().decode() == vector["jws_compact"]
    assert cert.claims.permissions
    assert cert.claims.public_key is not None


@each("signatures_jws", having="authorized")
def test_permission_covers_as_recorded(vector):
    assert CertPermission(vector["perm"], vector["perm_handle"]).covers(vector["handle"]) is vector["authorized"]
