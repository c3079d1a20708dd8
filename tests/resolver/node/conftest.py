"""Stores with the prefixes of enterprises A and B."""

import pytest

from tests.support.builders import PREFIX_A, PREFIX_B, add_prefix


@pytest.fixture
def store(engine):
    """A store, on disk and in memory, with the prefixes of enterprises A and B."""
    with engine.write() as writer:
        add_prefix(writer, PREFIX_A, "ent-a")
        add_prefix(writer, PREFIX_B, "ent-b")
    return engine
