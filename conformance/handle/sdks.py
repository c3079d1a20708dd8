"""Logins of IDIS clients: CAICT's ID-SDK, and Teleinfo's, whose logins share connections and carry ids it makes up."""

from __future__ import annotations

from conformance.handle.administration import owned
from conformance.handle.client import Line, Peer, Who
from conformance.handle.octets import (
    ADD,
    ANSWER,
    CREATE,
    DELETE,
    DIGEST,
    LOGIN,
    MODIFY,
    PUBLIC,
    RECURSIVE,
    REMOVE,
    RESOLVE,
    Answer,
    Request,
    ids,
    integers,
    resolution,
    text,
    value,
    with_values,
)
from conformance.handle.rules import rule
from conformance.suite import expect

CAICT = {"flags": 0, "version": (2, 3), "suggested": (2, 10)}
TELEINFO = {"flags": RECURSIVE | 0x0800_0000 | PUBLIC, "version": (2, 10), "suggested": (2, 11)}
NAMED = {1, 2, 3, 4, 5, 100, 101, 102, 200, 201, 202, 302, 303, 400, 401, 402, 403, 404, 405, 407, 408, 3001}
"""Codes that the ID-SDK has a name for; at any other it fails before it has looked at the answer."""


def _log_in(line: Line, who: Who, session: int = 0, *, caict: bool = True) -> Answer:
    """The answer to a login on a connection: the ID-SDK's, or Teleinfo's."""
    version = (2, 3) if caict else (2, 10)
    flags = DIGEST if caict else RECURSIVE | DIGEST
    body = text(who.handle) + who.index.to_bytes(4, "big")
    login = Request(LOGIN, body, flags, version, (2, 10), session, next(ids))
    line.send(login.to_wire())
    challenge = line.answer()
    if challenge.code == 407:
        return challenge
    expect((challenge.op, challenge.code) == (LOGIN, 402), f"login: op {challenge.op} code {challenge.code}")
    expect(challenge.digest == login.digest(challenge.version), "the login's challenge has another digest")
    body = who.answer(challenge.nonce, challenge.digest, challenge.version)
    answer = Request(ANSWER, body, RECURSIVE | DIGEST, (2, 10), (2, 10), challenge.session, next(ids))
    line.send(answer.to_wire())
    return line.answer()


def _ask(peer: Peer, line: Line, op: int, body: bytes, **fields: object) -> Answer:
    line.send(peer.request(op, body, **fields).to_wire())
    return line.answer()


def _who(peer: Peer) -> Who:
    assert peer.who is not None, "a rule that needs an administrator"
    return peer.who


def _lives(peer: Peer, line: Line, **fields: object) -> None:
    """A handle is made, changed, asked for and deleted on a connection that has logged in."""
    name = peer.fresh()
    for op, body in (
        (CREATE, with_values(name, value(1, "URL", "a"), value(2, "EMAIL", "b"))),
        (ADD, with_values(name, value(6, "URL", "c"))),
        (MODIFY, with_values(name, value(6, "EMAIL", "d"))),
        (REMOVE, text(name) + integers((6,))),
        (RESOLVE, resolution(name)),
        (DELETE, text(name)),
    ):
        answer = _ask(peer, line, op, body, **fields)
        expect((answer.op, answer.code) == (op, 1), f"operation {op}: op {answer.op} code {answer.code}")


@rule("Appendix A: the ID-SDK logs in on its connection, then changes and asks without a challenge", needs="logs_in")
def the_way_of_the_id_sdk(peer: Peer) -> None:
    refused = peer.ask(CREATE, with_values(peer.fresh(), value(1, "URL", "a")), **CAICT)
    expect(refused.code == 408, f"a change before the login gives {refused.code}")
    with peer.line() as line:
        done = _log_in(line, _who(peer))
        expect((done.op, done.code, done.body) == (LOGIN, 1, b""), f"login: op {done.op} code {done.code}")
        _lives(peer, line, **CAICT)
        expect(_log_in(line, _who(peer)).code == 407, "a second login is not told apart")


@rule("Appendix A: the ID-SDK from 2.0.8 on numbers its connection, in every message", needs="logs_in")
def a_connection_that_its_client_numbers(peer: Peer) -> None:
    with peer.line() as line:
        expect(_log_in(line, _who(peer), 1_234_567).code == 1, "the login")
        _lives(peer, line, session=1_234_567, **CAICT)


@rule("Appendix A: a login may name the prefix of its handle, as the ID-SDK's own examples do", needs="logs_in")
def a_login_that_names_a_prefix(peer: Peer) -> None:
    who = _who(peer)
    bare = who.handle[5:] if who.handle.upper().startswith("0.NA/") else who.handle
    with peer.line() as line:
        done = _log_in(line, Who(bare, who.index, who.key))
        expect(done.code == 1, f"the login of {bare!r} gives {done.code}")
        _lives(peer, line, **CAICT)


@rule("Appendix A: what is refused to the ID-SDK is refused by a code it has a name for", needs="logs_in")
def codes_that_the_id_sdk_can_name(peer: Peer) -> None:
    with peer.line() as line:
        expect(_log_in(line, _who(peer)).code == 1, "the login")
        for op, body in (
            (CREATE, with_values("20.500.99999/X", value(1, "URL", "a"))),
            (CREATE, with_values("", value(1, "URL", "a"))),
            (CREATE, with_values(peer.fresh(), value(1, "HS_ADMIN", "no such data"))),
            (CREATE, with_values(peer.fresh(), value(1, "URL", "a"), value(1, "URL", "b"))),
            (RESOLVE, resolution("20.500.99999/X")),
            (DELETE, text(peer.fresh())),
            (777, text(peer.fresh())),
        ):
            answer = _ask(peer, line, op, body, **CAICT)
            expect(answer.code in NAMED, f"operation {op} is refused with {answer.code}")


@rule("Appendix A: a lookup by an IDIS client is never challenged", needs="logs_in")
def lookups_of_idis_clients_are_not_challenged(peer: Peer) -> None:
    name = peer.fresh()
    peer.create(name, *owned(peer, value(1, "URL", "a"), value(2, "N", "hidden", permissions=12)))
    answer = peer.ask(RESOLVE, resolution(name), **CAICT)
    expect(answer.code == 1 and 2 not in {item.index for item in answer.values()}, f"{answer.code}")


@rule("Appendix A: each login that shares a connection counts for the messages of its own id", needs="logs_in")
def logins_that_share_a_connection(peer: Peer) -> None:
    with peer.line() as line:
        for session in (10_001, 10_002):
            done = _log_in(line, _who(peer), session, caict=False)
            expect(done.code == 1, f"login {session} gives {done.code}")
        for session in (10_001, 10_002, 10_001):
            _lives(peer, line, session=session, **TELEINFO)
        stranger = _ask(peer, line, CREATE, with_values(peer.fresh(), value(1, "URL", "a")), session=10_003, **TELEINFO)
        expect(stranger.code in {400, 500}, f"an id that has not logged in gives {stranger.code}")


@rule("Appendix A: a change over a connection without its login is refused: to Teleinfo a challenge is success")
def nothing_is_lost_between_connections(peer: Peer) -> None:
    body = with_values(peer.fresh(), value(1, "URL", "a"))
    answer = peer.ask(CREATE, body, session=2_000_000_011, **TELEINFO)
    expect(answer.code == 500, f"a change in a session that is not there gives {answer.code}")
