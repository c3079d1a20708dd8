"""Registration for a door that has whole read bursts: what ``Registration.create_handle`` does, with less on the way.

No task, no future and no message of protobuf for a call: its octets become a job, and the octets of its answer come
back from the lane. Policy, quotas, checks and outcomes are those of every registration; what is not plain is answered
with None and belongs to ``Registration``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits, methods
from resolver.node import outcomes
from resolver.node.authorize import Action, permits
from resolver.node.draft_plain import PlainDrafts
from resolver.service.jobs import CreateJob, RememberedCreateJob

if TYPE_CHECKING:
    from resolver.node.draft import Draft
    from resolver.service.call import Call
    from resolver.service.core import Core


class PlainRegistration:
    """Makes jobs of octets; one for a worker."""

    def __init__(self, core: Core) -> None:
        self._now_us = core.clock.now_us
        self._drafts = PlainDrafts(core.options.record_octets_max, core.mint)

    def job_of(self, call: Call, request: bytes) -> CreateJob | None:
        """The job for a CreateHandleRequest of a caller that ``may_register``; None when it is not plain.

        Its result are the octets of a CreateHandleResponse.
        """
        found = self._drafts.of_request(request, self._now_us() // 1_000_000)
        if found is None:
            return None
        draft, options = found
        if not options.request_id:
            return CreateJob(call, draft, options.on_existing)
        if len(options.request_id.encode()) > limits.REQUEST_ID_OCTETS_MAX:
            return None
        # Plain octets are the canonical form that the usual way makes fingerprints of.
        fingerprint = outcomes.fingerprint(methods.CREATE_HANDLE.path, request)
        return RememberedCreateJob(call, draft, options.on_existing, options.request_id, fingerprint)

    def draft_of(self, row: bytes) -> Draft | None:
        """The draft in a NewHandle; None when it is not plain."""
        return self._drafts.of_row(row, self._now_us() // 1_000_000)


def may_register(call: Call) -> bool:
    """Whether the caller may register anywhere."""
    return permits(call.caller, Action.REGISTER, call.caller.enterprise_id or None)
