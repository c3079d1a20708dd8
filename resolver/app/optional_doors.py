"""Ports of the doors that stand at an address of their own when nobody names one: Handle, HTTP, admin.

A port that was asked for and cannot be had refuses the start. One that nobody asked for is told in the log and its
door stays closed: a second node on a machine should not need to know of the first.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

import structlog

from resolver.app.data_dir import StartRefused
from resolver.app.ports import Reservation, listen, reserve, reserve_with_datagrams
from resolver.config.endpoint import Endpoint
from resolver.config.settings import Admin, Hdl, Http

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from resolver.config.settings import Config

HTTP_LIBRARIES = ("starlette", "uvicorn", "httptools", "jinja2")
"""What the HTTP door is built of: the extra ``http``."""

log = structlog.get_logger()

T = TypeVar("T")


def reserve_hdl(config: Config) -> Reservation | None:
    """Hold the port of the Handle doors. Raises StartRefused."""
    return _taken("hdl", config.hdl.listen, Hdl().listen, reserve_with_datagrams)


def reserve_http(config: Config) -> Reservation | None:
    """Hold the port of the HTTP door when its libraries are there. Raises StartRefused."""
    wanted = config.http.listen
    missing = [name for name in HTTP_LIBRARIES if find_spec(name) is None] if wanted else []
    if missing and wanted != Http().listen:
        raise StartRefused(f"the HTTP door needs the extra idis-node[http], which has {', '.join(missing)}")
    if missing:
        log.warning("the HTTP door stays closed: install the extra idis-node[http]", missing=missing)
        return None
    return _taken("http", wanted, Http().listen, reserve)


def listen_admin(config: Config) -> socket.socket | None:
    """Take the port of the admin door. Raises StartRefused."""
    return _taken("admin", config.admin.listen, Admin().listen, listen)


def _taken(door: str, wanted: str, unasked: str, take: Callable[[str, Endpoint], T]) -> T | None:
    """The port, None when the door is turned off or nobody asked for a port that another has."""
    if not wanted:
        return None
    try:
        return take(door, Endpoint.from_text(wanted))
    except StartRefused as error:
        if wanted != unasked:
            raise
        log.warning("a door that nobody asked for stays closed", door=door, why=str(error))
        return None
