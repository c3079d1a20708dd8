"""What a transaction adds to the counts of its day: totals of prefixes, sums of the node, the busiest second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node import activity
from resolver.telemetry.calls import INTERNAL, REGISTRATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from resolver.node.tally import Tally
    from resolver.v1 import stored_pb2 as stored
    from storage.engine import Writer

NODE_KEY = b"\x01"
"""Where a prefix key stands in STATISTICS and SOURCES, the node as a whole; no prefix has control characters."""


def add_prefixes(counts_of: Callable[[bytes], stored.StoredDay], tallies: Mapping[bytes, Tally]) -> None:
    """Add what was done under each prefix; ``counts_of`` gives the counts of a prefix, to be changed in place."""
    for prefix_key, tally in tallies.items():
        counts = counts_of(prefix_key)
        counts.creates += tally.creates
        counts.modifies += tally.modifies
        counts.deletes += tally.deletes
        counts.handle_count = tally.handles


def add_node(
    node: stored.StoredDay,
    writer: Writer,
    moment: tuple[int, int],
    changed: Mapping[tuple[str, str], int],
    adopted: int,
) -> None:
    """Add the handles changed, by door and operation, to the counts of the node and to the activity of the day.

    ``moment`` is the day and the time in microseconds, ``adopted`` how many handles other nodes have brought.
    """
    node.handle_count = max(0, node.handle_count + adopted)
    if not changed:
        return
    work: dict[str, activity.Work] = {}
    grown = 0
    day, now_us = moment
    for (door, operation), count in changed.items():
        is_new = operation == "create"
        work.setdefault(door or INTERNAL, activity.Work()).add_items(now_us // 1_000_000, count, count if is_new else 0)
        if is_new:
            node.creates += count
            grown += count
        elif operation == "modify":
            node.modifies += count
        else:
            node.deletes += count
            grown -= count
    node.handle_count = max(0, node.handle_count + grown)
    activity.record(writer, day, REGISTRATION, work)
