"""The process an operator starts: it owns directory, ports, signals and admin door, and keeps the crew.

Order of a start: directory and lock, store and first start, ports, workers, admin door; when all answer,
``endpoints.json`` appears. Order of a stop: readiness says no, workers drain, doors close, the file goes.
SIGTERM and SIGINT drain, a second one stops now; SIGHUP reads the configuration and certificates again; SIGUSR2
replaces the workers one by one. The supervisor serves no call itself, so it stays small and alive.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from resolver import __version__
from resolver.app import backends, descriptors, optional_doors, upstream
from resolver.app.banner import banner
from resolver.app.certificates import CertificateWatch
from resolver.app.child import Child
from resolver.app.crew import Crew
from resolver.app.data_dir import DataDir, StartRefused, StoreRefused
from resolver.app.node_collector import NodeCollector
from resolver.app.ports import Reservation, reserve
from resolver.app.prerequisites import require_usable
from resolver.app.store_watch import StoreWatch, require_none_lost
from resolver.app.systemd import notify, watchdog_interval_s
from resolver.clock import SystemClock
from resolver.config.changes import Applied, changes, take_over
from resolver.config.endpoint import Endpoint
from resolver.config.sources import ConfigInvalid
from resolver.errors import ResolverError
from resolver.node import search, shares, site_role
from resolver.node.prefixes import NODE_PREFIX_KEY
from resolver.registry.first_start import first_start
from resolver.telemetry.logs import configure_logging
from resolver.telemetry.metrics import MetricsDirectory
from resolver.v1 import mirror_pb2
from storage import page_cache
from storage.errors import StorageError
from storage.lmdb_engine import DATA_FILE, LmdbEngine
from storage.survey import survey
from storage.tables import Table

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine

    from resolver.config.settings import Config
    from resolver.transport.admin_http import AdminDoor, Readiness

log = structlog.get_logger()

TICK_S = 1.0
"""Seconds between two rounds of housekeeping: dead readers pin pages of the store until they are cleared."""

PREFIX_DEFAULT = "88.300"
"""Node prefix of a new store when none is named: a test prefix of the national system."""


class Supervisor:
    """A node. ``run`` returns the exit code of the process."""

    def __init__(self, config: Config, read_again: Callable[[], Config], *, say: Callable[[str], None] | None) -> None:
        """Take the configuration, how to read it again, and where the banner goes (None: nowhere)."""
        self._data = DataDir(Path(config.node.data_dir))
        self._config = config
        self._read_again = read_again
        self._say = say
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._now = asyncio.Event()
        self._jobs: set[asyncio.Task[object]] = set()
        self._doors: dict[str, tuple[str, int]] = {}
        self._endpoints: dict[str, str] = {}
        self._engine: LmdbEngine | None = None
        self._crew: Crew | None = None
        self._admin: AdminDoor | None = None

    async def run(self) -> int:
        """Start, serve, stop. Raises StartRefused with a sentence when the node cannot start."""
        os.umask(0o077)
        descriptors.raise_limit()
        require_usable(self._config)
        choice = backends.choose(self._config.grpc.backend)
        require_none_lost(self._data)
        self._data.create()
        with ExitStack() as held:
            held.enter_context(self._data.lock())
            self._data.remove_endpoints()
            metrics = self._metrics = MetricsDirectory(self._data.metrics)
            engine = self._open_store()
            held.callback(engine.close)
            Thread(target=_read_ahead, args=(self._data.store / DATA_FILE,), name="read-ahead", daemon=True).start()
            for reservation in self._reserve():
                held.callback(reservation.close)
            self._prepare_handle_service(engine)
            admin = optional_doors.listen_admin(self._config)
            if admin is not None:
                held.callback(admin.close)
            count = self._config.workers.count or len(os.sched_getaffinity(0))
            crew = self._crew = Crew(count, self._spawn, lambda: self._config, self._clock, on_gone=metrics.absorb)
            self._collector = NodeCollector(
                engine, crew, self._clock, version=__version__, prefix=self._config.node.prefix, backend=choice.name
            )
            self._watch_signals()
            log.info("node starting", version=__version__, workers=count, backend=choice.name, why=choice.why)
            try:
                return await self._serve(crew, admin)
            finally:
                self._now.set()
                await crew.stop(self._now)
                self._watch.rescue(engine)
                self._data.remove_endpoints()
                if self._admin is not None:
                    await self._admin.close()

    async def _serve(self, crew: Crew, admin: socket.socket | None) -> int:
        """Start the crew, be there until told to stop, drain."""
        starting = asyncio.create_task(crew.start())
        stopping = asyncio.create_task(self._stop.wait())
        ticking = asyncio.create_task(self._tick_forever(crew))
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if starting.done() and not starting.result():
                raise (StoreRefused if crew.store_damaged else StartRefused)(self._why(crew))
            if not self._stop.is_set():
                await self._open(admin)
                ends: set[asyncio.Future[Any]] = {stopping, crew.failed}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if crew.failed.done():
                    raise StoreRefused(self._why(crew))
            notify("STOPPING=1", "STATUS=draining")
            log.info("node draining")
            self._data.remove_endpoints()
            clean = await crew.stop(self._now)
            log.info("node stopped", clean=clean)
            return 0 if clean else 1
        finally:
            for task in (starting, stopping, ticking, *self._jobs):
                task.cancel()

    def _why(self, crew: Crew) -> str:
        """Why the node ends. A worker may have missed the data file first; the watch knows where it is saved."""
        return self._watch.look() or crew.failed.result()

    async def _open(self, admin: socket.socket | None) -> None:
        """Every worker answers: open the admin door and tell the world."""
        where = {door: Endpoint(*place).reachable().to_text() for door, place in self._doors.items()}
        self._endpoints = {"grpc": where["grpc"]}
        if "hdl" in where:
            self._endpoints |= {"hdl_tcp": where["hdl"], "hdl_udp": where["hdl"]}
        if "http" in where:
            self._endpoints["http"] = where["http"]
        if admin is not None:
            await self._open_admin(admin)
        try:
            self._data.write_endpoints(self._endpoints)
        except OSError as error:
            log.error("endpoints.json cannot be written, the node serves without it", why=error.strerror)  # noqa: TRY400 - the reason says it all
        notify("READY=1", f"STATUS=serving {self._endpoints['grpc']}")
        log.info("node ready", **self._endpoints)
        if self._say is not None:
            tls = bool(self._config.tls.certificate_file)
            self._say(banner(self._data, self._endpoints, self._config.node.prefix, tls=tls))

    def _open_store(self) -> LmdbEngine:
        """Open the store and make the administrator at the first start. Raises StartRefused, StoreRefused."""
        data = self._data.store / DATA_FILE
        try:
            if data.exists():
                survey(self._data.store, self._config.storage.map_octets)
            engine = LmdbEngine(self._data.store, map_octets=self._config.storage.map_octets)
        except (StorageError, OSError) as error:
            raise StoreRefused(str(error)) from error
        try:
            engine.housekeep()
            _refuse_half_a_mirror(engine)
            self._config = _settle(self._config, _stored_prefix(engine))
            prefix, now_us, keep = self._config.node.prefix, self._clock.now_us(), self._data.write_admin_token
            if first_start(engine, prefix, now_us, secrets.token_bytes, keep=keep) is not None:
                log.info("first start", prefix=self._config.node.prefix, admin_token=str(self._data.admin_token))
            self._prepare_search(engine)
        except (ResolverError, StorageError, OSError) as error:
            engine.close()
            raise StartRefused(str(error)) from error
        self._engine, self._watch = engine, StoreWatch(self._data.store)
        return engine

    def _prepare_search(self, engine: LmdbEngine) -> None:
        """Make the table of reverse look-up fit the configuration, before anybody writes. Raises InvalidField."""
        types = search.types_of(self._config.http.search_types)

        def tell(records: int) -> None:
            log.info("building the table of reverse look-up", types=types, records=records)

        search.rebuild(engine, types, tell)

    def _reserve(self) -> list[Reservation]:
        """Hold the port of every door the workers have. Raises StartRefused."""
        wanted = Endpoint.from_text(self._config.grpc.listen)
        if not wanted.is_loopback and not self._config.tls.certificate_file:
            log.warning(
                "tokens cross the network unencrypted: set tls.certificate_file and tls.key_file", grpc=wanted.to_text()
            )
        held = {"grpc": reserve("grpc", wanted)}
        try:
            if (hdl := optional_doors.reserve_hdl(self._config)) is not None:
                held["hdl"] = hdl
            if (http := optional_doors.reserve_http(self._config)) is not None:
                held["http"] = http
        except StartRefused:
            for reservation in held.values():
                reservation.close()
            raise
        self._doors = {door: (place.endpoint.host, place.endpoint.port) for door, place in held.items()}
        return list(held.values())

    def _prepare_handle_service(self, engine: LmdbEngine) -> None:
        """Make the keys and prefix handles that the Handle doors need. Raises StartRefused."""
        if not self._doors.keys() & {"hdl", "http"}:
            return
        from resolver.app.handle_service import prepare  # noqa: PLC0415 - needed with these doors only

        prepare(self._data, engine, self._config, self._doors, self._clock)

    async def _spawn(self, index: int) -> Child:
        """Start a worker with the configuration of now."""
        return await Child.spawn(
            index, self._config, self._doors, self._data.metrics, self._clock, store_file=self._watch.file
        )

    async def _open_admin(self, listening: socket.socket) -> None:
        """Open the admin door when its libraries are there."""
        try:
            from resolver.transport.admin_http import AdminDoor  # noqa: PLC0415 - an extra, and slow to load
        except ImportError as error:
            listening.close()
            log.warning("the admin door stays closed: install the extra idis-node[http]", missing=error.name)
            return
        self._admin = AdminDoor(self)
        await self._admin.start(listening)
        endpoint = Endpoint(Endpoint.from_text(self._config.admin.listen).host, listening.getsockname()[1])
        self._endpoints["admin"] = endpoint.reachable().to_text()

    def readiness(self) -> Readiness:
        """For /readyz: ready while a worker answers, the store opens and nobody told us to leave."""
        from resolver.transport.admin_http import Readiness  # noqa: PLC0415 - asked by that door only

        assert self._crew is not None  # noqa: S101 - the admin door opens after the crew
        assert self._engine is not None  # noqa: S101 - and after the store
        parts = {"workers": f"{self._crew.ready_count} of {len(self._crew.slots)}"}
        ready = self._crew.ready_count > 0 and not self._stop.is_set()
        if self._stop.is_set():
            parts["node"] = "draining"
        try:
            space = self._engine.space()
            parts["storage"] = (
                "ok" if space.free_octets >= space.reserve_octets else "full: only deletions are accepted"
            )
        except (StorageError, OSError) as error:
            ready, parts["storage"] = False, f"failed: {error}"
        if self._crew.crashes:
            parts["storage"] += f", but {self._crew.crashes} workers crashed: idis check tells whether it is damaged"
        parts["upstream"] = upstream.said(self._crew.above)
        return Readiness(ready, parts)

    def version(self) -> dict[str, str]:
        """For /version."""
        return {"version": __version__, "prefix": self._config.node.prefix}

    def metrics(self) -> bytes:
        """For /metrics."""
        return self._metrics.exposition([self._collector])

    def _watch_signals(self) -> None:
        """From now on signals are ours."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        loop.add_signal_handler(signal.SIGUSR2, self._on_roll)

    def _on_stop(self) -> None:
        """Drain; asked again, stop now."""
        if self._stop.is_set():
            log.warning("asked again: stopping now")
            self._now.set()
        self._stop.set()

    def _on_reload(self) -> None:
        """Read the configuration again; whatever comes of it, the service manager waits no longer."""
        notify("RELOADING=1")
        try:
            self._reload()
        finally:
            notify("READY=1")

    def _reload(self) -> None:
        """Read the configuration again, keep what cannot change, say what happened."""
        try:
            after = self._read_again()
            require_usable(after)
        except (ConfigInvalid, StartRefused) as error:
            log.warning("configuration not taken over, the old one stays", faults=str(error).split("\n"))
            return
        after = _settle(after, self._config.node.prefix)
        found = changes(self._config, after)
        self._config = take_over(self._config, after)
        configure_logging(self._config.log.level, self._config.log.format)
        if self._crew is not None:
            self._crew.reload()
        by_need = {need: [change.key for change in found if change.applied is need] for need in Applied}
        log.info(
            "configuration read again",
            changed=by_need[Applied.RELOAD],
            needs_rolling_restart=by_need[Applied.ROLLING],
            needs_restart=by_need[Applied.RESTART],
            **({"next": "SIGUSR2 replaces the workers one by one"} if by_need[Applied.ROLLING] else {}),
        )

    def _on_roll(self) -> None:
        """Replace the workers beside everything else."""
        self._job(self._roll())

    async def _roll(self) -> None:
        """Replace the workers and say how it went."""
        assert self._crew is not None  # noqa: S101 - signals are watched after the crew was made
        log.info("rolling restart begins")
        done = await self._crew.roll()
        log.info("rolling restart ended", complete=done)

    def _job(self, work: Coroutine[object, object, object]) -> None:
        """Do something beside; the set keeps the task alive."""
        task = asyncio.create_task(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _tick_forever(self, crew: Crew) -> None:
        """Every second: clear dead readers, look after the crew, tell systemd that we live."""
        interval_s = min(TICK_S, watchdog_interval_s() or TICK_S)
        above = upstream.Watch()
        certificates = CertificateWatch(self._clock)
        while True:
            await asyncio.sleep(interval_s)
            try:
                crew.tick()
                if why := self._watch.look():
                    crew.give_up(why)
                above.look(crew.above)
                certificates.look(self._config.tls)
                notify("WATCHDOG=1")
                if self._engine is not None:
                    self._engine.housekeep()
            except (StorageError, OSError) as error:
                log.warning("housekeeping failed", why=str(error))
            except Exception:
                log.exception("defect in housekeeping, it goes on")


def _read_ahead(store: Path) -> None:
    """Bring the store into memory while the workers start; those that are too large come as they are needed."""
    try:
        octets = page_cache.read_ahead(store, page_cache.room_octets())
    except OSError as error:
        log.warning("the store is not read ahead", why=error.strerror)
    else:
        log.debug("store read ahead", octets=octets)


def _settle(config: Config, prefix: str) -> Config:
    """The configuration with an absolute data directory and a node prefix, ``prefix`` when it names none."""
    node = config.node
    settled = msgspec.structs.replace(node, data_dir=str(Path(node.data_dir).absolute()), prefix=node.prefix or prefix)
    return msgspec.structs.replace(config, node=settled)


def _refuse_half_a_mirror(engine: LmdbEngine) -> None:
    """Raise StartRefused for a copy that has not all of its primary or registry yet: it would deny what exists."""
    with engine.read() as reader:
        site, server = site_role.site_of(reader), shares.server_row(reader)
    if site.role == mirror_pb2.SITE_ROLE_MIRROR and not site.complete:
        raise StartRefused(
            f"the copy of {site.primary} has not come to its end: go on with idis mirror init --of {site.primary}"
        )
    registry = [pull for pull in server.pulls if pull.registry]
    if server.follows_registry and not registry[0].complete and registry[0].HasField("sweep"):
        raise StartRefused(
            f"the copy of the registry has not come to its end: go on with idis site join --of {registry[0].grpc}"
        )


def _stored_prefix(engine: LmdbEngine) -> str:
    """The node prefix the store was made for; the default for a new store."""
    with engine.read() as reader:
        stored = reader.get(Table.META, NODE_PREFIX_KEY)
    return PREFIX_DEFAULT if stored is None else stored.decode()


async def supervise(config: Config, read_again: Callable[[], Config], *, say: Callable[[str], None] | None) -> int:
    """Run a node to its end; the exit code. Raises StartRefused."""
    return await Supervisor(config, read_again, say=say).run()
