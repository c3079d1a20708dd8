"""Sessions of the Handle REST interface: an id and a nonce for everybody, an identity once it is proven.

A client may come back over another connection and so to another worker. An id therefore says itself when it was made,
under a MAC, and its nonce follows from it: nothing is stored for strangers. Only a proven identity is stored, in
HTTP_SESSIONS, with the digest of the key that proved it: a key that is changed ends its sessions.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import Overloaded
from resolver.node.count_rows import body_of
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader, Writer

IDLE_S = 1_800
"""Seconds without use after which a session ends, as in the reference server."""

REFRESH_S = 300
"""Seconds by which a stored last use may be behind: not every request may cost a write."""

ENTRIES_MAX = 10_000
"""Proven sessions of a node; ended ones are removed when there are so many."""

_RANDOM_OCTETS, _TIME_OCTETS, _MAC_OCTETS, _NONCE_OCTETS = 12, 4, 8, 16
_ID_OCTETS = _RANDOM_OCTETS + _TIME_OCTETS + _MAC_OCTETS
_ID_LENGTH = 32


class Proven(NamedTuple):
    """The identity of a session: a key, by its handle, its index there and the digest of its value."""

    handle: str
    key_index: int
    key_digest: bytes
    used_s: int


class SessionIds:
    """Makes and reads the ids of sessions; every worker of a node has the same secret."""

    def __init__(self, secret: bytes, randomness: Callable[[int], bytes]) -> None:
        self._secret = secret
        self._randomness = randomness

    def make(self, now_s: int) -> str:
        """A new id."""
        head = self._randomness(_RANDOM_OCTETS) + now_s.to_bytes(_TIME_OCTETS, "big")
        return base64.urlsafe_b64encode(head + self._mac(b"id", head)[:_MAC_OCTETS]).decode()

    def nonce(self, id_: str) -> bytes:
        """The nonce of an id: what a client signs, before a nonce of its own."""
        return self._mac(b"nonce", id_.encode())[:_NONCE_OCTETS]

    def made_s(self, id_: str) -> int | None:
        """When an id was made, None for one that is not ours."""
        try:
            octets = base64.b64decode(id_, b"-_", validate=True) if len(id_) == _ID_LENGTH and id_.isascii() else b""
        except (binascii.Error, ValueError):
            return None
        head = octets[: _RANDOM_OCTETS + _TIME_OCTETS]
        is_ours = len(octets) == _ID_OCTETS and hmac.compare_digest(
            octets[len(head) :], self._mac(b"id", head)[:_MAC_OCTETS]
        )
        return int.from_bytes(head[_RANDOM_OCTETS:], "big") if is_ours else None

    def _mac(self, what: bytes, octets: bytes) -> bytes:
        return hmac.digest(self._secret, what + b"\0" + octets, "sha256")


def _key(id_: str) -> bytes:
    return hashlib.sha256(id_.encode()).digest()


def find(reader: Reader, id_: str, now_s: int) -> Proven | None:
    """Who a session is, None while that has not been proven or when it has ended."""
    body = reader.get(Table.HTTP_SESSIONS, _key(id_))
    if body is None:
        return None
    proven = Proven(body[44:].decode(), int.from_bytes(body[8:12], "big"), body[12:44], int.from_bytes(body[:8], "big"))
    return proven if proven.used_s + IDLE_S > now_s else None


def store(writer: Writer, id_: str, proven: Proven) -> None:
    """Remember who a session is. Raises Overloaded when there are too many."""
    if writer.count(Table.HTTP_SESSIONS) >= ENTRIES_MAX:
        _remove_ended(writer, proven.used_s)
        if writer.count(Table.HTTP_SESSIONS) >= ENTRIES_MAX:
            raise Overloaded("too many sessions: end those that are not needed, or wait", retry_after_s=60.0)
    head = proven.used_s.to_bytes(8, "big") + proven.key_index.to_bytes(4, "big") + proven.key_digest
    writer.put(Table.HTTP_SESSIONS, _key(id_), head + proven.handle.encode())


def end(writer: Writer, id_: str) -> None:
    """Forget a session."""
    writer.delete(Table.HTTP_SESSIONS, _key(id_))


def _remove_ended(writer: Writer, now_s: int) -> None:
    ended = []
    for key, _ in writer.scan_rows(Table.HTTP_SESSIONS):
        used_s = int.from_bytes((body_of(writer, Table.HTTP_SESSIONS, key) or b"")[:8], "big")  # 0 when it is damaged
        if used_s + IDLE_S <= now_s:
            ended.append(key)
    for key in ended:
        writer.delete(Table.HTTP_SESSIONS, key)
