"""The header Authorization of the Handle REST interface, and what is asked for when it does not do.

``Basic`` has ``index:handle``, percent-encoded, and a secret; ``Handle`` has a session, an answer to its nonce, says
that the client certificate counts, or asks with a nonce that the node sign both. A credential over a connection that
may be listened to is not looked at.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from cryptography.x509.oid import NameOID

from resolver import limits
from resolver.errors import InvalidField, MalformedMessage, ResolverError
from resolver.handle.codes import ResponseCode
from resolver.node.hdl_declined import Declined
from resolver.transport.http.calls import believes, certificate_of, peer_of
from resolver.wire.certificates import certificate_from_der, public_key_der
from resolver.wire.challenges import KeyPairAnswer, SecretAnswer
from resolver.wire.cursor import text_from_wire
from resolver.wire.digests import HashCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from resolver.node.handle_admin import Identity
    from resolver.service.hdl_peer import Peer
    from resolver.service.http_identity import HttpIdentity, Session
    from resolver.transport.http.calls import HttpOptions

_PARAMETER = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]*))\s*(?:,[\s,]*|$)')
_PROOF = ("id", "type", "alg", "signature")
_HEADER_LENGTH_MAX = 16_384
_NOT_VERIFIED = "Identity not verified"
_SECRET_CODES = {
    "MD5": HashCode.MD5,
    "SHA1": HashCode.SHA1,
    "SHA256": HashCode.SHA256,
    "HMACSHA1": HashCode.HMAC_SHA1,
    "HMACSHA256": HashCode.HMAC_SHA256,
    "PBKDF2WITHHMACSHA1": HashCode.PBKDF2_HMAC_SHA1,
}
_SIGNATURE_HASHES = {"MD5": b"MD5", "SHA1": b"SHA1", "SHA256": b"SHA-256"}


class NotVerified(Exception):
    """A credential came and does not do; the message goes into WWW-Authenticate."""


class Asker(NamedTuple):
    """Who sent a request, as far as is known."""

    peer: Peer
    identity: Identity | None
    session: Session | None
    is_believed: bool
    """Whether credentials over the connection count: without that, none can be asked for."""


class RestAuthorization:
    """Finds out who asks."""

    def __init__(self, identity: HttpIdentity, options: HttpOptions) -> None:
        self.identity = identity
        self._options = options

    async def asker(self, request: Request) -> Asker:
        """Who sent a request; anonymous without a credential. Raises NotVerified."""
        peer = peer_of(request, self._options)
        header = request.headers.get("authorization", "")
        if not believes(request, self._options):
            return Asker(peer, None, None, is_believed=False)
        anonymous = Asker(peer, None, None, is_believed=True)
        if not header:
            return anonymous
        scheme, _, rest = header.partition(" ")
        try:
            if scheme.lower() == "basic":
                _refuse_other_sites(request)
                handle, index, password = parse_basic(rest)
                return anonymous._replace(identity=await self.identity.by_password(peer, handle, index, password))
            if scheme.lower() == "handle":
                return await self._by_parameters(request, anonymous, parse_parameters(rest))
        except Declined as declined:
            if declined.code == ResponseCode.SERVER_BUSY:
                raise
            raise NotVerified(_NOT_VERIFIED) from None
        except InvalidField as error:
            raise NotVerified(error.message) from None
        raise NotVerified("the schemes Basic and Handle are known")

    async def _by_parameters(self, request: Request, asker: Asker, given: Mapping[str, str]) -> Asker:
        if not needs_session(given):
            certificate = certificate_of(request) if is_by_certificate(given) else b""
            if not certificate:
                return asker  # what names nothing proves nothing: anonymous, as without the header
            handle, index, key = parse_certificate(certificate)
            return asker._replace(identity=self.identity.by_certificate(asker.peer, handle, index, key))
        if "sessionid" in given or is_proof(given):
            session = await self.identity.find(given.get("sessionid", ""))
        else:
            session = self.identity.begin()
        if session is None:
            raise NotVerified("the session is unknown or has ended")
        asker = asker._replace(session=session, identity=session.identity)
        if not is_proof(given):
            if "cnonce" in given:
                request.scope["signs"] = session
            return asker
        proven = await self.prove(asker.peer, session, given)
        return asker._replace(session=proven, identity=proven.identity)

    async def prove(self, peer: Peer, session: Session, given: Mapping[str, str]) -> Session:
        """The session with the identity that its client has proven. Raises Declined, InvalidField and NotVerified."""
        if given.get("version", "0") != "0":
            raise InvalidField("the version of a Handle credential is 0")
        handle, index = parse_identity(given.get("id", ""))
        answer = parse_answer(given)
        client_nonce = octets_of(given, "cnonce")
        return await self.identity.by_answer(peer, session, handle, index, answer, client_nonce)

    def wanted(self, request: Request, asker_session: Session | None = None, error: str = "") -> list[str]:
        """The values of WWW-Authenticate: what a client may come with, and a session to answer."""
        session = asker_session or self.identity.begin()
        nonce = base64.b64encode(session.nonce).decode()
        challenge = f'Handle sessionId="{session.id}", nonce="{nonce}"'
        header, given = request.headers.get("authorization", ""), given_in(request)
        if "cnonce" in given and "id" not in given:
            try:
                algorithm, signature = self.identity.sign(session.nonce + octets_of(given, "cnonce"))
            except InvalidField:
                pass
            else:
                signed = base64.b64encode(signature).decode()
                challenge += f', serverAlg="{algorithm}", serverSignature="{signed}"'
        if error:
            challenge += f', error="{_quotable(error)}"'
        is_script = request.headers.get("x-requested-with", "").lower() == "xmlhttprequest"
        # A browser shows its own password window for Basic, which scripts and clients with a scheme do not want.
        offers_basic = not is_script and header.partition(" ")[0].lower() in {"", "basic"}
        return ['Basic realm="handle"', challenge] if offers_basic else [challenge]


def _refuse_other_sites(request: Request) -> None:
    """Raise InvalidField where a browser may send a kept password because another site's page makes it.

    Everything else asks first (CORS), and is not allowed to send what the browser keeps.
    """
    if "callback" in request.query_params:
        raise InvalidField("a password does not count where the answer is a script: any site could read it")
    origin = request.headers.get("origin", "")
    if request.method == "POST" and origin and origin.partition("://")[2] != request.headers.get("host", ""):
        raise InvalidField("a password does not count in a POST from another site: use PUT, a session or no browser")


def _quotable(text: str) -> str:
    return "".join(letter if " " <= letter <= "~" and letter not in '"\\' else "'" for letter in text)[:200]


def parse_parameters(text: str) -> dict[str, str]:
    """The parameters of a ``Handle`` credential by lower-case name. Raises InvalidField."""
    found: dict[str, str] = {}
    position, text = 0, text[:_HEADER_LENGTH_MAX].strip()
    while position < len(text) and (match := _PARAMETER.match(text, position)):
        found[match[1].lower()] = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        position = match.end()
    if not found or position < len(text):
        raise InvalidField('a Handle credential is name="value" and so on, separated by commas')
    return found


def given_in(request: Request) -> dict[str, str]:
    """The parameters of the ``Handle`` credential of a request; none when it has no such one that can be read."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    try:
        return parse_parameters(rest) if scheme.lower() == "handle" else {}
    except InvalidField:
        return {}


def is_proof(given: Mapping[str, str]) -> bool:
    """Whether parameters want to prove an identity, be it with too few of them."""
    return any(name in given for name in _PROOF)


def needs_session(given: Mapping[str, str]) -> bool:
    """Whether parameters make sense in a session only: its id, a proof, or a nonce for the node to sign."""
    return bool(given.get("sessionid")) or "cnonce" in given or is_proof(given)


def is_by_certificate(given: Mapping[str, str]) -> bool:
    """Whether parameters say that the client certificate counts."""
    return given.get("clientcert", "false").lower() in {"", "true"}


def parse_identity(text: str) -> tuple[str, int]:
    """Handle and index of ``index:handle``, percent-encoded; without an index it is 0. Raises InvalidField."""
    try:
        octets = text.encode("utf-8", "surrogateescape")  # in parameters, octets that are no UTF-8 are kept so
    except UnicodeEncodeError:
        raise InvalidField("the identity holds half a surrogate pair, which is no character") from None
    return split_identity(text_from_wire(unquote_to_bytes(octets)))


def split_identity(name: str) -> tuple[str, int]:
    """Handle and index of ``index:handle``; without an index it is 0. Raises InvalidField."""
    head, colon, tail = name.partition(":")
    if colon and head.isascii() and head.isdigit():
        if len(head) > 10 or int(head) > limits.INDEX_MAX:
            raise InvalidField("the index of the identity is too large")
        name, index = tail, int(head)
    else:
        index = 0
    if not name:
        raise InvalidField("the identity is INDEX:HANDLE, such as 300:0.NA/88.300")
    return name, index


def parse_basic(text: str) -> tuple[str, int, bytes]:
    """Handle, index and secret of a ``Basic`` credential. Raises InvalidField."""
    try:
        octets = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidField("the credential is not base64") from None
    user, colon, secret = octets.partition(b":")
    if not colon:
        raise InvalidField("the credential is not USER:PASSWORD; a ':' in the user is written %3A")
    return *parse_identity(user.decode("utf-8", "replace")), secret


def octets_of(given: Mapping[str, str], name: str, *, required: bool = True) -> bytes:
    """A parameter in base64. Raises InvalidField."""
    text = given.get(name, "")
    if not text and required:
        raise InvalidField(f"the parameter {name} is missing")
    try:
        # A '+' that nobody encoded arrives as a space; either alphabet will do, and padding is no matter.
        letters = text.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidField(f"the parameter {name} is not base64") from None


def parse_answer(given: Mapping[str, str]) -> KeyPairAnswer | SecretAnswer:
    """The answer to a nonce in the parameters type, alg, signature and those of PBKDF2.

    Raises InvalidField, and NotVerified for what no key makes.
    """
    alg = given.get("alg", "").upper().replace("-", "").replace("_", "")
    type_ = given.get("type", "").upper()
    signature = octets_of(given, "signature")
    if type_ == "HS_SECKEY" or (not type_ and alg.startswith(("HMAC", "PBKDF2"))):
        code = _SECRET_CODES.get(alg)
        if code is None:
            raise InvalidField(f"alg {given.get('alg', '')[:40]!r} is unknown: {', '.join(_SECRET_CODES)} are known")
        if code is not HashCode.PBKDF2_HMAC_SHA1:
            return _checked(SecretAnswer(code, signature))
        numbers = [given.get(name, "") for name in ("iterations", "length")]
        if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
            raise InvalidField("PBKDF2 needs the numbers iterations and length")
        return _checked(SecretAnswer(code, signature, octets_of(given, "salt"), *map(int, numbers)))
    hash_ = _SIGNATURE_HASHES.get(alg)
    if hash_ is None:
        raise InvalidField(f"alg {given.get('alg', '')[:40]!r} is unknown: {', '.join(_SIGNATURE_HASHES)} are known")
    return KeyPairAnswer(hash_, signature)


def _checked(answer: SecretAnswer) -> SecretAnswer:
    """The answer, if the protocol has such ones: MACs of their length, numbers in their bounds. Raises NotVerified."""
    try:
        read = SecretAnswer.from_wire(answer.to_wire())
    except ResolverError as error:
        raise NotVerified(error.message) from None
    if read != answer:
        raise NotVerified("the signature has not as many octets as alg makes")
    return answer


def parse_certificate(der: bytes) -> tuple[str, int, bytes]:
    """Handle, index and public key (SubjectPublicKeyInfo) of a client certificate. Raises InvalidField.

    The identity stands in UID of the subject, else in CN, else in O.
    """
    if not der:
        raise InvalidField("no client certificate came with the connection")
    try:
        certificate = certificate_from_der(der)
        key = public_key_der(certificate)
        for oid in (NameOID.USER_ID, NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
            for attribute in certificate.subject.get_attributes_for_oid(oid):
                text = attribute.value if isinstance(attribute.value, str) else attribute.value.decode()
                return *parse_identity(text), key
    except MalformedMessage as error:
        raise InvalidField(f"of the client {error.message}") from None
    except ValueError as error:
        raise InvalidField(f"the name in the client certificate cannot be read: {error}") from None
    raise InvalidField("the subject of the client certificate names no INDEX:HANDLE in UID, CN or O")
