"""The plain creation over the Handle protocol: the octets of a request in, a job of the write lane out.

Nearly every creation comes in a session that has proven who it is, or on a connection that has logged in, and has
public values without references. Here it becomes a draft in one pass over its octets; there is no task, no future and
no object for a value. Index and type of a value, and its TTL and permissions, come again and again: each is judged
once, by the code that judges every value. Whatever is not this case is answered with None and goes the usual way,
which says what there is to say; both write the same octets and give the same answers. Nothing has been done to a
session then.
"""

from __future__ import annotations

import hashlib
import hmac
from struct import Struct
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import HandleAlreadyExists, ResolverError, WireError
from resolver.handle.codes import OpCode, ResponseCode
from resolver.handle.name import PREFIX_OF_PREFIXES, key_of_octets
from resolver.handle.value import HandleValue, Permission, Ttl
from resolver.lanes import Handed
from resolver.node import administer, handle_admin, values
from resolver.node.draft import Draft
from resolver.node.hdl_declined import Declined
from resolver.node.record_octets import varint
from resolver.service.hdl_answers import code_of, words_of
from resolver.service.hdl_counted import count_answer
from resolver.telemetry.calls import HDL_TCP
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import registration_pb2 as registration
from resolver.wire import responses
from resolver.wire.cursor import U32, sized
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.envelope import Envelope
from resolver.wire.header import EXPIRATION_S, Header, OpFlag, answer_flags
from resolver.wire.header import OCTETS as HEADER_OCTETS
from resolver.wire.message import Message, frame_of, header_and_body_of
from resolver.wire.predefined.hs_admin import AdminPermission
from resolver.wire.versions import OWN, SIGNED_SUGGESTION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resolver.node.handle_admin import Identity
    from resolver.node.hdl_sessions import Session
    from resolver.node.ledger import Ledger
    from resolver.service.core import Core
    from resolver.service.hdl_answers import Answers
    from resolver.service.hdl_authentication import HandleAuthentication
    from resolver.service.hdl_peer import Peer
    from resolver.service.published_site import PublishedSite

_START = Struct(">BBBBIIIIIIIHBBIII")
_VALUE = Struct(">IIBIBI")
_BODY = ENVELOPE_OCTETS + HEADER_OCTETS
_NAME = _BODY + 4
_CREATE = int(OpCode.CREATE_HANDLE)
_OTHER_WAYS = (OpFlag.OVERWRITE | OpFlag.MINT_SUFFIX | OpFlag.ENCRYPTION).value
_CERTIFIED = (OpFlag.CERTIFIED | OpFlag.REQUEST_DIGEST).value
_MAC_MIDDLE = sized(b"HS_MAC") + U32.pack(51) + sized(b"HMAC-SHA256") + U32.pack(32)
_MAC_OCTETS = 8 + 4 + len(_MAC_MIDDLE) + 32
_MAC_HEAD = U32.pack(_MAC_OCTETS) + bytes(8)
"""Length, version, options and the length of the signer in the credential of every client that exists."""
_PUBLIC_READ = int(Permission.PUBLIC_READ)
_NAME_OCTETS_MAX = 0x7F
_INDEX_END = 1 << 31
_LEARNT_MAX = 4_096
_ROOT_KEY = PREFIX_OF_PREFIXES.encode()
_read_u32 = U32.unpack_from


class CreationJob:
    """The creation of one handle, checked already but for who may do it and whether it is there."""

    __slots__ = ("door", "draft", "identity")

    cost = 1
    frees_space = False
    checked = True

    def __init__(self, identity: Identity, draft: Draft, door: str) -> None:
        self.identity = identity
        self.draft = draft
        self.door = door

    def prepare(self) -> None:
        """Nothing is left to check outside the transaction."""

    def apply(self, ledger: Ledger) -> bool:
        """Create the handle."""
        if ledger.find(self.draft.key) is not None:
            raise HandleAlreadyExists("")
        _require(ledger, self.identity, self.draft.prefix_key)
        administer.create(ledger, self.identity.caller, self.draft, registration.ON_EXISTING_FAIL)
        return True

    @staticmethod
    def apply_all(ledger: Ledger, jobs: Sequence[CreationJob]) -> list[bool | None]:
        """Create the handles of many jobs; None for each that has to be applied by itself."""
        together: dict[tuple[Identity, bytes], list[int]] = {}
        for place, job in enumerate(jobs):
            together.setdefault((job.identity, job.draft.prefix_key), []).append(place)
        results: list[bool | None] = [None] * len(jobs)
        for (identity, prefix_key), places in together.items():
            try:
                _require(ledger, identity, prefix_key)
            except ResolverError:
                continue
            drafts = [jobs[place].draft for place in places]
            if administer.create_all(ledger, identity.caller, drafts) is not None:
                for place in places:
                    results[place] = True
        return results


def _require(ledger: Ledger, identity: Identity, prefix_key: bytes) -> None:
    """Raise Declined unless the HS_ADMIN values of the prefix handle let the identity add handles."""
    if identity.is_server_admin:
        return

    def lookup(name: str) -> list[pb.HandleValue]:
        return handle_admin.values_in(ledger, name)

    admins = lookup(f"{PREFIX_OF_PREFIXES}/{prefix_key.decode()}")
    handle_admin.require(identity, admins, lookup, AdminPermission.ADD_HANDLE)


class Creation(Handed[bool]):
    """A creation in the lane's hands; ``answer`` gets the octets of what is to be said, in time."""

    __slots__ = ("_answer", "_creations", "_octets", "_session", "_started_s", "name")

    def __init__(
        self,
        job: CreationJob,
        creations: PlainCreations,
        octets: bytes,
        session: Session | None,
        answer: Callable[[bytes], None],
        started_s: float,
    ) -> None:
        super().__init__(job)
        self.name = job.draft.name.encode()
        self._creations = creations
        self._octets = octets
        self._session = session
        self._answer = answer
        self._started_s = started_s

    def settle(self) -> None:
        """Say what became of it."""
        octets, code = self._creations.answer(self._octets, self._session, self.name, self.error)
        self._creations.count(code, self._started_s)
        self._answer(octets)


class PlainCreations:
    """Makes jobs of the plain creations of one worker."""

    def __init__(self, core: Core, authentication: HandleAuthentication, answers: Answers, site: PublishedSite) -> None:
        self._core = core
        self._authentication = authentication
        self._answers = answers
        self._site = site
        self._starts: dict[tuple[int, bytes], bytes] = {}
        """Index and type of a value, serialised; b"" for those that are not plain."""
        self._era: tuple[int, dict[tuple[int, int], bytes]] = (0, {})
        """A second, and what follows the data of a value changed in it, by TTL and permissions."""

    def take(self, octets: bytes, peer: Peer, answer: Callable[[bytes], None]) -> Creation | None:
        """The creation in the octets of one whole message, for the lane; None when it is not plain."""
        size = len(octets)
        if size < _NAME + 8 or octets[20:28] != _CREATE_HEAD:
            return None
        start = _START.unpack_from(octets)
        bits, session_id, sequence, flags, body_octets, name_octets = (
            start[2], start[4], start[6], start[10], start[15], start[16],
        )  # fmt: skip
        end = _BODY + body_octets
        at = _NAME + name_octets
        if (
            bits & ~0x1F
            or sequence
            or flags & _OTHER_WAYS
            or start[7] != size - ENVELOPE_OCTETS
            or not 0 < name_octets <= _NAME_OCTETS_MAX
            or end > size
            or at + 4 > end
        ):
            return None
        started_s = self._core.clock.monotonic_s()
        session = self._authentication.sessions.find(session_id, started_s) if session_id else None
        self._authentication.renew(peer, session)
        identity = peer.identity_in(session_id) if session is None else session.identity
        if identity is None or (session is not None and size != end + 4 + _MAC_OCTETS) or (
            session is None and octets[end:] not in _NO_CREDENTIALS
        ):  # fmt: skip
            return None
        draft = self._draft(octets, octets[_NAME:at], at, end)
        if draft is None or (session is not None and not _is_proven(octets, end, session)):
            return None
        peer.is_proven = True
        return Creation(CreationJob(identity, draft, peer.door), self, octets, session, answer, started_s)

    def _draft(self, octets: bytes, name: bytes, at: int, end: int) -> Draft | None:
        """The draft of a name and the counted values from a place on; None when they are not plain."""
        now_s = self._core.clock.now_us() // 1_000_000
        body = self._values(octets, at + 4, end, _read_u32(octets, at)[0], now_s)
        try:
            text = name.decode()
        except UnicodeDecodeError:
            return None
        key = key_of_octets(name)
        prefix_key, _, suffix = key.partition(b"/")
        if body is None or not prefix_key or not suffix or prefix_key == _ROOT_KEY or not text.isprintable():
            return None
        head = b"\x0a%b%b%b" % (varint(len(name)), name, body)
        if len(head) > self._core.options.record_octets_max or not self._is_here(key, prefix_key.decode()):
            return None
        return Draft(text, key, prefix_key, head, b"", "")

    def _is_here(self, key: bytes, prefix: str) -> bool:
        """Whether handles of the prefix live in this node, and this one at this server of it."""
        share = self._core.served.share
        if share is not None and not share.holds(key):
            return False
        try:
            with self._core.reading() as reader:
                return self._core.served.refusal(reader, prefix) is None
        except ResolverError:
            return False

    def _values(self, octets: bytes, at: int, end: int, count: int, now_s: int) -> bytes | None:
        """Values as a record has them, serialised; None when one of them is not plain, or octets are missing."""
        era = self._era
        if era[0] != now_s:
            era = self._era = (now_s, {})
        starts, ends = self._starts, era[1]
        if not 0 < count <= limits.VALUES_MAX:
            return None
        done: list[bytes] = []
        seen: set[int] = set()
        for _ in range(count):
            if at + _VALUE.size > end:
                return None
            index, _, ttl_type, ttl_s, permissions, type_octets = _VALUE.unpack_from(octets, at)
            type_end = at + _VALUE.size + type_octets
            if index < 1 or index in seen or ttl_type or type_end + 4 > end:
                return None
            seen.add(index)
            data_octets = _read_u32(octets, type_end)[0]
            data_end = type_end + 4 + data_octets
            if not data_octets or data_end + 4 > end or octets[data_end : data_end + 4] != _NO_REFERENCES:
                return None
            place = (index, octets[at + _VALUE.size : type_end])
            start = starts.get(place)
            if start is None:
                start = self._learn_start(*place)
            tail = ends.get((ttl_s, permissions))
            if tail is None:
                tail = _learn_end(ttl_s, permissions, now_s, ends)
            if not start or not tail:
                return None
            made = b"%b\x1a%b%b%b" % (start, varint(data_octets), octets[type_end + 4 : data_end], tail)
            done.append(b"\x12%b%b" % (varint(len(made)), made))
            at = data_end + 4
        return b"".join(done)

    def _learn_start(self, index: int, type_: bytes) -> bytes:
        """Index and type, serialised; b"" when the usual way has something to say about them."""
        if len(self._starts) >= _LEARNT_MAX:
            self._starts.clear()
        start = b""
        if index < _INDEX_END:
            try:
                value = pb.HandleValue(index=index, type=type_.decode())
                start = value.SerializeToString(deterministic=True)
                values.complete_one(value, 0, 0)
            except (WireError, UnicodeDecodeError):
                start = b""
        self._starts[index, type_] = start
        return start

    def answer(self, octets: bytes, session: Session | None, name: bytes, error: Exception | None) -> tuple[bytes, int]:
        """The octets of the answer to a creation, and its response code."""
        flags = _read_u32(octets, ENVELOPE_OCTETS + 8)[0]
        if error is not None or flags & _CERTIFIED:
            return self._long_answer(octets, session, name, error)
        asked = Envelope.from_wire(octets)
        added = answer_flags(flags, is_primary=self._site.is_primary)
        expires_s = self._core.clock.now_us() // 1_000_000 + EXPIRATION_S
        header = Header(_CREATE, 1, added, self._site.serial, octets[ENVELOPE_OCTETS + 14], expires_s, 0)
        envelope = Envelope(asked.answered_in(), OWN, 0, 0 if session is None else session.id, asked.request_id, 0, 0)
        return frame_of(envelope, header_and_body_of(header, sized(name))).to_wire(), ResponseCode.SUCCESS

    def _long_answer(
        self, octets: bytes, session: Session | None, name: bytes, error: Exception | None
    ) -> tuple[bytes, int]:
        asked = Message.from_wire(octets)
        body: responses.ResponseBody = responses.Created(name.decode())
        code = int(ResponseCode.SUCCESS)
        if isinstance(error, Declined):
            code, body = error.code, responses.Failure(error.message, error.indexes)
        elif isinstance(error, ResolverError):
            code, body = code_of(error), responses.Failure(words_of(error))
        return self._answers.to(asked, _CREATE, code, body, session=session).to_wire(), code

    def count(self, code: int, started_s: float) -> None:
        """Count a creation that has been answered."""
        took_s = self._core.clock.monotonic_s() - started_s
        count_answer(self._core.calls, _CREATE, code, took_s, HDL_TCP)


_CREATE_HEAD = U32.pack(_CREATE) + bytes(4)
_NO_REFERENCES = bytes(4)
_NO_CREDENTIALS = frozenset({b"", bytes(4)})


def _learn_end(ttl_s: int, permissions: int, now_s: int, ends: dict[tuple[int, int], bytes]) -> bytes:
    """What follows the data of a value, serialised; b"" when the value is not public or not to be stored."""
    if len(ends) >= _LEARNT_MAX:
        ends.clear()
    end = b""
    if permissions & _PUBLIC_READ:
        value = values.to_pb(HandleValue(1, "x", b"", Ttl(ttl_s), Permission(permissions & 0x0F)))
        try:
            values.complete_one(value, 0, now_s)
            value.ClearField("index")
            value.ClearField("type")
            end = value.SerializeToString(deterministic=True)
        except WireError:
            end = b""
    ends[ttl_s, permissions] = end
    return end


def _is_proven(octets: bytes, end: int, session: Session) -> bool:
    """Whether the message has the MAC of the session and has not come before; it counts as come from then on."""
    at = end + 4
    if (
        octets[:2] < bytes(SIGNED_SUGGESTION)
        or octets[end : at + 8] != _MAC_HEAD
        or octets[at + 12 : at + 12 + len(_MAC_MIDDLE)] != _MAC_MIDDLE
    ):
        return False
    covered = b"%b%b%b" % (octets[:12], octets[at + 8 : at + 12], octets[ENVELOPE_OCTETS:end])
    made = hmac.new(session.key.octets, covered, hashlib.sha256).digest()
    return hmac.compare_digest(made, octets[-32:]) and session.window.take(_read_u32(octets, at + 8)[0])
