"""The ways of the reference client library, with the checks it makes of every answer before it believes it.

It asks over UDP what is no change, sets sessions up there too, and opens a connection for each change and each answer
to a challenge. It waits half a second for a datagram and three in all, so silence is a fault; code 2 sends it to TCP
at once. Here it waits longer: silence stays silence, and a machine that stands still for a second is no fault. What it
demands is checked here: the id, the digest of the request, a code it can name, an expiry to come, a positive session
id, and of certified answers the server's signature or the session's MAC with a counter of its own.
"""

from __future__ import annotations

import time
from dataclasses import replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from conformance.handle.administration import owned
from conformance.handle.client import Peer, Session
from conformance.handle.octets import (
    ADD,
    CERTIFY,
    CLIENT,
    CREATE,
    DELETE,
    DIGEST,
    ENVELOPE,
    MODIFY,
    PUBLIC,
    REMOVE,
    RESOLVE,
    TERMINATE,
    Answer,
    Request,
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

UDP_S = 30.0
"""Seconds after which no datagram is silence."""

TRIES = 6
"""Times that a question is asked, from another port each: the workers of a server share them out."""

_ERROR, _ENDED = 2, 500
_CODES = {*range(1, 8), *range(100, 103), *range(200, 203), *range(300, 304), *range(400, 407), *range(500, 506)}
_HASHES = {b"SHA1": hashes.SHA1, b"SHA-1": hashes.SHA1, b"SHA256": hashes.SHA256, b"SHA-256": hashes.SHA256}


class ReferenceClient(Peer):
    """A peer asked as the library asks it; ``begin`` a session, then ``question`` and ``change``."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(*peer.where, peer.prefix, peer.who)
        self._key = peer.server_key()
        self._counters: set[int] = set()

    def begin(self) -> Session:
        """A new session, set up over UDP."""
        assert self.who is not None, "a rule that needs an administrator"
        return Session(self, self.who)

    def ask(self, op: int, body: bytes, **fields: object) -> Answer:
        """The answer to the set-up of a session."""
        return self.question(self.request(op, body, **fields))

    def question(self, request: Request, session: Session | None = None, *, encrypts: bool = False) -> Answer:
        """The answer to what is no change: over UDP, and over TCP when that gives an error."""
        octets = session.encrypted(request) if session is not None and encrypts else request.to_wire()
        packets = self.ask_udp(octets, timeout_s=UDP_S, parts=2_000)
        expect(packets, f"operation {request.op} meets silence over UDP")
        whole = _joined(packets)
        answer = Answer.of(whole) if session is None else session.opened(whole)
        if answer.code != _ERROR:
            return self.judged(request, answer, session)
        if session is not None:  # asked again, the message has another number
            request = session.request(request.op, request.body, flags=request.flags)
            octets = session.encrypted(request) if encrypts else request.to_wire()
        return self.judged(request, self._over_tcp(octets, session), session)

    def change(self, session: Session, op: int, body: bytes) -> Answer:
        """The answer to a change, certified, a challenge being answered over a connection of its own."""
        request = session.request(op, body, flags=CLIENT | PUBLIC | CERTIFY)
        found = self.judged(request, self._over_tcp(request.to_wire(), session), session)
        return self.proven(request, found, session) if found.code == 402 else found

    def proven(self, request: Request, challenge: Answer, session: Session | None) -> Answer:
        """The answer to a challenged request."""
        expect(challenge.digest == request.digest(challenge.version), "the challenge is about another request")
        answers = self.prove(request, challenge, self.who)
        found = answers[0] if session is None else session.opened(answers[0].octets)
        expect(found.op == request.op, f"the answer to a challenged {request.op} is one to {found.op}")
        return self.judged(replace(request, id=found.id), found, session, digested=False)

    def judged(self, request: Request, answer: Answer, session: Session | None, *, digested: bool = True) -> Answer:
        """The answer when the library would believe it."""
        expect(answer.id == request.id, f"the request {request.id} is answered under {answer.id}")
        expect(answer.code in _CODES, f"the library cannot name code {answer.code}")
        expect(answer.expires > time.time(), "the answer has expired")
        expect(answer.session < 1 << 31, "the session id is negative")
        if digested and request.flags & DIGEST:
            expect(answer.digest == request.digest(answer.version), "the digest is of another request")
        if request.flags & CERTIFY and not (session is not None and answer.code == _ENDED):
            self._certified(answer, session)
        return answer

    def _certified(self, answer: Answer, session: Session | None) -> None:
        expect(answer.credential, f"code {answer.code} is not certified")
        kind, counter, algorithm, proof = credential_parts(answer.credential)
        if kind == "HS_MAC":
            assert session is not None, "a MAC outside of a session"
            expect(answer.session > 0, "a MAC and no session id")
            expect(proof == session.mac_of(answer, counter), "the MAC is wrong")
            expect(counter not in self._counters, f"the counter {counter} comes twice")
            self._counters.add(counter)
            return
        try:
            self._key.verify(proof, signed_octets(answer, counter), padding.PKCS1v15(), _HASHES[algorithm]())
        except InvalidSignature:
            raise AssertionError("the signature is wrong") from None

    def _over_tcp(self, octets: bytes, session: Session | None) -> Answer:
        with self.line() as line:
            line.send(octets)
            whole = line.octets()
        return Answer.of(whole) if session is None else session.opened(whole)


def _joined(packets: list[bytes]) -> bytes:
    """The message that came in packets, in whatever order."""
    ordered = sorted(packets, key=lambda packet: packet[12:16])
    whole = ordered[0][: ENVELOPE.size] + b"".join(packet[ENVELOPE.size :] for packet in ordered)
    expect(len(whole) - ENVELOPE.size == int.from_bytes(whole[16:20], "big"), "packets of the answer are missing")
    return whole


def _made(peer: Peer, tool: ReferenceClient, session: Session, octets: int) -> str:
    """The name of a new record with a public value of a size and a hidden one."""
    name = peer.fresh()
    hidden = value(2, "N", "hidden", permissions=12)
    body = with_values(name, *owned(peer, value(1, "URL", "u" * octets), hidden))
    expect(tool.change(session, CREATE, body).code == 1, "a creation in a session")
    return name


@rule("the reference client: sessions set up over UDP, a connection for each change, certified by MACs", needs="who")
def changes_of_the_reference_client(peer: Peer) -> None:
    for _ in range(TRIES // 2):
        tool = ReferenceClient(peer)
        session = tool.begin()
        name = peer.fresh()
        for op, body in (
            (CREATE, with_values(name, *owned(peer, value(1, "URL", "a")))),
            (ADD, with_values(name, value(2, "URL", "b"), value(3, "N", "hidden", permissions=12))),
            (MODIFY, with_values(name, value(2, "URL", "c"))),
            (REMOVE, text(name) + integers((2,))),
            (DELETE, text(name)),
        ):
            code = tool.change(session, op, body).code
            expect(code == 1, f"operation {op} gives {code}")


@rule("the reference client: private values over UDP in a session, in clear and encrypted, of any size", needs="who")
def lookups_of_the_reference_client(peer: Peer) -> None:
    tool = ReferenceClient(peer)
    session = tool.begin()
    for octets in (10, 3_000, 150_000):
        name = _made(peer, tool, session, octets)
        for encrypts in (False, True):
            for number in range(TRIES):
                flags = CLIENT | (CERTIFY if number % 2 else 0)
                asked = session.request(RESOLVE, resolution(name), flags=flags)
                found = tool.question(asked, session, encrypts=encrypts)
                indexes = {item.index for item in found.values()} if found.code == 1 else set()
                expect(indexes == {1, 2, 100}, f"{octets} octets, encrypted {encrypts}: code {found.code}, {indexes}")


@rule("the reference client: a lookup that is repeated without its session keeps the old MAC", needs="who")
def the_old_mac_of_the_reference_client(peer: Peer) -> None:
    tool = ReferenceClient(peer)
    session = tool.begin()
    name = _made(peer, tool, session, 10)
    expect(session.send(session.request(TERMINATE, text("/")).to_wire()).code == 1, "the session cannot be ended")
    asked = session.request(RESOLVE, resolution(name), flags=CLIENT)
    found = tool.question(asked, session)
    expect(found.code == _ENDED, f"a message of an ended session gives {found.code}")
    again = replace(asked, session=0)
    challenge = tool.question(again)
    expect(challenge.code == 402, f"the same without the session gives {challenge.code}")
    expect(tool.proven(again, challenge, None).code == 1, "and cannot be proven")


@rule("the reference client: certified lookups, which it tries over UDP first")
def certified_lookups_of_the_reference_client(peer: Peer) -> None:
    tool = ReferenceClient(peer)
    name = peer.fresh("NOT-THERE")
    for flags in (CERTIFY, CERTIFY | DIGEST):
        found = tool.question(tool.request(RESOLVE, resolution(name), flags=CLIENT | PUBLIC | flags))
        expect(found.code == 100, f"a certified lookup of what is not there gives {found.code}")
