"""Registration: each request becomes a job of the write lane and is answered when it is durable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from resolver import methods
from resolver.errors import InvalidField, InvalidName
from resolver.node import administer, imports, values
from resolver.node.administer import Draft, Outcome, Target
from resolver.node.authorize import Action, require
from resolver.node.draft import of_values
from resolver.node.record_octets import number_field
from resolver.registry.rows import check_enum
from resolver.service.batches import Batch, without_serials
from resolver.service.jobs import RequestJob, validate
from resolver.service.plain_registration import PlainRegistration
from resolver.v1 import registration_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from google.protobuf.message import Message

    from resolver.methods import Method
    from resolver.node.ledger import Ledger
    from resolver.service.call import Call
    from resolver.service.core import Core
    from resolver.v1.handle_pb2 import HandleValue

CHUNKS_IN_FLIGHT = 4
"""Chunks of one import stream that may wait for their commit: reading the next overlaps with writing the last."""


Resp = TypeVar("Resp", bound="Message")


class Registration:
    """Handlers of RegistrationService."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.plain = PlainRegistration(core)

    def _now_s(self) -> int:
        return self._core.clock.now_us() // 1_000_000

    def _draft(self, name: str, given: Sequence[HandleValue], template_id: str) -> Draft:
        return administer.prepare(name, given, template_id, self._now_s(), self._core.options.record_octets_max)

    def _dated_draft(self, new: pb.NewHandle) -> Draft:
        """A draft whose values keep the timestamps they came with, none of them later than now."""
        now_s, options = self._now_s(), self._core.options
        given = {value.index: value.timestamp_s for value in new.values if value.timestamp_s}
        draft = self._draft(new.name, new.values, new.template_id)
        complete = draft.values()
        for value in complete:
            value.timestamp_s = min(given.get(value.index, now_s), now_s)
        return of_values(draft.handle, complete, draft.template_id, options.record_octets_max)

    def _new_draft(self, new: pb.NewHandle) -> Draft:
        plain = self.plain.draft_of(new.SerializeToString())
        return plain if plain is not None else self._draft(new.name, new.values, new.template_id)

    async def _write(
        self,
        call: Call,
        method: Method[Message, Resp],
        request: Message,
        check: Callable[[], None],
        decide: Callable[[Ledger], Outcome],
        *,
        frees_space: bool = False,
    ) -> bytes:
        """Answer one request about one handle: by a job, or by validation only."""
        caller = call.caller
        _require_registrar(call)

        def answer(ledger: Ledger) -> bytes:
            outcome = decide(ledger)
            return ledger.moment.receipt(outcome.name, outcome.version, outcome.serial)

        job = RequestJob(
            caller=caller,
            door=call.door,
            method=method,
            request=request,
            decide=answer,
            check=check,
            request_id=request.request_id,  # type: ignore[attr-defined]  # all five have one
            frees_space=frees_space,
        )
        if not request.validate_only:  # type: ignore[attr-defined]  # all five have one
            return await self._core.lane.submit(job)
        response = await validate(self._core, job)
        receipt: pb.WriteReceipt = response.receipt  # type: ignore[attr-defined]  # all five have one
        receipt.serial = 0
        receipt.validated_only = True
        return response.SerializeToString()

    async def create_handle(self, call: Call, request: pb.CreateHandleRequest) -> bytes:
        """Register a handle."""
        draft: Draft
        name = self._core.mint.name(request.name) if request.mint_suffix else request.name

        def check() -> None:
            nonlocal draft
            check_enum(pb.OnExisting, request.on_existing, "on_existing")
            if request.mint_suffix and "/" not in request.name:
                raise InvalidName(
                    f"{request.name[:80]!r} has no '/': to have a suffix minted give the prefix and '/'", field="name"
                )
            draft = self._draft(name, request.values, request.template_id)

        def decide(ledger: Ledger) -> Outcome:
            return administer.create(ledger, call.caller, draft, request.on_existing)

        return await self._write(call, methods.CREATE_HANDLE, request, check, decide)

    async def update_handle(self, call: Call, request: pb.UpdateHandleRequest) -> bytes:
        """Replace all values of a handle."""
        draft: Draft

        def check() -> None:
            nonlocal draft
            draft = self._draft(request.name, request.values, request.template_id)

        def decide(ledger: Ledger) -> Outcome:
            target, keeps = Target.of(request.name, _version(request)), not request.template_id
            if request.template_values_only:
                most = self._core.options.record_octets_max
                return administer.update_template_values(ledger, call.caller, target, draft, most, keep_template=keeps)
            return administer.update(ledger, call.caller, target, draft, keep_template=keeps)

        return await self._write(call, methods.UPDATE_HANDLE, request, check, decide)

    async def put_values(self, call: Call, request: pb.PutValuesRequest) -> bytes:
        """Add or replace values."""
        target: Target
        complete: list[HandleValue]

        def check() -> None:
            nonlocal target, complete
            target = Target.of(request.name, _version(request))
            check_enum(pb.PutMode, request.mode, "mode")
            complete = values.complete(request.values, self._now_s())

        def decide(ledger: Ledger) -> Outcome:
            most = self._core.options.record_octets_max
            return administer.put_values(ledger, call.caller, target, complete, request.mode, most)

        return await self._write(call, methods.PUT_VALUES, request, check, decide)

    async def remove_values(self, call: Call, request: pb.RemoveValuesRequest) -> bytes:
        """Remove values."""
        target: Target

        def check() -> None:
            nonlocal target
            target = Target.of(request.name, _version(request))
            if not request.indexes:
                raise InvalidField("no index is named: give those to remove", field="indexes")

        def decide(ledger: Ledger) -> Outcome:
            most = self._core.options.record_octets_max
            return administer.remove_values(ledger, call.caller, target, request.indexes, most)

        return await self._write(call, methods.REMOVE_VALUES, request, check, decide, frees_space=True)

    async def delete_handle(self, call: Call, request: pb.DeleteHandleRequest) -> bytes:
        """Delete a handle."""
        target: Target

        def check() -> None:
            nonlocal target
            target = Target.of(request.name, _version(request))

        def decide(ledger: Ledger) -> Outcome:
            return administer.delete(ledger, call.caller, target)

        return await self._write(call, methods.DELETE_HANDLE, request, check, decide, frees_space=True)

    async def batch_create_handles(self, call: Call, request: pb.BatchCreateHandlesRequest) -> bytes:
        """Register many handles, a result for each."""
        check_enum(pb.OnExisting, request.on_existing, "on_existing")
        rows = self._new_rows(call, request.handles, request.on_existing)
        return await self._write_batch(call, methods.BATCH_CREATE_HANDLES, request, rows)

    async def batch_update_handles(self, call: Call, request: pb.BatchUpdateHandlesRequest) -> bytes:
        """Replace the values of many handles, a result for each."""
        most = self._core.options.record_octets_max

        def check(new: pb.NewHandle) -> tuple[Target, Draft, bool]:
            draft = self._new_draft(new)
            return Target(draft.handle, draft.key), draft, not new.template_id

        def decide(ledger: Ledger, row: tuple[Target, Draft, bool]) -> Outcome:
            target, draft, keeps = row
            if request.template_values_only:
                return administer.update_template_values(ledger, call.caller, target, draft, most, keep_template=keeps)
            return administer.update(ledger, call.caller, target, draft, keep_template=keeps)

        rows = Batch(request.handles, check, decide)
        return await self._write_batch(call, methods.BATCH_UPDATE_HANDLES, request, rows)

    async def batch_delete_handles(self, call: Call, request: pb.BatchDeleteHandlesRequest) -> bytes:
        """Delete many handles, a result for each."""
        rows = Batch(
            request.names,
            lambda name: Target.of(name, None),
            lambda ledger, target: administer.delete(ledger, call.caller, target),
            field="names",
        )
        return await self._write_batch(call, methods.BATCH_DELETE_HANDLES, request, rows, frees_space=True)

    def _new_rows(
        self, call: Call, handles: Sequence[pb.NewHandle], on_existing: pb.OnExisting, *, keeps_timestamps: bool = False
    ) -> Batch[pb.NewHandle, Draft]:
        return Batch(
            handles,
            self._dated_draft if keeps_timestamps else self._new_draft,
            lambda ledger, draft: administer.create(ledger, call.caller, draft, on_existing, is_dated=keeps_timestamps),
            create_all=lambda ledger, drafts: administer.create_all(ledger, call.caller, drafts),
        )

    async def _write_batch(
        self,
        call: Call,
        method: Method[Message, Resp],
        request: Message,
        rows: Batch[Any, Any],
        *,
        frees_space: bool = False,
    ) -> bytes:
        """Answer a request about many handles: by a job, or by validation only."""
        _require_registrar(call)

        def decide(ledger: Ledger) -> bytes:
            results, serial = rows.apply(ledger, 1)
            return results + number_field(2, serial)

        job = RequestJob(
            caller=call.caller,
            door=call.door,
            method=method,
            request=request,
            decide=decide,
            check=rows.check,
            request_id=request.request_id,  # type: ignore[attr-defined]  # all batches have one
            cost=max(1, len(rows)),
            frees_space=frees_space,
        )
        if not request.validate_only:  # type: ignore[attr-defined]  # all batches have one
            return await self._core.lane.submit(job)
        return without_serials(await validate(self._core, job)).SerializeToString()

    async def import_handles(
        self, call: Call, requests: AsyncIterator[pb.ImportHandlesRequest]
    ) -> AsyncIterator[bytes]:
        """Acknowledge each chunk of a stream once it is durable, in order, with a few in flight."""
        waiting: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(CHUNKS_IN_FLIGHT)
        chunks: set[asyncio.Task[bytes]] = set()
        reader = asyncio.create_task(self._read_chunks(call, requests, waiting, chunks))
        try:
            while (task := await waiting.get()) is not None:
                yield await task
                chunks.discard(task)
            await reader
        finally:
            unfinished = (reader, *chunks)
            for left in unfinished:
                left.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    async def _read_chunks(
        self,
        call: Call,
        requests: AsyncIterator[pb.ImportHandlesRequest],
        waiting: asyncio.Queue[asyncio.Task[bytes] | None],
        chunks: set[asyncio.Task[bytes]],
    ) -> None:
        """Start each chunk in turn; ``chunks`` has all of them, so that none is left behind."""
        try:
            async for request in self._core.until_drain(requests):
                self._core.identify_again(call)
                chunk = asyncio.create_task(self._import_chunk(call, request))
                chunks.add(chunk)
                await waiting.put(chunk)
        except asyncio.CancelledError:
            raise  # nobody waits any more
        except BaseException:
            await waiting.put(None)
            raise
        await waiting.put(None)

    async def _import_chunk(self, call: Call, request: pb.ImportHandlesRequest) -> bytes:
        core, principal_id = self._core, call.caller.principal_id
        _require_registrar(call)
        imports.check_import_id(request.import_id)
        check_enum(pb.OnExisting, request.on_existing, "on_existing")
        if not request.handles:
            with core.reading() as reader:
                durable = imports.durable_sequence(reader, principal_id, request.import_id)
            return pb.ImportHandlesResponse(sequence=request.sequence, durable_sequence=durable).SerializeToString()
        if request.keep_timestamps:
            require(call.caller, Action.ADMINISTER, None, "timestamps of values")
        batch = self._new_rows(call, request.handles, request.on_existing, keeps_timestamps=request.keep_timestamps)
        first_time = False

        def answer(ledger: Ledger, durable: int = request.sequence) -> bytes:
            results, serial = batch.apply(ledger, 3)
            return number_field(1, request.sequence) + number_field(2, serial) + results + number_field(4, durable)

        def decide(ledger: Ledger) -> bytes:
            nonlocal first_time
            first_time = True
            imports.advance(ledger.writer, principal_id, request.import_id, request.sequence, ledger.now_us)
            return answer(ledger)

        job = RequestJob(
            caller=call.caller,
            door=call.door,
            method=methods.IMPORT_HANDLES,
            request=request,
            decide=decide,
            check=batch.check,
            request_id=f"{request.import_id}#{request.sequence}",
            cost=len(request.handles),
        )
        if request.validate_only:
            job.decide = lambda ledger: answer(ledger, 0)
            return without_serials(await validate(core, job)).SerializeToString()
        octets = await core.lane.submit(job, patient=True)
        if first_time:
            return octets
        with core.reading() as reader:
            durable = imports.durable_sequence(reader, principal_id, request.import_id)
        # Fields set again after a message replace those in it.
        return octets + pb.ImportHandlesResponse(repeated_chunk=True, durable_sequence=durable).SerializeToString()


def _require_registrar(call: Call) -> None:
    """Refuse callers that may register nowhere before they cost a place in the lane or a row in the store."""
    require(call.caller, Action.REGISTER, call.caller.enterprise_id or None, "any prefix")


def _version(
    request: pb.UpdateHandleRequest | pb.PutValuesRequest | pb.RemoveValuesRequest | pb.DeleteHandleRequest,
) -> int | None:
    return request.if_version if request.HasField("if_version") else None
