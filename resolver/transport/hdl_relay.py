"""Requests that belong to another worker, handed to it over a socket file.

A challenge or a session lives in the worker that made it, and its id names that worker. A client may bring its next
message over another connection, which the kernel may give to any worker; that one asks the owner and passes the
answers on. An owner that is gone has taken its sessions with it, and the request is answered here as one whose session
has ended.

    request   length 4 | marks 1: is stream 1, over HTTP 2 | source length 1 | source | message
    answers   (length 4 | message)* | 0 4 | marks 1: is broken 1

A length with its top bit set is that of a part of a stream, octets that are passed on as they are. The bit below says
that the client has proven its address by now: a door over UDP asks for that before it sends a large answer. The third
marks a part that is secret: it is plain here, between workers of one node, and goes out in TLS of the worker that asks.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from resolver.errors import WireError
from resolver.service.hdl_peer import Peer
from resolver.telemetry.calls import REST
from resolver.wire import bounds
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.message import Frame, StreamPart

if TYPE_CHECKING:
    from pathlib import Path

    from resolver.service.handle_protocol import HandleProtocol
    from resolver.service.hdl_turn import Send

_log = structlog.get_logger("handle")

TIMEOUT_S = 15.0
"""Seconds another worker may take for an answer, or the next part of one."""

_ADDRESS_OCTETS_MAX = 107
"""What the path of a socket may have: ``sun_path`` of linux/un.h without its NUL."""

_REQUEST_OCTETS_MAX = bounds.MESSAGE_OCTETS_MAX + ENVELOPE_OCTETS + 300
_HEAD_OCTETS = 4
_PART, _PROVEN, _SECRET = 1 << 31, 1 << 30, 1 << 29
_STREAM, _HTTP = 1, 2
_BROKEN = 1


class Relay:
    """One worker's end: answers for others what is its own, and asks others for what is theirs."""

    def __init__(self, directory: Path, worker: int, protocol: HandleProtocol) -> None:
        self._directory = directory
        self._path = directory / f"{worker}.sock"
        self._protocol = protocol
        self._server: asyncio.AbstractServer | None = None
        self._opened: int | None = None
        """The directory, open as long as the process lives, when its name is too long for sockets."""

    async def start(self) -> None:
        """Listen; an older worker of the same number stops being asked."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        beside = self._path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._address(beside))
        beside.rename(self._path)

    def _address(self, path: Path) -> str:
        """A file of the directory as sockets take it: a data directory may have a longer name than they."""
        if len(os.fsencode(path)) <= _ADDRESS_OCTETS_MAX:
            return str(path)
        if self._opened is None:
            self._opened = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._opened}/{path.name}"

    async def close(self) -> None:
        """Stop listening; requests under way are finished."""
        if self._server is not None:
            self._server.close()

    async def pass_on(self, frame: Frame, peer: Peer, send: Send) -> None:
        """Answer a request by the worker it belongs to, or here when that one is gone."""
        owner = self._protocol.worker_of(frame, peer)
        has_begun = False

        async def passing(answer: Frame | StreamPart) -> None:
            nonlocal has_begun
            has_begun = True
            await send(answer)

        if owner is not None:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await self._ask(owner, frame, peer, passing)
                return
            if has_begun:  # what has been sent cannot be taken back, and is no whole answer
                peer.is_broken = True
                return
        await self._protocol.respond(frame, peer, send)

    async def _ask(self, owner: int, frame: Frame, peer: Peer, send: Send) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(self._address(self._directory / f"{owner}.sock"))
        try:
            source = peer.source.encode()[:255]
            marks = (_STREAM if peer.is_stream else 0) | (_HTTP if peer.door == REST else 0)
            request = bytes((marks, len(source))) + source + frame.to_wire()
            writer.write(len(request).to_bytes(_HEAD_OCTETS, "big") + request)
            while size := int.from_bytes(await _exactly(reader, _HEAD_OCTETS), "big"):
                octets = await _exactly(reader, size & ~(_PART | _PROVEN | _SECRET))
                peer.is_proven = peer.is_proven or bool(size & _PROVEN)
                if peer.has_left:  # the owner learns it from the end of this connection
                    return
                await send(StreamPart(octets, bool(size & _SECRET)) if size & _PART else Frame.from_wire(octets))
            marks = (await _exactly(reader, 1))[0]
            peer.is_broken = peer.is_broken or bool(marks & _BROKEN)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of another worker."""

        async def send(answer: Frame | StreamPart) -> None:
            octets = answer.to_wire()
            marks = _PROVEN if peer.is_proven else 0
            if isinstance(answer, StreamPart):
                marks |= _PART | (_SECRET if answer.is_secret else 0)
            writer.write((len(octets) | marks).to_bytes(_HEAD_OCTETS, "big") + octets)
            try:
                await writer.drain()
            except ConnectionError:
                peer.has_left = True
                if isinstance(answer, StreamPart):
                    raise

        try:
            size = int.from_bytes(await reader.readexactly(_HEAD_OCTETS), "big")
            if size > _REQUEST_OCTETS_MAX:
                return
            request = await reader.readexactly(size)
            end = 2 + request[1]
            peer = Peer.of(request[2:end].decode(), is_stream=bool(request[0] & _STREAM))
            if request[0] & _HTTP:
                peer.door = REST
            await self._protocol.respond(Frame.from_wire(request[end:]), peer, send)
            writer.write(bytes(_HEAD_OCTETS) + bytes((_BROKEN if peer.is_broken else 0,)))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, WireError) as error:
            _log.debug("a relayed request broke off", why=str(error))
        finally:
            writer.close()


async def _exactly(reader: asyncio.StreamReader, octets: int) -> bytes:
    """So many octets within the time for an answer."""
    async with asyncio.timeout(TIMEOUT_S):
        return await reader.readexactly(octets)
