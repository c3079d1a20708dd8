"""The plain question over the Handle protocol: the octets of a question in, the octets of its answer out.

Nearly all traffic is one question: all values of a short name, nothing signed, no session. Here it is answered in one
pass over its octets, without an object for it. Whatever is not this case is answered with None, and the way for all
questions (``hdl_resolution``) says what there is to say; both give the same octets for the same question. What stays
of a record is its row and the end of its answer, which are compared with the store at every question.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import ResolverError
from resolver.node import hdl_resolve, record_octets
from resolver.telemetry.calls import HDL_TCP
from resolver.wire.envelope import ENCRYPTED, Envelope
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.header import ECHOED_FLAGS, EXPIRATION_S, OpFlag
from resolver.wire.header import OCTETS as HEADER_OCTETS
from resolver.wire.message import NO_CREDENTIAL
from resolver.wire.versions import OWN
from storage.errors import RowCorrupt
from storage.tables import MARK, Table, unseal

if TYPE_CHECKING:
    from resolver.service.core import Core
    from resolver.service.loop_turns import LoopTurns
    from resolver.service.published_site import PublishedSite

KEPT_OCTETS_MAX = 16 << 20
"""Octets of rows and ends of answers kept in one worker: about twenty thousand usual records."""

KEPT_RECORD_OCTETS_MAX = 4_096
"""Octets of the largest row that is kept."""

VALUES_AT_ONCE_MAX = 128
"""Values that are encoded whatever the time is: a tenth of a millisecond. More of them wait for their turn."""

NO_BOUND = 1 << 62
"""Octets of an answer that may have any."""

_START = Struct(">BBBBIIIIIIIHBBIII")
_NAME = ENVELOPE_OCTETS + HEADER_OCTETS + 4
_BODY = ENVELOPE_OCTETS + HEADER_OCTETS
_NO_FILTER = bytes(8)
_LEAST_OCTETS = _NAME + 1 + len(_NO_FILTER)
_LONG_WAY = (OpFlag.CERTIFIED | OpFlag.ENCRYPTION | OpFlag.REQUEST_DIGEST).value
_PUBLIC_ONLY = OpFlag.PUBLIC_ONLY.value
_ECHOED = ECHOED_FLAGS.value
_ADDED = (OpFlag.RECURSIVE | OpFlag.AUTHORITATIVE).value
_ADDED_BY_MIRROR = OpFlag.RECURSIVE.value
_RECORDS = Table.RECORDS
_US = 1_000_000
_OWN_MAJOR, _OWN_MINOR = OWN


class PlainQuestions:
    """Answers the plain questions of one worker."""

    def __init__(self, core: Core, site: PublishedSite, turns: LoopTurns) -> None:
        self._core = core
        self._site = site
        self._turns = turns
        self._kept: dict[bytes, tuple[bytes, bytes]] = {}
        self._kept_octets = 0

    def answer(self, octets: bytes, source: str, door: str = HDL_TCP, octets_max: int = NO_BOUND) -> bytes | None:
        """The answer to a question that is plain and whose record is there; None for any other octets.

        Raises TurnUsedUp for a record whose answer is not kept and takes too long to make in this turn of the loop, and
        NoRoom for one whose answer has more than ``octets_max``, where that is seen before it is made.
        """
        core = self._core
        size = len(octets)
        if size < _LEAST_OCTETS or not core.options.public_resolution:
            return None
        (
            major,
            minor,
            flags,
            suggested_minor,
            session_id,
            request_id,
            sequence,
            message_octets,
            op_code,
            code,
            op_flags,
            _,
            recursion_count,
            _,
            _,
            body_octets,
            name_octets,
        ) = _START.unpack_from(octets)
        name_end = _NAME + name_octets
        end = _BODY + body_octets
        if (
            op_code != 1
            or code
            or session_id
            or sequence
            or flags & ENCRYPTED
            or op_flags & _LONG_WAY
            or message_octets != size - ENVELOPE_OCTETS
            or not 0 < name_octets <= limits.KEY_WHOLE_OCTETS_MAX
            or end > size
            or name_end + 8 > end
            or octets[name_end : name_end + 8] != _NO_FILTER
            or (end != size and octets[end:] != NO_CREDENTIAL)
        ):
            return None
        name = octets[_NAME:name_end]
        key = name.upper()  # octets fold ASCII only, as handles do
        found = self._found(key, op_flags, octets_max)
        if found is None:
            return None
        prefix, rest = found
        core.counting.resolved(prefix, source, 1, 1, door)
        if not rest:
            raise NoRoom
        if suggested_minor != _OWN_MINOR or flags & 0x1F != _OWN_MAJOR:
            major, minor = Envelope.from_wire(octets).answered_in()
        else:
            major, minor = OWN
        answer_octets = 4 + name_octets + len(rest) - 4
        return (
            _START.pack(
                major,
                minor,
                _OWN_MAJOR,
                _OWN_MINOR,
                0,
                request_id,
                0,
                HEADER_OCTETS + answer_octets + 4,
                1,
                1,
                op_flags & _ECHOED | (_ADDED if self._site.is_primary else _ADDED_BY_MIRROR),
                self._site.serial,
                recursion_count,
                0,
                core.clock.now_us() // _US + EXPIRATION_S,
                answer_octets,
                name_octets,
            )
            + name
            + rest
        )

    def _found(self, key: bytes, op_flags: int, octets_max: int) -> tuple[str, bytes] | None:
        """The folded prefix and what follows the name in the answer, empty without room for it.

        None when there is more to it.
        """
        core = self._core
        slash = key.find(b"/")
        if slash < 1:
            return None
        reader = core.burst_reader
        if reader is None:
            with core.burst():
                return self._found(key, op_flags, octets_max)
        try:
            row = reader.get_row(_RECORDS, key)
            prefix = key[:slash].decode()
            if (
                row is None
                or (row[0] & MARK and not op_flags & _PUBLIC_ONLY)
                or core.served.refusal(reader, prefix) is not None
                or (core.served.sifts and not core.served.share.answers(key))  # type: ignore[union-attr]  # sifts by it
            ):
                return None
            kept = self._kept.get(key)
            if kept is not None and kept[0] == row:
                return prefix, kept[1]
            return prefix, self._keep(key, row, octets_max)
        except (RowCorrupt, ResolverError, UnicodeDecodeError, _NothingPublic):
            return None

    def _keep(self, key: bytes, row: bytes, octets_max: int) -> bytes:
        """What follows the name in the answer that a row makes. Raises RowCorrupt, _NothingPublic and TurnUsedUp."""
        body = unseal(_RECORDS, key, row)
        if hdl_resolve.is_longer(len(body), octets_max):
            return b""
        values = record_octets.parse(body).values
        if not values:
            raise _NothingPublic
        if len(values) * hdl_resolve.VALUE_OCTETS_MIN > octets_max:
            return b""
        if len(values) > VALUES_AT_ONCE_MAX and not self._turns.has_room():
            raise TurnUsedUp
        rest = hdl_resolve.values_to_wire(values) + NO_CREDENTIAL
        if len(row) <= KEPT_RECORD_OCTETS_MAX:
            self._kept_octets += len(key) + len(row) + len(rest)
            if self._kept_octets > KEPT_OCTETS_MAX:
                self._kept.clear()
                self._kept_octets = len(key) + len(row) + len(rest)
            self._kept[key] = row, rest
        return rest


class TurnUsedUp(Exception):
    """The answer is large, and others have their turn before it."""


class NoRoom(Exception):
    """The answer has more octets than there is room for."""


class _NothingPublic(Exception):
    """All values of a record are restricted."""
