"""Registrations on the HTTP/2 door: the plain ones of a read burst go to the write lane together.

A write waits for the disk, so it outlives its burst; what is kept of it meanwhile is as little as can be: which stream
to answer, and since when. There is no task, no future and no exchange. The lane settles a whole group in one turn of
the loop, and each connection writes the answers of a turn in one piece.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import ngh2

from resolver.errors import ResolverError
from resolver.lanes import Handed
from resolver.methods import CREATE_HANDLE
from resolver.service.plain_registration import may_register
from resolver.transport import grpc_frames as frames
from resolver.transport.h2_exchange import TIMEOUT_MAX_S
from resolver.transport.h2_lanes import failure_in_words
from resolver.transport.h2_mounts import Lane, Ticket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Sequence

    from resolver.service import Call
    from resolver.service.jobs import CreateJob
    from resolver.transport.h2_calls import Calls
    from resolver.transport.h2_endings import Ready


class Writing(Handed[bytes]):
    """A registration that waits for its commit."""

    __slots__ = ("_timer", "calls", "started_s", "stream_id", "ticket")

    def __init__(  # one object a write: the few fields of Handed are set here, where a call of its own would double it
        self, job: CreateJob, calls: Calls, stream_id: int, ticket: Ticket, started_s: float
    ) -> None:
        self.job = job
        self.result = self.error = None
        self.left = False
        self.calls = calls
        self._timer: asyncio.TimerHandle | None = None
        self.stream_id = stream_id
        self.ticket = ticket
        self.started_s = started_s
        if ticket.timeout_s is not None:
            self._timer = calls.loop.call_later(min(ticket.timeout_s, TIMEOUT_MAX_S), self.expire)

    def settle(self) -> None:
        """Answer the call, unless it is over."""
        self.settle_all([self])

    @staticmethod
    def settle_all(settled: Sequence[Writing]) -> None:
        """Answer calls; those of one burst are counted together, because they began and end at one time."""
        counts: dict[tuple[Calls, float], int] = {}
        head, trailers, pack = frames.RESPONSE, frames.TRAILERS_OK, frames.PREFIX.pack
        for writing in settled:
            if writing.left:
                continue
            if writing.error is not None:
                writing.fail(writing.error)
                continue
            calls, stream_id = writing.calls, writing.stream_id
            session = calls.session
            body: bytes = writing.result  # type: ignore[assignment]  # a result there is
            writing.end()
            try:
                session.send_response(stream_id, head)
                session.send_data(stream_id, pack(0, len(body)) + body)
                session.send_trailers(stream_id, trailers)
            except ngh2.NGH2Error:
                pass  # the stream has ended in the meantime
            burst = (calls, writing.started_s)
            counts[burst] = counts.get(burst, 0) + 1
        for (calls, started_s), count in counts.items():
            calls.active_s = now_s = calls.shared.monotonic_s()
            calls.shared.observe(CREATE_HANDLE, 0, now_s - started_s, count)
            calls.flush_soon()

    def fail(self, error: BaseException) -> None:
        """Answer the call with the status of an error, unless it is over."""
        if not self.left:
            code, message, details = failure_in_words(error, self.ticket.mount.method.path)
            self._end(code, frames.status_fields(code, message, details))

    def expire(self) -> None:
        """The deadline of the call has come."""
        if not self.left:
            self._end(4, frames.status_fields(4, "Deadline Exceeded"))

    def _end(self, code: int, trailers: frames.Headers) -> None:
        self.close(code)
        with suppress(ngh2.NGH2Error):  # the stream has ended in the meantime
            self.calls.session.send_response(self.stream_id, (*frames.RESPONSE, *trailers), end_stream=True)
        self.calls.flush_soon()

    def close(self, code: int) -> None:
        """The call is over and counted."""
        self.end()
        calls = self.calls
        calls.active_s = now_s = calls.shared.monotonic_s()
        calls.shared.observe(self.ticket.mount.method, code, now_s - self.started_s, 1)

    def end(self) -> None:
        """Nobody waits for the lane any more."""
        self.left = True
        if self._timer is not None:
            self._timer.cancel()
        self.calls.streams.pop(self.stream_id, None)


def hand_over(calls: Calls, ready: Iterable[Ready], started_s: float) -> list[Ready]:
    """Hand the plain registrations of a burst to the lane; the calls that are left."""
    streams, shared = calls.streams, calls.shared
    rest: list[Ready] = []
    asked: dict[str, list[Ready]] = {}
    for call in ready:
        stream_id, ticket, message = call
        if (
            ticket.mount.lane is not Lane.WRITE
            or message is None
            or ticket.fault is not None
            or type(streams.get(stream_id)) is not Ticket
        ):
            rest.append(call)
            continue
        token = ticket.credential.token if ticket.credential is not None else ""
        asked.setdefault(token, []).append(call)
    handed: list[Writing] = []
    for some in asked.values():
        caller = _caller_of(calls, some[0][1])
        if caller is None:
            rest += some
            continue
        jobs = shared.service.registration.plain.jobs_of(caller, [message for _, _, message in some])  # type: ignore[misc]  # theirs is whole
        for call, job in zip(some, jobs, strict=True):
            if job is None:
                rest.append(call)
                continue
            stream_id, ticket, _ = call
            writing = streams[stream_id] = Writing(job, calls, stream_id, ticket, started_s)
            handed.append(writing)
    if handed:
        shared.core.lane.hand_over(handed)
    return rest


def _caller_of(calls: Calls, ticket: Ticket) -> Call | None:
    """Whoever makes a call, if they may register; who may not hears of it on the usual way."""
    try:
        caller = calls.call_of(ticket)
    except ResolverError:
        return None
    return caller if may_register(caller) else None
