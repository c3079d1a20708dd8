"""In which order changes are judged, and what mirrors are told: the reference server's rules, tried from outside."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from conformance.handle.administration import owned
from conformance.handle.octets import (
    ADD,
    ANSWER,
    CLIENT,
    CREATE,
    DELETE,
    LIST,
    MODIFY,
    REMOVE,
    SETUP,
    TERMINATE,
    integers,
    text,
    value,
    with_values,
)
from conformance.handle.rules import rule
from conformance.suite import expect

if TYPE_CHECKING:
    from conformance.handle.client import Peer

READ_ONLY = 0x0A
RETRIEVE = 1001
SIGNED, MUST_REDUMP, SENDING = 0, 1, 2
OLD = (2, 7)
"""The last version in which every server signs its streams, and does not go on in TLS."""


@rule("section 3.4: what is missing, there or read-only is said to anybody", needs="who")
def what_is_said_before_a_challenge(peer: Peer) -> None:
    name, nowhere = peer.fresh(), "10.5555.77/NOWHERE"
    fixed = value(2, "URL", "fixed", permissions=READ_ONLY)
    expect(peer.create(name, *owned(peer, value(1, "URL", "a"), fixed)).code == 1, "creation")
    for op, body, code in (
        (MODIFY, with_values(name, value(9, "URL", "x")), 200),
        (MODIFY, with_values(name, value(2, "URL", "x")), 401),
        (MODIFY, with_values(name, value(9, "URL", "x"), value(2, "URL", "x")), 200),
        (MODIFY, with_values(name), 1),
        (MODIFY, with_values(peer.fresh(), value(1, "URL", "x")), 100),
        (ADD, with_values(name), 202),
        (CREATE, with_values(name), 101),
        (MODIFY, with_values(nowhere, value(1, "URL", "x")), 301),
        (DELETE, text(nowhere), 402),
        (LIST, text(name), 301),
    ):
        found = peer.ask(op, body, flags=CLIENT).code
        expect(found == code, f"operation {op} of {len(body)} octets is answered with {found}, not {code}")


@rule("section 3.4: added values stand in order, read-only ones can be taken away", needs="who")
def what_changes_do(peer: Peer) -> None:
    name = peer.fresh()
    fixed = value(2, "URL", "fixed", permissions=READ_ONLY)
    expect(peer.create(name, *owned(peer, value(7, "URL", "7"), fixed)).code == 1, "creation")
    expect(peer.do(ADD, with_values(name, value(9, "URL", "9"), value(5, "URL", "5")))[0].code == 1, "addition")
    asked = text(name) + integers(()) + integers(())
    indexes = [item.index for item in peer.do(1, asked)[0].values()]
    expect(indexes == sorted(indexes), f"after an addition the values stand as {indexes}")
    twice = with_values(name, value(5, "URL", "first"), value(5, "URL", "last"))
    expect(peer.do(MODIFY, twice)[0].code == 1, "a value that is modified twice")
    expect({item.index: item.data for item in peer.do(1, asked)[0].values()}[5] == b"last", "its last form counts")
    expect(peer.do(REMOVE, text(name) + integers((2,)))[0].code == 1, "a read-only value can be removed")
    expect(peer.do(REMOVE, text(name) + integers(()))[0].code == 1, "to remove nothing is no mistake")


@rule("section 5.1: sessions that cannot be set up are 501, those that are not there 500")
def sessions_that_fail(peer: Peer) -> None:
    for mode, rest in ((4, text(b"no key")), (9, b""), (1, text(b"no key"))):
        body = struct.pack(">HI", mode, 60) + text(b"") + struct.pack(">I", 0xFFFF_FFFF) + rest
        found = peer.ask(SETUP, body, flags=CLIENT).code
        expect(found == 501, f"a set-up of mode {mode} that fails is answered with {found}")
    found = peer.ask(TERMINATE, text("/"), flags=CLIENT).code
    expect(found == 500, f"the end of no session is answered with {found}")


@rule("section 7: changes behind an unknown place, and behind one that cannot be", needs="who")
def changes_for_a_mirror(peer: Peer) -> None:
    """A mirror tells -1 for what it does not know, and reads the end of a stream before it believes anything."""
    for place, expected in (((-1, -1), SENDING), ((1 << 50, 1), MUST_REDUMP)):
        status = _changes(peer, *place)
        expect(status in {None, expected}, f"a mirror at {place} is told {status}")


def _changes(peer: Peer, transaction: int, date_ms: int) -> int | None:
    """The status of a stream of changes, whose end is looked at when nothing else follows; None for no mirror."""
    assert peer.who is not None, "a rule that needs an administrator"
    body = struct.pack(">qqBII", transaction, date_ms, 2, 1, 0)
    request = peer.request(RETRIEVE, body, flags=CLIENT, version=OLD, suggested=OLD)
    challenge = peer.send(request)
    expect(challenge.code == 402, f"a mirror is challenged: {challenge.code}")
    proof = peer.who.answer(challenge.nonce, challenge.digest, challenge.version)
    again = peer.request(ANSWER, proof, flags=CLIENT, version=OLD, suggested=OLD, session=challenge.session)
    with peer.line() as line:
        line.send(again.to_wire())
        found = line.answer()
        if found.code == 400:  # an administrator, and none of replication
            return None
        expect(found.code == 1, f"a mirror is answered with {found.code}")
        kind, size = struct.unpack(">II", line.exactly(8))
        expect(kind == SIGNED and line.exactly(size) in {b"SHA1", b"SHA-1"}, "the stream is not signed")
        _, status = struct.unpack(">II", line.exactly(8))
        signature = int.from_bytes(line.exactly(4), "big")
        line.exactly(signature)
        if status == SENDING:
            return status
        end = line.exactly(1 + 8)  # kind and date
        expect(end[0] == 0, f"a record of kind {end[0]} follows")
        expect(int.from_bytes(line.exactly(4), "big") == signature, "the end is not signed")
        line.exactly(signature)
        return status
