"""``HOST:PORT`` as a value: where a door listens, and what a client on this machine connects to."""

from __future__ import annotations

from typing import NamedTuple

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound
_LOOPBACKS = ("localhost", "::1")


class Endpoint(NamedTuple):
    """A host (IPv6 without brackets) and a port; port 0 asks the system to choose."""

    host: str
    port: int

    @classmethod
    def from_text(cls, text: str) -> Endpoint:
        """Read ``HOST:PORT`` or ``[IPV6]:PORT``. Raises ValueError with a sentence."""
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        if not colon or not host or (":" in host and not bracketed):
            raise ValueError(f"{text!r} is not HOST:PORT: write for example 127.0.0.1:2640 or [::1]:2640")
        if not (port.isascii() and port.isdigit()) or int(port) > 65_535:
            raise ValueError(f"{text!r} has no port from 0 to 65535 after its last colon")
        return cls(host, int(port))

    def to_text(self) -> str:
        """``HOST:PORT``, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in _LOOPBACKS or self.host.startswith("127.")

    def reachable(self) -> Endpoint:
        """The same endpoint as a client on this machine names it: a wildcard becomes the loopback address."""
        return Endpoint(_EVERYWHERE.get(self.host, self.host), self.port)
