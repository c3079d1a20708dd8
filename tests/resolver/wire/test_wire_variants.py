"""Random messages and values, written by an encoder that shares nothing with ours: fields come back, octets too.

The recorded vectors show one message of a kind; here each kind is made a few dozen times with other fields, lengths,
flags, versions, key types and ciphers. The encoder is the one of the conformance suite and a few lines of struct.
"""

from __future__ import annotations

import hashlib
import random
import struct

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from conformance.handle.octets import ENVELOPE, HEADER, credential, integers, text
from resolver.errors import InvalidValue
from resolver.handle.codes import ResponseCode
from resolver.wire import bounds, requests, responses, sessions
from resolver.wire.ciphers import CipherCode
from resolver.wire.cursor import Cursor
from resolver.wire.key_files import KeyFileScheme, open_key_file
from resolver.wire.keys import public_key_from_wire
from resolver.wire.message import Message
from resolver.wire.predefined.hs_admin import HsAdmin
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.predefined.hs_vlist import HsVlist
from resolver.wire.values import value_from_wire, value_to_wire
from resolver.wire.versions import Version

TIMES = 40
TYPES = ("URL", "EMAIL", "HS_SECKEY", "标识.名称", "", "x" * 300, "URL.")
VERSIONS = [(2, minor) for minor in range(12)] + [(3, 0)]


@pytest.fixture
def rnd():
    return random.Random(20_261_126)


def a_name(rnd):
    return (
        f"{rnd.choice(('88.300', '0.NA/88', '10.1000'))}/{rnd.choice(('a', '产品', 'A/b/c', ''))}{rnd.randrange(999)}"
    )


def a_value(rnd):
    """Octets of a value, and its fields."""
    index, time, ttl = (rnd.choice((0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, rnd.getrandbits(31))) for _ in "abc")
    absolute, bits, type_ = rnd.randrange(2), rnd.randrange(16), rnd.choice(TYPES)
    data = rnd.randbytes(rnd.choice((0, 1, 2, 255, 3_000)))
    references = [(a_name(rnd), rnd.getrandbits(32)) for _ in range(rnd.randrange(4))]
    octets = struct.pack(">IIBIB", index, time, absolute, ttl, bits) + text(type_) + text(data)
    octets += struct.pack(">I", len(references)) + b"".join(text(name) + struct.pack(">I", n) for name, n in references)
    return octets, (index, time, bool(absolute), ttl, bits, type_, data, references)


def fields_of(value):
    return (
        value.index,
        value.timestamp_s,
        value.ttl.absolute,
        value.ttl.seconds,
        int(value.permissions),
        value.type,
        value.data,
        [(item.name, item.index) for item in value.references],
    )


def values(rnd):
    made = [a_value(rnd) for _ in range(rnd.randrange(5))]
    return struct.pack(">I", len(made)) + b"".join(octets for octets, _ in made), [fields for _, fields in made]


def test_values(rnd):
    for _ in range(TIMES * 5):
        octets, fields = a_value(rnd)
        found = value_from_wire(Cursor(octets))
        assert fields_of(found) == fields
        assert value_to_wire(found) == octets


def message(rnd, op, body, *, code=0, flags=None, version=None):
    """Octets of a message with the body, and what its envelope and header say."""
    version = version or rnd.choice(VERSIONS)
    suggested = rnd.choice(((0, 0), (2, 10), (2, 11), version))
    flags = rnd.getrandbits(32) & ~0x0080_0000 if flags is None else flags
    session, id_, expires = (rnd.getrandbits(32) for _ in range(3))
    serial, recursion = rnd.getrandbits(16), rnd.randrange(256)
    behind = rnd.choice((b"", credential(b"HS_MAC", rnd.getrandbits(31), b"\2", rnd.randbytes(20))))
    inside = HEADER.pack(op, code, flags, serial, recursion, 0, expires, len(body)) + body + text(behind)
    octets = ENVELOPE.pack(*version, suggested[0], suggested[1], session, id_, 0, len(inside)) + inside
    return octets, (version, suggested, session, id_, op, code, flags, serial, recursion, expires, behind)


def said(found):
    envelope, header = found.envelope, found.header
    behind = b"" if found.credential is None else found.credential.to_wire()
    ids = (tuple(envelope.version), tuple(envelope.suggested), envelope.session_id, envelope.request_id)
    rest = (header.op_code, header.response_code, header.flags, header.site_serial, header.recursion_count)
    return (*ids, *rest, header.expiration_s, behind)


def request_bodies(rnd):
    """Operation, octets of its body, and what the body must be."""
    name, other, number = a_name(rnd), a_name(rnd), rnd.getrandbits(32)
    numbers = tuple(rnd.getrandbits(32) for _ in range(rnd.randrange(5)))
    types = tuple(rnd.choice(TYPES) for _ in range(rnd.randrange(4)))
    octets, nonce = rnd.randbytes(rnd.randrange(300)), rnd.randbytes(16)
    asked = text(name) + integers(numbers) + struct.pack(">I", len(types)) + b"".join(map(text, types))
    for op in (1, 2000):
        yield op, asked, requests.Resolution(name, numbers, types)
    for op in (2, 101, 105, 106, 300, 301, 302, 401, 1000, 1003):
        yield op, text(name), requests.OfHandle(name)
    yield 103, text(name) + integers(numbers), requests.RemoveValues(name, numbers)
    yield (
        200,
        text("HS_PUBKEY") + text(name) + struct.pack(">I", number) + text(octets),
        requests.ChallengeAnswer("HS_PUBKEY", name, number, octets),
    )
    yield 2001, text(name) + struct.pack(">I", number), requests.Login(name, number)
    yield 402, text(octets), requests.ExchangeKey(octets)
    start = struct.pack(">I", 600) + text(name) + struct.pack(">I", number)
    for mode in (1, 4):
        setup = requests.SessionSetup(mode, 600, name, number, public_key=octets)
        yield 400, struct.pack(">H", mode) + start + text(octets) + bytes(2), setup
    yield 400, struct.pack(">H", 2) + start + bytes(2), requests.SessionSetup(2, 600, name, number)
    by_handle = requests.SessionSetup(3, 600, name, number, key_handle=other, key_index=7)
    yield 400, struct.pack(">H", 3) + start + text(other) + struct.pack(">I", 7) + bytes(2), by_handle
    for code, size in ((1, 16), (2, 20), (3, 32), (0, 16)):
        digest = rnd.randbytes(size)
        written = text(digest) if code == 0 else bytes((code,)) + digest
        body = requests.VerifyAnswer(name, number, nonce, requests.RequestDigest(code, digest), octets)
        yield 201, text(name) + struct.pack(">I", number) + text(nonce) + written + text(octets), body


def test_requests_of_every_operation(rnd):
    for _ in range(TIMES):
        for op, body, wanted in request_bodies(rnd):
            octets, fields = message(rnd, op, body)
            found = Message.from_wire(octets)
            assert (said(found), found.body) == (fields, wanted)
            assert found.to_wire() == octets
            assert found.body.to_wire() == body, op


def test_requests_with_values(rnd):
    for _ in range(TIMES):
        for op in (100, 102, 104):
            octets, fields = values(rnd)
            name = a_name(rnd)
            whole, outside = message(rnd, op, text(name) + octets)
            found = Message.from_wire(whole)
            assert said(found) == outside
            assert (found.body.handle, [fields_of(item) for item in found.body.values]) == (name, fields)
            assert found.body.to_wire() == text(name) + octets


def digest_prefix(rnd, version):
    code, size = (0, 16) if version < (2, 1) else (2, 20) if version < (2, 7) else (3, 32)
    digest = rnd.randbytes(size)
    return digest, text(digest) if code == 0 else bytes((code,)) + digest


def answer_bodies(rnd):
    """Operation, code, and octets of the body."""
    name, octets = a_name(rnd), rnd.randbytes(rnd.randrange(300))
    names = [a_name(rnd) for _ in range(rnd.randrange(51))]
    yield 1, 1, text(name) + values(rnd)[0]
    yield 100, 1, text(name)
    yield 100, 1, b""
    for op in (101, 102, 103, 104, 300, 301, 401, 402, 1003, 2001):
        yield op, 1, b""
    for op in (105, 302):
        yield op, 1, struct.pack(">I", len(names)) + b"".join(map(text, names))
    yield 201, 1, bytes((rnd.randrange(2),))
    yield 400, 1, struct.pack(">H", 4) + text(octets) + bytes(2)
    yield 1000, 1, rnd.randbytes(8)
    for body in (text(name), text(""), text("") + values(rnd)[0], text(name) + values(rnd)[0]):
        yield 1, 302, body
    for code in ResponseCode:
        if code not in {0, 1, 302, 303, 402}:
            yield rnd.choice((1, 100, 105)), int(code), text(rnd.choice(("", "no", "标识不存在")))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("with_digest", [False, True])
def test_answers_of_every_kind(rnd, version, with_digest):
    for _ in range(4):
        for op, code, body in answer_bodies(rnd):
            digest, prefix = digest_prefix(rnd, version) if with_digest else (None, b"")
            flags = 0x9080_0000 if with_digest else 0x9900_0000
            octets, fields = message(rnd, op, prefix + body, code=code, flags=flags, version=version)
            found = Message.from_wire(octets)
            assert said(found) == fields
            assert (found.request_digest and found.request_digest.octets) == digest
            assert responses.body_to_wire(found.body, found.request_digest, found.envelope.version) == prefix + body


@pytest.mark.parametrize("version", VERSIONS)
def test_challenges_and_prefix_referrals(rnd, version):
    nonce = rnd.randbytes(16)
    digest, prefix = digest_prefix(rnd, version)
    body = text(nonce) + prefix if version < (2, 1) else prefix + text(nonce)
    flags = 0x9800_0000 if version < (2, 1) else 0x9880_0000
    found = Message.from_wire(message(rnd, 100, body, code=402, flags=flags, version=version)[0])
    assert (found.body.nonce, found.request_digest.octets) == (nonce, digest)
    referral = text("") + values(rnd)[0]
    found = Message.from_wire(message(rnd, 1, referral, code=303, flags=0x9900_0000, version=version)[0])
    assert isinstance(found.body, responses.Referral if version >= (2, 5) else responses.Failure)


def test_administrators_groups_and_sites(rnd):
    for bits in [1 << place for place in range(13)] + [0, 0xFFF, 0x1FFF]:
        for legacy in (b"", bytes(2)):
            octets = struct.pack(">H", bits) + text(a_name(rnd)) + struct.pack(">I", rnd.getrandbits(32)) + legacy
            found = HsAdmin.from_wire(octets)
            assert (int(found.permissions), found.to_wire()) == (bits, octets)
    for size in (0, 1, 2, 50):
        octets = struct.pack(">I", size) + b"".join(text(a_name(rnd)) + rnd.randbytes(4) for _ in range(size))
        assert HsVlist.from_wire(octets).to_wire() == octets
        assert len(HsVlist.from_wire(octets).references) == size
    for _ in range(TIMES):
        attributes = [(text(rnd.choice(("desc", "domain.1", "说明"))), text("x" * rnd.randrange(40))) for _ in range(3)]
        servers = []
        for number in range(rnd.randrange(4)):
            address = rnd.choice((bytes(12) + rnd.randbytes(4), rnd.randbytes(16), bytes(16)))
            doors = [struct.pack(">BBI", rnd.randrange(4), rnd.randrange(4), rnd.randrange(65_536)) for _ in range(3)]
            key = rnd.randbytes(rnd.choice((0, 80)))
            servers.append(struct.pack(">I", number + 1) + address + text(key) + struct.pack(">I", 3) + b"".join(doors))
        head = struct.pack(">HBBHBB", 1, 2, rnd.randrange(12), rnd.getrandbits(15), rnd.choice((0, 0x80, 0xC0)), 2)
        octets = (
            head + text(rnd.randbytes(rnd.randrange(3))) + struct.pack(">I", 3) + b"".join(map(b"".join, attributes))
        )
        octets += struct.pack(">I", len(servers)) + b"".join(servers)
        assert HsSite.from_wire(octets).to_wire() == octets


def big(number):
    return text(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def test_public_keys_of_every_kind(rnd):
    for kind, count, behind in (("RSA_PUB_KEY", 2, bytes(4)), ("DSA_PUB_KEY", 4, b""), ("DH_PUB_KEY", 3, b"")):
        for bits in (1_023, 1_024, 2_048):
            octets = text(kind) + bytes(2) + b"".join(big(rnd.getrandbits(bits) | 1) for _ in range(count))
            assert public_key_from_wire(octets + behind).to_wire() == octets + behind
            assert public_key_from_wire(octets) == public_key_from_wire(octets + behind)


@pytest.mark.parametrize("minor", [3, 4, 8, 11])
@pytest.mark.parametrize("code", [1, 2, 3])
def test_ciphers_of_sessions_against_the_library(rnd, code, minor):
    secret, iv = rnd.randbytes(32), rnd.randbytes(16 if code == 3 else 8)
    key = {1: secret[:8] * 3, 2: secret[:24], 3: secret[:16]}[code]
    for size in (0, 1, 7, 8, 15, 16, 500):
        plain = rnd.randbytes(size)
        padder = padding.PKCS7(len(iv) * 8).padder()
        padded = padder.update(plain) + padder.finalize()
        mode = modes.ECB() if minor < 4 else modes.CBC(iv)
        encryptor = Cipher(AES(key) if code == 3 else TripleDES(key), mode).encryptor()
        wanted = (b"" if minor < 4 else iv) + encryptor.update(padded) + encryptor.finalize()
        ours = sessions.SessionKey(CipherCode(code), secret)
        assert sessions.encrypt_octets(plain, ours, Version(2, minor), iv) == wanted
        assert sessions.decrypt_octets(wanted, ours, Version(2, minor)) == plain


def test_key_file_of_triple_des_by_the_library(rnd):
    """Scheme 3: salt, iterations and key bits as for AES, with a key of 24 octets."""
    plain, salt, iv = text("RSA_PRIV_KEY") + rnd.randbytes(100), rnd.randbytes(16), rnd.randbytes(8)
    key = hashlib.pbkdf2_hmac("sha1", b"secret", salt, 10_000, 24)
    padder = padding.PKCS7(64).padder()
    encryptor = Cipher(TripleDES(key), modes.CBC(iv)).encryptor()
    hidden = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    file = struct.pack(">I", 3) + text(salt) + struct.pack(">II", 10_000, 192) + text(iv) + text(hidden)
    assert open_key_file(file, b"secret") == plain
    assert KeyFileScheme(3) is KeyFileScheme.PBKDF2_TRIPLE_DES


def test_a_group_in_json_has_no_more_members_than_one_that_is_read():
    members = [{"handle": "0.NA/88.1", "index": 300}] * bounds.ADMINISTRATORS_MAX
    assert len(HsVlist.from_wire(HsVlist.from_json(members).to_wire()).references) == bounds.ADMINISTRATORS_MAX
    with pytest.raises(InvalidValue, match="at most"):
        HsVlist.from_json([*members, {}])
