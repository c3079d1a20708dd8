"""RegistrationService: what is acknowledged is there, once, in the version that was said."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from conformance.suite import check, expect

if TYPE_CHECKING:
    from conformance.grpc_client import Peer

CREATE = "RegistrationService/CreateHandle"
RESOLVE = "ResolutionService/Resolve"


@check("registration.proto CreateHandle; RFC 3651 section 3.1")
def a_created_handle_is_resolved_at_once(peer: Peer) -> None:
    name = peer.fresh()
    receipt = peer.call(
        CREATE, name=name, values=[peer.value(2, "EMAIL", "a@example.com"), peer.value(1, "URL", "https://x/")]
    ).receipt
    expect(receipt.version == 1 and receipt.serial > 0, f"the receipt says {receipt}")
    record = peer.call(RESOLVE, name=name, token="").record
    expect(record.name == name, f"resolved under the name {record.name!r}")
    expect([value.index for value in record.values] == [2, 1], "the values are not in the order given")
    expect(all(value.ttl_s == 86_400 for value in record.values), "the default TTL is not 86400")
    expect(all(value.permissions == 14 for value in record.values), "the default permissions are not 1110")
    expect(record.version == 1 and record.serial == receipt.serial, "version or serial differ from the receipt")


@check("registration.proto request_id")
def a_retry_with_the_same_request_id_has_the_same_outcome(peer: Peer) -> None:
    fields = {"name": peer.fresh(), "values": [peer.value(1, "URL", "x")], "request_id": str(uuid.uuid4())}
    first, second = peer.call(CREATE, **fields), peer.call(CREATE, **fields)
    expect(first == second, f"{first} became {second}")
    other = peer.refused(CREATE, **{**fields, "name": peer.fresh()})
    expect(other.reason == "REQUEST_ID_REUSED", f"another request under the same id: {other}")


@check("registration.proto CreateHandle; RFC 3652 response code 101")
def a_second_registration_is_refused_in_any_spelling(peer: Peer) -> None:
    name = peer.fresh("abc")
    peer.call(CREATE, name=name, values=[peer.value(1, "URL", "x")])
    refusal = peer.refused(CREATE, name=name.upper(), values=[peer.value(1, "URL", "x")])
    expect((refusal.code, refusal.reason) == ("ALREADY_EXISTS", "HANDLE_ALREADY_EXISTS"), str(refusal))


@check("registration.proto UpdateHandle, PutValues, RemoveValues, DeleteHandle; if_version")
def versions_count_every_change_and_guard_against_lost_updates(peer: Peer) -> None:
    name = peer.fresh()
    peer.call(CREATE, name=name, values=[peer.value(1, "URL", "a")])
    put = peer.call("RegistrationService/PutValues", name=name, values=[peer.value(3, "DESC", "b")], if_version=1)
    expect(put.receipt.version == 2, f"after PutValues the version is {put.receipt.version}")
    stale = peer.refused("RegistrationService/PutValues", name=name, values=[peer.value(4, "D", "c")], if_version=1)
    expect((stale.code, stale.reason) == ("ABORTED", "VERSION_MISMATCH"), str(stale))
    peer.call("RegistrationService/RemoveValues", name=name, indexes=[1])
    peer.call("RegistrationService/UpdateHandle", name=name, values=[peer.value(9, "URL", "z")])
    record = peer.call(RESOLVE, name=name).record
    expect([(v.index, v.data) for v in record.values] == [(9, b"z")] and record.version == 4, f"resolved {record}")
    gone = peer.call("RegistrationService/DeleteHandle", name=name).receipt
    expect(gone.version == 5, f"the deletion has version {gone.version}")
    expect(peer.refused(RESOLVE, name=name).reason == "HANDLE_NOT_FOUND", "a deleted handle is still resolved")
    again = peer.call(CREATE, name=name, values=[peer.value(1, "URL", "a")]).receipt
    expect(again.version == 6, f"registered again with version {again.version}: old versions could match")


@check("registration.proto validate_only")
def validation_writes_nothing(peer: Peer) -> None:
    name = peer.fresh()
    receipt = peer.call(CREATE, name=name, values=[peer.value(1, "URL", "a")], validate_only=True).receipt
    expect(receipt.validated_only and receipt.serial == 0, f"the receipt says {receipt}")
    expect(peer.refused(RESOLVE, name=name).code == "NOT_FOUND", "a validated handle was registered")
    refusal = peer.refused(CREATE, name=name, values=[peer.value(0, "URL", "a")], validate_only=True)
    expect(refusal.code == "INVALID_ARGUMENT", f"validation accepts index 0: {refusal}")


@check("registration.proto BatchCreateHandles")
def a_batch_has_a_result_for_each_row_and_good_rows_are_kept(peer: Peer) -> None:
    good, bad = peer.fresh(), peer.fresh()
    handles = [
        peer.message("NewHandle", name=good, values=[peer.value(1, "URL", "a")]),
        peer.message("NewHandle", name=bad, values=[peer.value(1, "URL", "a"), peer.value(1, "URL", "b")]),
        peer.message("NewHandle", name=good, values=[peer.value(1, "URL", "a")]),
        peer.message("NewHandle", name="99.999.9/x", values=[peer.value(1, "URL", "a")]),
    ]
    results = peer.call("RegistrationService/BatchCreateHandles", handles=handles).results
    reasons = [result.reason for result in results]
    expect(reasons == ["CREATED", "INVALID_VALUE", "HANDLE_ALREADY_EXISTS", "PREFIX_NOT_SERVED"], f"got {reasons}")
    expect(all(result.message for result in results if result.code), "a bad row has no sentence")
    expect(peer.call(RESOLVE, name=good).record.version == 1, "the good row is not there")


@check("registration.proto ImportHandles")
def an_import_applies_each_chunk_once(peer: Peer) -> None:
    import_id = str(uuid.uuid4())
    names = [peer.fresh() for _ in range(6)]

    def chunk(sequence: int) -> dict[str, object]:
        rows = names[(sequence - 1) * 2 : sequence * 2]
        handles = [peer.message("NewHandle", name=name, values=[peer.value(1, "URL", name)]) for name in rows]
        return {"import_id": import_id, "sequence": sequence, "handles": handles}

    first = list(peer.stream("RegistrationService/ImportHandles", [chunk(1), chunk(2)]))
    expect([answer.sequence for answer in first] == [1, 2], "acknowledgements are missing or out of order")
    second = list(peer.stream("RegistrationService/ImportHandles", [chunk(2), chunk(3)]))
    expect(second[0].repeated_chunk and second[0].results == first[1].results, "a repeated chunk was applied again")
    expect(not second[1].repeated_chunk and second[1].durable_sequence == 3, f"the third chunk: {second[1]}")
    found = peer.call("ResolutionService/BatchResolve", names=names)
    expect(all(record.version == 1 for record in found.records) and len(found.records) == 6, f"resolved {found}")


@check("registration.proto mint_suffix")
def minted_suffixes_are_unique_and_ascend(peer: Peer) -> None:
    names = [
        peer.call(CREATE, name=f"{peer.prefix}/", mint_suffix=True, values=[peer.value(1, "URL", "a")]).receipt.name
        for _ in range(5)
    ]
    expect(len(set(names)) == 5, f"minted {names}")
    expect(all(name.startswith(f"{peer.prefix}/") for name in names), f"minted {names}")


@check("changes.proto Watch")
def the_journal_tells_every_change_in_order_without_gaps(peer: Peer) -> None:
    name = peer.fresh()
    start = peer.call(CREATE, name=name, values=[peer.value(1, "URL", "a")]).receipt.serial
    peer.call("RegistrationService/PutValues", name=name, values=[peer.value(2, "URL", "b")])
    peer.call("RegistrationService/DeleteHandle", name=name)
    seen = []
    for page in peer.watch(from_serial=start, stop_at_end=True):
        seen += [item.change for item in page.changes]
    serials = [change.serial for change in seen]
    expect(serials == list(range(start, start + len(serials))), f"serials {serials[:10]}")
    ours = [change.operation for change in seen if change.name == name]
    expect(ours == [1, 3, 2], f"operations {ours}")
