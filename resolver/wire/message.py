"""Whole messages: envelope, header, body and credential put together (RFC 3652 section 2).

A ``Frame`` is an envelope and the octets behind it, as ``stream`` and ``datagrams`` hand them out; an
encrypted one goes through ``sessions.decrypt`` first. A ``Message`` is a frame understood. The octets of
header and body are kept, since digests and signatures are of them and not of what we would write.

``parse_resolution`` and ``resolution_answer`` are the shortest way from a resolution request to the
octets of its answer; they build nothing else and agree with the long way (a test says so).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.errors import MalformedMessage
from resolver.handle.codes import OpCode
from resolver.wire import header as headers
from resolver.wire import requests, responses
from resolver.wire.credential import Credential
from resolver.wire.cursor import Cursor, pack_u32, sized
from resolver.wire.envelope import ENCRYPTED, Envelope
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.header import Header
from resolver.wire.versions import OWN, Version, answer_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.wire.digests import RequestDigest
    from resolver.wire.requests import RequestBody
    from resolver.wire.responses import ResponseBody

NO_CREDENTIAL = pack_u32(0)
"""The end of a message without a credential."""


class Frame(NamedTuple):
    """An envelope and the octets behind it."""

    envelope: Envelope
    payload: bytes

    @classmethod
    def from_wire(cls, octets: bytes) -> Frame:
        """The frame in exactly these octets. Raises MalformedMessage."""
        envelope = Envelope.from_wire(octets)
        payload = octets[ENVELOPE_OCTETS:]
        if len(payload) != envelope.message_octets:
            raise MalformedMessage(
                f"the envelope says {envelope.message_octets} octets and {len(payload)} follow", field="envelope"
            )
        return cls(envelope, payload)

    def to_wire(self) -> bytes:
        """The octets of envelope and message."""
        return self.envelope.to_wire() + self.payload

    @property
    def header(self) -> Header:
        """The header alone, for what is answered without reading the body. Raises MalformedMessage."""
        return Header.from_wire(Cursor(self.payload))


class StreamPart(NamedTuple):
    """Octets of a stream that follows an answer on its connection, in the order they are sent.

    The first part comes before that answer and is empty: from then on the connection has nothing else. What
    ``is_secret`` goes out inside TLS only.
    """

    octets: bytes
    is_secret: bool = False

    def to_wire(self) -> bytes:
        """The octets, as they are."""
        return self.octets


@dataclass(frozen=True, slots=True)
class Message:
    """A message.

    ``body`` is one of ``requests`` when the header's response code is 0, else one of ``responses``.
    ``header_and_body`` are the octets that digests, signatures and MACs cover.
    """

    envelope: Envelope
    header: Header
    body: RequestBody | ResponseBody
    header_and_body: bytes
    credential: Credential | None = None
    request_digest: RequestDigest | None = None

    @classmethod
    def from_frame(cls, frame: Frame) -> Message:
        """The message in a frame. Raises WireError, and MalformedMessage for a frame still encrypted."""
        envelope, payload = frame
        if envelope.is_encrypted:
            raise MalformedMessage(
                "the message is encrypted: decrypt it with the key of its session first", field="envelope"
            )
        cursor = Cursor(payload)
        header = Header.from_wire(cursor)
        end = headers.OCTETS + header.body_octets
        if end > len(payload):
            raise MalformedMessage(
                f"the header says a body of {header.body_octets} octets and {cursor.remaining} follow", field="header"
            )
        inside = Cursor(payload, headers.OCTETS, end)
        digest: RequestDigest | None = None
        body: RequestBody | ResponseBody
        if header.response_code:
            digest, body = responses.body_from_wire(header, inside, envelope.version)
        else:
            body = requests.body_from_wire(header.op_code, inside, envelope.version)
        return cls(envelope, header, body, payload[:end], _credential(payload, end), digest)

    @classmethod
    def from_wire(cls, octets: bytes) -> Message:
        """The message in exactly these octets. Raises WireError."""
        return cls.from_frame(Frame.from_wire(octets))

    def to_frame(self) -> Frame:
        """The frame of this message, with the octets it was made of."""
        return frame_of(self.envelope, self.header_and_body, self.credential)

    def to_wire(self) -> bytes:
        """The octets of this message."""
        return self.to_frame().to_wire()


def _credential(payload: bytes, position: int) -> Credential | None:
    if position == len(payload):
        return None  # Some clients end the message behind its body.
    cursor = Cursor(payload, position)
    octets = cursor.take_sized("credential")
    return Credential.from_wire(octets) if octets else None


def frame_of(envelope: Envelope, header_and_body: bytes, credential: Credential | None = None) -> Frame:
    """The frame of a message whose header and body are encoded; its envelope gets the right length."""
    tail = NO_CREDENTIAL if credential is None else sized(credential.to_wire())
    payload = header_and_body + tail
    return Frame(envelope._replace(message_octets=len(payload)), payload)


def header_and_body_of(header: Header, body: bytes) -> bytes:
    """The octets of a header, whose body length is set, and its body."""
    return header._replace(body_octets=len(body)).to_wire() + body


def request_message(
    envelope: Envelope, header: Header, body: RequestBody, credential: Credential | None = None
) -> Message:
    """A request from its parts; lengths in envelope and header are set."""
    octets = header_and_body_of(header, body.to_wire())
    envelope, _ = frame_of(envelope, octets, credential)
    return Message(envelope, header._replace(body_octets=len(octets) - headers.OCTETS), body, octets, credential)


def response_message(
    envelope: Envelope,
    header: Header,
    body: ResponseBody,
    request_digest: RequestDigest | None = None,
    credential: Credential | None = None,
) -> Message:
    """An answer from its parts; lengths in envelope and header are set, the digest goes where the version has it."""
    octets = header_and_body_of(header, responses.body_to_wire(body, request_digest, envelope.version))
    envelope, _ = frame_of(envelope, octets, credential)
    header = header._replace(body_octets=len(octets) - headers.OCTETS)
    return Message(envelope, header, body, octets, credential, request_digest)


_START = Struct(">BBBBIIIIIIIHBBIII")
_START_OCTETS = _START.size  # 48: envelope, header and the length of the handle
_ENVELOPE_HEADER_OCTETS = ENVELOPE_OCTETS + headers.OCTETS
_NO_FILTER = bytes(8)
_COUNTED_OCTETS = 4
_RESOLUTION = int(OpCode.RESOLUTION)


class ResolutionRequest(NamedTuple):
    """A resolution request as far as a plain answer needs it.

    ``name`` are the octets of the handle as sent. ``version`` is the one to answer in. ``indexes`` and ``types``
    are both empty when all values are asked for. ``identity`` is what an IDIS SDK appends, see ``requests.Resolution``.
    """

    name: bytes
    indexes: tuple[int, ...]
    types: tuple[str, ...]
    flags: int
    version: Version
    session_id: int
    request_id: int
    recursion_count: int
    identity: bytes = b""


def parse_resolution(octets: bytes) -> ResolutionRequest | None:
    """The resolution request in the octets of one whole message, None when they are anything else.

    None also for an encrypted or fragmented message and for one with a credential; decode those with
    ``Message.from_wire``. Raises MalformedMessage.
    """
    size = len(octets)
    if size < _START_OCTETS:
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
        response_code,
        op_flags,
        _,
        recursion_count,
        _,
        _,
        body_octets,
        name_octets,
    ) = _START.unpack_from(octets)
    if (
        op_code != _RESOLUTION
        or response_code
        or flags & ENCRYPTED
        or sequence
        or message_octets != size - ENVELOPE_OCTETS
    ):
        return None
    end = _ENVELOPE_HEADER_OCTETS + body_octets
    if end > size:
        raise MalformedMessage(
            f"the header says a body of {body_octets} octets and {size - _ENVELOPE_HEADER_OCTETS} follow",
            field="header",
        )
    if end != size and octets[end:] != NO_CREDENTIAL:
        return None
    name_end = _START_OCTETS + name_octets
    if name_octets > limits.NAME_OCTETS_MAX or name_end > end:
        raise MalformedMessage(
            f"handle says {name_octets} octets; {end - _START_OCTETS} remain and at most {limits.NAME_OCTETS_MAX} "
            "are allowed",
            field="handle",
        )
    indexes: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    identity = b""
    if octets[name_end:end] != _NO_FILTER:
        cursor = Cursor(octets, name_end, end)
        indexes = cursor.take_indexes()
        count = cursor.take_count("types", _COUNTED_OCTETS, limits.VALUES_MAX)
        types = tuple([cursor.take_text("type", limits.NAME_OCTETS_MAX) for _ in range(count)])
        identity = cursor.take_rest()
    return ResolutionRequest(
        octets[_START_OCTETS:name_end],
        indexes,
        types,
        op_flags,
        OWN
        if suggested_minor == OWN.minor and flags & 0x1F == OWN.major
        else answer_version(Version(major, minor), Version(flags & 0x1F, suggested_minor)),
        session_id,
        request_id,
        recursion_count,
        identity,
    )


def resolution_answer(
    request: ResolutionRequest,
    values: Iterable[bytes],
    *,
    flags: int,
    site_serial: int,
    expiration_s: int,
    session_id: int = 0,
) -> bytes:
    """The octets of the successful answer to a resolution request; ``values`` are encoded values."""
    values = list(values)
    name = request.name
    octets = b"".join(values)
    body_octets = 8 + len(name) + len(octets)
    version = request.version
    return b"".join(
        (
            _START.pack(
                version.major,
                version.minor,
                OWN.major,
                OWN.minor,
                session_id,
                request.request_id,
                0,
                headers.OCTETS + body_octets + 4,
                _RESOLUTION,
                1,
                flags,
                site_serial,
                request.recursion_count,
                0,
                expiration_s,
                body_octets,
                len(name),
            ),
            name,
            pack_u32(len(values)),
            octets,
            NO_CREDENTIAL,
        )
    )
