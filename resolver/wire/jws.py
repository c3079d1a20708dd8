"""JSON web signatures as HS_SIGNATURE and HS_CERT hold them (RFC 7515).

Both serializations are read: ``header.payload.signature`` and the JSON object, in CNRI's spelling and
in that of the ID-SDK. A signature says its algorithm itself, so the algorithm must fit the kind of the
key: ``ALGORITHMS`` is the whole list. Extensions that a header calls critical are none of ours, so such a
signature is not valid here (section 4.1.11).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from resolver.errors import MalformedMessage, WireError
from resolver.wire import bounds, signatures
from resolver.wire.json_members import member_list, member_text, parse_json
from resolver.wire.keys import DsaPublicKey, PublicKey, RsaPublicKey, Sm2PublicKey, base64url, octets_of_base64url
from resolver.wire.private_keys import PrivateKey, RsaPrivateKey

ALGORITHMS: dict[str, tuple[type[PublicKey], bytes]] = {
    "RS256": (RsaPublicKey, b"SHA256"),
    "RS384": (RsaPublicKey, b"SHA384"),
    "RS512": (RsaPublicKey, b"SHA512"),
    "RS160": (RsaPublicKey, b"SHA1"),
    "DS256": (DsaPublicKey, b"SHA256"),
    "DS160": (DsaPublicKey, b"SHA1"),
    "SM2SM3": (Sm2PublicKey, b"SM3"),
    "SM2256": (Sm2PublicKey, b"SM3"),
}
"""Algorithm names with the kind of key and the hash; the last two are SM2 in the two IDIS SDKs."""

_SIGNATURES_MAX = 8


class Jws(NamedTuple):
    """A signed payload. The first two fields are base64url, since the signature is over their letters."""

    protected: str
    payload_text: str
    signature: bytes

    @classmethod
    def from_wire(cls, octets: bytes) -> Jws:
        """The signature in either serialization; of several signatures the first. Raises WireError."""
        if len(octets) > bounds.JWS_OCTETS_MAX:
            raise MalformedMessage(
                f"the web signature has {len(octets)} octets; at most {bounds.JWS_OCTETS_MAX} are read"
            )
        try:
            text = octets.decode("ascii").strip()
        except UnicodeDecodeError:
            raise MalformedMessage("a web signature is ASCII") from None
        if text.startswith("{"):
            return cls._from_document(parse_json(text))
        parts = text.split(".")
        if len(parts) != 3:
            raise MalformedMessage(f"a web signature has three parts between dots and this one {len(parts)}")
        return cls._from_parts(*parts)

    @classmethod
    def _from_document(cls, document: Any) -> Jws:
        found = member_list(document, "signatures", items_max=_SIGNATURES_MAX)
        if not found:
            raise MalformedMessage("the web signature has no signatures")
        first = found[0]
        has_header = isinstance(first, dict) and "protected" not in first
        protected = member_text(first, "header" if has_header else "protected")
        return cls._from_parts(protected, member_text(document, "payload"), member_text(first, "signature"))

    @classmethod
    def _from_parts(cls, protected: str, payload: str, signature: str) -> Jws:
        """What is no base64url is refused here already: it could not be written in the compact serialization."""
        for text, field in ((protected, "protected"), (payload, "payload")):
            octets_of_base64url(text, field)
        return cls(protected, payload, octets_of_base64url(signature, "signature"))

    @property
    def payload(self) -> bytes:
        """The octets that are signed. Raises MalformedMessage."""
        return octets_of_base64url(self.payload_text, "payload")

    @property
    def algorithm(self) -> str:
        """The algorithm it says it is made with. Raises WireError."""
        return member_text(self._header, "alg")

    @property
    def _header(self) -> Any:
        return parse_json(octets_of_base64url(self.protected, "protected"))

    def is_signed_by(self, key: PublicKey) -> bool:
        """Whether the key's private half made it.

        False for algorithms that the key does not have, and for headers with critical extensions. Raises
        MalformedMessage for a key that is unusable.
        """
        try:
            header = self._header
            known = ALGORITHMS.get(member_text(header, "alg"))
            covered = f"{self.protected}.{self.payload_text}".encode("ascii")
        except (WireError, UnicodeEncodeError):
            return False
        if known is None or not isinstance(key, known[0]) or "crit" in header:
            return False
        return signatures.verify(key, known[1], self.signature, covered)

    def to_compact(self) -> bytes:
        """``header.payload.signature``."""
        return f"{self.protected}.{self.payload_text}.{base64url(self.signature)}".encode()

    def to_json(self) -> dict[str, Any]:
        """The JSON serialization in CNRI's spelling."""
        signature = {"protected": self.protected, "signature": base64url(self.signature)}
        return {"payload": self.payload_text, "signatures": [signature]}


def sign_payload(payload: bytes, key: PrivateKey) -> Jws:
    """Sign a payload as CNRI's tools do: RS256 or DS256."""
    is_rsa = isinstance(key, RsaPrivateKey)
    protected = base64url(b'{"alg":"RS256"}' if is_rsa else b'{"alg":"DS256"}')
    text = base64url(payload)
    return Jws(protected, text, signatures.sign(key, b"SHA256", f"{protected}.{text}".encode()))
