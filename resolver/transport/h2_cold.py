"""What the HTTP/2 door does while the store is on disk: questions wait beside the loop until their records are read.

All that one read burst asks for is read ahead together (``service/residency.py``), and answered like any other burst
then. A call whose headers hold a deadline becomes an ``Exchange`` meanwhile, whose clock runs; the others are bare
tickets that a reset of their stream removes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.transport.h2_mounts import Ticket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.transport.h2_calls import Calls
    from resolver.transport.h2_endings import Ready
    from resolver.transport.h2_exchange import Exchange


def touch_first(calls: Calls, ready: Iterable[Ready], now_s: float) -> list[Ready]:
    """Let plain questions wait whose records have to be read from disk; the calls that need not wait."""
    residency = calls.shared.core.residency
    ready = list(ready)
    tickets = {id(ticket): ticket for _, ticket, _ in ready if ticket.mount.plain}
    allowed = {number for number, ticket in tickets.items() if calls.may_resolve(ticket)}
    keys = {
        stream_id: calls.shared.plain.key_of(message)
        for stream_id, ticket, message in ready
        if id(ticket) in allowed and message is not None
    }
    absent = {*residency.absent([key for key in keys.values() if key is not None])}
    waiting = [call for call in ready if keys.get(call[0]) in absent]
    if not waiting:
        return ready
    for stream_id, ticket, _ in waiting:
        if ticket.timeout_s is not None and type(calls.streams.get(stream_id)) is Ticket:
            calls.outlive(stream_id, ticket, now_s).ended = True

    def answer(_: object) -> None:
        if not calls.dropped:
            calls.answer(waiting, (), now_s)
            calls.flush()

    residency.touch([*absent]).add_done_callback(answer)
    return [call for call in ready if keys.get(call[0]) not in absent]


def touch_questions(calls: Calls, exchange: Exchange) -> bool:
    """Let the questions of a stream wait in the same way; whether there is need."""
    if exchange.touching:
        return True
    residency = calls.shared.core.residency
    keys = residency.absent(calls.shared.plain.keys_of_stream(exchange.inbox))
    if not keys:
        return False
    exchange.touching = True

    def answer(_: object) -> None:
        exchange.touching = False
        exchange.touched = True
        if not exchange.over:
            calls.answer((), (exchange,), calls.shared.monotonic_s())
            calls.flush()

    residency.touch(keys).add_done_callback(answer)
    return True
