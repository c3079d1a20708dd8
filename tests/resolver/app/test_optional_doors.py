"""Doors that have a port of their own: held, turned off, told when a stranger has it, refused when it was asked for."""

import socket

import pytest

from resolver.app import optional_doors
from resolver.app.data_dir import StartRefused
from resolver.config.settings import Admin, Config, Hdl, Http

DOORS = {
    "hdl": (optional_doors.reserve_hdl, Hdl),
    "http": (optional_doors.reserve_http, Http),
    "admin": (optional_doors.listen_admin, Admin),
}


@pytest.fixture
def without_libraries(monkeypatch):
    monkeypatch.setattr(optional_doors, "HTTP_LIBRARIES", ("no_such_library",))


@pytest.fixture(params=DOORS)
def door(request):
    take, section = DOORS[request.param]
    return lambda **fields: take(Config(**{request.param: section(**fields)}))


@pytest.fixture
def taken():
    """A port that another process has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield f"127.0.0.1:{other.getsockname()[1]}"


def test_a_port_is_held_or_turned_off(door):
    assert door(listen="") is None
    door(listen="127.0.0.1:0").close()


def test_a_port_that_was_asked_for_and_is_taken_refuses_the_start(door, taken):
    with pytest.raises(StartRefused, match="another process has it"):
        door(listen=taken)


def test_a_port_that_nobody_asked_for_stays_closed(taken):
    """Once a second node on a machine did not start, because the first one had the port of the Handle doors."""
    for take in (optional_doors.reserve, optional_doors.listen):
        assert optional_doors._taken("door", taken, taken, take) is None
        with pytest.raises(StartRefused):
            optional_doors._taken("door", taken, "127.0.0.1:1", take)


def test_without_its_libraries_the_http_door_stays_closed(without_libraries):
    assert optional_doors.reserve_http(Config()) is None


def test_without_its_libraries_an_http_port_that_was_asked_for_refuses_the_start(without_libraries):
    with pytest.raises(StartRefused, match=r"idis-node\[http\]"):
        optional_doors.reserve_http(Config(http=Http(listen="127.0.0.1:0")))
