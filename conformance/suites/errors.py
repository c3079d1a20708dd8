"""Bad input: every refusal has a canonical code, a stable reason, a sentence, and the field at fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.suite import check, expect

if TYPE_CHECKING:
    from conformance.grpc_client import Peer, Refusal

CREATE = "RegistrationService/CreateHandle"
RESOLVE = "ResolutionService/Resolve"


def _is(refusal: Refusal, code: str, reason: str, field: str = "") -> None:
    expect((refusal.code, refusal.reason) == (code, reason), f"expected {code} {reason}, got {refusal}")
    expect(len(refusal.message) > 20, f"{reason} has no sentence: {refusal.message!r}")
    if field:
        expect(field in refusal.fields, f"{reason} does not name the field {field}: {refusal.fields}")


@check("errors of names")
def names_that_are_none(peer: Peer) -> None:
    for name in ("", "/x", "88.300.1/", "88.300.1/" + "x" * 2_100):
        _is(peer.refused(RESOLVE, name=name), "INVALID_ARGUMENT", "INVALID_NAME", "name")
    refusal = peer.refused(CREATE, name=peer.fresh() + "\n", values=[peer.value(1, "URL", "x")])
    _is(refusal, "INVALID_ARGUMENT", "INVALID_NAME", "name")


@check("errors of values; RFC 3651 section 3.1")
def values_that_are_none(peer: Peer) -> None:
    bad = {
        "values[0].index": [peer.value(0, "URL", "x")],
        "values[1].index": [peer.value(7, "URL", "x"), peer.value(7, "URL", "y")],
        "values[0].type": [peer.value(1, "", "x")],
        "values[0].permissions": [peer.value(1, "URL", "x", permissions=16)],
        "values": [],
    }
    for field, values in bad.items():
        refusal = peer.refused(CREATE, name=peer.fresh(), values=values)
        _is(refusal, "INVALID_ARGUMENT", "INVALID_VALUE", field)
    refusal = peer.refused(CREATE, name=peer.fresh(), values=[peer.value(1, "X", bytes(1 << 20))])
    _is(refusal, "INVALID_ARGUMENT", "RECORD_TOO_LARGE", "values")


@check("errors of prefixes")
def prefixes_that_are_not_served(peer: Peer) -> None:
    _is(peer.refused(RESOLVE, name="10.9999.8888/x"), "NOT_FOUND", "PREFIX_NOT_SERVED")
    refusal = peer.refused(CREATE, name="10.9999.8888/x", values=[peer.value(1, "URL", "x")])
    _is(refusal, "NOT_FOUND", "PREFIX_NOT_SERVED", "name")


@check("errors of credentials")
def credentials_that_are_none(peer: Peer) -> None:
    values = [peer.value(1, "URL", "x")]
    refusal = peer.refused(CREATE, token="", name=peer.fresh(), values=values)
    _is(refusal, "UNAUTHENTICATED", "CREDENTIAL_MISSING")
    for token in ("wrong", "idis_" + "A" * 43, "x" * 600):
        refusal = peer.refused(CREATE, token=token, name=peer.fresh(), values=values)
        _is(refusal, "UNAUTHENTICATED", "CREDENTIAL_INVALID")
    _is(peer.refused(RESOLVE, token="wrong", name="88.300.1/x"), "UNAUTHENTICATED", "CREDENTIAL_INVALID")


@check("malformed octets and UTF-8 are told as such")
def octets_that_are_no_message(peer: Peer) -> None:
    from conformance.grpc_client import Refusal  # noqa: PLC0415 - the type above is for reading only

    for octets in (b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xc3\x28", b"\xff"):
        try:
            peer.call_octets(RESOLVE, octets)
        except Refusal as refusal:
            _is(refusal, "INVALID_ARGUMENT", "MALFORMED_MESSAGE")
        else:
            expect(condition=False, sentence=f"{octets.hex()} was answered")


@check("limits of messages")
def messages_that_are_too_large(peer: Peer) -> None:
    refusal = peer.refused(RESOLVE, name="x" * 70_000)
    _is(refusal, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
    refusal = peer.refused(CREATE, name=peer.fresh(), values=[peer.value(1, "X", bytes(5 << 20))])
    expect(refusal.code == "RESOURCE_EXHAUSTED", str(refusal))


@check("a record as large as allowed goes in and comes out")
def a_large_record(peer: Peer) -> None:
    name = peer.fresh("large")
    data = bytes(range(256)) * 4_000
    peer.call(CREATE, name=name, values=[peer.value(1, "X", data)])
    expect(peer.call(RESOLVE, name=name).record.values[0].data == data, "the octets differ")
