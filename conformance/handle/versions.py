"""Every operation in every version: codes, versions, flags, digests, signatures and MACs by the formulas of each."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from conformance.handle.administration import owned
from conformance.handle.client import VERSIONS, Session, Who
from conformance.handle.octets import (
    ADD,
    AUTHORITATIVE,
    CERTIFY,
    CLIENT,
    CREATE,
    DELETE,
    DIGEST,
    HOME,
    HOMED,
    LATEST,
    LIST,
    MODIFY,
    PUBLIC,
    REMOVE,
    RESOLVE,
    SETUP,
    SITE,
    TERMINATE,
    UNHOME,
    VERIFY,
    Answer,
    Octets,
    admin,
    credential_parts,
    integers,
    resolution,
    signed_octets,
    text,
    value,
    with_values,
)
from conformance.handle.rules import rule
from conformance.suite import expect

if TYPE_CHECKING:
    from conformance.handle.client import Peer
    from conformance.handle.octets import Version

ALL: tuple[Version, ...] = ((2, 0), *VERSIONS)
AES_SINCE: Version = (2, 4)
"""Before it a session has DES, which a server need not take."""

SECRETS = (b"secret", "pässword 密码".encode(), bytes(range(1, 256)))


def _judge(answer: Answer, op: int, code: int, version: Version, what: str) -> None:
    """Hold an answer against what every answer in a version must be."""
    found = (answer.op, answer.code, answer.version, answer.suggested)
    expect(found == (op, code, version, LATEST), f"{what} in {version}: op, code, version, suggestion {found}")
    expect(bool(answer.flags & AUTHORITATIVE), f"{what} in {version}: the primary does not say that it is one")


@rule("sections 2.2 and 3.3: every changing and asking operation in every version", needs="who")
def every_operation_in_every_version(peer: Peer) -> None:
    for version in ALL:
        pair = {"version": version, "suggested": version}
        name = peer.fresh("V")
        hidden = value(3, "N", "hidden", permissions=12)
        invalid = 201 if version < (2, 5) else 202
        steps = [
            ("create without an index", CREATE, with_values(name, value(0, "URL", "a")), invalid),
            ("create", CREATE, with_values(name, *owned(peer, value(1, "URL", "a"), hidden)), 1),
            ("add", ADD, with_values(name, value(2, "URL", "b")), 1),
            ("add again", ADD, with_values(name, value(2, "URL", "b")), 201),
            ("modify", MODIFY, with_values(name, value(2, "URL", "c")), 1),
            ("modify what is missing", MODIFY, with_values(name, value(9, "URL", "c")), 200),
            ("remove", REMOVE, text(name) + integers((2,)), 1),
            ("resolve all", RESOLVE, resolution(name), 1),
            ("resolve nothing", RESOLVE, resolution(name, (77,)), 200),
            ("list", LIST, text(f"0.NA/{peer.prefix}"), 1),
            ("site", SITE, text("/"), 1),
            ("delete", DELETE, text(name), 1),
            ("resolve what is gone", RESOLVE, resolution(name), 100),
        ]
        for what, op, body, code in steps:
            answer = peer.do(op, body, **pair)[0]
            _judge(answer, op, code, version, what)
            if what == "resolve all":
                expect({item.index for item in answer.values()} == {1, 3, 100}, f"{what} in {version}")


@rule("sections 2.4, 2.7 and 5.1: digests, certified answers and challenges by the formulas of each version")
def digests_and_signatures_of_every_version(peer: Peer) -> None:
    key = peer.server_key()
    for version in ALL:
        pair = {"version": version, "suggested": version}
        for op, body in ((RESOLVE, resolution(f"0.NA/{peer.prefix}")), (SITE, text("/"))):
            request = peer.request(op, body, flags=CLIENT | PUBLIC | CERTIFY | DIGEST, **pair)
            answer = peer.send(request)
            _judge(answer, op, 1, version, "certified")
            expect(answer.digest == request.digest(version), f"the digest in {version}")
            type_, counter, algorithm, proof = credential_parts(answer.credential)
            expect(type_ == "HS_SIGNED", f"a certified answer in {version} has {type_}")
            hash_, name = (hashes.SHA256(), b"SHA-256") if version >= (2, 7) else (hashes.SHA1(), b"SHA1")  # noqa: S303 - the protocol's
            expect(algorithm.replace(b"-", b"") == name.replace(b"-", b""), f"{algorithm!r} in {version}")
            try:
                key.verify(proof, signed_octets(answer, counter), padding.PKCS1v15(), hash_)
            except InvalidSignature:
                raise AssertionError(f"the signature of operation {op} in {version} is wrong") from None
        request = peer.request(CREATE, with_values(peer.fresh("V"), value(1, "URL", "a")), flags=CLIENT, **pair)
        challenge = peer.send(request)
        _judge(challenge, CREATE, 402, version, "a challenge")
        expect(challenge.digest == request.digest(version), f"the challenge in {version} is about another request")
        expect(len(challenge.nonce) == 16 and challenge.session, f"the challenge in {version}")


@rule("section 5.1: secret keys of any octets, answered in the form of each version, and told by VERIFY", needs="who")
def secret_keys_in_every_version(peer: Peer) -> None:
    people = []
    for secret in SECRETS:
        name = peer.fresh("S")
        made = peer.create(name, *owned(peer, value(301, "HS_SECKEY", secret, permissions=12)))
        expect(made.code == 1, f"a handle with a secret key: {made.code}")
        people.append(Who(name, 301, secret=secret))
    for version in ALL:
        pair = {"version": version, "suggested": version}
        for who in people:
            name = peer.fresh("S")
            peer.create(name, *owned(peer, value(101, "HS_ADMIN", admin(who.handle, who.index))))
            request = peer.request(DELETE, text(name), flags=CLIENT, **pair)
            challenge = peer.send(request)
            proof = Octets(who.answer(challenge.nonce, challenge.digest, version))
            proof.sized(), proof.sized(), proof.number()
            signed = proof.sized()
            digest = text(challenge.digest) if version < (2, 1) else _coded(challenge)
            for answered, right in ((signed, 1), (signed[:-1] + bytes((signed[-1] ^ 1,)), 0)):
                body = text(who.handle) + who.index.to_bytes(4, "big") + text(challenge.nonce) + digest + text(answered)
                told = peer.ask(VERIFY, body, flags=CLIENT | DIGEST, **pair)
                expect((told.code, told.body[:1]) == (1, bytes((right,))), f"VERIFY in {version}: {told.code}")
            done = peer.prove(request, challenge, who)[0]
            _judge(done, DELETE, 1, version, f"delete by a secret of {len(who.secret)} octets")


def _coded(challenge: Answer) -> bytes:
    code = {16: 1, 20: 2, 32: 3}[len(challenge.digest)]
    expect(code == challenge.digest_code, "the digest has another code")
    return bytes((code,)) + challenge.digest


@rule("section 5.3: sessions of every version, their MACs by its formula, encrypted, and ended", needs="who")
def sessions_of_every_version(peer: Peer) -> None:
    assert peer.who is not None, "a rule that needs an administrator"
    flags = CLIENT | CERTIFY | DIGEST
    for version in VERSIONS:
        if version < AES_SINCE:
            body = (4).to_bytes(2, "big") + bytes(4) + text("") + b"\xff" * 4 + text(b"")
            found = peer.ask(SETUP, body, version=version, suggested=version).code
            expect(found in {1, 501, 503, 504}, f"a session in {version}: {found}")
            continue
        session = Session(peer, peer.who, version=version)
        name = peer.fresh("K")
        steps = (
            (CREATE, with_values(name, *owned(peer, value(1, "N", "hidden", permissions=12)))),
            (ADD, with_values(name, value(2, "URL", "b"))),
            (MODIFY, with_values(name, value(2, "URL", "c"))),
            (REMOVE, text(name) + integers((2,))),
            (RESOLVE, resolution(name)),
            (LIST, text(f"0.NA/{peer.prefix}")),
            (DELETE, text(name)),
        )
        for op, body in steps:
            answer = session.ask(op, body, flags=flags)
            _judge(answer, op, 1, version, f"operation {op} in a session")
            expect(answer.session == session.id, f"operation {op} in {version} is answered outside the session")
            type_, counter, _, proof = credential_parts(answer.credential)
            expect(type_ == "HS_MAC", f"operation {op} in {version} is certified by {type_}")
            expect(proof == session.mac_of(answer, counter), f"the MAC of operation {op} in {version}")
        repeated = session.request(RESOLVE, resolution(name), flags=flags)
        hidden = session.send(session.encrypted(repeated))
        expect(hidden.code == 100, f"an encrypted question in {version}: {hidden.code}")
        ended = session.send(session.request(TERMINATE, text("/")).to_wire())
        expect(ended.code == 1, f"the end of a session in {version}: {ended.code}")


@rule("sections 3.1 and 3.4: prefixes are homed, listed and unhomed in every version", needs="replays")
def homing_in_every_version(peer: Peer) -> None:
    for version in ALL:
        pair = {"version": version, "suggested": version}
        name = f"0.NA/88.300.{int(hashlib.sha256(bytes(version)).hexdigest()[:6], 16) + 1_000_000}"
        for op, code in ((HOME, 1), (HOME, 1), (UNHOME, 1)):
            _judge(peer.do(op, text(name), **pair)[0], op, code, version, "homing")
            homed = {each.upper() for part in peer.do(HOMED, text("/"), **pair) for each in part.names()}
            expect((name in homed) == (op == HOME), f"the list of prefixes in {version}")
        gone = peer.do(CREATE, with_values(f"{name[5:]}/X", *owned(peer)), **pair)[0]
        _judge(gone, CREATE, 301, version, "a creation below a prefix that is not homed")


@rule("section 2.2: the answer is in the lower of the suggestion and 2.11, without one in that of the message")
def versions_are_negotiated(peer: Peer) -> None:
    body = resolution(f"0.NA/{peer.prefix}")
    for version, suggested, wanted in (
        ((2, 3), (2, 11), LATEST),
        ((2, 3), (2, 10), (2, 10)),
        ((2, 5), (0, 0), (2, 5)),
        ((2, 11), (2, 4), (2, 4)),
        ((2, 12), (2, 12), LATEST),
        ((3, 0), (3, 0), LATEST),
    ):
        request = replace(peer.request(RESOLVE, body), version=version, suggested=suggested)
        _judge(peer.send(request), RESOLVE, 1, wanted, f"suggested {suggested}")
