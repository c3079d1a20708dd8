"""Messages over UDP: split into packets of 512 octets and put together again (RFC 3652 section 2.3).

Every packet has the whole envelope, with its own sequence number and the length of the whole message.
Requests set the TRUNCATED flag on every packet of several; answers of the reference server do not, so
the length decides. What is under reassembly is bounded by entries, by octets for each source network
and by time: forged packets can displace each other and nothing else. Time is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver.errors import MalformedMessage, MessageTooLarge
from resolver.wire import bounds
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.envelope import TRUNCATED, Envelope
from resolver.wire.message import Frame

if TYPE_CHECKING:
    from collections.abc import Hashable


def split(frame: Frame, *, is_request: bool) -> list[bytes]:
    """The packets of a message: one when it fits 492 octets, else pieces of 492 with sequence numbers from 0."""
    envelope, payload = frame
    envelope = envelope._replace(message_octets=len(payload), sequence=0)
    if len(payload) <= bounds.FRAGMENT_OCTETS:
        return [envelope.to_wire() + payload]
    flags = envelope.flags | TRUNCATED if is_request else envelope.flags
    return [
        envelope._replace(flags=flags, sequence=sequence).to_wire() + payload[start : start + bounds.FRAGMENT_OCTETS]
        for sequence, start in enumerate(range(0, len(payload), bounds.FRAGMENT_OCTETS))
    ]


@dataclass(slots=True)
class _Partial:
    envelope: Envelope
    parts: list[bytes | None]
    missing: int
    octets: int
    network: Hashable
    deadline_s: float


class Reassembler:
    """Puts packets together. One for each UDP socket; never waits and never grows past its bounds."""

    def __init__(
        self,
        *,
        entries_max: int = bounds.FRAGMENT_ENTRIES_MAX,
        network_octets_max: int = bounds.FRAGMENT_NETWORK_OCTETS_MAX,
        message_octets_max: int = bounds.DATAGRAM_MESSAGE_OCTETS_MAX,
        lifetime_s: float = bounds.FRAGMENT_LIFETIME_S,
    ) -> None:
        self._entries_max = entries_max
        self._network_octets_max = network_octets_max
        self._message_octets_max = message_octets_max
        self._lifetime_s = lifetime_s
        self._partials: OrderedDict[tuple[Hashable, int], _Partial] = OrderedDict()
        self._network_octets: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._partials)

    @property
    def held_octets(self) -> int:
        """Octets promised by the messages under reassembly."""
        return sum(self._network_octets.values())

    def receive(self, datagram: bytes, source: Hashable, network: Hashable, now_s: float) -> Frame | None:
        """The message that this packet completes, None when parts are missing or the packet was dropped.

        ``source`` is the address the packet says it is from, ``network`` its /24 or /64. Raises MalformedMessage for
        a packet that is no part of a message and MessageTooLarge for a message that belongs on TCP.
        """
        envelope = Envelope.from_wire(datagram)
        size = len(datagram) - ENVELOPE_OCTETS
        whole = envelope.message_octets
        if envelope.sequence == 0 and size == whole:
            return Frame(envelope._replace(flags=envelope.flags & ~TRUNCATED), datagram[ENVELOPE_OCTETS:])
        if whole > self._message_octets_max:
            raise MessageTooLarge(
                f"the message has {whole} octets; over UDP at most {self._message_octets_max}: use TCP",
                field="envelope",
            )
        count = -(-whole // bounds.FRAGMENT_OCTETS)
        sequence = envelope.sequence
        if sequence >= count:
            raise MalformedMessage(
                f"packet {sequence} of a message of {whole} octets cannot be: it has {count} packets",
                field="envelope",
            )
        due = min(bounds.FRAGMENT_OCTETS, whole - sequence * bounds.FRAGMENT_OCTETS)
        if size != due:
            raise MalformedMessage(
                f"packet {sequence} of a message of {whole} octets has {size} octets and must have {due}",
                field="envelope",
            )
        self.expire(now_s)
        key = (source, envelope.request_id)
        partial = self._partials.get(key)
        if partial is None or partial.envelope.message_octets != whole:
            if partial is not None:
                self._drop(key)
            partial = self._admit(key, envelope, count, network, now_s)
            if partial is None:
                return None
        if partial.parts[sequence] is None:
            partial.parts[sequence] = datagram[ENVELOPE_OCTETS:]
            partial.missing -= 1
        if partial.missing:
            return None
        self._drop(key)
        first = partial.envelope._replace(sequence=0, flags=partial.envelope.flags & ~TRUNCATED)
        return Frame(first, b"".join(part for part in partial.parts if part is not None))

    def expire(self, now_s: float) -> None:
        """Forget messages whose time is over; ``receive`` does it by itself."""
        while self._partials:
            key, partial = next(iter(self._partials.items()))
            if partial.deadline_s > now_s:
                return
            self._drop(key)

    def _admit(
        self, key: tuple[Hashable, int], envelope: Envelope, count: int, network: Hashable, now_s: float
    ) -> _Partial | None:
        whole = envelope.message_octets
        if whole > self._network_octets_max:
            return None
        while self._network_octets.get(network, 0) + whole > self._network_octets_max:
            self._drop(self._oldest_of(network))  # the parts of an honest message come within milliseconds
        if len(self._partials) >= self._entries_max:
            self._drop(next(iter(self._partials)))
        partial = _Partial(envelope, [None] * count, count, whole, network, now_s + self._lifetime_s)
        self._partials[key] = partial
        self._network_octets[network] = self._network_octets.get(network, 0) + whole
        return partial

    def _oldest_of(self, network: Hashable) -> tuple[Hashable, int]:
        """The message of a network that has been under way for longest."""
        return next(key for key, partial in self._partials.items() if partial.network == network)

    def _drop(self, key: tuple[Hashable, int]) -> None:
        partial = self._partials.pop(key)
        left = self._network_octets[partial.network] - partial.octets
        if left:
            self._network_octets[partial.network] = left
        else:
            del self._network_octets[partial.network]
