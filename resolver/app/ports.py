"""Ports that stay ours while workers come and go.

Every worker binds the same port with SO_REUSEPORT. The supervisor binds it too and never listens: the kernel sends
it no connection, and the port cannot be lost between two workers. SO_REUSEPORT also lets a second
node of the same user share a port by mistake, so a plain bind has to succeed first.
"""

from __future__ import annotations

import errno
import socket
import time

from resolver.app.data_dir import StartRefused
from resolver.config.endpoint import Endpoint

PATIENCE_S = 2.0
"""Seconds to wait for a taken port: workers of a killed supervisor need a moment to leave."""

PORT_CHOICES_MAX = 8
"""Ports tried for a door that needs TCP and UDP of one number and leaves it to the system."""


class Reservation:
    """A TCP port held by a bound socket that never listens."""

    def __init__(self, held: socket.socket, endpoint: Endpoint) -> None:
        self._held = held
        self.endpoint = endpoint

    def close(self) -> None:
        """Let the port go."""
        self._held.close()


def reserve(door: str, wanted: Endpoint, *, patience_s: float = PATIENCE_S) -> Reservation:
    """Hold a port for a door; port 0 chooses one. Raises StartRefused when it is taken."""
    family, address = _to_address(door, wanted)
    port = wanted.port
    if port:
        _wait_free(door, family, address, wanted, patience_s)
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError as error:
        held.close()
        raise _refusal(door, wanted, error) from error
    return Reservation(held, Endpoint(wanted.host, held.getsockname()[1]))


def reserve_with_datagrams(door: str, wanted: Endpoint, *, patience_s: float = PATIENCE_S) -> Reservation:
    """As ``reserve``, for a door that also has the UDP port of the same number. Raises StartRefused.

    A bound UDP socket would be given datagrams, so the UDP port is only looked at, not held.
    """
    for _ in range(PORT_CHOICES_MAX):
        reservation = reserve(door, wanted, patience_s=patience_s)
        family, address = _to_address(door, reservation.endpoint)
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(address)
            except OSError as error:
                reservation.close()
                refusal = _refusal(door, reservation.endpoint, error)
            else:
                return reservation
        if wanted.port:
            break
    raise refusal


def listen(door: str, wanted: Endpoint) -> socket.socket:
    """A listening socket of this process alone. Raises StartRefused when the port is taken."""
    family, address = _to_address(door, wanted)
    try:
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise _refusal(door, wanted, error) from error


def _to_address(door: str, wanted: Endpoint) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The address family and the address of a host. Raises StartRefused."""
    try:
        found = socket.getaddrinfo(wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartRefused(f"the {door} door cannot listen on {wanted.to_text()}: {error.strerror}") from error
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _wait_free(
    door: str, family: socket.AddressFamily, address: tuple[str, int], wanted: Endpoint, patience_s: float
) -> None:
    """Return when a plain bind succeeds. Raises StartRefused."""
    deadline_s = time.monotonic() + patience_s
    while True:
        probe = socket.socket(family, socket.SOCK_STREAM)
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline_s:
                raise _refusal(door, wanted, error) from error
        else:
            return
        finally:
            probe.close()
        time.sleep(0.1)


def _refusal(door: str, wanted: Endpoint, error: OSError) -> StartRefused:
    """The sentence for a port that cannot be had."""
    remedy = {
        errno.EADDRINUSE: f"another process has it; find it with: ss -ltnp 'sport = :{wanted.port}'; or choose another",
        errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one",
        errno.EADDRNOTAVAIL: "this machine has no such address; use 127.0.0.1 or 0.0.0.0",
    }.get(error.errno or 0, "choose another address")
    return StartRefused(f"the {door} door cannot listen on {wanted.to_text()}: {error.strerror}: {remedy}")
