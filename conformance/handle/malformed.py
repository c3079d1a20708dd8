"""Octets that are no request, and packets nobody should be answered for: the server says so, and lives."""

from __future__ import annotations

import random
import socket
import struct
import time

from conformance.handle.client import Peer, split
from conformance.handle.octets import (
    CLIENT,
    CREATE,
    PUBLIC,
    RESOLVE,
    SITE,
    TRUNCATED,
    Answer,
    Request,
    resolution,
    text,
    value,
    with_values,
)
from conformance.handle.rules import rule
from conformance.suite import expect

_PATIENCE_S = 30.0
"""Seconds after which a server does not answer any more; less would judge the machine it runs on."""

_TRIES = 5


def lives(peer: Peer) -> None:
    """Raise unless the server still answers."""
    started = time.monotonic()
    expect(peer.ask(RESOLVE, resolution(peer.fresh())).code == 100, "the server does not answer any more")
    expect(time.monotonic() - started < _PATIENCE_S, "the server has become slow")


def thrown(peer: Peer, octets: bytes) -> list[Answer]:
    """What comes back for octets on a connection whose client has said everything."""
    with peer.line() as line:
        line.socket.settimeout(_PATIENCE_S)
        try:
            line.send(octets)
            line.socket.shutdown(socket.SHUT_WR)
            found = []
            while True:
                found.append(line.answer())
        except (EOFError, ConnectionError):
            return found if "found" in locals() else []
        except TimeoutError:
            raise AssertionError(f"{len(octets)} octets are neither answered nor refused") from None


@rule("every cut of a request is refused or dropped, never waited for without end")
def cut_requests(peer: Peer) -> None:
    whole = peer.request(RESOLVE, resolution(peer.fresh(), (1,), ("URL",))).to_wire()
    for end in range(0, len(whole), 3):
        for answer in thrown(peer, whole[:end]):
            expect(answer.code != 1, f"{end} of {len(whole)} octets are a success")
    lives(peer)


@rule("lengths that promise more than is there, or more than can be")
def lying_lengths(peer: Peer) -> None:
    request = peer.request(RESOLVE, resolution(peer.fresh()))
    whole = bytearray(request.to_wire())
    for place in (16, 40, 44):
        for number in (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 262_145):
            changed = bytes(whole[:place]) + struct.pack(">I", number) + bytes(whole[place + 4 :])
            for answer in thrown(peer, changed):
                expect(answer.code not in {1, 402}, f"length {number} at {place} gives {answer.code}")
    lives(peer)


@rule("counts that no message can hold are refused before anything is made for them")
def lying_counts(peer: Peer) -> None:
    for body in (
        text("88/x") + struct.pack(">I", 0xFFFF_FFFF),
        text("88/x") + bytes(4) + struct.pack(">I", 0x7FFF_FFFF),
        struct.pack(">I", 0xFFFF_FFFF),
        text("88/x") + struct.pack(">I", 1 << 20) + bytes(64),
    ):
        for op in (RESOLVE, CREATE):
            answers = thrown(peer, peer.request(op, body).to_wire())
            expect(answers and answers[0].code != 1, "a count that cannot be is taken")
    lives(peer)


@rule("octets that are no Handle message")
def garbage(peer: Peer) -> None:
    for octets in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3" + bytes(64), bytes(64), b"\xff" * 64):
        for answer in thrown(peer, octets):
            expect(answer.code != 1, f"{octets[:8]!r} is a success")
    lives(peer)


@rule("requests with flipped octets: answered or dropped, and nothing dies of them")
def flipped_octets(peer: Peer) -> None:
    source = random.Random(1)
    requests = [
        peer.request(RESOLVE, resolution(peer.fresh(), (1, 2), ("URL",))).to_wire(),
        peer.request(CREATE, with_values(peer.fresh(), value(1, "URL", "a")), flags=CLIENT).to_wire(),
        peer.request(SITE, text("/")).to_wire(),
    ]
    for number in range(300):
        octets = bytearray(requests[number % len(requests)])
        for _ in range(source.randrange(1, 4)):
            octets[source.randrange(20, len(octets))] ^= 1 << source.randrange(8)
        thrown(peer, bytes(octets))
    lives(peer)


@rule("operations nobody knows")
def unknown_operations(peer: Peer) -> None:
    for op in (3, 99, 199, 606, 999, 9_999, 0xFFFF_FFFF):
        answers = thrown(peer, peer.request(op, text("/")).to_wire())
        expect(answers and answers[0].code not in {1, 402}, f"operation {op}: {[each.code for each in answers]}")


@rule("an answer is never answered, over TCP or UDP")
def answers_are_not_answered(peer: Peer) -> None:
    octets = bytearray(peer.request(RESOLVE, resolution(peer.fresh())).to_wire())
    octets[24:28] = struct.pack(">I", 1)
    expect(not thrown(peer, bytes(octets)), "an answer is answered over TCP")
    expect(not peer.ask_udp(bytes(octets), timeout_s=0.5), "an answer is answered over UDP")


@rule("reliability 3.2: nothing over UDP is three times its question, and TCP has what is too large", needs="who")
def no_amplification(peer: Peer) -> None:
    for size in (10, 100, 300, 492, 600, 1_000, 5_000, 65_536):
        name = peer.fresh()
        expect(peer.create(name, value(1, "DESC", b"x" * size)).code == 1, "creation")
        for flags in (CLIENT | PUBLIC, CLIENT | PUBLIC | 0x4000_0000, CLIENT | PUBLIC | 0x0080_0000):
            request = peer.request(RESOLVE, resolution(name), flags=flags).to_wire()
            packets = peer.ask_udp(request)
            answered = sum(map(len, packets))
            expect(packets, f"{size} octets are not answered over UDP")
            expect(answered <= 3 * len(request), f"{size}: {answered} octets for {len(request)}")
            if Answer.of(packets[0]).code == 2:
                full = peer.ask(RESOLVE, resolution(name), flags=flags)
                expect(full.code == 1 and full.values()[0].data == b"x" * size, "TCP does not have it either")
                took_s = min(_seconds_by_both(peer, request, name, flags) for _ in range(_TRIES))
                expect(took_s < 1.0, f"a client that asks over UDP first has {size} octets after {took_s:.3f} s")
    request = peer.request(SITE, text("/")).to_wire()
    expect(sum(map(len, peer.ask_udp(request))) <= 3 * len(request), "the site record is amplified")


def _seconds_by_both(peer: Peer, request: bytes, name: str, flags: int) -> float:
    """How long a client takes that asks over UDP first; a busy machine adds to it, so the best of some tries counts."""
    started = time.monotonic()
    peer.ask_udp(request)
    peer.ask(RESOLVE, resolution(name), flags=flags)
    return time.monotonic() - started


@rule("section 2.5: requests in several packets, in any order; parts that never come cost nothing")
def requests_in_packets(peer: Peer) -> None:
    request = peer.request(RESOLVE, resolution(f"{peer.prefix}/" + "x" * 1_200))
    packets = split(request.to_wire())
    expect(len(packets) == 3, "the rule itself is wrong")
    for order in (packets, packets[::-1], [packets[0], *packets]):
        with socket.socket(socket.AF_INET6 if ":" in peer.where[0] else socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(_PATIENCE_S)
            udp.connect(peer.where)
            for packet in order:
                udp.send(packet)
            expect(Answer.of(udp.recv(2_048)).code == 100, "a request in packets is not answered")
    with socket.socket(socket.AF_INET6 if ":" in peer.where[0] else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(peer.where)
        for number in range(3_000):
            head = Request(RESOLVE, b"", id=number).envelope(5_000, TRUNCATED)
            udp.send(head + bytes(492))
    lives(peer)
