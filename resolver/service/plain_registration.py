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
    from collections.abc import Sequence

    from resolver.node.draft import Draft
    from resolver.node.draft_plain import Options
    from resolver.service.call import Call
    from resolver.service.core import Core


class PlainRegistration:
    """Makes jobs of octets; one for a worker."""

    def __init__(self, core: Core) -> None:
        self._now_us = core.clock.now_us
        self._drafts = PlainDrafts(core.options.record_octets_max, core.mint)

    def jobs_of(self, call: Call, requests: Sequence[bytes]) -> list[CreateJob | None]:
        """The job for each CreateHandleRequest of a caller that ``may_register``; None for one that is not plain.

        Their results are the octets of a CreateHandleResponse.
        """
        now_s = self._now_us() // 1_000_000
        of_request = self._drafts.of_request
        jobs: list[CreateJob | None] = []
        for request in requests:
            found = of_request(request, now_s)
            if found is None:
                jobs.append(None)
                continue
            draft, options = found
            if options.request_id:
                jobs.append(_remembered(call, draft, options, request))
            else:
                jobs.append(CreateJob(call, draft, options.on_existing))
        return jobs

    def draft_of(self, row: bytes) -> Draft | None:
        """The draft in a NewHandle; None when it is not plain."""
        return self._drafts.of_row(row, self._now_us() // 1_000_000)


def _remembered(call: Call, draft: Draft, options: Options, request: bytes) -> RememberedCreateJob | None:
    """The job of a request with an id."""
    if len(options.request_id.encode()) > limits.REQUEST_ID_OCTETS_MAX:
        return None
    # Plain octets are the canonical form that the usual way makes fingerprints of.
    fingerprint = outcomes.fingerprint(methods.CREATE_HANDLE.path, request)
    return RememberedCreateJob(call, draft, options.on_existing, options.request_id, fingerprint)


def may_register(call: Call) -> bool:
    """Whether the caller may register anywhere."""
    return permits(call.caller, Action.REGISTER, call.caller.enterprise_id or None)
