"""Sessions of the Handle protocol: a key both sides share, an identity once it is proven, counters (section 5.3).

A session says who sends a message, by MAC, and hides it, by encryption. It begins anonymous whatever identity the
set-up names, and gets its identity with the first answered challenge. Bounded by number, and by number for one
source network; idle ones end. Whoever writes another's address on packets can begin sessions and prove none, so those
that no MAC has proven make room first. Time and randomness are arguments.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from resolver.errors import MalformedMessage
from resolver.handle.codes import ResponseCode
from resolver.node.challenges import fresh_id
from resolver.node.hdl_declined import Declined
from resolver.wire import ciphers, credential, sessions, versions
from resolver.wire.ciphers import CipherCode
from resolver.wire.credential import ReplayWindow
from resolver.wire.keys import DhPublicKey, public_key_from_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from resolver.node.handle_admin import Identity
    from resolver.wire.message import Frame, Message
    from resolver.wire.sessions import SessionKey
    from resolver.wire.versions import Version

TIMEOUT_MAX_S = 86_400.0
"""Seconds a session may be idle at most: what the reference client asks for, and what one gets that asks for 0."""

ENTRIES_MAX = 10_000
"""Sessions of one worker."""

NETWORK_ENTRIES_MAX = 2_000
"""Sessions of one worker for one source network."""

PRIVATE_BITS = 256
"""Bits of our private Diffie-Hellman number: twice the strength of the largest group, and quick to compute with."""


@dataclass(slots=True)
class Session:
    """One session.

    ``identity`` is None until an answered challenge has proven it; ``renewed_s`` is when it was last found to hold.
    ``awaits_key`` says that the client has yet to send the key, encrypted for this node, ``is_proven`` that it has made
    a MAC with it.
    """

    id: int
    key: SessionKey
    network: Hashable
    timeout_s: float
    deadline_s: float
    identity: Identity | None = None
    renewed_s: float = 0.0
    window: ReplayWindow = field(default_factory=ReplayWindow)
    counter: int = 0
    awaits_key: bool = False
    is_proven: bool = False

    def next_counter(self) -> int:
        """The number of our next MAC."""
        self.counter += 1
        return self.counter

    def check(self, message: Message) -> None:
        """Check the MAC of a message. Raises Declined: 404 without one, 502 for a wrong one, 505 for a repeated one."""
        found = message.credential
        if found is None or found.type != credential.MAC:
            raise Declined(ResponseCode.INVALID_CREDENTIAL, "a message of a session needs the session's MAC")
        if not self.has_made(message):
            raise Declined(ResponseCode.INVALID_SESSION_KEY, "the MAC was not made with the key of this session")
        if not self.window.take(found.counter):
            raise Declined(ResponseCode.SESSION_MESSAGE_REJECTED, "the session has had this message already")
        self.is_proven = True

    def has_made(self, message: Message) -> bool:
        """Whether a message has the MAC of this session, a repeated one included."""
        found = message.credential
        return found is not None and found.is_mac_of(message.envelope, message.header_and_body, self.key.octets)

    def open(self, frame: Frame) -> Frame:
        """The frame decrypted. Raises MalformedMessage."""
        return sessions.decrypt(frame, self.key)


class Sessions:
    """The sessions of one worker."""

    def __init__(
        self,
        worker: int,
        randomness: Callable[[int], bytes],
        *,
        entries_max: int = ENTRIES_MAX,
        network_entries_max: int = NETWORK_ENTRIES_MAX,
    ) -> None:
        self._worker = worker
        self._randomness = randomness
        self._entries_max = entries_max
        self._network_entries_max = network_entries_max
        self._sessions: OrderedDict[int, Session] = OrderedDict()
        self._networks: dict[Hashable, OrderedDict[int, None]] = {}
        self._begun: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, id_: int, now_s: float) -> Session | None:
        """The session with an id, which lives on from now; None for one unknown or idle for too long."""
        session = self._sessions.get(id_)
        if session is None:
            return None
        if session.deadline_s <= now_s:
            self.end(id_)
            return None
        session.deadline_s = now_s + session.timeout_s
        self._sessions.move_to_end(id_)
        self._networks[session.network].move_to_end(id_)
        return session

    def begin(self, key: SessionKey, network: Hashable, timeout_s: float, now_s: float) -> Session:
        """A new session with a key; one without proof makes room, or else the one idle for longest."""
        of_network = self._networks.get(network)
        if of_network is not None and len(of_network) >= self._network_entries_max:
            unproven = (id_ for id_ in of_network if not self._sessions[id_].is_proven)
            self.end(next(unproven, next(iter(of_network))))
        if len(self._sessions) >= self._entries_max:
            self.end(self._first_unproven() or next(iter(self._sessions)))
        id_ = fresh_id(self._worker, self._sessions.__contains__, self._randomness)
        lifetime_s = min(timeout_s or TIMEOUT_MAX_S, TIMEOUT_MAX_S)
        session = Session(id_, key, network, lifetime_s, now_s + lifetime_s)
        self._sessions[id_] = session
        self._networks.setdefault(network, OrderedDict())[id_] = None
        self._begun[id_] = None
        return session

    def _first_unproven(self) -> int | None:
        """The id of the session that began first of those without proof; those with proof before it are let go."""
        while self._begun:
            id_ = next(iter(self._begun))
            if not self._sessions[id_].is_proven:
                return id_
            del self._begun[id_]
        return None

    def end(self, id_: int) -> None:
        """Forget a session."""
        session = self._sessions.pop(id_, None)
        if session is None:
            return
        self._begun.pop(id_, None)
        of_network = self._networks[session.network]
        del of_network[id_]
        if not of_network:
            del self._networks[session.network]


def agree(exchange_key: bytes, version: Version, randomness: Callable[[int], bytes]) -> tuple[SessionKey, bytes]:
    """Our side of a Diffie-Hellman set-up: the session's key, and the data that lets the client reach it.

    It takes one to ten milliseconds, by the group that the client has chosen: do it in a thread.

    Raises Declined for a key that is none, and for versions that could have DES only.
    """
    if version < versions.EXPLICIT_IV:
        raise Declined(
            ResponseCode.SESSION_FAILED, "sessions of versions below 2.4 have no cipher but DES: use 2.4 or newer"
        )
    try:
        theirs = public_key_from_wire(exchange_key)
        if not isinstance(theirs, DhPublicKey):
            raise Declined(ResponseCode.SESSION_FAILED, "the exchange key is no Diffie-Hellman key")
        private = int.from_bytes(randomness(PRIVATE_BITS // 8), "big") | 1
        key = sessions.derive(sessions.shared_secret(private, theirs), CipherCode.AES)
    except MalformedMessage as error:
        raise Declined(ResponseCode.SESSION_FAILED, error.message) from None
    if len(key.octets) < ciphers.CipherCode.AES.key_octets:
        raise Declined(ResponseCode.SESSION_FAILED, "the Diffie-Hellman group is too small")
    return key, sessions.exchange_data_to_wire(CipherCode.AES, sessions.public_half(private, theirs), version)


def made_key(randomness: Callable[[int], bytes]) -> SessionKey:
    """A key this node makes and hands over encrypted, in the exchange modes with RSA keys."""
    return sessions.SessionKey(CipherCode.AES, randomness(CipherCode.AES.key_octets))
