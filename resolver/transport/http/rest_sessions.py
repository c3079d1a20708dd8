"""Sessions and verifications of the Handle REST interface: ``/api/sessions`` and ``/api/verifications``.

A session is a nonce that a client signs once, to be known by the session's id from then on. It is only for encrypted
connections: whoever reads the id is the client. A verification says whether an answer was made with a key of this
node, for other servers that ask.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from resolver.errors import InvalidField, MalformedMessage
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
from resolver.transport.http.rest_input import form_of, query_of
from resolver.transport.http.rest_reply import CORS_HEADERS, document_of, reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from resolver.node.handle_admin import Identity
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
        """Begin a session: of nobody yet, or of whoever a password or a client certificate says."""
        if not believes(request, self._options):
            return reply(request, document_of(ResponseCode.OPERATION_DENIED, _UNENCRYPTED), 403)
        given = await self._given(request)
        if given.get("sessionid"):
            raise MalformedMessage("a session is named already: ask for it at /api/sessions/this")
        session = self._identity.begin()
        identity, error = await self._identity_at_once(request, given)
        if identity is not None:
            session = await self._identity.keep(session, identity)
        document = self._document(session) | self._signed(given, session)
        if error:
            document["error"] = error
        return reply(request, document, 201, {"location": "/api/sessions/this"})

    async def _identity_at_once(self, request: Request, given: Mapping[str, str]) -> tuple[Identity | None, str]:
        """Who asks by something that needs no session, and why it does not do."""
        is_basic = request.headers.get("authorization", "").lower().startswith("basic ")
        if not is_basic and given.get("clientcert", "").lower() != "true":
            return None, ""
        try:
            return (await self._authorization.asker(request)).identity, ""
        except NotVerified as refusal:
            return None, str(refusal)

    async def this(self, request: Request) -> Response:
        """The session that a request names: what it is, a proof for it, or its end."""
        if not believes(request, self._options):
            return reply(request, document_of(ResponseCode.OPERATION_DENIED, _UNENCRYPTED), 403)
        given = await self._given(request)
        session = await self._identity.find(given.get("sessionid", ""))
        if session is None and (given.get("sessionid") or "signature" in given or request.method == "DELETE"):
            return reply(request, {"authenticated": False, "error": "the session is unknown or has ended"}, 403)
        if session is None:
            return await self._without_session(request, given)
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
        document = self._document(session) | self._signed(given, session) | document
        response = reply(request, document, status)
        if status == 401:
            for value in self._authorization.wanted(request, session, document["error"]):
                response.headers.append("www-authenticate", value)
        return response

    async def _without_session(self, request: Request, given: Mapping[str, str]) -> Response:
        """What a request says of itself that names no session."""
        identity, error = await self._identity_at_once(request, given)
        if identity is not None:
            return reply(request, {"authenticated": True, "id": identity.text}, 200)
        if not error:
            return reply(request, {"authenticated": False}, 200)
        response = reply(request, {"error": error}, 401)
        for value in self._authorization.wanted(request, error=error):
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
        return given | {name.lower(): value for name, value in (await form_of(request)).pairs}

    @staticmethod
    def _document(session: Session) -> dict[str, Any]:
        document: dict[str, Any] = {"sessionId": session.id, "nonce": base64.b64encode(session.nonce).decode()}
        if session.identity is not None:
            document |= {"authenticated": True, "id": session.identity.text}
        return document

    def _signed(self, given: Mapping[str, str], session: Session) -> dict[str, str]:
        """The node's own signature, for a client that sent a nonce and no identity."""
        if "cnonce" not in given or "id" in given:
            return {}
        algorithm, signature = self._identity.sign(session.nonce + octets_of(given, "cnonce"))
        return {"serverAlg": algorithm, "serverSignature": base64.b64encode(signature).decode()}

    async def verify(self, request: Request) -> Response:
        """Whether an answer to two nonces was made with a key that lives here."""
        given = {name.lower(): value for name, value in query_of(request).pairs}
        if request.method == "POST":
            given |= {name.lower(): value for name, value in (await form_of(request)).pairs}
        path: bytes = request.scope["raw_path"]
        identity = path[len(_VERIFICATIONS) :].decode("ascii")
        handle, index = parse_identity(f"{given['index']}:{identity}" if "index" in given else identity)
        nonce, client_nonce = octets_of(given, "nonce"), octets_of(given, "cnonce", required=False)
        answer = parse_answer(given)
        peer = peer_of(request, self._options)
        is_right = await self._identity.is_right(peer, handle, index, answer, nonce, client_nonce)
        return reply(request, {"responseCode": 1, "isValid": is_right, "handle": handle}, 200)
