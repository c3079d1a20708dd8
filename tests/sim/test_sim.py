"""Some seeds with every change; ``make sim`` runs ten thousand. A planted defect has to be found by one of them."""

import pytest

from tests.sim.world import PLANTS, Violated, World

SEEDS = 40


@pytest.mark.parametrize("start", range(0, SEEDS, 8))
def test_seeds(start):
    for seed in range(start, start + 8):
        world = World(seed)
        world.run()
        assert world.answers > 30
        assert world.writes > 10


def test_the_same_seed_is_the_same_run():
    traces = []
    for _ in range(2):
        world = World(7, traces=True)
        world.run()
        traces.append(world.loop.trace)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 100


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_defect_is_found(plant):
    found = 0
    for seed in range(80):
        try:
            World(seed, plant=plant).run()
        except Violated:
            found += 1
            break
    assert found
