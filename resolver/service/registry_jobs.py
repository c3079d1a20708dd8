"""How every row of the registry is written: as a job of the lane, repeatable by its request id, or only checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from resolver.node.authorize import Action, Role, require
from resolver.registry.undo import whole_or_nothing
from resolver.service.jobs import RequestJob, validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from resolver.methods import Method
    from resolver.node.ledger import Ledger
    from resolver.service.call import Call
    from resolver.service.core import Core

Resp = TypeVar("Resp", bound="Message")


async def write_row(
    core: Core,
    call: Call,
    method: Method[Message, Resp],
    request: Message,
    decide: Callable[[Ledger], Resp],
    stored_form: Callable[[Resp], Message] | None = None,
    *,
    frees_space: bool = False,
) -> bytes:
    """The response of a write request, durable. ``stored_form`` is what a retry is told when that must be less."""
    if call.caller.role is Role.ANONYMOUS:
        require(call.caller, Action.ADMINISTER, None, "the registry")
    core.require_registry()

    def change(ledger: Ledger) -> Resp:
        with whole_or_nothing(ledger):
            response = decide(ledger)
        ledger.forget_registry()  # the jobs behind it in the group are judged by what is true now
        return response

    job = RequestJob(
        caller=call.caller,
        door=call.door,
        method=method,
        request=request,
        decide=change,
        request_id=request.request_id,  # type: ignore[attr-defined]  # every write request has one
        stored_form=stored_form,
        frees_space=frees_space,
    )
    if request.validate_only:  # type: ignore[attr-defined]  # every write request has one
        response = await validate(core, job)
        return (stored_form(response) if stored_form else response).SerializeToString()
    octets = await core.lane.submit(job)
    core.poll()
    return octets
