"""What the supervisor knows and a scrape asks for: the store, the workers, the version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resolver.app.crew import Crew
    from storage.lmdb_engine import LmdbEngine


class NodeCollector(Collector):
    """Reads the gauges of the node at each scrape."""

    def __init__(self, engine: LmdbEngine, crew: Crew, *, version: str, prefix: str, backend: str) -> None:
        self._engine = engine
        self._crew = crew
        self._build = [version, prefix, backend]

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
        yield GaugeMetricFamily("idis_records", "Handles registered.", records)
        yield GaugeMetricFamily(
            "idis_journal_serial", "Serial of the newest change.", int.from_bytes(serial or b"", "big")
        )
