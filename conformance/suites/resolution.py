"""ResolutionService: filters, batches, streams, lists, and who may see what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.suite import check, expect

if TYPE_CHECKING:
    from conformance.grpc_client import Peer

CREATE = "RegistrationService/CreateHandle"
RESOLVE = "ResolutionService/Resolve"


@check("RFC 3651 section 2; handle names are compared with ASCII letters folded")
def case_of_ascii_letters_does_not_count_and_of_others_does(peer: Peer) -> None:
    name = peer.fresh("Straße-é-中文")
    peer.call(CREATE, name=name, values=[peer.value(1, "URL", "x")])
    folded = "".join(letter.lower() if letter.isascii() else letter for letter in name)
    record = peer.call(RESOLVE, name=folded).record
    expect(record.name == name, f"the registered spelling is lost: {record.name!r}")
    refusal = peer.refused(RESOLVE, name=name.replace("é", "É"))
    expect(refusal.reason == "HANDLE_NOT_FOUND", f"É was folded to é: {refusal}")


@check("resolution.proto types, indexes; RFC 3652 section 3.2")
def filters_are_united_and_a_dot_takes_subtypes(peer: Peer) -> None:
    name = peer.fresh()
    values = [
        peer.value(1, "URL", "a"),
        peer.value(2, "URL.US", "b"),
        peer.value(3, "EMAIL", "c"),
        peer.value(4, "X", "d"),
    ]
    peer.call(CREATE, name=name, values=values)

    def asked(**fields: object) -> list[int]:
        return [value.index for value in peer.call(RESOLVE, name=name, **fields).record.values]

    expect(asked(types=["url"]) == [1], "type URL")
    expect(asked(types=["URL."]) == [1, 2], "type URL.")
    expect(asked(types=["EMAIL"], indexes=[4]) == [3, 4], "union of type and index")
    refusal = peer.refused(RESOLVE, name=name, types=["NOTHING"])
    expect(refusal.reason == "VALUES_NOT_FOUND", str(refusal))


@check("RFC 3651 section 3.1, permissions")
def restricted_values_are_shown_to_their_owner_only(peer: Peer) -> None:
    name = peer.fresh()
    values = [peer.value(1, "URL", "public"), peer.value(2, "SECRET", "hidden", permissions=12)]
    peer.call(CREATE, name=name, values=values)
    public = peer.call(RESOLVE, name=name, token="").record
    expect([value.index for value in public.values] == [1], "a restricted value was shown")
    refusal = peer.refused(RESOLVE, name=name, token="", indexes=[2])
    expect(refusal.reason == "VALUES_NOT_FOUND", f"asking by index: {refusal}")
    refusal = peer.refused(RESOLVE, name=name, token="", include_restricted=True)
    expect(refusal.code == "UNAUTHENTICATED", f"asking for restricted values: {refusal}")
    own = peer.call(RESOLVE, name=name, include_restricted=True).record
    expect([value.index for value in own.values] == [1, 2], "the owner does not see its value")


@check("resolution.proto BatchResolve")
def a_batch_answers_or_explains_every_name_in_order(peer: Peer) -> None:
    names = [peer.fresh() for _ in range(5)]
    for name in names[::2]:
        peer.call(CREATE, name=name, values=[peer.value(1, "URL", name)])
    answer = peer.call("ResolutionService/BatchResolve", names=[*names, "", names[0]], token="")
    expect([record.name for record in answer.records] == [*names[::2], names[0]], "records are missing or disordered")
    misses = [(miss.position, miss.code, miss.reason) for miss in answer.misses]
    wanted = [(1, 5, "HANDLE_NOT_FOUND"), (3, 5, "HANDLE_NOT_FOUND"), (5, 3, "INVALID_NAME")]
    expect(misses == wanted, f"misses {misses}")
    refusal = peer.refused("ResolutionService/BatchResolve", names=["88.300.1/x"] * 1_001)
    expect(refusal.reason == "TOO_MANY_ITEMS", str(refusal))


@check("resolution.proto StreamResolve")
def a_stream_answers_every_tag_once(peer: Peer) -> None:
    name = peer.fresh()
    peer.call(CREATE, name=name, values=[peer.value(1, "URL", "x")])
    asked = [{"tag": tag, "name": name if tag % 3 else peer.fresh()} for tag in range(1, 101)]
    found, missed = [], []
    for answer in peer.stream("ResolutionService/StreamResolve", asked, token=""):
        expect(len(answer.records) == len(answer.tags), "records and tags differ in number")
        found += answer.tags
        missed += [miss.position for miss in answer.misses]
    expect(sorted(found) == [tag for tag in range(1, 101) if tag % 3], "tags of records")
    expect(sorted(missed) == [tag for tag in range(1, 101) if not tag % 3], "tags of misses")


@check("resolution.proto ListHandles; AIP-158")
def pages_are_complete_and_tokens_are_checked(peer: Peer) -> None:
    word = peer.fresh("list").rpartition("/")[2]
    names = [f"{peer.prefix}/{word}-{number:02d}" for number in range(25)]
    for name in names:
        peer.call(CREATE, name=name, values=[peer.value(1, "URL", "x")])
    seen: list[str] = []
    token = ""
    while True:
        page = peer.call(
            "ResolutionService/ListHandles", prefix=peer.prefix, suffix_start=word, page_size=7, page_token=token
        )
        seen += page.names
        token = page.next_page_token
        if not token:
            break
    expect(seen == names, f"{len(seen)} of {len(names)} names, or in another order")
    refusal = peer.refused("ResolutionService/ListHandles", prefix=peer.prefix, page_token="nonsense")
    expect(refusal.reason == "INVALID_PAGE_TOKEN", str(refusal))
    refusal = peer.refused("ResolutionService/ListHandles", prefix=peer.prefix, token="")
    expect(refusal.code == "UNAUTHENTICATED", f"anybody may list: {refusal}")


@check("RFC 3651 section 2.2: up to 2,048 octets")
def long_names_are_told_apart(peer: Peer) -> None:
    start = peer.fresh("long") + "-" + "é" * 600
    one, other = f"{start}1", f"{start}2"
    peer.call(CREATE, name=one, values=[peer.value(1, "URL", "one")])
    peer.call(CREATE, name=other, values=[peer.value(1, "URL", "other")])
    expect(peer.call(RESOLVE, name=one).record.values[0].data == b"one", "two long names fell together")
    refusal = peer.refused(RESOLVE, name="88.300.1/" + "x" * 2_048)
    expect((refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_NAME"), str(refusal))
