"""A worker: one process, one loop, one store, every door.

It is started by the supervisor with an ``Assignment`` on standard input and never alone. SIGTERM
drains it: health says NOT_SERVING, a delay lets balancers notice, no new connections, calls in flight get
their grace, the write lane commits, exit 0. A second SIGTERM skips the waiting. The end of standard input means
that the supervisor is gone and acts like both. A broken store ends the process so that a new one can go on.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import structlog
import uvloop

from resolver import __version__
from resolver.app import backends
from resolver.app.data_dir import DataDir, StartRefused
from resolver.app.federation import Federation
from resolver.app.memory import IdleMemory, keep_large_blocks, share_one_arena
from resolver.app.messages import BEAT_S, Assignment, Reload, Status, WorkerExit
from resolver.app.mirror_service import MirrorService, mirror_options
from resolver.app.site_service import SiteService
from resolver.app.store_watch import require_same
from resolver.clock import SystemClock
from resolver.node.quotas import Quota
from resolver.service import Service, ServiceOptions
from resolver.telemetry.logs import configure_logging
from resolver.telemetry.metrics import WorkerMetrics
from resolver.transport.tls import CertificateUnusable, TlsFiles
from storage.errors import StorageError, StoreBroken, StoreDamaged, StoreUnusable
from storage.lmdb_engine import LmdbEngine

if TYPE_CHECKING:
    from resolver.app.handle_service import HandleDoors
    from resolver.app.http_service import HttpDoors
    from resolver.config.settings import Config

    Draining = backends.GrpcDoor | HandleDoors | HttpDoors

log = structlog.get_logger()

LEFTOVER_S = 10
"""Seconds for what is left of a leaving process; then the alarm's default action ends whatever hangs."""

_DETAIL_MAX = 1_000
"""Characters of a reason: a pipe takes a line whole up to 4,096 octets (PIPE_BUF)."""

_COLLECT_EVERY = 5_000
"""New objects between two looks at the newest; a burst of calls leaves hundreds that live for a moment."""


class Counted(Protocol):
    """A door that knows how many connections it has."""

    @property
    def connection_count(self) -> int:
        """Connections open."""


class Worker:
    """The life of one worker."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._config = assignment.config
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._exit = WorkerExit.DRAINED
        self._state = "starting"
        self._counted_doors: dict[str, Counted] = {}
        self._metrics = WorkerMetrics(DataDir(Path(assignment.config.node.data_dir)).metrics)
        self._tls: TlsFiles | None = None
        self._engine: LmdbEngine | None = None
        self._service: Service | None = None
        self._federation: Federation | None = None
        self._more_doors: list[HandleDoors | HttpDoors] = []

    async def run(self) -> int:
        """Serve until told to leave; the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_term)
        loop.set_exception_handler(_log_loop_error)
        os.set_blocking(self._assignment.status_fd, False)
        listener = asyncio.create_task(self._listen())
        self._say("starting")
        try:
            require_upb()
            self._tls = tls_files(self._config, self._clock)
            data = DataDir(Path(self._config.node.data_dir))
            require_same(data.store, self._assignment.store_file)
            self._engine = LmdbEngine(data.store, map_octets=self._config.storage.map_octets)
            self._service = Service(
                self._engine,
                self._clock,
                secrets.token_bytes,
                to_service_options(self._config, self._assignment.doors),
                version=__version__,
                on_commit=lambda commit: self._metrics.observe_commit(commit.jobs, commit.seconds, commit.changed),
                on_broken=lambda: self._on_broken("the write lane cannot go on"),
                on_seen=self._metrics.take_in,
            )
            await self._serve(self._service)
        except (StartRefused, CertificateUnusable, StoreUnusable) as error:
            log.error("worker cannot run", why=str(error))  # noqa: TRY400 - the sentence says it all
            self._say("failed", str(error))
            self._exit = WorkerExit.STORE_DAMAGED if isinstance(error, StoreDamaged) else WorkerExit.HOPELESS
        except StoreBroken as error:
            self._on_broken(str(error))
        except Exception as error:
            log.exception("worker failed")
            self._say("failed", f"{type(error).__name__}: {error}")
            self._exit = WorkerExit.FAILED
        finally:
            listener.cancel()
            if self._engine is not None:
                self._engine.close()
        return self._exit

    async def _serve(self, service: Service) -> None:
        """Open the doors, wait, drain; whatever happens the write lane commits what it took."""
        host, port = self._assignment.doors["grpc"]
        choice = backends.choose(self._config.grpc.backend)
        if choice.name == "grpcio":
            share_one_arena()
        else:  # grpcio's answers need no fresh pages either way
            keep_large_blocks()
        federation = self._federation = Federation(service, self._assignment, self._clock, secrets.token_bytes)
        mirroring = MirrorService(service.core, self._assignment, self._clock)
        site = SiteService(service.core, self._assignment, self._clock)
        await service.start()
        federation.start()
        mirroring.start()
        site.start()
        beat = asyncio.create_task(self._beat(federation))
        try:
            door = backends.make_door(
                choice.name,
                service,
                service.core.calls.observe,
                self._clock,
                reflection=self._config.grpc.reflection,
                write_timeout_s=self._config.watch.write_timeout_s,
            )
            await door.start(host, port, self._tls)
            self._counted_doors["grpc"] = door
            await self._open_more_doors(service)
            door.set_serving(True)
            _spare_the_collector()
            self._say("ready")
            log.info("worker ready", grpc=f"{host}:{port}", backend=choice.name, tls=self._tls is not None)
            await self._stop.wait()
            door.set_serving(False)
            if self._exit is WorkerExit.DRAINED:
                self._say("draining")
            await self._drain(door)
        finally:
            await site.close()
            await mirroring.close()
            await federation.close()
            await service.close()
            beat.cancel()
            self._metrics.flush()
        log.info("worker drained")

    async def _drain(self, door: backends.GrpcDoor) -> None:
        """Let callers go: delay, refuse, grace; hurried, all at once."""
        drain = self._config.drain
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), drain.delay_s)
        if self._service is not None:
            self._service.begin_drain()
        doors: list[Draining] = [door, *self._more_doors]
        hurry = asyncio.create_task(self._hurry.wait())
        grace_s = 0.0 if self._hurry.is_set() else drain.grace_s
        leaving = asyncio.create_task(_drain_all(doors, grace_s))
        await asyncio.wait({hurry, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not leaving.done():
            await _drain_all(doors, 0.0)
        hurry.cancel()
        await leaving

    async def _open_more_doors(self, service: Service) -> None:
        """Open the Handle and the HTTP doors when the supervisor has ports for them."""
        wanted = self._assignment.doors
        if not wanted.keys() & {"hdl", "http"}:
            return
        from resolver.app.handle_service import (  # noqa: PLC0415 - needed with these only
            HandleDoors,
            handle_protocol,
            relay_of,
        )

        protocol = handle_protocol(service.core, self._assignment)
        relay = relay_of(protocol, self._assignment)
        await relay.start()
        if "hdl" in wanted:
            handle = HandleDoors(service.core, protocol, relay, self._assignment, self._clock)
            await handle.start()
            self._more_doors.append(handle)
            self._counted_doors["hdl_tcp"] = handle
        if "http" in wanted:
            from resolver.app.http_service import HttpDoors  # noqa: PLC0415 - an extra, and slow to load

            http = HttpDoors(service, protocol, relay, self._assignment, self._tls)
            await http.start()
            self._more_doors.append(http)
            self._counted_doors["http"] = http

    async def _beat(self, federation: Federation) -> None:
        """Every second: carry the metrics over, give memory back, look whether the store works, say that we live."""
        assert self._engine is not None  # noqa: S101 - opened before the doors
        idle_memory = IdleMemory()
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                self._metrics.take_upstream(*federation.upstream.take_counts())
                self._metrics.flush()
                idle_memory.look(self._clock.monotonic_s())
                if self._tls is not None:
                    self._tls.current()  # also while nobody comes: an expired one would keep everybody away
                with self._engine.read():
                    pass
            except StoreBroken as error:
                self._on_broken(str(error))
            except (StorageError, OSError) as error:
                log.warning("the store or the metrics failed for a moment", why=str(error))
            except Exception:
                log.exception("defect in a beat")  # a worker that beats no more would be killed without a reason
            self._say(self._state)

    async def _listen(self) -> None:
        """Take in reloads until the supervisor is gone."""
        reader = asyncio.StreamReader(limit=1 << 20)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            try:
                self._reload(msgspec.json.decode(line, type=Reload).config)
            except Exception:  # whoever listens no more would not notice either that the supervisor is gone
                log.exception("defect while the configuration was taken over")
        log.warning("the supervisor is gone, leaving")
        self._hurry.set()
        self._stop.set()
        signal.alarm(LEFTOVER_S)

    def _reload(self, config: Config) -> None:
        """Take over what acts at once; the supervisor has said what does not."""
        self._config = config
        configure_logging(config.log.level, config.log.format, fields={"worker": self._assignment.worker})
        if self._tls is not None:
            self._tls.recheck()
        if self._service is not None:
            self._service.refresh()
        if self._federation is not None:
            self._federation.reload(config)

    def _on_term(self) -> None:
        """Leave; told again, leave at once."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _on_broken(self, why: str) -> None:
        """The store cannot go on in this process: let a new one take over."""
        log.error("the store is broken in this process, leaving", why=why)
        self._say("failed", why)
        self._exit = WorkerExit.STORE_BROKEN
        self._hurry.set()
        self._stop.set()

    def _say(self, state: str, detail: str = "") -> None:
        """Write a status line; a full pipe or a gone supervisor loses it."""
        self._state = state
        connections = {door: each.connection_count for door, each in self._counted_doors.items()}
        queued_rows = 0 if self._service is None else self._service.core.lane.queued_rows
        above = None if self._federation is None else self._federation.above()
        with suppress(OSError):
            line = msgspec.json.encode(Status(state, detail[:_DETAIL_MAX], connections, queued_rows, above))
            os.write(self._assignment.status_fd, line + b"\n")


async def _drain_all(doors: list[Draining], grace_s: float) -> None:
    """Drain the doors side by side."""
    await asyncio.gather(*(door.drain(grace_s) for door in doors))


def to_service_options(config: Config, doors: dict[str, tuple[str, int]]) -> ServiceOptions:
    """What the service wants to know of the configuration."""
    return ServiceOptions(
        record_octets_max=config.storage.record_octets_max,
        public_resolution=config.access.public_resolution,
        statistics_flush_s=config.statistics.flush_s,
        statistics_keep_days=config.statistics.keep_days,
        sources_keep_days=config.statistics.sources_keep_days,
        watch_poll_s=config.watch.poll_s,
        watch_write_timeout_s=config.watch.write_timeout_s,
        group_jobs_max=config.lane.group_jobs_max,
        lane_queue_max=config.lane.queue_max,
        read_ahead_threads=config.storage.read_ahead_threads,
        recursion=config.federation.recursion,
        session_s=config.access.login_token_s,
        files_dir=DataDir(Path(config.node.data_dir)).files,
        failures_file=DataDir(Path(config.node.data_dir)).failures,
        mirror=mirror_options(config, doors),
        quota=Quota(**msgspec.structs.asdict(config.quota)),
    )


def tls_files(config: Config, clock: SystemClock) -> TlsFiles | None:
    """The certificates of the gRPC door, None without TLS. Raises CertificateUnusable."""
    tls = config.tls
    if not tls.certificate_file:
        return None
    client_ca = Path(tls.client_ca_file) if tls.client_ca_file else None
    return TlsFiles(Path(tls.certificate_file), Path(tls.key_file), client_ca, poll_s=tls.poll_s, clock=clock)


def require_upb() -> None:
    """Raise StartRefused unless protobuf runs on its C core: pure Python is slow and has had recursion faults."""
    from google.protobuf.internal import api_implementation  # noqa: PLC0415 - asked once

    kind = api_implementation.Type()
    if kind != "upb":
        raise StartRefused(
            f"protobuf runs on its {kind!r} core, not on upb: unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION "
            "and install a protobuf wheel made for this machine"
        )


def _log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error nobody awaited is logged like any other."""
    error = context.get("exception")
    log.error(str(context.get("message", "error in the loop")), exc_info=error)


def main() -> int:
    """Read the assignment and live."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # a terminal sends them to all; the supervisor decides
    with open(0, "rb", buffering=0, closefd=False) as control:
        line = control.readline()
    if not line:
        return WorkerExit.HOPELESS
    assignment = msgspec.json.decode(line, type=Assignment)
    configure_logging(assignment.config.log.level, assignment.config.log.format, fields={"worker": assignment.worker})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_run(assignment))
        signal.alarm(LEFTOVER_S)
        return code


async def _run(assignment: Assignment) -> int:
    """Make the worker inside its loop."""
    return await Worker(assignment).run()


def _spare_the_collector() -> None:
    """Let the collector of cycles look at what is new only, and when enough of it has come together.

    What was loaded at the start stays, and calls in flight make no cycles: looking at all of it a hundred times a
    second was a twentieth of the CPU of a loaded worker.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 10, 10)


if __name__ == "__main__":
    sys.exit(main())
