"""Quotas of enterprises: how many handles, how many writes in a second and in a day, how many prefixes.

They are judged in the transaction that would exceed them, against what the store has counted anyway: tallies and day
counts of the enterprise's prefixes, and for the second a row of its own, so that all workers share one count. Each
enterprise is looked up once in a transaction. Administrators of the node are not held to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import DailyLimitReached, PrefixLimitReached, QuotaExhausted, RateExceeded
from resolver.node.authorize import Role
from resolver.node.count_rows import body_of
from resolver.v1 import registry_pb2 as registry
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.node.authorize import Caller
    from storage.engine import Reader, Writer

_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US


class Quota(NamedTuple):
    """What an enterprise may use; 0 is no limit."""

    handles_max: int = 0
    writes_per_s: int = 0
    writes_per_day: int = 0
    prefixes_max: int = 0


NO_QUOTA = Quota()


class Count(NamedTuple):
    """Handles and writes of today of one prefix."""

    handles: int
    writes: int


class _Use:
    """What an enterprise has used, this transaction included."""

    __slots__ = ("handles", "quota", "second", "second_writes", "writes")

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.handles = self.writes = self.second = self.second_writes = 0


def quota_of(reader: Reader, enterprise_id: str, default: Quota) -> Quota:
    """The quota of an enterprise: its own numbers, the node's where it has none."""
    body = reader.get(Table.ENTERPRISES, enterprise_id.encode())
    own = registry.Enterprise.FromString(body or b"").quota
    return Quota(
        own.handles_max or default.handles_max,
        own.writes_per_s or default.writes_per_s,
        own.writes_per_day or default.writes_per_day,
        own.prefixes_max or default.prefixes_max,
    )


def prefixes_of(reader: Reader, enterprise_id: str) -> list[bytes]:
    """Keys of the prefixes of an enterprise."""
    start = enterprise_id.encode() + b"\0"
    return [key[len(start) :] for key, _ in reader.scan(Table.OWNED, start, enterprise_id.encode() + b"\x01")]


class Meter:
    """Counts one transaction's changes against quotas. ``close`` it before the commit."""

    def __init__(self, writer: Writer, default: Quota, now_us: int, count: Callable[[bytes], Count]) -> None:
        self._writer = writer
        self._default = default
        self._now_us = now_us
        self._count = count
        self._uses: dict[str, _Use] = {}

    def charge(self, caller: Caller, row: registry.Prefix | None, *, creates: int = 0) -> None:
        """Count a change of a handle under a prefix; ``creates`` is 1 for a new handle and -1 for one deleted.

        Raises QuotaExhausted, DailyLimitReached or RateExceeded, and has counted nothing then.
        """
        if row is None or not row.enterprise_id:
            return
        enterprise_id = row.enterprise_id
        use = self._uses.get(enterprise_id) or self._load(enterprise_id)
        quota = use.quota
        if caller.role is not Role.NODE_ADMINISTRATOR:
            subject = f"enterprise {enterprise_id!r}"
            details = {"subject": f"enterprise:{enterprise_id}"}
            if creates > 0 and 0 < quota.handles_max <= use.handles:
                raise QuotaExhausted(
                    f"{subject} has {use.handles} handles, its quota: delete some, or ask the administrator of the "
                    "node for a larger one",
                    details=details,
                )
            if 0 < quota.writes_per_day <= use.writes:
                raise DailyLimitReached(
                    f"{subject} has made {use.writes} changes today (UTC), its quota: go on tomorrow",
                    retry_after_s=(_DAY_US - self._now_us % _DAY_US) / _SECOND_US,
                    details=details,
                )
            if 0 < quota.writes_per_s <= use.second_writes:
                raise RateExceeded(
                    f"{subject} may make {quota.writes_per_s} changes in a second: try again in the next one",
                    retry_after_s=1.0,
                    details=details,
                )
        use.handles += creates
        use.writes += 1
        use.second_writes += 1

    def charge_all(self, caller: Caller, row: registry.Prefix | None, creates: int) -> bool:
        """Count so many new handles under a prefix; False, and nothing counted, when not all are within the quota."""
        if row is None or not row.enterprise_id:
            return True
        use = self._uses.get(row.enterprise_id) or self._load(row.enterprise_id)
        quota = use.quota
        counts = (
            (quota.handles_max, use.handles),
            (quota.writes_per_day, use.writes),
            (quota.writes_per_s, use.second_writes),
        )
        if caller.role is not Role.NODE_ADMINISTRATOR and any(most and used + creates > most for most, used in counts):
            return False
        use.handles += creates
        use.writes += creates
        use.second_writes += creates
        return True

    def _load(self, enterprise_id: str) -> _Use:
        use = self._uses[enterprise_id] = _Use(quota_of(self._writer, enterprise_id, self._default))
        if use.quota.handles_max or use.quota.writes_per_day:
            for key in prefixes_of(self._writer, enterprise_id):
                count = self._count(key)
                use.handles += count.handles
                use.writes += count.writes
        use.second = self._now_us // _SECOND_US
        if use.quota.writes_per_s:
            row = stored.StoredRate.FromString(body_of(self._writer, Table.RATES, enterprise_id.encode()) or b"")
            if row.second == use.second:
                use.second_writes = row.writes
        return use

    def require_prefix(self, caller: Caller, enterprise_id: str) -> None:
        """Raise PrefixLimitReached when an enterprise may have no further prefix."""
        if not enterprise_id or caller.role is Role.NODE_ADMINISTRATOR:
            return
        most = quota_of(self._writer, enterprise_id, self._default).prefixes_max
        if not most:
            return
        rows = (
            registry.Prefix.FromString(self._writer.get(Table.PREFIXES, key) or b"")
            for key in prefixes_of(self._writer, enterprise_id)
        )
        held = sum(row.status != registry.PREFIX_STATUS_DELETED for row in rows)
        if held >= most:
            raise PrefixLimitReached(
                f"enterprise {enterprise_id!r} has {held} prefixes, its quota: use one of them, or ask the "
                "administrator of the node for a larger one",
                details={"subject": f"enterprise:{enterprise_id}"},
            )

    def close(self) -> None:
        """Store the counts of the second."""
        for enterprise_id, use in sorted(self._uses.items()):
            if use.quota.writes_per_s and use.second_writes:
                row = stored.StoredRate(second=use.second, writes=use.second_writes)
                self._writer.put(Table.RATES, enterprise_id.encode(), row.SerializeToString())
