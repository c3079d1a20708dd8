"""Sessions and verifications of the Handle REST interface: ``/api/sessions`` and ``/api/verifications``.

A session is a nonce that a client signs once, to be known by the session's id from then on. It is only for encrypted
connections: whoever reads the id is the client. A verification says whether an answer was made with a key of this
node, for other servers that ask.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from resolver.errors import InvalidField, MalformedMessage, WireError
from resolver.handle.codes import ResponseCode
from resolver.node.hdl_declined import Declined
from resolver.transport.http.calls import believes, peer_of
from resolver.transport.http.rest_authorization import (
    NotVerified,
    octets_of,
    parse_answer,
    parse_identity,
    parse_parameters,
)
from resolver.transport.http.rest_input import Parameters, query_of
from resolver.transport.http.rest_reply import CORS_HEADERS, document_of, reply
from resolver.wire.json_members import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from resolver.service.hdl_peer import Peer
    from resolver.service.http_identity import Session
    from resolver.transport.http.calls import HttpOptions
    from resolver.transport.http.rest_authorization import RestAuthorization

_VERIFICATIONS = b"/api/verifications/"
_UNENCRYPTED = "sessions need an encrypted connection: use https"


class RestSessions:
    """The handlers of one worker."""

    def __init__(self, authorization: RestAuthorization, options: HttpOptions) -> None:
        self._authorization = authorization
        self._identity = authorization.identity
        self._options = options

    async def begin(self, request: Request) -> Response:
        """Begin a session; with an answer to nothing yet it belongs to nobody."""
        if not believes(request, self._options):
            return reply(request, document_of(ResponseCode.OPERATION_DENIED, _UNENCRYPTED), 403)
        session = self._identity.begin()
        document = self._document(session) | await self._signed(request, session)
        return reply(request, document, 201, {"location": "/api/sessions/this"})

    async def this(self, request: Request) -> Response:
        """The session that a request names: what it is, a proof for it, or its end."""
        if not believes(request, self._options):
            return reply(request, document_of(ResponseCode.OPERATION_DENIED, _UNENCRYPTED), 403)
        given = await self._given(request)
        session = await self._identity.find(given.get("sessionid", ""))
        if session is None:
            raise NotVerified("the session is unknown or has ended")
        if request.method == "DELETE":
            await self._identity.end(session.id)
            return Response(b"", 204, CORS_HEADERS)
        document: dict[str, Any] = {}
        status = 200
        if "signature" in given:
            peer = peer_of(request, self._options)
            session, error = await self._proven(peer, session, given)
            if error:
                document["error"], status = error, 401
        document = self._document(session) | await self._signed(request, session) | document
        response = reply(request, document, status)
        if status == 401:
            for value in self._authorization.wanted(request, session, document["error"]):
                response.headers.append("www-authenticate", value)
        return response

    async def _proven(self, peer: Peer, session: Session, given: Mapping[str, str]) -> tuple[Session, str]:
        """The session after a proof for it, and why the proof does not do."""
        try:
            return await self._authorization.prove(peer, session, given), ""
        except InvalidField as error:
            return session, error.message
        except Declined:
            return session, "Identity not verified"

    async def _given(self, request: Request) -> dict[str, str]:
        """What a request says of its session: in the header, in parameters, in a body of JSON; names in lower case."""
        header = request.headers.get("authorization", "")
        given = {name.lower(): value for name, value in query_of(request).pairs}
        if header.lower().startswith("handle "):
            given |= parse_parameters(header.partition(" ")[2])
        body = await request.body()
        if not body:
            return given
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            return given | {name.lower(): value for name, value in Parameters.from_octets(body).pairs}
        try:
            document = parse_json(body)
        except WireError as error:
            raise MalformedMessage(error.message) from None
        if not isinstance(document, dict):
            raise MalformedMessage("the body must be an object")
        return given | {name.lower(): str(value) for name, value in document.items()}

    @staticmethod
    def _document(session: Session) -> dict[str, Any]:
        document: dict[str, Any] = {"sessionId": session.id, "nonce": base64.b64encode(session.nonce).decode()}
        if session.identity is not None:
            document |= {"authenticated": True, "id": session.identity.text}
        return document

    async def _signed(self, request: Request, session: Session) -> dict[str, str]:
        """The node's own signature, for a client that sent a nonce and no identity."""
        given = await self._given(request)
        if "cnonce" not in given or "id" in given:
            return {}
        algorithm, signature = self._identity.sign(session.nonce + octets_of(given, "cnonce"))
        return {"serverAlg": algorithm, "serverSignature": base64.b64encode(signature).decode()}

    async def verify(self, request: Request) -> Response:
        """Whether an answer to two nonces was made with a key that lives here."""
        pairs = query_of(request).pairs
        if request.method == "POST":
            pairs += Parameters.from_octets(await request.body()).pairs
        given = {name.lower(): value for name, value in pairs}
        path: bytes = request.scope["raw_path"]
        handle, index = parse_identity(path[len(_VERIFICATIONS) :].decode("ascii"))
        nonce, client_nonce = octets_of(given, "nonce"), octets_of(given, "cnonce", required=False)
        answer = parse_answer(given)
        peer = peer_of(request, self._options)
        is_right = await self._identity.is_right(peer, handle, index, answer, nonce, client_nonce)
        return reply(request, {"isValid": is_right}, 200)
