"""A core without doors, for the commands that copy a store: ``idis mirror init`` and ``idis site join``.

No node runs on the directory then and nobody asks, so only what bounds records, statistics and commits matters; it is
taken from the defaults, since a directory that is being filled has no configuration yet.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from resolver import __version__
from resolver.clock import SystemClock
from resolver.config.settings import Config
from resolver.service.core import Core, ServiceOptions

if TYPE_CHECKING:
    from resolver.service.core import MirrorOptions
    from storage.lmdb_engine import LmdbEngine


def copying_core(engine: LmdbEngine, mirror: MirrorOptions | None = None) -> Core:
    """The core that copies into a store; start and close it."""
    config = Config()
    options = ServiceOptions(
        record_octets_max=config.storage.record_octets_max,
        public_resolution=False,
        statistics_flush_s=config.statistics.flush_s,
        watch_poll_s=config.watch.poll_s,
        watch_write_timeout_s=config.watch.write_timeout_s,
        group_jobs_max=config.lane.group_jobs_max,
        lane_queue_max=config.lane.queue_max,
        mirror=mirror,
    )
    return Core(engine, SystemClock(), secrets.token_bytes, options, version=__version__)
