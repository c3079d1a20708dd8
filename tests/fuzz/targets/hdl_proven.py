"""Requests of those who have proven who they are: on a connection, in a session, hidden, or by answering a challenge.

The first octet chooses the way and who it is; the rest is the message, whose lengths are made to agree and which is put
into the session as a client would do it. Answers can be read with the session's key and have its MAC when that was
asked for, a stream that follows is whole, and the short way of a creation writes and says what the usual one does.
"""

from enum import IntEnum

from resolver.errors import WireError
from resolver.handle.codes import OpCode, ResponseCode
from resolver.service.hdl_peer import Peer
from resolver.wire import challenges, sessions
from resolver.wire.ciphers import CipherCode
from resolver.wire.credential import MAC, ReplayWindow, mac_credential
from resolver.wire.envelope import ENCRYPTED
from resolver.wire.header import Header, OpFlag
from resolver.wire.message import Frame, Message, StreamPart, frame_of, request_message
from resolver.wire.replication_stream import Contents, StreamReader
from resolver.wire.requests import ChallengeAnswer
from resolver.wire.sessions import SessionKey
from tests.fuzz import asked, lengths
from tests.fuzz.handle_node import ADMIN_HANDLE, KEY_INDEX, SECRET, SECRET_INDEX, Node
from tests.support.builders import PREFIX_A

INSTRUMENT = (
    "resolver.service.handle_protocol",
    "resolver.service.hdl_answers",
    "resolver.service.hdl_authentication",
    "resolver.service.hdl_changes",
    "resolver.service.hdl_foreign",
    "resolver.service.hdl_listing",
    "resolver.service.hdl_plain_creations",
    "resolver.service.hdl_replication",
    "resolver.service.hdl_resolution",
    "resolver.service.hdl_turn",
    "resolver.service.hdl_writing",
    "resolver.node.administer",
    "resolver.node.handle_admin",
    "resolver.node.handle_mirrors",
    "resolver.node.hdl_resolve",
    "resolver.node.hdl_sessions",
    "resolver.node.values",
    "resolver.registry.prefix_handles",
    "resolver.wire.requests",
    "resolver.wire.replication_requests",
)


class Way(IntEnum):
    """How somebody is believed."""

    LOGIN = 0
    SESSION = 1
    HIDDEN = 2
    SEAL = 3
    CHALLENGE = 4
    SESSION_CHALLENGE = 5


_WAYS = len(Way)
_WHO = ((ADMIN_HANDLE, KEY_INDEX), (ADMIN_HANDLE, SECRET_INDEX), (f"{PREFIX_A}/A", 1))
_KEY = SessionKey(CipherCode.AES, bytes(range(16)))
_IV = bytes(16)
_STREAM_CONTENTS = {
    OpCode.RETRIEVE_TRANSACTION_LOG: Contents.TRANSACTIONS,
    OpCode.DUMP_HANDLES: Contents.DUMP,
}


def _seeds():
    for way in Way:
        for octets in asked.OPERATIONS:
            yield bytes([way]) + octets
    for number, octets in enumerate(asked.SEEDS[len(asked.OPERATIONS) :]):
        for way in (number % _WAYS, (number + 1) % _WAYS):
            yield bytes([way]) + octets
    for who in range(1, len(_WHO)):
        for octets in asked.OPERATIONS:
            yield bytes([who * _WAYS]) + octets


SEEDS = tuple(_seeds())


def feed(octets):
    """One message of somebody known."""
    if not octets:
        return
    way, who = Way(octets[0] % _WAYS), _WHO[octets[0] // _WAYS % len(_WHO)]
    try:
        frame = Frame.from_wire(lengths.mended_message(octets[1:]))
        envelope = frame.envelope._replace(flags=frame.envelope.flags & ~ENCRYPTED)
        message = Message.from_frame(frame._replace(envelope=envelope))
    except WireError:
        return
    if not message.header.is_answer:
        _Exchange(Node.only(), way, who).carry_out(message)


class _Exchange:
    """One request of somebody known, and its answers."""

    def __init__(self, node, way, who):
        self._node, self._way, self._who = node, way, who
        self._authentication = node.protocol.authentication
        self._session = None

    def carry_out(self, message):
        is_stream = not message.envelope.request_id & 1
        if is_stream and self._way in {Way.LOGIN, Way.SESSION}:
            self._compare(message)
        with self._node.input():
            self._ask(message, is_stream)

    def _peer(self, message, *, is_stream=True):
        """Who speaks, and the session it speaks in if there is one."""
        peer = Peer.of("192.0.2.1", is_stream=is_stream)
        identity = self._authentication.identity_of(*self._who)
        if self._way in {Way.LOGIN, Way.SEAL}:
            peer.log_in(message.envelope.session_id, identity)
        if self._way in {Way.SESSION, Way.HIDDEN, Way.SEAL, Way.SESSION_CHALLENGE}:
            sessions_ = self._authentication.sessions
            self._session = sessions_.begin(_KEY, peer.network, 60.0, self._node.clock.monotonic_s())
            self._session.identity = None if self._way is Way.SESSION_CHALLENGE else identity
        if self._way is Way.SEAL:
            peer.seal = self._session
        return peer

    def _put_in(self, message):
        """The frame of a message as this peer sends it."""
        if self._session is None:
            return message.to_frame()
        if self._way is Way.SEAL:
            return sessions.encrypt(message.to_frame(), _KEY, _IV)
        envelope = message.envelope._replace(session_id=self._session.id)
        made = mac_credential(envelope, message.header_and_body, _KEY.octets, 1)
        frame = frame_of(envelope, message.header_and_body, made)
        return sessions.encrypt(frame, _KEY, _IV) if self._way is Way.HIDDEN else frame

    def _ask(self, message, is_stream):
        peer = self._peer(message, is_stream=is_stream)
        try:
            sent = self._put_in(message)
            found = self._node.answers(sent, peer)
            self._check(message, found)
            if self._way in {Way.CHALLENGE, Way.SESSION_CHALLENGE} and len(found) == 1:
                self._answer(message, self._read(found[0]), peer)
        finally:
            self._end_session()

    def _end_session(self):
        if self._session is not None:
            self._authentication.sessions.end(self._session.id)
            self._session = None

    def _answer(self, message, challenge, peer):
        """Answer a challenge with the secret of the administrators."""
        if challenge.header.response_code != ResponseCode.AUTHENTICATION_NEEDED:
            return
        code = challenges.secret_answer_code(challenge.envelope.version)
        digest = challenge.request_digest.octets
        made = challenges.answer_by_secret(SECRET, challenge.body.nonce, digest, code, salt=bytes(16), iterations=1)
        body = ChallengeAnswer("HS_SECKEY", ADMIN_HANDLE, SECRET_INDEX, made.to_wire())
        envelope = message.envelope._replace(session_id=challenge.envelope.session_id)
        header = Header(OpCode.CHALLENGE_RESPONSE, 0, message.header.flags, 0xFFFF, 0, 0, 0)
        found = self._node.answers(request_message(envelope, header, body).to_frame(), peer)
        assert found, "an answered challenge is answered"
        self._check(message, found)
        if message.header.op_code != OpCode.LOGIN_ID_SYSTEM:  # which may be of somebody else than answers
            codes = {self._read(part).header.response_code for part in found if not isinstance(part, StreamPart)}
            assert ResponseCode.AUTHENTICATION_FAILED not in codes, "the secret is right"

    def _read(self, frame):
        """An answer, decrypted."""
        return Message.from_wire(sessions.decrypt(frame, _KEY).to_wire())

    def _check(self, message, found):
        """The answers are to this request; all but the last say that more follow."""
        parts = [part.octets for part in found if isinstance(part, StreamPart)]
        answers = [self._read(part) for part in found if not isinstance(part, StreamPart)]
        for place, answer in enumerate(answers):
            assert answer.header.is_answer
            assert answer.envelope.request_id == message.envelope.request_id
            assert answer.header.has(OpFlag.CONTINUOUS) == (place < len(answers) - 1) or len(answers) == 1
            found_mac = answer.credential is not None and answer.credential.type == MAC
            if found_mac:
                assert answer.credential.is_mac_of(answer.envelope, answer.header_and_body, _KEY.octets)
        if parts:
            self._check_stream(message.header.op_code, parts)

    @staticmethod
    def _check_stream(op_code, parts):
        """The stream is whole."""
        reader = StreamReader(_STREAM_CONTENTS[op_code], lambda *_: True, takes_unsigned=True)
        for part in parts:
            reader.receive_data(part)
            if reader.wants_tls:
                assert not reader.unread
                reader.tls_began()
        assert reader.is_done

    def _compare(self, message):
        """A creation by the short way and by the usual one: the same rows, the same answer."""
        peer, ends = self._peer(message), []
        try:
            for way in (self._shortly, self._usually):
                if self._session is not None:
                    self._session.window, self._session.counter = ReplayWindow(), 0
                with self._node.undone() as node:
                    answer = way(self._put_in(message), peer)
                    if answer is None:
                        return
                    ends.append((answer, _rows(node)))
        finally:
            self._end_session()
        (short, written), (usual, also_written) = ends
        assert short == usual, (short.hex(), usual.hex())
        assert written == also_written

    def _shortly(self, frame, peer):
        answered = self._node.loop.create_future()
        creation = self._node.protocol.creation(frame.to_wire(), peer, answered.set_result)
        if creation is None:
            return None

        async def written():
            self._node.core.lane.hand_over([creation])
            return await answered

        return self._node.loop.run_until_complete(written())

    def _usually(self, frame, peer):
        (answer,) = self._node.answers(frame, peer)
        return answer.to_wire()


def _rows(node):
    return {table.name: dict(rows.by_key) for table, rows in node.engine._tables.items()}
