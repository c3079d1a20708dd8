"""Jobs of the write lane: a request that is applied once, and validation that is always undone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Generic, TypeVar

from resolver.errors import Refused
from resolver.node import administer, outcomes
from resolver.node.ledger import Ledger
from resolver.registry.undo import HalfDone
from resolver.service.reading import stored_rows_checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from resolver.methods import Method
    from resolver.node.authorize import Caller
    from resolver.node.draft import Draft
    from resolver.service.call import Call
    from resolver.service.core import Core
    from resolver.v1 import registration_pb2 as registration

Resp = TypeVar("Resp", bound="Message")


def _nothing() -> None:
    """The check of a request that has nothing to check outside the transaction."""


@dataclass
class RequestJob(Generic[Resp]):
    """A write request: ``check`` runs before the transaction, ``decide`` in it; the result is the response's octets.

    ``decide`` gives the response, or its octets where they are made by hand.

    With a request id the outcome is stored beside the change, and a second job with the same id gets it back.
    ``stored_form`` is what is remembered of a response when that must be less than what is sent.
    """

    caller: Caller
    method: Method[Message, Resp]
    request: Message
    decide: Callable[[Ledger], Resp | bytes]
    check: Callable[[], None] = _nothing
    request_id: str = ""
    cost: int = 1
    frees_space: bool = False
    stored_form: Callable[[Resp], Message] | None = None
    door: str = ""
    _fingerprint: bytes = field(default=b"", init=False)

    def prepare(self) -> None:
        """Check what needs no transaction."""
        if self.request_id:
            outcomes.check_request_id(self.request_id)
            octets = self.request.SerializeToString(deterministic=True)
            self._fingerprint = outcomes.fingerprint(self.method.path, octets)
        self.check()

    def apply(self, ledger: Ledger) -> bytes:
        """Apply the request, or recall what became of it."""
        if not self.request_id:
            return _octets(self.decide(ledger))
        place = (self.caller.principal_id, self.request_id, self._fingerprint)
        known = outcomes.recall(ledger.writer, *place, ledger.now_us)
        if known is not None:
            return known
        try:
            response = self.decide(ledger)
        except Refused as refusal:
            outcomes.remember_refusal(ledger.writer, *place, refusal, ledger.now_us)
            raise
        octets = _octets(response)
        remembered = octets
        if self.stored_form is not None and not isinstance(response, bytes):
            remembered = self.stored_form(response).SerializeToString()
        outcomes.remember(ledger.writer, *place, remembered, ledger.now_us)
        return octets


def _octets(response: Message | bytes) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


class CreateJob:
    """The registration of one handle, checked already; the result is the response's octets."""

    __slots__ = ("caller", "door", "draft", "on_existing")

    cost = 1
    frees_space = False
    checked = True

    def __init__(self, call: Call, draft: Draft, on_existing: registration.OnExisting) -> None:
        self.caller = call.caller
        self.door = call.door
        self.draft = draft
        self.on_existing = on_existing

    def prepare(self) -> None:
        """Nothing is left to check outside the transaction."""

    def apply(self, ledger: Ledger) -> bytes:
        """Register the handle."""
        outcome = administer.create(ledger, self.caller, self.draft, self.on_existing)
        return ledger.moment.receipt(outcome.name, outcome.version, outcome.serial)

    @staticmethod
    def apply_all(ledger: Ledger, jobs: Sequence[CreateJob]) -> list[bytes | None]:
        """Register the handles of many jobs of one door; None for each that has to be applied by itself."""
        first, drafts = jobs[0].caller, [job.draft for job in jobs]
        if len({id(job.caller) for job in jobs}) == len({draft.prefix_key for draft in drafts}) == 1:  # nearly always
            return [*(administer.create_all(ledger, first, drafts) or repeat(None, len(jobs)))]
        together: dict[tuple[int, bytes], list[int]] = {}
        for place, job in enumerate(jobs):
            together.setdefault((id(job.caller), job.draft.prefix_key), []).append(place)
        results: list[bytes | None] = [None] * len(jobs)
        for places in together.values():
            drafts = [jobs[place].draft for place in places]
            receipts = administer.create_all(ledger, jobs[places[0]].caller, drafts)
            for place, receipt in zip(places, receipts or (), strict=False):
                results[place] = receipt
        return results


class RememberedCreateJob(CreateJob):
    """A registration with a request id: applied once."""

    __slots__ = ("_place",)

    def __init__(
        self, call: Call, draft: Draft, on_existing: registration.OnExisting, request_id: str, fingerprint: bytes
    ) -> None:
        super().__init__(call, draft, on_existing)
        self._place = (call.caller.principal_id, request_id, fingerprint)

    @staticmethod
    def apply_all(_ledger: Ledger, jobs: Sequence[CreateJob]) -> list[bytes | None]:
        """Each has an outcome of its own to recall and to remember."""
        return [None] * len(jobs)

    def apply(self, ledger: Ledger) -> bytes:
        """Register the handle, or recall what became of it."""
        known = outcomes.recall(ledger.writer, *self._place, ledger.now_us)
        if known is not None:
            return known
        try:
            response = super().apply(ledger)
        except Refused as refusal:
            outcomes.remember_refusal(ledger.writer, *self._place, refusal, ledger.now_us)
            raise
        outcomes.remember(ledger.writer, *self._place, response, ledger.now_us)
        return response


class _UndoneError(Exception):
    """Leaves a write transaction without a commit."""


async def validate(core: Core, job: RequestJob[Resp]) -> Resp:
    """What the request would answer, with everything undone. Raises what the request would raise."""
    return await asyncio.to_thread(_validate, core, job)


def _validate(core: Core, job: RequestJob[Resp]) -> Resp:
    job.prepare()
    try:
        with stored_rows_checked(), core.engine.write() as writer:
            raise _UndoneError(  # noqa: TRY301 - leaving the block by an exception is what undoes it
                job.decide(Ledger(writer, core.clock.now_us(), core.options.quota))
            )
    except HalfDone as half:
        raise half.refusal from half
    except _UndoneError as undone:
        response: Resp | bytes = undone.args[0]
        return job.method.response.FromString(response) if isinstance(response, bytes) else response
