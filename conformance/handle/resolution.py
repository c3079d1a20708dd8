"""Asking: names, filters, flags, digests, signatures, versions, connections."""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from conformance.handle.client import VERSIONS, Peer
from conformance.handle.octets import (
    CERTIFY,
    CLIENT,
    DIGEST,
    KEEP,
    PUBLIC,
    RESOLVE,
    SITE,
    Answer,
    Octets,
    credential_parts,
    resolution,
    text,
    value,
)
from conformance.handle.rules import rule
from conformance.suite import expect

_HASHES = {b"SHA1": hashes.SHA1(), b"SHA-256": hashes.SHA256()}  # noqa: S303 - old versions sign so


def signed_octets(answer: Answer) -> bytes:
    """What the signature of an answer covers, by the version of its envelope."""
    body_end = 44 + struct.unpack_from(">I", answer.octets, 40)[0]
    message = answer.octets[20:body_end]
    ids, counter = answer.octets[4:12], bytes(4)
    if answer.version >= (2, 8):
        return answer.octets[:4] + ids + counter + message
    if answer.version >= (2, 7):
        return answer.octets[:2] + ids + counter + message
    if answer.version >= (2, 6):
        return answer.octets[:2] + answer.octets[4:6] + counter + bytes(6) + message
    return message


@rule("RFC 3652 section 3.2: a handle that is not there is 100")
def a_missing_handle_is_not_found(peer: Peer) -> None:
    answer = peer.ask(RESOLVE, resolution(peer.fresh()))
    expect((answer.op, answer.code) == (RESOLVE, 100), f"op {answer.op}, code {answer.code}")


@rule("RFC 3652 section 2.2: ids, operation and flags come back")
def ids_come_back(peer: Peer) -> None:
    request = peer.request(RESOLVE, resolution(peer.fresh()))
    answer = peer.send(request)
    expect(answer.id == request.id, "another request id")
    expect(answer.flags & PUBLIC, "PUBL does not come back")
    expect(not answer.envelope_flags, "envelope flags are set")
    expect(answer.expires > 1_600_000_000, "the answer has expired, and clients refuse it")


@rule("handle records keep their values; the asked spelling comes back", needs="who")
def a_record_comes_back_as_it_went(peer: Peer) -> None:
    name = peer.fresh("Spelt")
    made = peer.create(
        name, value(1, "URL", "http://example.org/"), value(2, "URL.X", b"\0\xff"), value(9, "名称", "轴承")
    )
    expect(made.code == 1 and made.name() == name, f"creation: {made.code}")
    for spelling in (name, name.lower(), name.upper()):
        answer = peer.ask(RESOLVE, resolution(spelling))
        expect(answer.code == 1 and answer.name() == spelling, f"{spelling}: {answer.code}")
        found = {(item.index, item.type, item.data) for item in answer.values()}
        expect(
            found == {(1, "URL", b"http://example.org/"), (2, "URL.X", b"\0\xff"), (9, "名称", "轴承".encode())},
            str(found),
        )


@rule("RFC 3652 section 3.2.1: indexes and types are a union; a type with a dot takes its subtypes", needs="who")
def filters(peer: Peer) -> None:
    name = peer.fresh()
    peer.create(name, value(1, "URL", "a"), value(2, "URL.X", "b"), value(3, "EMAIL", "c"))
    for indexes, types, wanted in (
        ((), ("URL",), {1}),
        ((), ("url.",), {1, 2}),
        ((3,), ("URL",), {1, 3}),
        ((2, 3), (), {2, 3}),
        ((), (), {1, 2, 3}),
    ):
        answer = peer.ask(RESOLVE, resolution(name, indexes, types))
        expect({item.index for item in answer.values()} == wanted, f"{indexes} {types}: {answer.values()}")
    for indexes, types in (((77,), ()), ((), ("NO",))):
        expect(peer.ask(RESOLVE, resolution(name, indexes, types)).code == 200, "nothing that fits is 200")


@rule("PUBL leaves private values out; without it they are challenged for", needs="who")
def private_values(peer: Peer) -> None:
    name = peer.fresh()
    peer.create(name, value(1, "URL", "a"), value(2, "N", "hidden", permissions=12))
    expect([item.index for item in peer.ask(RESOLVE, resolution(name)).values()] == [1], "PUBL shows private values")
    expect(peer.ask(RESOLVE, resolution(name, (2,))).code == 200, "only private values are 200 with PUBL")
    challenged = peer.ask(RESOLVE, resolution(name), flags=CLIENT)
    expect(challenged.code == 402 and len(challenged.nonce) == 16, f"no challenge but {challenged.code}")


@rule("section 2.2: every version from 2.1 to 2.11 is answered in min(suggested, 2.11)")
def every_version_is_answered(peer: Peer) -> None:
    for version in (*VERSIONS, (2, 12), (3, 0)):
        answer = peer.ask(RESOLVE, resolution(peer.fresh()), version=version, suggested=version)
        expect(answer.version == min(version, (2, 11)), f"{version} is answered in {answer.version}")
        expect(answer.suggested == (2, 11), f"{version}: the suggestion is {answer.suggested}")
        expect(answer.code == 100, f"{version}: {answer.code}")


@rule("section 2.4: a digest that is asked for is that of header and body")
def request_digests(peer: Peer) -> None:
    for version in VERSIONS:
        request = peer.request(
            RESOLVE, resolution(peer.fresh()), flags=CLIENT | PUBLIC | DIGEST, version=version, suggested=version
        )
        answer = peer.send(request)
        expect(answer.flags & DIGEST, f"{version}: no digest")
        expect(answer.digest == request.digest(version), f"{version}: another digest, code {answer.digest_code}")


@rule("section 2.7: certified answers are signed by the key of the site, in every version")
def certified_answers(peer: Peer) -> None:
    key = peer.server_key()
    for version in VERSIONS:
        answer = peer.ask(
            RESOLVE, resolution(peer.fresh()), flags=CLIENT | PUBLIC | CERTIFY, version=version, suggested=version
        )
        type_, _, algorithm, proof = credential_parts(answer.credential)
        expect(type_ == "HS_SIGNED", f"{version}: the credential is {type_}")
        try:
            key.verify(proof, signed_octets(answer), padding.PKCS1v15(), _HASHES[algorithm])
        except InvalidSignature:
            expect(False, f"{version}: the signature ({algorithm!r}) is wrong")


@rule("section 3.1, GET_SITE_INFO: a site, without authentication, whatever the handle")
def site_information(peer: Peer) -> None:
    for name in ("/", "", "10.9999.8888/x"):
        answer = peer.ask(SITE, text(name))
        expect(answer.code == 1, f"{name!r}: {answer.code}")
        site = Octets(answer.body)
        expect(site.number(2) == 1, "the format version of the site is not 1")
        expect(answer.serial == int.from_bytes(answer.body[4:6], "big"), "the header has another serial than the site")


@rule("Appendix A: IDIS clients take the first interface, which must be TCP")
def the_first_interface_is_tcp(peer: Peer) -> None:
    site = Octets(peer.ask(SITE, text("/")).body)
    site.take(8)
    site.sized()
    for _ in range(site.number()):
        site.sized(), site.sized()
    site.number()
    site.take(20)
    site.sized()
    count, roles, transport, port = site.number(), site.number(1), site.number(1), site.number()
    expect(count >= 1 and transport == 1 and roles in {2, 3}, f"the first interface is {roles} {transport} {port}")


@rule("many requests on one connection, answered as they finish, and all before the end of a half-closed one")
def connections_are_kept(peer: Peer) -> None:
    requests = [peer.request(RESOLVE, resolution(peer.fresh()), flags=CLIENT | PUBLIC | KEEP) for _ in range(50)]
    with peer.line() as line:
        for request in requests[:10]:
            line.send(request.to_wire())
            expect(line.answer().id == request.id, "another id")
        line.send(b"".join(request.to_wire() for request in requests[10:]))
        line.socket.shutdown(1)
        found = {line.answer().id for _ in requests[10:]}
        expect(found == {request.id for request in requests[10:]}, "some requests were not answered")
        expect(line.socket.recv(1) == b"", "the server keeps a connection that its client has left")


@rule("octet by octet is the same as at once")
def slow_requests(peer: Peer) -> None:
    request = peer.request(RESOLVE, resolution(peer.fresh()))
    with peer.line() as line:
        for octet in request.to_wire():
            line.send(bytes((octet,)))
        expect(line.answer().code == 100, "a request that comes in pieces is not understood")


@rule("section 9, implementer minimum: trailing octets, no credential length, expiration 0, unknown flags")
def what_must_be_tolerated(peer: Peer) -> None:
    body = resolution(peer.fresh())
    for octets in (body + text("identity"), body + bytes(5)):
        expect(peer.ask(RESOLVE, octets).code == 100, "octets behind the filters are not ignored")
    expect(peer.ask(RESOLVE, body, flags=CLIENT | PUBLIC | 0x0000_0007).code == 100, "unknown flags are not ignored")
    request = peer.request(RESOLVE, body)
    with peer.line() as line:
        message = request.header_and_body
        line.send(request.envelope(len(message)) + message)
        expect(line.answer().code == 100, "a message without a credential length is not understood")
