"""One run as a job of a pool of processes."""

import signal
import traceback

from tests.sim import sharding
from tests.sim.world import World

RUN_S_MAX = 60
"""Seconds after which a run that has no end is ended by the default action of the alarm."""


def run_one(job):
    """Seed, failure or "", what was done, and the trace."""
    seed, plant, traces = job
    signal.alarm(RUN_S_MAX)
    world = World(seed, plant=plant, traces=traces)
    failure = ""
    try:
        world.run()
    except Exception:  # noqa: BLE001 - whatever it was is the failure of this seed
        failure = traceback.format_exc()
    signal.alarm(0)
    return seed, failure, (world.searches, world.answers, world.stale, world.failures, world.writes), world.loop.trace


def run_sharded(job):
    """The same of the servers of one site: reads count as searches and answers."""
    seed, _, traces = job
    signal.alarm(RUN_S_MAX)
    world = sharding.World(seed)
    failure = ""
    try:
        world.run()
    except Exception:  # noqa: BLE001 - whatever it was is the failure of this seed
        failure = traceback.format_exc()
    signal.alarm(0)
    return seed, failure, (world.reads, world.reads, 0, 0, world.writes), world.steps if traces else []
