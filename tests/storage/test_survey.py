"""A first look from a child tells damage that would end whoever meets it; anything else is left to who opens next."""

import pytest

from storage.errors import StoreDamaged, StoreUnusable
from storage.lmdb_engine import DATA_FILE, MAP_OCTETS, LmdbEngine
from storage.survey import signal_that_tells, survey
from tests.support.builders import filled_store
from tests.support.overwritten import overwrite_leaves


@pytest.fixture
def store(tmp_path):
    return filled_store(tmp_path / "store")


def test_a_sound_store_passes_and_is_not_changed(store):
    before = (store / DATA_FILE).read_bytes()
    survey(store, MAP_OCTETS)
    assert (store / DATA_FILE).read_bytes() == before


def test_pages_that_point_out_of_the_file_are_told(store):
    overwrite_leaves(store / DATA_FILE)
    with pytest.raises(StoreDamaged, match="is damaged: reading it ended a process by SIG"):
        survey(store, MAP_OCTETS)


def test_what_is_an_error_is_left_to_who_opens_the_store(store, tmp_path):
    survey(tmp_path / "nothing", MAP_OCTETS)
    (store / DATA_FILE).write_bytes(b"no data file" * 1_000)
    survey(store, MAP_OCTETS)
    with pytest.raises(StoreUnusable):
        LmdbEngine(store)


@pytest.mark.parametrize(
    ("code", "name"), [(-7, "SIGBUS"), (-11, "SIGSEGV"), (-6, "SIGABRT"), (-9, ""), (1, ""), (0, "")]
)
def test_only_signals_of_the_processor_and_of_assertions_tell(code, name):
    assert signal_that_tells(code) == name
