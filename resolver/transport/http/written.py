"""The transport of an HTTP client, which remembers how much it was given while its client takes it.

A transport keeps what it was given whole until the last octet is taken. An encrypted one of uvloop hands all of it to
the socket's own at once, says that nothing waits, and pauses nobody: so it is given pieces, of which only the first few
go down before the one below asks for a pause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

_PIECE_OCTETS = 64 << 10
"""As many as a transport takes before it asks for a pause."""


class Written:
    """A transport with a ``write`` of its own."""

    __slots__ = ("_is_encrypted", "_transport", "long_octets")

    def __init__(self, transport: asyncio.Transport, *, is_encrypted: bool) -> None:
        self._transport = transport
        self._is_encrypted = is_encrypted
        self.long_octets = 0
        """Octets of the longest write since this was set to 0."""

    def write(self, octets: bytes) -> None:
        """Write, in pieces where it is encrypted."""
        if len(octets) <= _PIECE_OCTETS:
            self._transport.write(octets)
            return
        self.long_octets = max(self.long_octets, len(octets))
        step = _PIECE_OCTETS if self._is_encrypted else len(octets)
        for start in range(0, len(octets), step):
            self._transport.write(octets[start : start + step])

    def close(self) -> None:
        """Close, once the client has taken what was written; said again meanwhile it changes nothing.

        An encrypted transport of asyncio's own that is closed twice cannot be asked any more what it holds.
        """
        if not self._transport.is_closing():
            self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
