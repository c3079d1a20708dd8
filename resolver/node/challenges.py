"""Challenges that wait for their answer: bounded, short-lived, and good for one answer.

The protocol has the server keep the request it has challenged, because the answer does not repeat it. What
strangers can make a node keep is therefore bounded three ways: by number, by octets, and by number for one source
network, so that one network cannot push out the challenges of others. Whoever writes others' addresses on packets is
of many networks: challenges for addresses that nothing has proven count by themselves and make room first. Time and
randomness are arguments.

Ids share their numbers with sessions: 31 bits, the upper eight of which name the worker that keeps them, because a
client may bring its answer over another connection, to another worker.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver.wire import bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from resolver.wire.message import Message

WORKER_SHIFT = 23
"""Bits of an id below the number of the worker."""

WORKERS_MAX = 256
"""Workers that ids can name."""

LIFETIME_S = 30.0
"""Seconds that a challenge waits: a person may have to type a passphrase; the reference server gives 20 to 30."""

ENTRIES_MAX = 4_096
"""Challenges waiting at one time in one worker."""

NETWORK_ENTRIES_MAX = 512
"""Challenges waiting at one time for one source network."""

OCTETS_MAX = 32 << 20
"""Octets of challenged requests kept in one worker."""


def worker_of(id_: int) -> int:
    """The worker that keeps a challenge or a session."""
    return id_ >> WORKER_SHIFT


def fresh_id(worker: int, taken: Callable[[int], bool], randomness: Callable[[int], bytes]) -> int:
    """A random id of a worker that is not taken, never 0."""
    while True:
        low = int.from_bytes(randomness(3), "big") & ((1 << WORKER_SHIFT) - 1)
        id_ = worker << WORKER_SHIFT | low
        if low and not taken(id_):
            return id_


@dataclass(slots=True)
class Challenge:
    """A request that waits for its answer.

    ``digest`` are the octets the answer must cover behind the nonce; ``session_id`` is 0 outside a session;
    ``hides`` says that the request came encrypted, ``is_proven`` that it came from where it says.
    """

    id: int
    nonce: bytes
    digest: bytes
    request: Message
    session_id: int
    network: Hashable
    deadline_s: float
    hides: bool = False
    is_proven: bool = True

    def is_for(self, request: Message, digest: bytes) -> bool:
        """Whether a request is the one that waits, sent again."""
        return self.digest == digest and self.request.envelope.request_id == request.envelope.request_id


class Challenges:
    """The challenges of one worker."""

    def __init__(
        self,
        worker: int,
        randomness: Callable[[int], bytes],
        *,
        lifetime_s: float = LIFETIME_S,
        entries_max: int = ENTRIES_MAX,
        network_entries_max: int = NETWORK_ENTRIES_MAX,
        octets_max: int = OCTETS_MAX,
    ) -> None:
        self._worker = worker
        self._randomness = randomness
        self._lifetime_s = lifetime_s
        self._entries_max = entries_max
        self._network_entries_max = network_entries_max
        self._octets_max = octets_max
        self._waiting: OrderedDict[int, Challenge] = OrderedDict()
        self._octets = 0
        self._networks: dict[tuple[Hashable, bool], OrderedDict[int, None]] = {}
        self._unproven: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def octets(self) -> int:
        """Octets of the requests kept."""
        return self._octets

    def issue(
        self,
        request: Message,
        digest: bytes,
        network: Hashable,
        now_s: float,
        *,
        session_id: int = 0,
        hides: bool = False,
        is_proven: bool = True,
    ) -> Challenge:
        """Keep a request and challenge it; in a session under the session's id, in place of an older one.

        A datagram sent again because its challenge was late gets the same challenge: the client answers the first.
        """
        self._expire(now_s)
        if session_id:
            before = self._waiting.get(session_id)
            if before is not None and before.is_for(request, digest):
                return before
            self._forget(session_id)
        source = network, is_proven
        of_network = self._networks.get(source)
        if of_network is not None and len(of_network) >= self._network_entries_max:
            self._forget(next(iter(of_network)))
        size = len(request.header_and_body)
        while self._waiting and (len(self._waiting) >= self._entries_max or self._octets + size > self._octets_max):
            self._forget(next(iter(self._unproven or self._waiting)))
        id_ = session_id or fresh_id(self._worker, self._waiting.__contains__, self._randomness)
        nonce = self._randomness(bounds.NONCE_OCTETS)
        deadline_s = now_s + self._lifetime_s
        challenge = Challenge(id_, nonce, digest, request, session_id, network, deadline_s, hides, is_proven)
        self._waiting[id_] = challenge
        self._networks.setdefault(source, OrderedDict())[id_] = None
        if not is_proven:
            self._unproven[id_] = None
        self._octets += size
        return challenge

    def take(self, id_: int, now_s: float) -> Challenge | None:
        """The challenge with an id, which is gone from then on: an answer counts once. None when there is none."""
        self._expire(now_s)
        challenge = self._waiting.get(id_)
        if challenge is not None:
            self._forget(id_)
        return challenge

    def _expire(self, now_s: float) -> None:
        while self._waiting:
            id_, challenge = next(iter(self._waiting.items()))
            if challenge.deadline_s > now_s:
                return
            self._forget(id_)

    def _forget(self, id_: int) -> None:
        challenge = self._waiting.pop(id_, None)
        if challenge is None:
            return
        self._octets -= len(challenge.request.header_and_body)
        self._unproven.pop(id_, None)
        source = challenge.network, challenge.is_proven
        of_network = self._networks[source]
        del of_network[id_]
        if not of_network:
            del self._networks[source]
