"""Operations of the Handle protocol asked by another door of the same process, without the protocol's octets.

The operations, the policy and the codes are those of the Handle doors: a ``Turn`` is made whose answers are kept
instead of sent. Who asks has been found out by the door already; an operation that needs to know and is not told
answers 402, as it does to a client of the Handle protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import ResolverError
from resolver.handle.codes import ResponseCode
from resolver.node.hdl_declined import Declined
from resolver.node.values import from_pb
from resolver.service.hdl_answers import code_of, words_of
from resolver.service.hdl_resolution import StoredValues
from resolver.service.hdl_turn import ChallengeWanted, Turn
from resolver.wire.envelope import Envelope
from resolver.wire.header import CLIENT_FLAGS, SERIAL_UNKNOWN, Header, OpFlag
from resolver.wire.message import request_message
from resolver.wire.responses import Failure, Handles, Referral
from resolver.wire.versions import OWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.handle.codes import OpCode
    from resolver.handle.value import HandleValue
    from resolver.node.handle_admin import Identity
    from resolver.service.handle_protocol import HandleProtocol
    from resolver.service.hdl_peer import Peer
    from resolver.v1 import handle_pb2 as pb
    from resolver.wire.message import Frame, StreamPart
    from resolver.wire.requests import RequestBody
    from resolver.wire.responses import ResponseBody

_BASE_FLAGS = CLIENT_FLAGS.value & ~OpFlag.PUBLIC_ONLY.value


class Answered(NamedTuple):
    """What an operation answered; ``flags`` are those that tell of the outcome."""

    code: int
    body: ResponseBody
    flags: int
    retry_after_s: float | None = None
    """When asking again makes sense, for failures that pass."""

    @property
    def message(self) -> str:
        """The words beside a code other than success."""
        return self.body.message if isinstance(self.body, Failure) else ""

    @property
    def values(self) -> tuple[HandleValue, ...]:
        """The values of a resolution or of a referral."""
        match self.body:
            case StoredValues():
                return tuple(map(from_pb, self.body.stored))
            case Referral():
                return self.body.values or ()
        return ()

    @property
    def stored(self) -> Sequence[pb.HandleValue]:
        """The values of a resolution as they are stored."""
        return self.body.stored if isinstance(self.body, StoredValues) else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of a list."""
        return self.body.handles if isinstance(self.body, Handles) else ()

    def has(self, flag: OpFlag) -> bool:
        """Whether the flag tells of the outcome."""
        return bool(self.flags & flag.value)


@dataclass(slots=True)
class _KeptTurn(Turn):
    """A turn that keeps its answers."""

    answered: list[Answered] = field(default_factory=list)

    async def answer(
        self,
        body: ResponseBody,
        *,
        code: int = ResponseCode.SUCCESS,
        flags: int = 0,
        session_id: int = 0,
        with_digest: bool = True,
        is_secret: bool = False,
        is_authoritative: bool = True,
    ) -> None:
        """Keep an answer of the operation."""
        del session_id, with_digest, is_secret, is_authoritative
        self.answered.append(Answered(code, body, flags))


async def _unsent(_frame: Frame | StreamPart) -> None:
    raise AssertionError("a kept turn sends nothing")


class HandleRequests:
    """Asks the operations of one worker's Handle protocol."""

    def __init__(self, protocol: HandleProtocol) -> None:
        self._protocol = protocol

    async def ask(
        self, op_code: OpCode, body: RequestBody, peer: Peer, identity: Identity | None, *, flags: int = 0
    ) -> list[Answered]:
        """The answers of an operation, one unless it is a list; failures are answers too.

        Raises only for defects of ours.
        """
        envelope = Envelope(OWN, OWN, 0, 0, 0, 0, 0)
        header = Header(op_code, 0, _BASE_FLAGS | flags, SERIAL_UNKNOWN, 0, 0, 0)
        request = request_message(envelope, header, body)
        turn = _KeptTurn(request, request, peer, self._protocol.answers, _unsent, identity=identity)
        try:
            await self._protocol.operations[op_code](turn)
        except ChallengeWanted:
            return [Answered(ResponseCode.AUTHENTICATION_NEEDED, Failure(), 0)]
        except Declined as declined:
            return [Answered(declined.code, Failure(declined.message, declined.indexes), 0)]
        except ResolverError as error:
            return [Answered(code_of(error), Failure(words_of(error)), 0, error.retry_after_s)]
        return turn.answered
