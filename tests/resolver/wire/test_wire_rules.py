"""Rules that no recorded vector shows: versions, windows, sessions, old forms and tolerance."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from resolver.errors import InvalidValue, MalformedMessage
from resolver.handle.codes import OpCode
from resolver.handle.value import HandleValue, Permission, Reference, Ttl
from resolver.wire import sessions, versions
from resolver.wire.bounds import PBKDF2_ITERATIONS_MAX
from resolver.wire.challenges import SecretAnswer, answer_by_secret, latin1_as_utf8
from resolver.wire.ciphers import CipherCode, with_parity
from resolver.wire.claims import CertPermission, Claims, ValueDigest, report, value_digest
from resolver.wire.credential import Credential, ReplayWindow, mac_credential
from resolver.wire.cursor import Cursor
from resolver.wire.digests import HashCode, RequestDigest, digest_by_code, digest_of
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header
from resolver.wire.jws import Jws, sign_payload
from resolver.wire.keys import DhPublicKey, pem_of, public_key_from_wire
from resolver.wire.message import Message, request_message, response_message
from resolver.wire.predefined import catalog
from resolver.wire.predefined.hs_admin import ALL, AdminPermission, HsAdmin
from resolver.wire.predefined.hs_namespace import HsNamespace
from resolver.wire.predefined.hs_serv import HsServ
from resolver.wire.predefined.hs_site import HsSite, Interface, Server, address_to_wire
from resolver.wire.predefined.loc_10320 import Loc10320
from resolver.wire.private_keys import RsaPrivateKey, private_key_from_wire
from resolver.wire.replication_requests import RetrieveByState, RetrieveSince, RetrieveTransactions
from resolver.wire.requests import Login, OfHandle, Opaque, Resolution, SessionSetup
from resolver.wire.responses import Challenge, Done, Failure, Referral
from resolver.wire.signatures import hash_name, is_legacy, is_signed_by, preferred_hash, signed_credential
from resolver.wire.value_json import value_from_json, value_to_json
from resolver.wire.versions import OWN, Version, answer_version, response_code_for
from tests.resolver.wire.vectors import octets, recorded


@pytest.mark.parametrize(
    ("version", "suggested", "answer"),
    [
        ("2.3", "2.11", "2.11"),
        ("2.11", "2.3", "2.3"),
        ("2.10", "0.0", "2.10"),
        ("2.12", "2.12", "2.11"),
        ("3.0", "3.0", "2.11"),
        ("5.0", "5.0", "1.0"),
        ("2.5", "0.0", "2.5"),
    ],
)
def test_version_of_the_answer(version, suggested, answer):
    assert str(answer_version(Version.from_text(version), Version.from_text(suggested))) == answer


def test_versions_compare_by_number_and_not_by_letters():
    assert Version(2, 10) > Version(2, 9)
    assert versions.SHA256 <= OWN


@pytest.mark.parametrize(("code", "old"), [(7, 303), (202, 201), (100, 100), (303, 303)])
def test_old_clients_know_other_response_codes(code, old):
    assert response_code_for(code, Version(2, 4)) == old
    assert response_code_for(code, Version(2, 5)) == code


def test_replay_window_takes_each_counter_once():
    window = ReplayWindow()
    assert [window.take(counter) for counter in (1, 3, 2, 3, 2, 1)] == [True, True, True, False, False, False]
    assert window.take(1_000)
    assert window.take(801)
    assert not window.take(801)
    assert not window.take(800)
    assert not window.take(1_000)
    assert window.take(0)
    assert window.take(0)
    assert window.take(2**31)
    assert not window.take(1_000)


@pytest.mark.parametrize("minor", [0, 1, 3, 4, 5, 6, 7, 8, 11])
def test_mac_of_a_message_at_every_version(minor):
    key = bytes(range(32))
    message = request_message(
        Envelope(Version(2, minor), OWN, 0, 88, 7, 0, 0), Header(1, 0, 0, 1, 0, 0, 0), Resolution("35.TEST/abc")
    )
    credential = mac_credential(message.envelope, message.header_and_body, key, 9)
    again = Credential.from_wire(credential.to_wire())
    assert again == credential
    assert again.is_mac_of(message.envelope, message.header_and_body, key)
    assert not again._replace(counter=8).is_mac_of(message.envelope, message.header_and_body, key) or minor < 7
    assert not again.is_mac_of(message.envelope, message.header_and_body, key[::-1])
    assert not again._replace(type="HS_SIGNED").is_mac_of(message.envelope, message.header_and_body, key)


def rsa_key() -> RsaPrivateKey:
    vector = next(v for v in recorded("keys_and_sessions") if v["id"].startswith("keypair-rsa"))
    return private_key_from_wire(octets(vector["private_key_hex"]))


def dsa_key():
    vector = next(v for v in recorded("keys_and_sessions") if v["id"].startswith("keypair-dsa"))
    return private_key_from_wire(octets(vector["private_key_hex"]))


@pytest.mark.parametrize("key", [rsa_key, dsa_key])
@pytest.mark.parametrize("minor", [1, 5, 6, 7, 8, 10, 11])
def test_signature_of_a_message_at_every_version(key, minor):
    key = key()
    envelope = Envelope(Version(2, minor), OWN, 0, 0x1234_5678, 7, 0, 0)
    message = response_message(envelope, Header(101, 1, 0, 1, 0, 0, 0), Done())
    credential = signed_credential(message.envelope, message.header_and_body, key)
    assert credential.algorithm == preferred_hash(envelope.version, key.kind)
    assert is_signed_by(credential, message.envelope, message.header_and_body, key.public)
    assert not is_signed_by(credential, message.envelope, message.header_and_body + b"\0", key.public)
    other = message.envelope._replace(session_id=1)
    assert is_signed_by(credential, other, message.header_and_body, key.public) is (minor < 6)


@pytest.mark.parametrize(("kind", "minor", "name"), [("RSA", 6, "SHA1"), ("RSA", 7, "SHA-256"), ("DSA", 10, "SHA1")])
def test_hash_to_sign_with(kind, minor, name):
    assert preferred_hash(Version(2, minor), kind).decode() == name


def test_names_of_hashes():
    assert {hash_name(name) for name in (b"SHA-256", b"sha256", b"\x03")} == {"SHA256"}
    assert is_legacy(b"MD5")
    assert is_legacy(b"\x02")
    assert not is_legacy(b"SHA-256")
    with pytest.raises(MalformedMessage, match="no known digest"):
        hash_name(b"CRC32")


def test_appendix_mac_of_a_challenge():
    digest = bytes.fromhex("38112d95646e0fc026b7baaa474d601b196cd600ff6650b9c8323891ea91420e")
    nonce = bytes(range(16))
    old = answer_by_secret(b"secret", nonce, digest, HashCode.SHA1)
    assert old.to_wire().hex() == "0258138ed41b178fd8c23f5977501f84878167bc5e"
    assert old.is_legacy
    new = answer_by_secret(b"secret", nonce, digest, HashCode.PBKDF2_HMAC_SHA1, salt=b"Z" * 16)
    assert new.mac.hex() == "0620aebf9249595e2e70d6098d3d1d979dc5e451"
    assert not new.is_legacy


def test_secret_octets_above_127_become_two_for_pbkdf2_only():
    secret = "密码".encode()
    assert latin1_as_utf8(secret) == secret.decode("latin-1").encode()
    assert len(latin1_as_utf8(secret)) == 2 * len(secret)
    answer = answer_by_secret(secret, b"n", b"d", HashCode.PBKDF2_HMAC_SHA1, salt=b"s" * 16, iterations=2)
    key = hashlib.pbkdf2_hmac("sha1", latin1_as_utf8(secret), b"s" * 16, 2, 20)
    assert answer.mac == hmac.digest(key, b"nd", "sha1")
    assert answer_by_secret(secret, b"n", b"d", HashCode.HMAC_SHA256).mac == hmac.digest(secret, b"nd", "sha256")


@pytest.mark.parametrize(("iterations", "key_bits"), [(PBKDF2_ITERATIONS_MAX + 1, 160), (0, 160), (1, 0), (1, 2**20)])
def test_work_a_peer_may_ask_for_is_bounded(iterations, key_bits):
    answer = SecretAnswer(HashCode.PBKDF2_HMAC_SHA1, bytes(20), bytes(16), iterations, key_bits)
    with pytest.raises(MalformedMessage, match="iterations"):
        SecretAnswer.from_wire(answer.to_wire())


def test_octets_behind_a_secret_answer_are_refused():
    with pytest.raises(MalformedMessage):
        SecretAnswer.from_wire(b"\x02" + bytes(21))


@pytest.mark.parametrize("minor", [2, 3, 4, 11])
@pytest.mark.parametrize("cipher", list(CipherCode))
def test_encrypted_frames_read_back(cipher, minor):
    key = sessions.derive(bytes(range(1, 129)), cipher)
    frame = request_message(
        Envelope(Version(2, minor), OWN, 0, 5, 7, 0, 0), Header(1, 0, 0, 1, 0, 0, 0), Resolution("88.300/a")
    ).to_frame()
    hidden = sessions.encrypt(frame, key, bytes(cipher.block_octets))
    assert hidden.envelope.is_encrypted
    assert hidden.envelope.message_octets == len(hidden.payload)
    assert b"88.300/a" not in hidden.payload
    assert sessions.decrypt(hidden, key) == frame
    assert sessions.decrypt(frame, key) == frame
    with pytest.raises(MalformedMessage, match="encrypted"):
        Message.from_frame(hidden)
    with pytest.raises(MalformedMessage, match="do not decrypt"):
        sessions.decrypt(hidden._replace(payload=hidden.payload[:-1]), key)


def test_des_keys_have_odd_parity():
    assert all(octet.bit_count() % 2 for octet in with_parity(bytes(range(256))))
    assert [code.is_legacy for code in CipherCode] == [True, True, False, False]


def test_session_secret_drops_leading_zeros_down_to_32_octets():
    tail = bytes(range(1, 41))
    assert sessions.derive(bytes(8) + tail, CipherCode.AES).octets == tail[:32]
    assert sessions.derive(bytes(8) + tail[:30], CipherCode.AES).octets == bytes(2) + tail[:30]


@pytest.mark.parametrize(
    "key",
    [
        DhPublicKey(1, sessions.OAKLEY_2.p, 2),
        DhPublicKey(sessions.OAKLEY_2.p - 1, sessions.OAKLEY_2.p, 2),
        DhPublicKey(5, sessions.OAKLEY_2.p, 1),
        DhPublicKey(5, 23, 2),
        DhPublicKey(5, 1 << 1_023, 2),
        DhPublicKey(5, (1 << 8_192) - 1, 2),
    ],
)
def test_groups_that_are_not_computed_with(key):
    with pytest.raises(MalformedMessage, match="Diffie-Hellman"):
        sessions.shared_secret(12_345, key)


@pytest.mark.parametrize("minor", [3, 11])
def test_exchange_data_says_its_cipher_from_2_4(minor):
    version = Version(2, minor)
    key = sessions.public_half(12_345, sessions.OAKLEY_2)
    cipher = CipherCode.DES if minor < 4 else CipherCode.AES
    data = sessions.exchange_data_to_wire(cipher, key, version)
    assert sessions.exchange_data_from_wire(data, version) == (cipher, key)


@pytest.mark.parametrize("minor", [0, 1, 6, 7, 11])
def test_challenge_at_every_version(minor):
    version = Version(2, minor)
    asked = request_message(Envelope(version, version, 0, 0, 7, 0, 0), Header(100, 0, 0, 1, 0, 0, 0), OfHandle("a"))
    digest = digest_of(asked.header_and_body, version)
    flags = 0x0080_0000 if minor else 0
    made = response_message(
        Envelope(version, OWN, 0, 3, 7, 0, 0), Header(100, 402, flags, 1, 0, 0, 0), Challenge(bytes(16)), digest
    )
    read = Message.from_wire(made.to_wire())
    assert read == made
    assert read.request_digest == digest
    assert digest_by_code(asked.header_and_body, digest.code) == digest
    with pytest.raises(MalformedMessage):
        digest_by_code(asked.header_and_body, HashCode.HMAC_SHA1)


def test_a_digest_with_an_unknown_code_is_refused():
    with pytest.raises(MalformedMessage, match="starts with 9"):
        RequestDigest.from_wire(Cursor(b"\x09" + bytes(32)))


def answer(code, body, version=OWN, op_code=OpCode.RESOLUTION):
    return Message.from_wire(
        response_message(
            Envelope(version, OWN, 0, 0, 7, 0, 0), Header(op_code, code, 0, 1, 0, 0, 0), Opaque(body)
        ).to_wire()
    ).body


def test_303_is_a_referral_from_2_5_only():
    body = b"\0\0\0\1x"
    assert answer(303, body) == Referral("x")
    assert answer(303, body, Version(2, 4)) == Failure("x")
    assert answer(302, body, Version(2, 4)) == Referral("x")


def test_failures_are_read_with_and_without_their_parts():
    assert answer(2, b"") == Failure()
    assert answer(2, bytes(4)) == Failure("")
    assert answer(202, bytes(4) + b"\0\0\0\1\0\0\0\7") == Failure("", (7,))
    assert answer(202, b"\0\0\0\1xmore") == Failure("x")
    assert Failure("", (7,)).to_wire() == bytes(4) + b"\0\0\0\1\0\0\0\7"
    assert Failure().to_wire() == bytes(4)


def test_transactions_are_asked_for_by_the_layout_of_the_version():
    since = RetrieveSince(5, 99, 2, 3, 1)
    state = RetrieveByState(b"{}", 2, 3, 1)
    for body, minor in ((since, 8), (RetrieveTransactions(since), 9), (RetrieveTransactions(state), 11)):
        envelope = Envelope(Version(2, minor), OWN, 0, 0, 7, 0, 0)
        whole = request_message(envelope, Header(1_001, 0, 0, 1, 0, 0, 0), body).to_wire()
        assert Message.from_wire(whole).body == body
    with pytest.raises(MalformedMessage, match="form 2"):
        RetrieveTransactions.from_wire(Cursor(b"\2" + since.to_wire()))


@pytest.mark.parametrize("op_code", [606, 1_004, 9_999])
def test_operations_without_a_layout_keep_their_octets(op_code):
    envelope = Envelope(OWN, OWN, 0, 0, 7, 0, 0)
    whole = request_message(envelope, Header(op_code, 0, 0, 1, 0, 0, 0), Opaque(b"abc")).to_wire()
    assert Message.from_wire(whole).body == Opaque(b"abc")


def test_login_names_the_user():
    body = Login("0.NA/88.300", 300)
    assert Login.from_wire(Cursor(body.to_wire() + b"more")) == body


def test_session_setup_ignores_spare_octets_and_writes_two():
    body = SessionSetup(4, 60, "", 2**32 - 1, b"key")
    assert body.to_wire().endswith(b"key\0\0")
    assert SessionSetup.from_wire(Cursor(body.to_wire()[:-2])) == body


def test_identity_behind_a_resolution_is_kept():
    body = Resolution("88.300/a", identity=b"\0\0\0\3abc")
    assert Resolution.from_wire(Cursor(body.to_wire())) == body


def test_names_that_are_no_utf8_come_back_unchanged():
    whole = b"\0\0\0\2\xff\xfe"
    assert OfHandle.from_wire(Cursor(whole)).to_wire() == whole
    with pytest.raises(MalformedMessage, match="surrogate"):
        OfHandle("\ud800").to_wire()


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        ("*", ALL),
        (True, ALL),
        (False, 0),
        ("000000000001", AdminPermission.ADD_HANDLE),
        ("100000000000", AdminPermission.LIST_HANDLES),
        ([True] + [False] * 11, AdminPermission.ADD_HANDLE),
        ("1000000000000", AdminPermission.LIST_DERIVED_PREFIXES),
    ],
)
def test_permissions_of_an_administrator_in_json(permissions, expected):
    admin = HsAdmin.from_json({"handle": "0.NA/88.300", "index": "200", "permissions": permissions})
    assert admin == HsAdmin(Reference("0.NA/88.300", 200), AdminPermission(expected))
    assert HsAdmin.from_json(admin.to_json()) == admin


@pytest.mark.parametrize("permissions", ["x", "", "0" * 17])
def test_permissions_of_an_administrator_that_cannot_be(permissions):
    document = {"handle": "a", "index": 1, "permissions": permissions}
    if permissions == "":
        assert HsAdmin.from_json(document).permissions == 0
        return
    with pytest.raises(InvalidValue):
        HsAdmin.from_json(document)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (bytes(12) + b"\xc0\0\2\1", "192.0.2.1"),
        (bytes(10) + b"\xff\xff\xc0\0\2\1", "192.0.2.1"),
        (bytes.fromhex("20010db8000000000000000000000001"), "2001:db8::1"),
    ],
)
def test_addresses_in_all_forms(address, text):
    server = Server(1, address, b"", (Interface(3, 1, 2641),))
    site = HsSite((server,))
    assert str(server.ip) == text
    assert HsSite.from_wire(site.to_wire()) == site
    assert str(HsSite.from_json(site.to_json()).servers[0].ip) == text
    with pytest.raises(InvalidValue):
        address_to_wire("localhost")


def test_appendix_site():
    site = HsSite(
        (Server(1, address_to_wire("192.0.2.1"), b"", (Interface(3, 1, 2641), Interface(2, 0, 2641))),),
        attributes=(("desc", "demo"),),
    )
    assert site.to_wire().hex() == (
        "0001020b00018002000000000000000100000004646573630000000464656d6f0000000100000001000000000000000000000000"
        "c00002010000000000000002030100000a51020000000a51"
    )


def test_types_below_a_predefined_one_are_read_like_it():
    assert catalog.class_of("hs_site.x.y") is HsSite
    assert catalog.class_of("HS_ADMIN") is HsAdmin
    assert catalog.class_of("URL") is None
    assert catalog.class_of("HS_SITE.PREFIX.x") is HsSite
    assert catalog.class_of("HS_SERV.PREFIXES") is HsServ
    assert catalog.class_of("HS_SIGNATURES.PREFIX") is None


def test_every_predefined_class_has_the_same_shape():
    for class_ in set(catalog.CLASSES.values()):
        assert class_.TYPES
        assert class_.FORMAT in {"string", *catalog.BY_FORMAT}


def test_locations():
    data = b'<locations chooseby="country, weighted"><location id="0" href="http://a/" weight="0"/>'
    data += b'<location id="1" href_template="http://b/{hdl}" country="cn"/></locations>'
    loc = Loc10320.from_wire(data)
    assert loc.to_wire() == data
    assert loc.attributes["chooseby"] == "country, weighted"
    assert [(place.href, place.weight) for place in loc.locations] == [("http://a/", 0.0), ("http://b/{hdl}", 1.0)]
    assert loc.locations[1].attributes["country"] == "cn"


@pytest.mark.parametrize("text", ["", "<a/>", "<locations>", '<!DOCTYPE x [<!ENTITY a "b">]><locations/>', "\0"])
def test_xml_that_is_not_read(text):
    with pytest.raises(InvalidValue):
        _ = Loc10320(text).locations


def test_namespace_says_its_status():
    assert HsNamespace("<namespace><status>Inactive</status></namespace>").status[:1] == (False,)
    namespace = HsNamespace('<namespace statusmsg="soon"><template delimiter="@"/></namespace>')
    assert namespace.status[:2] == (True, "soon")
    assert namespace.has_template


VALUE = HandleValue(1, "URL", b"https://a.example/", Ttl(60), Permission(14), 1_700_000_000)


def test_json_of_data_formats():
    base = {"index": 1, "type": "X", "timestamp": "2023-11-14T22:13:20Z"}
    for data in ("ab", {"format": "string", "value": "ab"}, {"format": "hex", "value": "6162"}):
        assert value_from_json(base | {"data": data}, timestamp_s=0).data == b"ab"
    assert value_from_json(base | {"data": {"format": "base64", "value": "YWI="}}, timestamp_s=0).data == b"ab"
    assert value_to_json(HandleValue(1, "X", b"\0"))["data"] == {"format": "base64", "value": "AA=="}
    # Both alphabets of base64, with and without padding; a number or a flag is what it is written as.
    for text in ("_-8", "_-8=", "/+8=", " /+\n8= "):
        assert value_from_json(base | {"data": {"format": "BASE64", "value": text}}, timestamp_s=0).data == b"\xff\xef"
    for data, expected in ((7, b"7"), (True, b"true"), (1.5, b"1.5"), ({"format": "String", "value": 12}, b"12")):
        assert value_from_json(base | {"data": data}, timestamp_s=0).data == expected
    for wrong in (
        {"format": "hex", "value": "6"},
        {"format": "base64", "value": "?"},
        {"format": "?", "value": ""},
        [],
    ):
        with pytest.raises(InvalidValue):
            value_from_json(base | {"data": wrong}, timestamp_s=0)


def test_json_permissions_as_written_and_as_the_reference_server_reads_them():
    document = value_to_json(VALUE) | {"permissions": "0110"}
    assert value_from_json(document, timestamp_s=0).permissions == 0b0110
    assert value_from_json(document, timestamp_s=0, as_reference_server=True).permissions == 0b1110


def test_json_shows_octets_when_a_predefined_type_does_not_decode():
    value = HandleValue(1, "HS_ADMIN", b"\1\2")
    assert value_to_json(value)["data"]["format"] == "base64"
    assert value_from_json(value_to_json(value), timestamp_s=0) == value


def test_json_shows_a_bare_key_as_it_is_stored():
    key = rsa_key().public
    for stored, format_ in ((pem_of("PUBLIC KEY", key.to_der()).encode(), "string"), (key.to_der(), "base64")):
        value = HandleValue(300, "HS_PUBKEY", stored)
        assert catalog.decode(value).key == key
        assert value_to_json(value)["data"]["format"] == format_
        assert value_from_json(value_to_json(value), timestamp_s=0) == value


def test_json_shows_old_forms_of_utf8_in_base64():
    assert value_to_json(HandleValue(1, "X", b"\xed\xa0\x80"))["data"]["format"] == "base64"


def test_json_times():
    assert value_from_json(value_to_json(VALUE) | {"ttl": "2106-02-07T06:28:15Z"}, timestamp_s=0).ttl == Ttl(
        2**32 - 1, absolute=True
    )
    for wrong in ({"ttl": "soon"}, {"ttl": "9999-01-01T00:00:00Z"}, {"ttl": -1}, {"timestamp": 5}, {"index": True}):
        with pytest.raises(InvalidValue):
            value_from_json(value_to_json(VALUE) | wrong, timestamp_s=0)


def signed_values(key, **changes):
    claims = Claims(
        "300:0.NA/88.300",
        "88.300/a",
        not_before_s=100,
        expires_s=200,
        digest_algorithm="SHA-256",
        digests=(value_digest(VALUE), ValueDigest(9, "")),
    )
    import json

    return sign_payload(json.dumps(claims.to_json() | changes).encode(), key)


@pytest.mark.parametrize("key", [rsa_key, dsa_key])
def test_what_is_signed_here_verifies(key):
    key = key()
    made = report("88.300/a", [VALUE], signed_values(key), key.public, 150)
    assert made[:4] == (True, True, True, True)
    assert (made.verified, made.unsigned, made.changed, made.missing) == ((1,), (), (), (9,))
    assert not report("88.300/b", [VALUE], signed_values(key), key.public, 150).is_of_handle
    assert not report("88.300/a", [VALUE], signed_values(key), key.public, 201).is_in_date
    other = HandleValue(1, "URL", b"changed")
    assert report("88.300/a", [other, HandleValue(5, "X", b"")], signed_values(key), key.public, 150).changed == (1,)


def test_claims_that_cannot_be_read_verify_nothing():
    key = rsa_key()
    for changes in ({"digests": {"alg": "CRC", "digests": [{"index": 1, "digest": ""}]}}, {"exp": "x"}):
        made = report("88.300/a", [VALUE], signed_values(key, **changes), key.public, 150)
        assert made[:3] == (True, False, False)
        assert made.verified == ()


def test_an_algorithm_for_another_kind_of_key_verifies_nothing():
    jws = sign_payload(b"{}", rsa_key())
    assert jws.is_signed_by(rsa_key().public)
    assert not jws.is_signed_by(dsa_key().public)
    none = Jws.from_wire(b"eyJhbGciOiJub25lIn0.e30.")
    assert none.algorithm == "none"
    assert not none.is_signed_by(rsa_key().public)


@pytest.mark.parametrize(
    ("perm", "over", "handle", "covered"),
    [
        ("thisHandle", "0.NA/88.300", "0.NA/88.300.1", False),
        ("thisHandle", "88.300/a", "88.300/a", True),
        ("thisHandle", "88.ABC/a", "88.abc/a", True),
        ("derivedPrefixes", "0.NA/88.300", "0.NA/88.300", False),
        ("handlesUnderThisPrefix", "0.NA/88.300", "88.300/a", True),
        ("handlesUnderThisPrefix", "88.300", "88.300/a", False),
        ("unknown", "88.300/a", "88.300/a", False),
    ],
)
def test_permissions_of_certificates(perm, over, handle, covered):
    assert CertPermission(perm, over).covers(handle) is covered


def test_rsa_private_key_without_primes_recovers_them():
    key = rsa_key()
    recovered = RsaPrivateKey.from_numbers(key.modulus, key.private_exponent)
    assert {recovered.p, recovered.q} == {key.p, key.q}
    with pytest.raises(MalformedMessage, match="public exponent"):
        RsaPrivateKey.from_numbers(key.modulus, key.private_exponent + 2)


def test_rsa_keys_compare_by_number():
    wire = rsa_key().public.to_wire()
    assert wire.endswith(bytes(4))
    assert public_key_from_wire(wire[:-4]) == public_key_from_wire(wire)


def test_counts_are_held_against_the_octets_before_anything_is_taken():
    for field, decode in (
        ("indexes", lambda cursor: cursor.take_indexes()),
        ("references", lambda cursor: cursor.take_references("references", 2**32)),
    ):
        with pytest.raises(MalformedMessage, match=field):
            decode(Cursor(b"\0\0\7\xff" + bytes(8)))
    with pytest.raises(MalformedMessage, match="at most 1048576"):
        Cursor(b"\xff" * 8).take_sized("some")
    cursor = Cursor(b"ab")
    cursor.take(1, "some")
    with pytest.raises(MalformedMessage, match="1 octets follow"):
        cursor.finish("some")
