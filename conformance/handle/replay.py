"""The recorded exchanges, sent again to the server that is judged: codes, flags and layout are held against the record.

The records come from CNRI's server and from the ID-SDK's conversations (``conformance/vectors``). Their prefixes are
88.300 and 88.300.1 to 88.300.10, so a server can be judged by them only if it homes those; what else they need is
made by its administrator first. Times, nonces, ids, keys and signatures differ from run to run and are not compared.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.handle.client import Line, Peer, Who, split
from conformance.handle.octets import (
    ADD,
    ANSWER,
    CLIENT,
    CREATE,
    DELETE,
    ENVELOPE,
    HOME,
    LOGIN,
    OVERWRITE,
    PUBLIC,
    RESOLVE,
    SITE,
    START,
    Answer,
    Octets,
    Request,
    admin,
    credential_parts,
    ids,
    text,
    value,
    with_values,
)
from conformance.handle.rules import rule
from conformance.suite import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
SECRET = b"peer-secret"
NODE = "0.NA/88.300"
MORE_ALLOWED = {
    "udp-resolve-multipacket": (2, "an answer of over three times the question may be sent over TCP only"),
    "udp-site-info": (2, "an answer of over three times the question may be sent over TCP only"),
    "idsdk-014-password-login": (5, "a server need not take passwords in clear"),
    "idsdk-022-lookup": (1, "an IDIS client cannot be challenged at a lookup: it may get the public values"),
    "idsdk-025-create": (408, "an IDIS client may be told to log in first"),
    "idsdk-026-login": (402, "a login may be challenged; CNRI's server has no such operation"),
}
"""What a server may answer instead of what was recorded, and why."""


_OWN = {"HS_SITE", "HS_PUBKEY"}


def vectors(name: str) -> list[dict[str, Any]]:
    """The records of a file."""
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["vectors"]
    return found


def parsed(octets: bytes) -> Request:
    """A recorded request, taken apart."""
    major, minor, bits, suggested_minor, session, id_, _, _ = ENVELOPE.unpack_from(octets)
    op, _, flags = struct.unpack_from(">III", octets, ENVELOPE.size)
    size = struct.unpack_from(">I", octets, START - 4)[0]
    return Request(
        op, octets[START : START + size], flags, (major, minor), (bits & 0x1F, suggested_minor), session, id_
    )


def prepare(peer: Peer) -> None:
    """Home the prefixes of the records and put in what they ask for."""
    assert peer.who is not None, "only an administrator of the server can prepare it"
    key = [item for item in peer.do(RESOLVE, _all(NODE))[0].values() if item.index == peer.who.index]
    group = struct.pack(">I", 2) + b"".join(text(NODE) + struct.pack(">I", index) for index in (300, 301))
    secret = value(301, "HS_SECKEY", SECRET, permissions=12)
    _put(peer, NODE, value(200, "HS_VLIST", group), secret)
    site = peer.ask(SITE, text("/")).body
    for number in range(1, 11):
        name = f"0.NA/88.300.{number}"
        answer = peer.do(HOME, text(name))[0]
        expect(answer.code == 1, f"{name} cannot be homed: {answer.code}")
        _put(
            peer,
            name,
            value(1, "HS_SITE", site),
            value(100, "HS_ADMIN", admin(NODE, 200)),
            value(101, "HS_ADMIN", admin(NODE, 301)),
            value(200, "HS_VLIST", group),
            *(value(300, "HS_PUBKEY", item.data) for item in key),
            secret,
        )
    live, captured = vectors("live_exchanges"), vectors("idsdk_captures")
    for name in _created(live):
        peer.do(DELETE, text(name))  # what an earlier judgement of the same server has left
    for id_, found in (
        ("tcp-resolve", live),
        ("tcp-resolve-public-only-private-values", live),
        ("idsdk-021-lookup", captured),
    ):
        for vector in found:
            if vector["id"] == id_:
                answer = Answer.of(bytes.fromhex(vector["responses"][0]["hex"]))
                _store(peer, answer)


def _created(vectors_: list[dict[str, Any]]) -> list[str]:
    """The handles that recorded conversations create."""
    steps = [step for vector in vectors_ for step in vector.get("exchange", ()) if step["dir"] == "request"]
    requests = [parsed(bytes.fromhex(step["hex"])) for step in steps]
    return [Octets(request.body).sized().decode() for request in requests if request.op == CREATE]


def _all(name: str) -> bytes:
    return text(name) + bytes(8)


def _store(peer: Peer, recorded: Answer) -> None:
    """Make the handle of a recorded resolution, with its values as they were but for those of its machine."""
    if recorded.name().upper().startswith("0.NA/"):
        return
    given = [value(item.index, item.type, item.data, permissions=item.permissions) for item in recorded.values()]
    made = peer.do(CREATE, with_values(recorded.name(), *given), flags=CLIENT | OVERWRITE)[0]
    expect(made.code == 1, f"{recorded.name()} cannot be made: {made.code}")


def _put(peer: Peer, name: str, *values: bytes) -> None:
    answer = peer.do(ADD, with_values(name, *values), flags=CLIENT | OVERWRITE)[0]
    expect(answer.code == 1, f"{name} cannot be prepared: {answer.code}")


def differences(vector_id: str, ours: Answer, theirs: Answer, *, emulated: bool = False) -> Iterator[str]:
    """In what an answer differs from the recorded one."""
    if ours.code != theirs.code:
        if MORE_ALLOWED.get(vector_id, (0, ""))[0] != ours.code:
            yield f"code {ours.code}, recorded {theirs.code}"
        return
    if ours.op != theirs.op:
        yield f"operation {ours.op}, recorded {theirs.op}"
    if emulated:
        return
    for what in ("version", "suggested", "envelope_flags", "recursion", "digest_code"):
        found, recorded = getattr(ours, what), getattr(theirs, what)
        if found != recorded:
            yield f"{what} {found}, recorded {recorded}"
    if ours.flags != theirs.flags:
        yield f"flags {ours.flags:08x}, recorded {theirs.flags:08x}"
    if bool(ours.credential) != bool(theirs.credential):
        yield "it is certified, or is not"
    elif ours.credential and credential_parts(ours.credential)[::2] != credential_parts(theirs.credential)[::2]:
        yield f"the credential is {credential_parts(ours.credential)[::2]}"
    if ours.code == 1 and ours.op == RESOLVE:
        yield from _values_differ(ours, theirs)
    if ours.code == 402 and len(ours.nonce) != len(theirs.nonce):
        yield "the nonce has another size"
    if ours.code not in {1, 402} and len(theirs.body) >= 4 and len(ours.body) < 4:
        yield "the error has no length of a message"


def _values_differ(ours: Answer, theirs: Answer) -> Iterator[str]:
    if ours.name() != theirs.name():
        yield f"the name {ours.name()!r}, recorded {theirs.name()!r}"
    said, recorded = (
        {
            (item.index, item.type, b"" if item.type in _OWN else item.data)
            for item in answer.values()
            if item.permissions & 2 or ours.flags & PUBLIC  # the recorded server trusted everybody with the others
        }
        for answer in (ours, theirs)
    )
    if said != recorded:
        yield f"the values {said ^ recorded}"


def whole(packets: list[bytes]) -> Answer:
    """One answer from its packets; the first of several whole ones."""
    if len({packet[12:16] for packet in packets}) == 1:
        return Answer.of(packets[0])
    ordered = sorted(packets, key=lambda packet: packet[12:16])
    return Answer.of(ordered[0][:20] + b"".join(packet[20:] for packet in ordered))


def _over_tcp(peer: Peer, octets: bytes) -> list[Answer]:
    with peer.line() as line:
        line.send(octets)
        line.socket.shutdown(1)
        found = []
        while True:
            try:
                found.append(line.answer())
            except EOFError:
                return found


@rule("live_exchanges.json: single requests, sent again", needs="replays")
def recorded_requests(peer: Peer) -> None:
    prepare(peer)
    faults = []
    for vector in vectors("live_exchanges"):
        if "request_hex" not in vector:
            continue
        given = vector["request_hex"]
        packets = [bytes.fromhex(each) for each in (given if isinstance(given, list) else [given])]
        recorded = [bytes.fromhex(each["hex"]) for each in vector["responses"]]
        if vector["transport"] == "udp":
            found = [_by_udp(peer, packets)]
            recorded_answer = whole(recorded)
        else:
            found = _over_tcp(peer, packets[0])
            recorded_answer = Answer.of(recorded[0])
            if len(found) != len(recorded):
                faults.append(f"{vector['id']}: {len(found)} answers, recorded {len(recorded)}")
                continue
        faults += [f"{vector['id']}: {each}" for each in differences(vector["id"], found[0], recorded_answer)]
    expect(not faults, "\n".join(faults))


TRIES_S = (0.5, 1.0, 1.5, 30.0)
"""Seconds the reference client waits for a datagram before it sends again, as some may be lost; and a last wait, since
its three seconds may be over while a busy machine does something else."""


def _by_udp(peer: Peer, packets: list[bytes]) -> Answer:
    joined = packets[0] if len(packets) == 1 else packets[0][:20] + b"".join(packet[20:] for packet in packets)
    if len(packets) > 1 and len(split(joined)) != len(packets):
        raise AssertionError("a record whose packets cannot be sent")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(peer.where)
        for timeout_s in TRIES_S:
            for packet in packets:
                udp.send(packet)
            udp.settimeout(timeout_s)
            try:
                found = [udp.recv(4_096)]
                size = int.from_bytes(found[0][16:20], "big")
                while sum(len(packet) - 20 for packet in found) < size:
                    found.append(udp.recv(4_096))
            except TimeoutError:
                continue
            return whole(found)
    raise AssertionError(f"no answer to a datagram sent {len(TRIES_S)} times")


@rule("live_exchanges.json: conversations of every version with challenges", needs="replays")
def recorded_conversations(peer: Peer) -> None:
    prepare(peer)
    faults = []
    for vector in vectors("live_exchanges"):
        if "exchange" not in vector:
            continue
        secret = b"wrong" if vector["id"] == "auth-wrong-secret" else SECRET
        found = _conversation(peer, vector["exchange"], secret)
        recorded = [Answer.of(bytes.fromhex(step["hex"])) for step in vector["exchange"] if step["dir"] == "response"]
        if vector["id"] in {"auth-list-handles", "auth-list-homed"}:
            found, recorded = found[:1], recorded[:1]  # how many there are is the server's own affair
        if len(found) != len(recorded):
            faults.append(
                f"{vector['id']}: {[each.code for each in found]}, recorded {[each.code for each in recorded]}"
            )
            continue
        for ours, theirs in zip(found, recorded, strict=True):
            faults += [f"{vector['id']}: {each}" for each in differences(vector["id"], ours, theirs)]
    expect(not faults, "\n".join(faults))


def _conversation(peer: Peer, exchange: list[dict[str, Any]], secret: bytes) -> list[Answer]:
    """The answers to recorded requests, answers to challenges being made anew."""
    challenge: Answer | None = None
    found: list[Answer] = []
    for step in exchange:
        if step["dir"] != "request":
            continue
        octets = bytes.fromhex(step["hex"])
        if struct.unpack_from(">I", octets, ENVELOPE.size)[0] == ANSWER:
            if challenge is None:
                return found
            request = parsed(octets)
            body = Octets(request.body)
            body.sized()
            who = Who(body.sized().decode(), body.number(), secret=secret)
            proof = who.answer(challenge.nonce, challenge.digest, challenge.version)
            octets = replace(request, body=proof, session=challenge.session).to_wire()
        answers = _over_tcp(peer, octets)
        found += answers
        challenge = answers[0] if answers and answers[0].code == 402 else None
    return found


@rule("idsdk_captures.json: what the ID-SDK sends on one connection, its logins signed anew", needs="replays")
def recorded_ways_of_the_id_sdk(peer: Peer) -> None:
    prepare(peer)
    faults: list[str] = []
    line: Line | None = None
    challenge: Answer | None = None
    recorded = vectors("idsdk_captures")
    for place, vector in enumerate(recorded):
        request = parsed(bytes.fromhex(vector["request_hex"]))
        if line is None or request.op in {SITE, 2_000}:
            if line is not None:
                line.close()
            line = Line(peer.where)
        if request.op == ANSWER:
            assert challenge is not None, "a record that answers no challenge"
            request = _signed(peer, challenge, request)
        line.send(request.to_wire())
        ours, theirs = line.answer(), Answer.of(bytes.fromhex(vector["responses"][0]["hex"]))
        challenge = ours if ours.code == 402 else challenge
        emulated = vector["responses"][0]["from"].startswith("relay")
        faults += [f"{vector['id']}: {each}" for each in differences(vector["id"], ours, theirs, emulated=emulated)]
        following = recorded[place + 1]["id"] if place + 1 < len(recorded) else ""
        if request.op == LOGIN and ours.code == 402 and not following.endswith("login-answer"):
            line.send(_signed(peer, ours, replace(request, op=ANSWER)).to_wire())
            line.answer()
    if line is not None:
        line.close()
    expect(not faults, "\n".join(faults))


def _signed(peer: Peer, challenge: Answer, request: Request) -> Request:
    assert peer.who is not None, "a rule that needs an administrator"
    body = peer.who.answer(challenge.nonce, challenge.digest, challenge.version)
    return replace(request, body=body, session=challenge.session, id=next(ids))
