"""Answers of other nodes, kept as they are given out again: octets of field 1 and of their origin.

An entry is *fresh* for the shortest TTL of its values, capped; what was not found is fresh for a minute, what failed
for a second (RFC 9520). After that it is *old*: given at once for half a minute while it is fetched anew, and for a
day when its node cannot be asked, marked as stale (RFC 8767). Both bounds, entries and octets, hold always; what was
used since it was last looked at stays longer (second chance).

The cache is of one worker and knows no store: who is responsible for a name was decided before it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver import limits
from resolver.node import record_octets
from resolver.v1 import resolution_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.errors import ResolverError
    from resolver.federation.steps import Moment
    from resolver.v1 import handle_pb2 as handles

_ENTRY_OCTETS = 700
"""Octets of an entry beside name and record: objects, dictionary slots and the origin's message, measured."""


@dataclass(slots=True)
class Entry:
    """One answer. ``error`` is set when it is a no.

    ``question`` and ``answer`` are octets of a plain ResolveRequest and the whole ResolveResponse to it, once asked.
    """

    fresh_until_s: float
    stale_until_s: float
    server: str
    ttl_s: int
    body: bytes = b""
    question: bytes = b""
    answer: bytes = b""
    origin: pb.Origin | None = None
    error: ResolverError | None = None
    is_used: bool = True
    octets: int = 0

    def stale_origin(self) -> pb.Origin:
        """The origin of a record past its TTL."""
        origin = pb.Origin()
        assert self.origin is not None  # noqa: S101 - only records can be stale
        origin.CopyFrom(self.origin)
        origin.stale = True
        return origin


class ForeignCache:
    """What this worker knows from other nodes."""

    def __init__(
        self,
        entries_max: int = limits.FOREIGN_ENTRIES_MAX,
        octets_max: int = limits.FOREIGN_OCTETS_MAX,
        *,
        negative_ttl_s: int = limits.NEGATIVE_TTL_S,
        stale_s: float = 86_400.0,
    ) -> None:
        self._entries_max = entries_max
        self._octets_max = octets_max
        self._negative_ttl_s = negative_ttl_s
        self._stale_s = stale_s
        self._entries: dict[str, Entry] = {}
        self._plain: dict[bytes, Entry] = {}
        """Entries by the octets of plain questions that they answer: the shortest way to them."""
        self._failures: dict[str, Entry] = {}
        """What failed within the last moment, the oldest first: a silent node makes many of them."""
        self.octets = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._failures)

    def get(self, key: str) -> Entry | None:
        """The entry of a name (``fold_prefix``), fresh or not."""
        entry = self._entries.get(key)
        if entry is None:
            return self._failures.get(key)
        entry.is_used = True
        return entry

    def plain(self, question: bytes, now_s: float) -> bytes | None:
        """The octets of a fresh ResolveResponse to those of a ResolveRequest asked before."""
        entry = self._plain.get(question)
        if entry is None or entry.fresh_until_s <= now_s:
            return None
        entry.is_used = True
        return entry.answer

    def remember_plain(self, question: bytes, key: str) -> None:
        """Give ``plain`` the way from a question to the entry of its name."""
        entry = self._entries.get(key)
        if entry is None or entry.origin is None:
            return
        self._plain.pop(entry.question, None)
        entry.question = question
        entry.answer = entry.body + pb.ResolveResponse(origin=entry.origin).SerializeToString()
        self._plain[question] = entry

    def forget_plain(self) -> None:
        """Drop the short ways: this node may be responsible for other names than before."""
        self._plain.clear()

    def put(self, key: str, record: handles.HandleRecord, server: str, now: Moment, *, keeps: bool = True) -> Entry:
        """Keep a record as long as its values say; one that may not be kept is not, and returned all the same."""
        ttl_s = ttl_of(record.values, now)
        origin = pb.Origin(server=server, fetch_time_us=now.time_us, fresh_until_us=now.time_us + ttl_s * 1_000_000)
        body = record_octets.frame(record.SerializeToString(deterministic=True))
        entry = Entry(now.monotonic_s + ttl_s, now.monotonic_s + ttl_s + self._stale_s, server, ttl_s, body)
        entry.origin = origin
        if ttl_s > 0 and keeps:
            self._keep(key, entry)
        else:
            self._drop(key)
        return entry

    def put_miss(self, key: str, error: ResolverError, server: str, now: Moment) -> Entry:
        """Keep that a name has no record or no public values."""
        until_s = now.monotonic_s + self._negative_ttl_s
        entry = Entry(until_s, until_s, server, self._negative_ttl_s, error=error.again())
        self._keep(key, entry)
        return entry

    def put_failure(self, key: str, error: ResolverError, now: Moment) -> None:
        """Keep for a moment that a name could not be answered; never in place of a record."""
        before = self._entries.get(key)
        if before is not None and before.error is None:
            return
        self._drop(key)
        while self._failures:
            oldest = next(iter(self._failures))
            if self._failures[oldest].fresh_until_s > now.monotonic_s and len(self._failures) < limits.FAILURES_MAX:
                break
            del self._failures[oldest]
        until_s = now.monotonic_s + limits.FAILURE_TTL_S
        self._failures[key] = Entry(until_s, until_s, "", int(limits.FAILURE_TTL_S), error=error.again())

    def clear(self) -> None:
        """Forget everything, as when the tree it came from is another one now."""
        self._failures.clear()
        for key in tuple(self._entries):
            self._drop(key)

    def _keep(self, key: str, entry: Entry) -> None:
        self._drop(key)
        entry.octets = _ENTRY_OCTETS + 2 * len(key) + 2 * len(entry.body)
        self._entries[key] = entry
        self.octets += entry.octets
        while len(self._entries) > self._entries_max or self.octets > self._octets_max:
            oldest = next(iter(self._entries))
            candidate = self._entries.pop(oldest)
            if candidate.is_used and candidate is not entry:
                candidate.is_used = False
                self._entries[oldest] = candidate
                continue
            self._retire(candidate)
            if candidate is entry:
                break

    def _drop(self, key: str) -> None:
        self._failures.pop(key, None)
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._retire(entry)

    def _retire(self, entry: Entry) -> None:
        """An entry that is out of the table answers nothing any more, whoever still holds it."""
        self.octets -= entry.octets
        entry.fresh_until_s = 0.0
        if entry.question:
            self._plain.pop(entry.question, None)


def ttl_of(values: Iterable[handles.HandleValue], now: Moment) -> int:
    """Seconds that a record may be kept: the least of its values, capped; 0 for not at all."""
    ttl_s = limits.FOREIGN_TTL_MAX_S
    for value in values:
        if value.WhichOneof("ttl") == "ttl_until_s":
            ttl_s = min(ttl_s, value.ttl_until_s - now.time_us // 1_000_000)
        else:
            ttl_s = min(ttl_s, value.ttl_s if value.ttl_s <= limits.TTL_RELATIVE_MAX_S else 0)
    return max(ttl_s, 0)
