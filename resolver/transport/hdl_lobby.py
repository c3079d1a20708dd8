"""Where clients of the Handle TCP door are accepted, and get their first answer: most of them want no other.

The reference client opens a connection for each question. A transport of the loop, with its protocol, reader and peer,
costs more than the answer, so none is made: sockets wait in an epoll set of the lobby's own, what is ready is read, and
the plain questions among it are answered in one read transaction. Everything else, a second question included, becomes
a connection of the door with all octets that have come. Nothing here ever waits, and what is kept for a client that
says nothing is a socket and its deadline.
"""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Protocol

import structlog

from resolver.service.hdl_counted import COUNTED, count_plain
from resolver.service.hdl_peer import unmapped
from resolver.telemetry.calls import HDL_TCP
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from resolver.service.core import Core
    from resolver.service.handle_protocol import HandleProtocol

_log = structlog.get_logger("handle")

HEADER_TIMEOUT_S = 5.0
"""Seconds for the envelope of a message, and for the first octet on a new connection."""

INTRODUCED_S = 0.02
"""Seconds in which clients of the lobby have become connections."""

_BACKLOG = 1_024
_ACCEPTED_AT_ONCE = 64
"""Clients accepted before others get their answers again."""

_READY_AT_ONCE = 256
_READ_OCTETS = 65_536
_NO_DESCRIPTORS_S = 0.5
"""Seconds without accepting once the process has no descriptor left."""


class Door(Protocol):
    """What the lobby wants of the door behind it."""

    core: Core
    protocol: HandleProtocol
    idle_s: float
    now_s: Callable[[], float]

    def has_room(self) -> bool:
        """Whether one more client may come in."""

    def take_over(self, client: socket.socket, octets: bytes, unsent: bytes) -> None:
        """Make a connection of a client that has sent ``octets``; ``unsent`` is what is left of its answer."""


class _Client:
    """One client that waits; ``is_answered`` says that its first question is."""

    __slots__ = ("_lobby", "deadline_s", "is_answered", "socket", "source")

    def __init__(self, lobby: Lobby, accepted: socket.socket, source: str, deadline_s: float) -> None:
        self._lobby = lobby
        self.socket = accepted
        self.source = source
        self.deadline_s = deadline_s
        self.is_answered = False

    def check(self, now_s: float) -> None:
        """Close when its time is over, unless it is here no more."""
        if self.deadline_s <= now_s:
            self._lobby.expire(self)


class Lobby:
    """The listening socket of one door and the clients that have asked at most once."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        """Accept from a bound socket, which is the lobby's from now on."""
        self._door = door
        self._loop = loop
        self._listener = listener
        self._clients: dict[int, _Client] = {}
        self._ready = select.epoll()
        listener.listen(_BACKLOG)
        loop.add_reader(listener, self._accept)
        loop.add_reader(self._ready.fileno(), self._serve)

    def __len__(self) -> int:
        return len(self._clients)

    def _accept(self) -> None:
        """Take in who has connected."""
        door = self._door
        deadline_s = door.now_s() + HEADER_TIMEOUT_S
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # gone before its turn
            except OSError as error:
                self._rest(error)
                return
            if not door.has_room():
                accepted.close()
                continue
            self._clients[accepted.fileno()] = _Client(self, accepted, unmapped(address[0]), deadline_s)
            self._ready.register(accepted, select.EPOLLIN)

    def _rest(self, error: OSError) -> None:
        """Stop accepting for a moment: no descriptor is left, and the next try would fail as well."""
        _log.warning("no connection can be accepted for now", why=str(error))
        self._loop.remove_reader(self._listener)
        self._loop.call_later(_NO_DESCRIPTORS_S, self._resume)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _serve(self) -> None:
        """Answer who has asked, and let go who has left."""
        asked = self._read()
        if not asked:
            return
        door = self._door
        answers: list[bytes] = []
        started_s = door.now_s()
        done = 0
        try:
            with door.core.burst():
                for client, question in asked:
                    answer = door.protocol.at_once(question, client.source)
                    if answer is None:
                        self._hand_over(client, question)
                    else:
                        answers.append(answer[COUNTED])
                        self._send(client, answer)
                    done += 1
        except Exception:  # noqa: BLE001 - one question may not stop the door for all others
            _log.exception("questions cannot be answered, their connections are closed")
            for client, _ in asked[done:]:
                self._let_go(client)
        if answers:
            count_plain(door.core.calls, answers, door.now_s() - started_s, HDL_TCP)

    def _read(self) -> list[tuple[_Client, bytes]]:
        """The first questions that have come whole; everything else is sent on its way."""
        asked = []
        for descriptor, _ in self._ready.poll(0, _READY_AT_ONCE):
            client = self._clients[descriptor]
            try:
                octets = client.socket.recv(_READ_OCTETS, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError:
                octets = b""
            if not octets:
                self._let_go(client)
            elif client.is_answered or len(octets) != ENVELOPE_OCTETS + int.from_bytes(octets[16:20], "big"):
                self._hand_over(client, octets)
            else:
                asked.append((client, octets))
        return asked

    def _send(self, client: _Client, answer: bytes) -> None:
        """Write an answer; what the socket does not take is the door's."""
        client.is_answered = True
        client.deadline_s = self._door.now_s() + self._door.idle_s  # before it leaves: its client counts from then
        try:
            sent = client.socket.send(answer, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._let_go(client)
            return
        if sent < len(answer):
            self._hand_over(client, b"", answer[sent:])

    def _hand_over(self, client: _Client, octets: bytes, unsent: bytes = b"") -> None:
        """Make a connection of a client."""
        del self._clients[client.socket.fileno()]
        self._ready.unregister(client.socket)
        client.socket.setblocking(False)
        self._door.take_over(client.socket, octets, unsent)

    def _let_go(self, client: _Client) -> None:
        """Close; a closed socket leaves the epoll set by itself."""
        self._clients.pop(client.socket.fileno(), None)
        client.socket.close()

    def expire(self, client: _Client) -> None:
        """Close one that is still here."""
        if self._clients.get(client.socket.fileno()) is client:
            self._let_go(client)

    def clients(self) -> list[_Client]:
        """Those who wait now."""
        return list(self._clients.values())

    def close(self) -> None:
        """Accept nobody any more, and close the connections: nobody here waits for an answer."""
        if self._listener.fileno() < 0:
            return
        self._loop.remove_reader(self._listener)
        self._listener.close()
        self._serve()
        self._loop.remove_reader(self._ready.fileno())
        for client in list(self._clients.values()):
            self._let_go(client)
        self._ready.close()
