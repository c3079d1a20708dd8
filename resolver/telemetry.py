"""Logs and metrics: one way to say what happened, one way to count it.

Logs are structlog events, JSON or console, on standard error. Whatever comes from a request is
data: control and bidirectional characters in values are written as escapes, so that no name can forge
a line or turn it around on a screen.

Metrics are prometheus-client in multi-process mode: each worker writes memory-mapped files, the supervisor reads
them all. A call is counted in plain Python numbers and carried over once a second, because the
files cost more per call than the fast path may.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from bisect import bisect_left
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from pathlib import Path

    from prometheus_client.registry import Collector

METRICS_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that must name the metrics directory before prometheus-client is imported in a worker."""

CODE_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of the canonical gRPC status codes 0 to 16."""

CALL_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bucket bounds of call times: a cached resolve takes 0.1 ms, a group commit some milliseconds."""

COMMIT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Bucket bounds of commits: a flash disk syncs in about a millisecond, a busy one in a hundred."""

GROUP_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)
"""Bucket bounds of write jobs in one commit."""

METRIC_KINDS = ("counter", "histogram")
"""The kinds of metric a worker has: each is one file, and all of them can be summed."""

PAST_OWNER = 0
"""Owner of the files that hold the counts of workers that have gone; no process has this id."""

METRICS_FILE_OCTETS = 512 << 10
"""Octets of a metrics file: every method with every code and bucket takes about 200 KiB."""

_DANGEROUS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def escape(text: str) -> str:
    """The text with every control, bidirectional and surrogate character written as a four-digit escape."""
    return _DANGEROUS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _escaped(value: object) -> object:
    """A log value with every text inside it escaped."""
    match value:
        case str():
            return escape(value)
        case bool() | int() | float() | None:
            return value
        case dict():
            return {escape(str(key)): _escaped(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_escaped(item) for item in value]
        case _:
            return escape(str(value))


def _escape_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape every value but a trace, whose lines are ours and whose message is escaped line by line."""
    for key, value in event.items():
        if key == "exception":
            event[key] = "\n".join(escape(line) for line in str(value).split("\n"))
        elif key != "exc_info":
            event[key] = _escaped(value)
    return event


class _ToStructlog(logging.Handler):
    """Carries records of libraries that use the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as an event of the same level."""
        logger = structlog.get_logger()
        logger.log(record.levelno, record.getMessage(), source=record.name, exc_info=record.exc_info or None)


def configure_logging(
    level: str, form: str, *, fields: dict[str, object] | None = None, to: TextIO | None = None
) -> None:
    """Set level and form of every log line from now on; call it again to change them.

    Args:
        level: debug, info, warning or error.
        form: json, console, or auto (console on a terminal).
        fields: Values that every line of this process carries.
        to: Where lines go; standard error when not given.
    """
    stream = to or sys.stderr
    constant = fields or {}

    def add_fields(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in constant.items():
            event.setdefault(key, value)
        return event

    console = form == "console" or (form == "auto" and stream.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_fields,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _escape_values,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    # Libraries talk a lot; below warning they are heard only when the operator asks for debug.
    root.setLevel(_LEVELS[level] if level == "debug" else max(_LEVELS[level], logging.WARNING))


class Called(Protocol):
    """A method as far as it is counted."""

    @property
    def service(self) -> str:
        """Full name of the service."""

    @property
    def name(self) -> str:
        """Name of the method."""


class Tally:
    """A histogram in plain numbers that is carried over to a metric now and then."""

    __slots__ = ("_bounds", "_counts", "_sum", "_target")

    def __init__(self, target: Histogram, bounds: tuple[float, ...]) -> None:
        self._target = target
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float, count: int = 1) -> None:
        """Count a value, once or as often as it was met."""
        self._counts[bisect_left(self._bounds, value)] += count
        self._sum += value * count

    def flush(self) -> None:
        """Carry the counts over. Histogram has no public way to add many, so its parts are used here and only here."""
        if not any(self._counts):
            return
        counts, self._counts = self._counts, [0] * (len(self._bounds) + 1)
        total, self._sum = self._sum, 0.0
        parts: Any = self._target
        for bucket, count in zip(parts._buckets, counts, strict=True):  # noqa: SLF001 - see the docstring
            if count:
                bucket.inc(count)
        parts._sum.inc(total)  # noqa: SLF001 - see the docstring


class WorkerMetrics:
    """What one worker counts. ``observe_call`` costs about half a microsecond; call ``flush`` every second.

    Writing to a mapped file on a full disk ends a process (SIGBUS), so the files are given their blocks first. A
    worker that starts when there is no room even for that counts nothing and serves.
    """

    def __init__(self, directory: Path) -> None:
        """Count into ``directory``, which METRICS_DIRECTORY_VARIABLE must name too."""
        self._commits: deque[tuple[int, float]] = deque()
        self._codes: dict[tuple[Called, int], int] = {}
        self._times: dict[Called, Tally] = {}
        self._statuses: dict[tuple[str, int], int] = {}
        self._answering: dict[str, Tally] = {}
        self.on = _give_blocks(directory)
        if not self.on:
            return
        registry = CollectorRegistry()
        labels = ("grpc_service", "grpc_method")
        self._handled = Counter(
            "grpc_server_handled", "Calls finished, by status code.", (*labels, "grpc_code"), registry=registry
        )
        self._handling = Histogram(
            "grpc_server_handling_seconds",
            "Time from request to answer.",
            labels,
            buckets=CALL_BUCKETS_S,
            registry=registry,
        )
        self._requests = Counter(
            "idis_http_requests", "HTTP requests answered, by door and status.", ("protocol", "code"), registry=registry
        )
        self._requesting = Histogram(
            "idis_http_request_seconds",
            "Time from request to answer over HTTP.",
            ("protocol",),
            buckets=CALL_BUCKETS_S,
            registry=registry,
        )
        group = Histogram("idis_lane_group_jobs", "Write jobs in one commit.", buckets=GROUP_BUCKETS, registry=registry)
        commit = Histogram(
            "idis_lane_commit_seconds", "Time of one commit.", buckets=COMMIT_BUCKETS_S, registry=registry
        )
        self._group = Tally(group, GROUP_BUCKETS)
        self._commit = Tally(commit, COMMIT_BUCKETS_S)

    def observe_call(self, method: Called, code: int, duration_s: float, count: int = 1) -> None:
        """Count finished calls: their method, canonical gRPC code and time in seconds, and how many there were."""
        if not self.on:
            return
        key = (method, code)
        self._codes[key] = self._codes.get(key, 0) + count
        times = self._times.get(method)
        if times is None:
            times = self._times[method] = Tally(self._handling.labels(method.service, method.name), CALL_BUCKETS_S)
        times.add(duration_s, count)

    def observe_http(self, door: str, status: int, duration_s: float) -> None:
        """Count an answered HTTP request: the door's name, its status, its time in seconds."""
        if not self.on:
            return
        key = (door, status)
        self._statuses[key] = self._statuses.get(key, 0) + 1
        times = self._answering.get(door)
        if times is None:
            times = self._answering[door] = Tally(self._requesting.labels(door), CALL_BUCKETS_S)
        times.add(duration_s)

    def observe_commit(self, jobs: int, duration_s: float) -> None:
        """Count a commit of the write lane: its jobs, its time in seconds. Safe to call from the lane's thread."""
        if self.on:
            self._commits.append((jobs, duration_s))

    def flush(self) -> None:
        """Carry everything counted since the last time over to the metrics directory."""
        if not self.on:
            return
        codes, self._codes = self._codes, {}
        for (method, code), count in codes.items():
            name = CODE_NAMES[code] if 0 <= code < len(CODE_NAMES) else "UNKNOWN"
            self._handled.labels(method.service, method.name, name).inc(count)
        statuses, self._statuses = self._statuses, {}
        for (door, status), count in statuses.items():
            self._requests.labels(door, str(status)).inc(count)
        while self._commits:
            jobs, duration_s = self._commits.popleft()
            self._group.add(jobs)
            self._commit.add(duration_s)
        for tally in (*self._times.values(), *self._answering.values(), self._group, self._commit):
            tally.flush()


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
