"""Resolution over the Handle protocol: the plain question at once, everything else the long way.

``at_once`` answers a question for public values without building a message and without awaiting anything; it is
what nearly all traffic is. It gives None whenever something more is asked, and the long way answers then. Both give
the same octets for the same question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from resolver import limits
from resolver.errors import (
    HandleNotFound,
    MalformedMessage,
    NotThisServer,
    PrefixElsewhere,
    PrefixNotServed,
    Refused,
    ResolverError,
    ValuesNotFound,
)
from resolver.handle.codes import OpCode, ResponseCode
from resolver.handle.name import fold, key_of_octets
from resolver.node import handle_admin, hdl_resolve, record_octets, values
from resolver.node.authority import NOT_OURS
from resolver.node.authorize import Action, permits
from resolver.node.hdl_declined import Declined
from resolver.service.hdl_foreign import HandleForeign, wants_search
from resolver.service.hdl_plain import NO_BOUND, VALUES_AT_ONCE_MAX, NoRoom
from resolver.service.hdl_status import HandleStatus
from resolver.telemetry.calls import HDL_TCP
from resolver.wire.cursor import sized, text_to_wire
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header, OpFlag, answer_flags
from resolver.wire.message import frame_of, header_and_body_of, parse_resolution, resolution_answer
from resolver.wire.predefined.hs_admin import AdminPermission
from resolver.wire.requests import Resolution
from resolver.wire.responses import Failure, Resolved
from resolver.wire.versions import OWN, response_code_for
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.node.handle_admin import Identity
    from resolver.service.core import Core
    from resolver.service.hdl_answers import Answers
    from resolver.service.hdl_turn import Turn
    from resolver.service.loop_turns import LoopTurns
    from resolver.service.published_site import PublishedSite
    from resolver.v1 import handle_pb2 as pb
    from resolver.wire.cursor import Cursor
    from resolver.wire.message import ResolutionRequest
    from storage.engine import Reader

_LONG_WAY = (OpFlag.CERTIFIED | OpFlag.ENCRYPTION | OpFlag.REQUEST_DIGEST).value
_PUBLIC_ONLY = OpFlag.PUBLIC_ONLY.value
_AUTHORITATIVE = OpFlag.AUTHORITATIVE.value
_EMPTY_FAILURE = Failure().to_wire()
_ADMIN_READ = 8


class StoredValues:
    """The body of a resolution whose values are as they are stored; the name goes back as it came."""

    def __init__(self, name: bytes, stored: Sequence[pb.HandleValue]) -> None:
        self._name = name
        self.stored = stored

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises WireError."""
        body = Resolved.from_wire(cursor)
        return cls(text_to_wire(body.handle), [values.to_pb(value) for value in body.values])

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return sized(self._name) + hdl_resolve.values_to_wire(self.stored)


class HandleResolution:
    """The resolving operations of one worker."""

    def __init__(self, core: Core, answers: Answers, site: PublishedSite, turns: LoopTurns) -> None:
        self._core = core
        self._turns = turns
        self._answers = answers
        self._site = site
        self._foreign = HandleForeign(core)
        self._status = HandleStatus(core)

    def at_once(  # noqa: PLR0911 - one return for each way out
        self, octets: bytes, source: str, door: str = HDL_TCP, octets_max: int = NO_BOUND
    ) -> bytes | None:
        """The answer to the octets of one plain question, None when they are anything else.

        Raises NoRoom where it is seen before the answer is made that it has more than ``octets_max``.
        """
        core = self._core
        if not core.options.public_resolution:
            return None
        try:
            asked = parse_resolution(octets)
            if asked is None or asked.session_id or asked.flags & _LONG_WAY:
                return None
            with core.reading() as reader:
                found = hdl_resolve.find(reader, core.served, asked.name)
        except HandleNotFound:
            if asked is None or may_be_referred(asked.name):
                return None
            self.count(asked.name, source, 0, door)
            return self._missed(asked, ResponseCode.HANDLE_NOT_FOUND)
        except (PrefixNotServed, PrefixElsewhere):
            return None if asked is None else self._recalled(asked, source, door)
        except (ResolverError, MalformedMessage):
            return None
        if found.is_restricted and not asked.flags & _PUBLIC_ONLY:
            return None
        chosen = hdl_resolve.wanted(record_octets.parse(found.body).values, asked.indexes, asked.types)
        if len(chosen) * hdl_resolve.VALUE_OCTETS_MIN > octets_max:
            core.counting.resolved(found.prefix, source, 1, 1, door)
            raise NoRoom
        if len(chosen) > VALUES_AT_ONCE_MAX and not self._turns.has_room():
            return None
        encoded = [hdl_resolve.value_to_wire(value) for value in chosen]
        core.counting.resolved(found.prefix, source, 1, 1 if encoded else 0, door)
        if not encoded:
            return self._missed(asked, ResponseCode.VALUES_NOT_FOUND)
        return resolution_answer(
            asked,
            encoded,
            flags=answer_flags(asked.flags, is_primary=self._site.is_primary),
            site_serial=self._site.serial,
            expiration_s=self._answers.expiration_s,
        )

    def _recalled(self, asked: ResolutionRequest, source: str, door: str) -> bytes | None:
        """The answer of another node that is kept, for a client that wants it from here; None when there is none."""
        elsewhere = self._core.elsewhere
        if elsewhere is None or not self._core.options.recursion or asked.indexes or asked.types:
            return None
        if not wants_search(asked.flags) or asked.flags & _AUTHORITATIVE:
            return None
        try:
            found = elsewhere.recall(asked.name.decode())
        except (ResolverError, UnicodeDecodeError):
            return None
        if found is None:
            return None
        self._core.counting.resolved("", source, 1, 1, door)
        return resolution_answer(
            asked,
            [hdl_resolve.value_to_wire(value) for value in record_octets.parse(found.body).values],
            flags=answer_flags(asked.flags, is_primary=False),
            site_serial=self._site.serial,
            expiration_s=self._answers.expiration_s,
        )

    def _missed(self, asked: ResolutionRequest, code: int) -> bytes:
        flags = answer_flags(asked.flags, is_primary=self._site.is_primary)
        version = asked.version
        expiration_s = self._answers.expiration_s
        code = response_code_for(code, version)
        header = Header(OpCode.RESOLUTION, code, flags, self._site.serial, asked.recursion_count, expiration_s, 0)
        envelope = Envelope(version, OWN, 0, 0, asked.request_id, 0, 0)
        return frame_of(envelope, header_and_body_of(header, _EMPTY_FAILURE)).to_wire()

    def count(self, name: bytes, source: str, found: int, door: str) -> None:
        """Count a question for a name, under its prefix if that is served here."""
        octets, _, suffix = name.partition(b"/")
        prefix = ""
        if octets and suffix and len(octets) <= limits.PREFIX_OCTETS_MAX:
            prefix = fold(octets.decode(errors="replace"))
            with self._core.reading() as reader:
                if self._core.served.refusal(reader, prefix) is not None:
                    prefix = ""
        self._core.counting.resolved(prefix, source, 1, found, door)

    async def resolve(self, turn: Turn) -> None:
        """Answer a question the long way."""
        body = turn.request.body
        assert isinstance(body, Resolution)  # noqa: S101 - the codec chose it by the operation
        core = self._core
        if not core.options.public_resolution:
            core.require_resolution(turn.require_identity().caller)
        # A name of this protocol need not be UTF-8, so its key is made of its octets.
        if core.residency.cold and (absent := core.residency.absent([key_of_octets(text_to_wire(body.handle))])):
            await core.residency.touch(absent)
        if self._status.is_asked(body):
            status = self._status.values(turn, body)
            await turn.answer(StoredValues(text_to_wire(body.handle), status), is_secret=True)
            return
        here = self._here(turn, body)
        if isinstance(here, Refused):
            is_counted = not isinstance(here, NotThisServer)  # else the server that has it counts it
            if is_counted:
                self.count(text_to_wire(body.handle), turn.peer.source, 0, turn.peer.door)
            other = await self._foreign.answer(turn, body, here)
            if other is None:
                return
            if is_counted:
                core.counting.resolved("", turn.peer.source, 0, 1, turn.peer.door)
            await turn.answer(StoredValues(text_to_wire(body.handle), other), is_authoritative=False)
            return
        chosen, is_secret = here
        await turn.answer(StoredValues(text_to_wire(body.handle), chosen), is_secret=is_secret)

    def _here(self, turn: Turn, body: Resolution) -> tuple[list[pb.HandleValue], bool] | Refused:
        """The values that this node has, or why others may have them.

        Apart from ``resolve``, because a coroutine that waits would hold on to the read transaction.
        """
        try:
            with self._core.reading() as reader:
                chosen, is_secret = self._chosen(reader, turn, body)
        except NOT_OURS as refusal:
            return refusal.again()
        if not chosen:
            raise ValuesNotFound("")
        return chosen, is_secret

    def _chosen(self, reader: Reader, turn: Turn, body: Resolution) -> tuple[list[pb.HandleValue], bool]:
        """The values to answer with, and whether some are not public."""
        core = self._core
        name = text_to_wire(body.handle)
        found = hdl_resolve.find(reader, core.served, name)
        core.counting.resolved(found.prefix, turn.peer.source, 1, 1, turn.peer.door)
        public = hdl_resolve.wanted(whole := record_octets.parse(found.body).values, body.indexes, body.types)
        if turn.request.header.has(OpFlag.PUBLIC_ONLY) or not found.is_restricted:
            return public, False
        both = values.joined(whole, reader.get(Table.RESTRICTED, found.key))
        chosen = hdl_resolve.wanted(both, body.indexes, body.types)
        hidden = [value for value in chosen if not values.is_public(value)]
        if not hidden:
            return public, False
        if turn.known_identity() is None and turn.is_plain:
            return public, False  # an IDIS client cannot be challenged here: it gets what everybody gets
        unreadable = [value.index for value in hidden if not value.permissions & _ADMIN_READ]
        if unreadable and not turn.is_plain:
            raise Declined(ResponseCode.INSUFFICIENT_PERMISSIONS, indexes=unreadable)
        identity = turn.require_identity()
        if not self._may_read(reader, identity, body.handle, found.prefix):
            if turn.is_plain:
                return public, False
            raise Declined(ResponseCode.INVALID_ADMIN)
        readable = list(filter(values.readable_by_admin, chosen))
        return readable, len(readable) > len(public)

    def _may_read(self, reader: Reader, identity: Identity, name: str, prefix: str) -> bool:
        owner = self._core.served.owner(reader, prefix)
        if not permits(identity.caller, Action.READ_RESTRICTED, owner):
            return False

        def lookup(other: str) -> list[pb.HandleValue]:
            return handle_admin.values_of(reader, other)

        judges = handle_admin.judges(identity, name, lookup(name), lookup)
        return handle_admin.may(identity, judges, lookup, AdminPermission.READ_VALUE)


def may_be_referred(name: bytes) -> bool:
    """Whether a name that is not registered may be a derived prefix that somebody else serves."""
    return name[:5].upper() == b"0.NA/" and b"." in name[5:]
