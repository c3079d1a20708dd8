"""What the supervisor knows and a scrape asks for: the store, the workers, the version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from resolver.clock import day_of
from resolver.node.top_enterprises import Top, top
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resolver.app.crew import Crew
    from resolver.clock import Clock
    from storage.lmdb_engine import LmdbEngine


TOP_ENTERPRISES = 20
"""Enterprises that metrics name: each is a series, and series are what a metrics store runs out of."""

TOP_EVERY_S = 60.0
"""Seconds between two looks at all prefixes."""

YOUNG_EVERY_S = 2.0
"""The same while there is nothing to tell yet."""

_PAGE_OCTETS = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class NodeCollector(Collector):
    """Reads the gauges of the node at each scrape."""

    def __init__(
        self, engine: LmdbEngine, crew: Crew, clock: Clock, *, version: str, prefix: str, backend: str
    ) -> None:
        self._engine = engine
        self._crew = crew
        self._clock = clock
        self._build = [version, prefix, backend]
        self._top: Top = Top([], [])
        self._top_until_s = 0.0

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        build = GaugeMetricFamily(
            "idis_build_info", "Version, prefix and gRPC back end.", labels=["version", "prefix", "backend"]
        )
        build.add_metric(self._build, 1)
        yield build
        yield GaugeMetricFamily("idis_workers", "Workers wanted.", len(self._crew.slots))
        yield GaugeMetricFamily("idis_workers_ready", "Workers whose doors answer.", self._crew.ready_count)
        yield CounterMetricFamily("idis_worker_restarts", "Workers that ended unasked.", self._crew.restarts)
        space = self._engine.space()
        yield GaugeMetricFamily("idis_store_used_bytes", "Size of the store on disk.", space.used_octets)
        yield GaugeMetricFamily("idis_store_free_bytes", "Room for writes.", space.free_octets)
        yield GaugeMetricFamily(
            "idis_store_reserve_bytes", "Room below which only deletions pass.", space.reserve_octets
        )
        yield GaugeMetricFamily(
            "idis_store_oldest_reader_txns",
            "Transactions since the oldest reader began; it pins their pages.",
            self._engine.oldest_reader_txns(),
        )
        with self._engine.read() as reader:
            records, serial = reader.count(Table.RECORDS), reader.last_key(Table.CHANGES)
            prefixes = reader.count(Table.PREFIXES)
        yield GaugeMetricFamily("idis_records", "Handles registered.", records)
        yield GaugeMetricFamily("idis_prefixes", "Prefixes in the registry.", prefixes)
        yield GaugeMetricFamily(
            "idis_journal_serial", "Serial of the newest change.", int.from_bytes(serial or b"", "big")
        )
        yield from self._enterprises()
        yield from self._processes()
        yield from self._workers()

    def _enterprises(self) -> Iterator[Metric]:
        """The enterprises with most, looked up once a minute."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._top_until_s:
            self._top = top(self._engine, day_of(self._clock.now_us()), TOP_ENTERPRISES)
            is_young = not all(self._top)  # before the first handles of a store, or the first questions of a day
            self._top_until_s = now_s + (YOUNG_EVERY_S if is_young else TOP_EVERY_S)
        for name, said, rows in (
            ("idis_enterprise_records", "Handles of the enterprises with most.", self._top.records),
            (
                "idis_enterprise_resolutions_today",
                "Names resolved today (UTC), of those with most.",
                self._top.resolutions,
            ),
        ):
            gauge = GaugeMetricFamily(name, said, labels=["enterprise"])
            for enterprise, count in rows:
                gauge.add_metric([enterprise], count)
            yield gauge

    def _processes(self) -> Iterator[Metric]:
        """What the processes of the node take of the machine."""
        memory = GaugeMetricFamily("idis_process_resident_bytes", "Resident memory.", labels=["process"])
        processor = CounterMetricFamily("idis_process_cpu_seconds", "Processor time.", labels=["process"])
        pids = {"supervisor": os.getpid()}
        for slot in self._crew.slots:
            if slot.child is not None:
                pids[f"worker {slot.index}"] = slot.child.pid
        for process, pid in pids.items():
            try:
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except (OSError, IndexError):
                continue  # it has just ended, or this is no Linux
            memory.add_metric([process], pages * _PAGE_OCTETS)
            processor.add_metric([process], (int(fields[11]) + int(fields[12])) / _TICKS_PER_S)
        yield memory
        yield processor

    def _workers(self) -> Iterator[Metric]:
        """What the workers have told with their last sign of life."""
        connections = GaugeMetricFamily("idis_connections", "Connections open.", labels=["process", "protocol"])
        queued = GaugeMetricFamily("idis_lane_queued_rows", "Rows waiting to be written.", labels=["process"])
        silent = GaugeMetricFamily(
            "idis_upstream_silent_seconds",
            "For how long the top of the tree has not answered; 0 while it does, and where there is none.",
            labels=["process"],
        )
        for slot in self._crew.slots:
            if slot.child is None:
                continue
            since_us = slot.child.above.silent_since_us if slot.child.above is not None else 0
            silent_s = max(0.0, (self._clock.now_us() - since_us) / 1e6) if since_us else 0.0
            silent.add_metric([f"worker {slot.index}"], silent_s)
            for door, count in slot.child.connections.items():
                connections.add_metric([f"worker {slot.index}", door], count)
            queued.add_metric([f"worker {slot.index}"], slot.child.queued_rows)
        yield connections
        yield queued
        yield silent
