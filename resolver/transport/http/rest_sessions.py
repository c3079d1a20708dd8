"""Sessions and verifications of the Handle REST interface: ``/api/sessions`` and ``/api/verifications``.

A session is a nonce that a client signs once, to be known by the session's id from then on. It is only for encrypted
connections: whoever reads the id is the client. Refusals have no body, as at the reference server; a header says why. A
verification says whether an answer was made with a key of this node, for other servers that ask.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from resolver.errors import InvalidField, MalformedMessage, ResolverError, WireError
from resolver.node.hdl_declined import Declined
from resolver.service.hdl_answers import code_of, words_of
from resolver.transport.http.calls import believes, peer_of
from resolver.transport.http.rest_authorization import (
    NotVerified,
    given_in,
    is_by_certificate,
    is_proof,
    needs_session,
    octets_of,
    parse_answer,
    split_identity,
)
from resolver.transport.http.rest_input import form_of, name_in, query_of
from resolver.transport.http.rest_reply import CORS_HEADERS, bare, document_of, reply, status_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from resolver.node.handle_admin import Identity
    from resolver.service.hdl_peer import Peer
    from resolver.service.http_identity import Session
    from resolver.transport.http.calls import HttpOptions
    from resolver.transport.http.rest_authorization import RestAuthorization

SESSIONS_METHODS = ["POST", "TRACE", "OPTIONS"]
"""Methods that ``/api/sessions`` itself takes."""

_SESSIONS = b"/api/sessions/"
_VERIFICATIONS = b"/api/verifications/"


class RestSessions:
    """The handlers of one worker."""

    def __init__(self, authorization: RestAuthorization, options: HttpOptions) -> None:
        self._authorization = authorization
        self._identity = authorization.identity
        self._options = options

    async def answer(self, request: Request) -> Response:
        """Begin a session, or tell, prove or end the one that a request names."""
        if not believes(request, self._options):
            return bare(403, "sessions need an encrypted connection: use https")
        name = name_in(request, _SESSIONS).removesuffix("/")
        if not name and request.method != "POST":
            allowed = {"allow": ", ".join(SESSIONS_METHODS)}
            return bare(405, "POST begins a session; it is told of at /api/sessions/this", allowed)
        if name not in {"", "this"}:
            return bare(403, "only the session of the request itself is told of: /api/sessions/this")
        if request.method not in {"GET", "HEAD", "POST", "PUT", "DELETE"}:
            raise HTTPException(501)
        try:
            given = await self._given(request)
        except WireError as error:
            return bare(400, error.message)
        return await (self._this(request, given) if name else self._begin(request, given))

    async def _begin(self, request: Request, given: Mapping[str, str]) -> Response:
        """Begin a session: of nobody yet, or of whoever a password or a client certificate says."""
        if given.get("sessionid"):
            return bare(400, "a session is named already: ask for it at /api/sessions/this")
        session = self._identity.begin()
        if is_proof(given):
            session, error = await self._proven(peer_of(request, self._options), session, given)
        else:
            identity, error = await self._identity_at_once(request, given)
            if identity is not None:
                session = await self._identity.keep(session, identity)
        document = self._document(session) | self._signed(given, session)
        if error:
            document["error"] = error
        return reply(request, document, 201, {"location": "/api/sessions/this"})

    async def _identity_at_once(self, request: Request, given: Mapping[str, str]) -> tuple[Identity | None, str]:
        """Who asks by something that needs no session, and why it does not do."""
        scheme = request.headers.get("authorization", "").partition(" ")[0].lower()
        if scheme in {"", "handle"} and not is_by_certificate(given):
            return None, ""
        try:
            return (await self._authorization.asker(request)).identity, ""
        except NotVerified as refusal:
            return None, str(refusal)

    async def _this(self, request: Request, given: Mapping[str, str]) -> Response:
        """The session that a request names: what it is, a proof for it, or its end."""
        session = await self._identity.find(given.get("sessionid", ""))
        if session is None and (needs_session(given) or request.method == "DELETE"):
            return bare(403, "the session is unknown or has ended")
        if session is None:
            return await self._without_session(request, given)
        if request.method == "DELETE":
            await self._identity.end(session.id)
            return Response(b"", 204, CORS_HEADERS)
        document: dict[str, Any] = {}
        status = 200
        if is_proof(given):
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
        except NotVerified as refusal:
            return session, str(refusal)
        except Declined:
            return session, "Identity not verified"

    @staticmethod
    async def _given(request: Request) -> dict[str, str]:
        """What a request says of its session, names in lower case. Raises WireError.

        The header counts before parameters, those before the members of a JSON body.
        """
        parameters = (*query_of(request).pairs, *(await form_of(request)).pairs)
        return {name.lower(): value for name, value in reversed(parameters)} | given_in(request)

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
        """Whether an answer to two nonces was made with a key that lives here: a secret one unless ``type`` says so."""
        given = {name.lower(): value for name, value in query_of(request).pairs}
        if request.method == "POST":
            given |= {name.lower(): value for name, value in (await form_of(request)).pairs}
        handle, index = _key_asked_for(name_in(request, _VERIFICATIONS), given)
        for name in ("nonce", "cnonce", "alg", "signature"):
            if name not in given:
                raise MalformedMessage(f"the parameter {name} is missing: nonce, cnonce, alg and signature are needed")
        nonce, client_nonce = octets_of(given, "nonce", required=False), octets_of(given, "cnonce", required=False)
        try:
            answer = parse_answer({"type": "HS_SECKEY"} | given)
        except NotVerified:
            answer = None  # no key makes such an answer
        try:
            self._identity.require_here(handle)
        except ResolverError as error:
            code = code_of(error)
            return reply(request, document_of(code, words_of(error), handle), status_of(code))
        peer, is_right = peer_of(request, self._options), False
        if answer is not None:
            is_right = await self._identity.is_right(peer, handle, index, answer, nonce, client_nonce)
        return reply(request, {"responseCode": 1, "isValid": is_right, "handle": handle}, 200)


def _key_asked_for(path: str, given: Mapping[str, str]) -> tuple[str, int]:
    """Handle and index of the key that is asked about: ``index:handle``, or the index as a parameter.

    Raises MalformedMessage and InvalidField.
    """
    if not path:
        raise MalformedMessage("name a key, as in /api/verifications/300:0.NA/88.300")
    head, colon, _ = path.partition(":")
    is_in_path = bool(colon) and head.isascii() and head.isdigit()
    if is_in_path == ("index" in given):
        raise MalformedMessage("name the index of the key once: in the path as INDEX:HANDLE, or as index=INDEX")
    return split_identity(path if is_in_path else f"{given['index']}:{path}")
