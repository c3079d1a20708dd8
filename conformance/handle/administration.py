"""Changing, with challenges answered by whoever administers; sessions."""

from __future__ import annotations

from dataclasses import replace

from conformance.handle.client import VERSIONS, Peer, Session, Who
from conformance.handle.octets import (
    ADD,
    ANSWER,
    CERTIFY,
    CLIENT,
    CREATE,
    DELETE,
    DIGEST,
    LATEST,
    LIST,
    MINT,
    MODIFY,
    OVERWRITE,
    REMOVE,
    RESOLVE,
    TERMINATE,
    admin,
    credential_parts,
    ids,
    integers,
    resolution,
    text,
    value,
    with_values,
)
from conformance.handle.rules import rule
from conformance.suite import expect


def owned(peer: Peer, *values: bytes) -> tuple[bytes, ...]:
    """Values of a handle that the administrator may change."""
    assert peer.who is not None, "a rule that needs an administrator"
    return (value(100, "HS_ADMIN", admin(peer.who.handle, peer.who.index)), *values)


@rule("sections 2.2 and 5.1: the life of a handle in every version", needs="who")
def the_life_of_a_handle_in_every_version(peer: Peer) -> None:
    for version in VERSIONS:
        pair = {"version": version, "suggested": version}
        name = peer.fresh()

        def code(op: int, body: bytes, pair: dict[str, tuple[int, int]] = pair) -> int:
            return peer.do(op, body, **pair)[0].code

        steps = [
            (CREATE, with_values(name, *owned(peer, value(1, "URL", "a"))), 1),
            (CREATE, with_values(name, *owned(peer)), 101),
            (ADD, with_values(name, value(2, "URL", "b")), 1),
            (ADD, with_values(name, value(2, "URL", "b")), 201),
            (MODIFY, with_values(name, value(2, "URL", "c")), 1),
            (MODIFY, with_values(name, value(7, "URL", "c")), 200),
            (REMOVE, text(name) + integers((2,)), 1),
            (REMOVE, text(name) + integers((2,)), 200),
            (DELETE, text(name), 1),
            (DELETE, text(name), 100),
        ]
        for place, (op, body, wanted) in enumerate(steps):
            found = code(op, body)
            expect(found == wanted, f"version {version}, step {place}: operation {op} is {found}, not {wanted}")


@rule("section 5.1: a challenge names the request and is good for one answer", needs="who")
def a_challenge_is_answered_once(peer: Peer) -> None:
    name = peer.fresh()
    request = peer.request(CREATE, with_values(name, *owned(peer)), flags=CLIENT)
    challenge = peer.send(request)
    expect(challenge.code == 402 and challenge.session, "no challenge")
    expect(challenge.digest == request.digest(LATEST), "the challenge is about another request")
    assert peer.who is not None, "a rule that needs an administrator"
    body = peer.who.answer(challenge.nonce, challenge.digest, challenge.version)
    answer = replace(request, op=ANSWER, body=body, session=challenge.session, id=next(ids))
    first, second = peer.send(answer), peer.send(answer)
    expect((first.op, first.code) == (CREATE, 1), f"the answer gives op {first.op} code {first.code}")
    expect(second.code == 405, f"a replayed answer gives {second.code}")


@rule("section 5.1: a wrong key is refused", needs="who")
def a_wrong_secret_is_refused(peer: Peer) -> None:
    assert peer.who is not None, "a rule that needs an administrator"
    stranger = Who(peer.who.handle, 39_999, secret=b"wrong")
    found = peer.do(CREATE, with_values(peer.fresh(), *owned(peer)), who=stranger)[0].code
    expect(found in {400, 403}, f"a key that is not there gives {found}")


@rule("section 3.4: indexes are judged before anybody is challenged")
def indexes_are_judged_first(peer: Peer) -> None:
    name = peer.fresh()
    for values, wanted in (((value(0, "URL", "a"),), 202), ((value(1, "URL", "a"), value(1, "URL", "b")), 201)):
        found = peer.ask(CREATE, with_values(name, *values), flags=CLIENT).code
        expect(found == wanted, f"{found}, not {wanted}")


@rule("section 2.3: OVRW replaces and says so; MINT appends a suffix", needs="who")
def flags_of_a_creation(peer: Peer) -> None:
    name = peer.fresh()
    for replaced in (False, True):
        answer = peer.create(name, *owned(peer, value(1, "URL", str(replaced))), flags=CLIENT | OVERWRITE)
        expect(answer.code == 1, f"creation with OVRW: {answer.code}")
        expect(bool(answer.flags & OVERWRITE) == replaced, "OVRW says that something was replaced, or not")
    minted = peer.create(f"{peer.prefix}/M-", *owned(peer), flags=CLIENT | MINT).name()
    expect(minted.startswith(f"{peer.prefix}/M-") and len(minted) == len(peer.prefix) + 39, f"minted {minted!r}")
    expect(peer.do(DELETE, text(minted))[0].code == 1, "what was minted cannot be deleted")


@rule("section 3.3, LIST_HANDLES: fifty to a message, CONT on all but the last", needs="who")
def lists_come_in_messages_of_fifty(peer: Peer) -> None:
    assert peer.who is not None, "a rule that needs an administrator"
    session = Session(peer, peer.who)
    made = [peer.fresh("L") for _ in range(60)]
    for name in made:
        expect(session.ask(CREATE, with_values(name, *owned(peer))).code == 1, "creation in a session")
    found = peer.do(LIST, text(f"0.NA/{peer.prefix}"))
    expect(found[0].code == 1, f"the list is answered with {found[0].code}")
    names = [name for part in found for name in part.names()]
    expect(all(len(part.names()) <= 50 for part in found), "more than fifty in a message")
    expect({name.upper() for name in names} >= {name.upper() for name in made}, "some handles are not listed")
    expect(len(names) == len(set(names)), "some handles are listed twice")


@rule("section 5.3: a session of its own key, certified, challenged once, then proven by MACs", needs="who")
def a_session_proves_by_macs(peer: Peer) -> None:
    assert peer.who is not None, "a rule that needs an administrator"
    session = Session(peer, peer.who)
    expect(session.setup.digest and session.setup.credential, "the set-up is not certified")
    name = peer.fresh()
    expect(session.ask(CREATE, with_values(name, *owned(peer))).code == 1, "the first change, challenged")
    flags = CLIENT | CERTIFY | DIGEST
    second = session.send(session.request(ADD, with_values(name, value(1, "URL", "a")), flags=flags).to_wire())
    expect(second.code == 1, f"the second change, by MAC alone: {second.code}")
    type_, counter, _, proof = credential_parts(second.credential)
    expect(type_ == "HS_MAC", f"a certified answer in a session has {type_}")
    expect(proof == session.mac_of(second, counter), "the MAC of the answer is wrong")


@rule("section 5.3: replayed, unproven and forged messages of a session are refused", needs="who")
def messages_that_a_session_refuses(peer: Peer) -> None:
    assert peer.who is not None, "a rule that needs an administrator"
    session = Session(peer, peer.who)
    name = peer.fresh()
    expect(session.ask(CREATE, with_values(name, *owned(peer))).code == 1, "creation")
    request = session.request(ADD, with_values(name, value(1, "URL", "a")))
    expect(session.send(request.to_wire()).code == 1, "an addition")
    expect(session.send(request.to_wire()).code == 505, "a replayed message is taken again")
    bare = session.send(replace(request, credential=b"").to_wire()).code
    expect(bare in {402, 404, 500}, f"without a MAC: {bare}")  # 500 where the session is not kept
    forged = session.request(ADD, with_values(name, value(2, "URL", "a")))
    broken = replace(forged, credential=forged.credential[:-1] + bytes((forged.credential[-1] ^ 1,)))
    expect(session.send(broken.to_wire()).code == 502, "a wrong MAC is taken")


@rule("section 5.3: encrypted messages, and private values that leave encrypted only", needs="who")
def sessions_hide(peer: Peer) -> None:
    assert peer.who is not None, "a rule that needs an administrator"
    session = Session(peer, peer.who)
    name = peer.fresh()
    hidden = value(2, "N", "hidden", permissions=12)
    expect(session.ask(CREATE, with_values(name, *owned(peer, hidden))).code == 1, "creation")
    with peer.line() as line:
        line.send(session.encrypted(session.request(RESOLVE, resolution(name), flags=CLIENT)))
        octets = line.octets()
    expect(octets[2] & 0x40, "a private value leaves in clear")
    answer = session.opened(octets)
    expect(answer.code == 1 and 2 in {item.index for item in answer.values()}, f"encrypted question: {answer.code}")


@rule("section 3.1: a session ends when it is told to", needs="who")
def sessions_end(peer: Peer) -> None:
    assert peer.who is not None, "a rule that needs an administrator"
    session = Session(peer, peer.who)
    expect(session.send(session.request(TERMINATE, text("/")).to_wire()).code == 1, "it cannot be ended")
    answer = session.send(session.request(CREATE, with_values(peer.fresh(), *owned(peer))).to_wire())
    expect(answer.code in {500, 502}, f"a message of an ended session gives {answer.code}")
