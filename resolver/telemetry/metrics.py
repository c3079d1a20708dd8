"""Metrics: prometheus-client in multi-process mode. Workers write memory-mapped files, the supervisor adds them up.

A call is counted in plain numbers (``calls``) and carried over once a second, because the files cost more per call
than the fast path may. Counts outlive their worker: a rolling restart loses none, a SIGKILL loses the second since
the last carrying over.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog
from google.rpc import code_pb2
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from resolver.telemetry.calls import CALL_BUCKETS_S, CONNECTED, GRPC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from prometheus_client.registry import Collector

    from resolver.telemetry.calls import Called, Seen, Times

METRICS_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that must name the metrics directory before prometheus-client is imported in a worker."""

CODE_NAMES: dict[int, str] = {number: name for name, number in code_pb2.Code.items()}
"""Names of the canonical gRPC status codes."""

COMMIT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Bucket bounds of commits: a flash disk syncs in about a millisecond, a busy one in a hundred."""

GROUP_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)
"""Bucket bounds of write jobs in one commit."""

METRIC_KINDS = ("counter", "histogram")
"""The kinds of metric a worker has: each is one file, and all of them can be summed."""

PAST_OWNER = 0
"""Owner of the files that hold the counts of workers that have gone; no process has this id."""

METRICS_FILE_OCTETS = 1 << 20
"""Octets of a metrics file: every method at every door with every outcome takes about 700 KiB."""


class _Distribution:
    """A histogram in plain numbers that is carried over to a metric now and then."""

    __slots__ = ("_bounds", "_counts", "_sum", "_target")

    def __init__(self, target: Histogram, bounds: tuple[float, ...]) -> None:
        self._target = target
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def flush(self) -> None:
        """Carry the counts over."""
        if any(self._counts):
            counts, self._counts = self._counts, [0] * (len(self._bounds) + 1)
            total, self._sum = self._sum, 0.0
            _add_to(self._target, counts, total)


def _add_to(target: Histogram, counts: Iterable[int], total: float) -> None:
    """Add many values at once. Histogram has no public way to do so: its parts are used here and only here."""
    parts: Any = target
    for bucket, count in zip(parts._buckets, counts, strict=True):  # noqa: SLF001 - see the docstring
        if count:
            bucket.inc(count)
    parts._sum.inc(total)  # noqa: SLF001 - see the docstring


FOREIGN_RESULTS = ("found", "stale", "missed", "failed", "overloaded")
"""What becomes of a question for another node's name that is not answered from the fresh cache."""


class WorkerMetrics:
    """What one worker counts, on its way to the metrics directory: give it what was seen once a second.

    Writing to a mapped file on a full disk ends a process (SIGBUS), so the files are given their blocks first. A
    worker that starts when there is no room even for that counts nothing and serves.
    """

    def __init__(self, directory: Path) -> None:
        """Count into ``directory``, which METRICS_DIRECTORY_VARIABLE must name too."""
        self._commits: deque[tuple[int, float, Mapping[tuple[str, str], int]]] = deque()
        self.on = _give_blocks(directory)
        if not self.on:
            return
        registry = CollectorRegistry()
        labels = ("grpc_service", "grpc_method")
        self._handled = Counter(
            "grpc_server_handled", "gRPC calls finished, by status code.", (*labels, "grpc_code"), registry=registry
        )
        self._handling = Histogram(
            "grpc_server_handling_seconds",
            "Time from request to answer of gRPC calls.",
            labels,
            buckets=CALL_BUCKETS_S,
            registry=registry,
        )
        self._requests = Counter(
            "idis_requests",
            "Requests answered at every door, by outcome.",
            ("protocol", "operation", "result"),
            registry=registry,
        )
        self._times = Histogram(
            "idis_request_seconds",
            "Time from request to answer, of resolutions, registrations and all else.",
            ("protocol", "operation"),
            buckets=CALL_BUCKETS_S,
            registry=registry,
        )
        self._resolved = Counter(
            "idis_resolved_names",
            "Names asked for, one by one or in batches, and whether a record was found.",
            ("protocol", "result"),
            registry=registry,
        )
        self._cut_off = Counter(
            "idis_connections_cut_off",
            "Connections ended because answers that nobody took were filling the memory.",
            ("protocol",),
            registry=registry,
        )
        self._changed = Counter(
            "idis_changed_handles",
            "Handles registered, changed and deleted, counted after the commit.",
            ("protocol", "operation"),
            registry=registry,
        )
        self._foreign = Counter(
            "idis_foreign_answers",
            "Answers for names of other nodes that were not at hand: searched, kept too long, refused, or failed.",
            ("result",),
            registry=registry,
        )
        self._upstream = Counter(
            "idis_upstream_questions", "Questions sent to other nodes.", ("protocol", "result"), registry=registry
        )
        for result in FOREIGN_RESULTS:
            self._foreign.labels(result).inc(0)
        for door in CONNECTED:
            self._cut_off.labels(door).inc(0)  # an increase is seen from zero on, not from a counter that appears
        group = Histogram("idis_lane_group_jobs", "Write jobs in one commit.", buckets=GROUP_BUCKETS, registry=registry)
        commit = Histogram(
            "idis_lane_commit_seconds", "Time of one commit.", buckets=COMMIT_BUCKETS_S, registry=registry
        )
        self._group = _Distribution(group, GROUP_BUCKETS)
        self._commit = _Distribution(commit, COMMIT_BUCKETS_S)

    def take_upstream(self, answers: Mapping[str, int], questions: Mapping[tuple[str, str], int]) -> None:
        """Carry over what became of names of other nodes, and of the questions to those, by protocol."""
        if not self.on:
            return
        for result, count in answers.items():
            self._foreign.labels(result).inc(count)
        for (protocol, result), count in questions.items():
            self._upstream.labels(protocol, result).inc(count)

    def take_in(self, seen: Seen, names: Mapping[str, tuple[int, int]]) -> None:
        """Carry over what was seen: calls with their times, and names asked and found by door."""
        if not self.on:
            return
        for (door, method, code), count in seen.calls.items():
            name = code if isinstance(code, str) else CODE_NAMES.get(code, "UNKNOWN")
            self._requests.labels(door, method.name, name).inc(count)
            if door == GRPC:
                self._handled.labels(method.service, method.name, name).inc(count)
        for (door, method), times in seen.times.items():
            self._take_times(door, method, times)
        for door, count in seen.cut_off.items():
            self._cut_off.labels(door).inc(count)
        for door, (asked, found) in names.items():
            self._resolved.labels(door, "found").inc(found)
            self._resolved.labels(door, "missed").inc(asked - found)
        self.flush()

    def _take_times(self, door: str, method: Called, times: Times) -> None:
        if door == GRPC:
            _add_to(self._handling.labels(method.service, method.name), times.counts, times.total_s)
        _add_to(self._times.labels(door, method.kind or "other"), times.counts, times.total_s)

    def observe_commit(self, jobs: int, duration_s: float, changed: Mapping[tuple[str, str], int]) -> None:
        """Count a commit: its jobs, its seconds, and handles by door and operation. Safe to call in any thread."""
        if self.on:
            self._commits.append((jobs, duration_s, changed))

    def flush(self) -> None:
        """Carry over the commits since the last time."""
        if not self.on:
            return
        while self._commits:
            jobs, duration_s, changed = self._commits.popleft()
            self._group.add(jobs)
            self._commit.add(duration_s)
            for (door, operation), count in changed.items():
                self._changed.labels(door, operation).inc(count)
        self._group.flush()
        self._commit.flush()


def _give_blocks(directory: Path, owner: int | None = None) -> bool:
    """Give the metrics files of a process (this one) their blocks on disk; False when there is no room."""
    files = [_file_of(directory, kind, os.getpid() if owner is None else owner) for kind in METRIC_KINDS]
    try:
        for path in files:
            with path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, METRICS_FILE_OCTETS)
    except OSError as error:
        structlog.get_logger().warning("no room for metrics, this process counts nothing", why=error.strerror)
        for path in files:
            path.unlink(missing_ok=True)
        return False
    return True


def _file_of(directory: Path, kind: str, owner: int) -> Path:
    """Where prometheus-client keeps one kind of metric of one process."""
    return directory / f"{kind}_{owner}.db"


class MetricsDirectory:
    """The metrics files of all workers as the supervisor has them. Safe to call from any thread.

    Counts outlive their worker: the files of one that has gone are added to those of owner 0 and removed, so
    a year of restarts costs no more than one worker.
    """

    def __init__(self, path: Path) -> None:
        """Make the directory empty; do this before the first worker starts."""
        self._path = path
        self._lock = Lock()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in path.glob("*.db"):
            file.unlink(missing_ok=True)
        self._keeps = _give_blocks(path, PAST_OWNER)

    def absorb(self, owner: int) -> None:
        """Keep the counts of a worker that has gone and remove its files."""
        with self._lock:
            for kind in METRIC_KINDS:
                file = _file_of(self._path, kind, owner)
                if not file.exists():
                    continue
                try:
                    self._add_to_past(kind, file)
                except Exception as error:  # noqa: BLE001 - a half-written file must not stop the next worker
                    structlog.get_logger().warning("counts of a worker that has gone are lost", why=str(error))
                file.unlink()

    def _add_to_past(self, kind: str, file: Path) -> None:
        """Add the values of one file to those of all workers that have gone."""
        if not self._keeps:
            return
        values = list(MmapedDict.read_all_values_from_file(str(file)))  # type: ignore[no-untyped-call]
        past: Any = MmapedDict(str(_file_of(self._path, kind, PAST_OWNER)))  # type: ignore[no-untyped-call]
        try:
            for key, value, _, _ in values:
                past.write_value(key, past.read_value(key)[0] + value, 0)
        finally:
            past.close()

    def exposition(self, own: Iterable[Collector]) -> bytes:
        """Everything counted, in Prometheus' text format: the sum over workers and the collectors of this process."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._path))  # type: ignore[no-untyped-call]
        for collector in own:
            registry.register(collector)
        with self._lock:
            return generate_latest(registry)
