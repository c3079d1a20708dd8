"""What a search says to whoever drives it, and what it is told: questions, replies, moments.

A driver takes an ``Ask``, asks that server in its own way (sockets in a node, a queue of events in a simulation) and
gives a ``Reply`` back. A reply that did not come is a reply too: ``Reply.failed``. Time comes with the replies.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Self

from resolver.handle.codes import ResponseCode
from resolver.wire.header import SERIAL_UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Generator

    from resolver.federation.contacts import Contact
    from resolver.node.foreign import Outcome
    from resolver.v1 import handle_pb2 as handles


class Moment(NamedTuple):
    """A time on two clocks: one that never goes back, and microseconds since 1970."""

    monotonic_s: float
    time_us: int


class Ask(NamedTuple):
    """Ask a server for all public values of a handle.

    A server with a key is to sign when ``is_certified``, and to search at other nodes when ``recursive``. With
    ``awaits_trial`` it is not asked: the reply, whatever it says, is due when another question to the server has been
    replied to, or when the time is over.
    """

    contact: Contact
    name: str
    timeout_s: float
    is_certified: bool
    authoritative: bool = False
    recursions: int = 1
    recursive: bool = False
    awaits_trial: bool = False


class Said(Enum):
    """What a reply comes down to."""

    FOUND = "found"
    NOT_FOUND = "not found"
    NO_VALUES = "registered, without public values"
    PREFIX_REFERRAL = "refers to the sites of an ancestor's prefixes"
    SERVICE_REFERRAL = "refers to other sites"
    REFUSED = "refuses"
    FAILED = "no answer"


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of an ``Ask``, at a ``moment``.

    ``record`` is set when it was found, ``values`` and ``referral_handle`` when it refers. ``serial`` is that of the
    site as its server knows it.
    """

    moment: Moment
    said: Said
    code: int = 0
    record: handles.HandleRecord | None = None
    values: tuple[handles.HandleValue, ...] = ()
    referral_handle: str = ""
    message: str = ""
    serial: int = SERIAL_UNKNOWN

    @classmethod
    def failed(cls, moment: Moment, why: str) -> Self:
        """No answer came, or none that can be believed."""
        return cls(moment, Said.FAILED, message=why)


SAID: dict[int, Said] = {
    ResponseCode.SUCCESS: Said.FOUND,
    ResponseCode.HANDLE_NOT_FOUND: Said.NOT_FOUND,
    ResponseCode.VALUES_NOT_FOUND: Said.NO_VALUES,
    ResponseCode.SERVICE_REFERRAL: Said.SERVICE_REFERRAL,
    ResponseCode.PREFIX_REFERRAL: Said.PREFIX_REFERRAL,
}
"""What response codes come down to; all others refuse."""


if TYPE_CHECKING:
    Search = Generator[Ask, Reply, Outcome]
    """A search: send it ``None`` once, then the reply to each ``Ask`` it yields; it returns an Outcome."""
