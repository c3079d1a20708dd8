"""Without the libraries of the extra ``http`` the node runs and says so; a port that was asked for is refused."""

import pytest

from resolver.app import supervisor
from resolver.app.data_dir import StartRefused
from resolver.app.supervisor import Supervisor
from resolver.config.settings import Config, Http, Node


def made(tmp_path, **http):
    config = Config(node=Node(data_dir=str(tmp_path)), http=Http(**http))
    return Supervisor(config, lambda: config, say=None)


@pytest.fixture
def without_libraries(monkeypatch):
    monkeypatch.setattr(supervisor, "HTTP_LIBRARIES", ("no_such_library",))


def test_the_default_port_stays_closed(tmp_path, without_libraries):
    assert made(tmp_path)._reserve_http() is None


def test_a_port_that_was_asked_for_is_refused(tmp_path, without_libraries):
    with pytest.raises(StartRefused, match=r"idis-node\[http\]"):
        made(tmp_path, listen="127.0.0.1:0")._reserve_http()


def test_a_port_is_held_or_turned_off(tmp_path):
    assert made(tmp_path, listen="")._reserve_http() is None
    reservation = made(tmp_path, listen="127.0.0.1:0")._reserve_http()
    assert reservation.endpoint.port > 0
    reservation.close()
