"""Answers made from the requests they are for: version, flags, ids and digest as every client expects.

What is the same in every answer is here, so that the doors for TCP, UDP and HTTP cannot differ. What
the answer says, and whether it is signed, is the caller's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.handle.codes import OpCode, ResponseCode
from resolver.wire import versions
from resolver.wire.digests import digest_of
from resolver.wire.envelope import Envelope
from resolver.wire.header import CLIENT_FLAGS, SERIAL_UNKNOWN, Header, OpFlag, answer_flags
from resolver.wire.message import Message, response_message
from resolver.wire.responses import Failure
from resolver.wire.versions import OWN, UNKNOWN_PEER, response_code_for

if TYPE_CHECKING:
    from resolver.wire.responses import ResponseBody

_NO_REQUEST_ID = 0xFFFF_FFFF


def answer(
    request: Message,
    response_code: int,
    body: ResponseBody,
    *,
    site_serial: int,
    expiration_s: int,
    is_primary: bool = True,
    session_id: int = 0,
    op_code: int | None = None,
    more_flags: int = 0,
) -> Message:
    """The answer to a request.

    ``op_code`` is that of the request unless it answers a challenge: then it is the one of the operation that was
    challenged. ``session_id`` is the challenge's or the session's. ``more_flags`` are for CONTINUOUS, for OVERWRITE
    and MINT_SUFFIX when that was done, and for TRUST_VERIFIED. The digest of the request is put in when it asks for
    one and into every challenge. Sign it afterwards with ``dataclasses.replace(message, credential=...)``.
    """
    version = request.envelope.answered_in()
    is_challenge = response_code == ResponseCode.AUTHENTICATION_NEEDED
    flags = answer_flags(request.header.flags, is_primary=is_primary) | int(more_flags)
    if is_challenge and version >= versions.REQUEST_DIGEST:
        flags |= OpFlag.REQUEST_DIGEST.value
    has_digest = is_challenge or flags & OpFlag.REQUEST_DIGEST.value
    header = Header(
        request.header.op_code if op_code is None else op_code,
        response_code_for(response_code, version),
        flags,
        site_serial,
        request.header.recursion_count,
        expiration_s,
        0,
    )
    return response_message(
        Envelope(version, OWN, 0, session_id, request.envelope.request_id, 0, 0),
        header,
        body,
        digest_of(request.header_and_body, version) if has_digest else None,
    )


def refusal(envelope: Envelope | None, response_code: int, message: str, *, expiration_s: int) -> Message:
    """The answer to octets that are no request.

    Operation 0, version 2.3, default flags and no serial, as the reference server sends it. It also sends -1 as the
    id of the request; here the id is repeated when the envelope could be read, so that the client recognises it.
    """
    request_id = _NO_REQUEST_ID if envelope is None else envelope.request_id
    header = Header(OpCode.RESERVED, response_code, CLIENT_FLAGS.value, SERIAL_UNKNOWN, 0, expiration_s, 0)
    return response_message(Envelope(UNKNOWN_PEER, OWN, 0, 0, request_id, 0, 0), header, Failure(message))
