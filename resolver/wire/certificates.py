"""X.509 certificates of strangers, as far as anybody here looks at them: their octets, and the key inside.

The cryptography library tells what is wrong with one by errors of several families, some of them no ValueError: a
version that does not exist, a key or a curve that it does not know. Here they are one.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from resolver.errors import MalformedMessage

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What the cryptography library raises for certificates and keys that it does not read."""


def certificate_from_der(octets: bytes) -> x509.Certificate:
    """The certificate in DER octets. Raises MalformedMessage."""
    try:
        return x509.load_der_x509_certificate(octets)
    except UNREADABLE as error:
        raise _malformed(error) from None


def certificate_from_pem(octets: bytes) -> x509.Certificate:
    """The first certificate in PEM text. Raises MalformedMessage."""
    try:
        return x509.load_pem_x509_certificate(octets)
    except UNREADABLE as error:
        raise _malformed(error) from None


def public_key_der(certificate: x509.Certificate) -> bytes:
    """The SubjectPublicKeyInfo of a certificate. Raises MalformedMessage for a key of an unknown kind."""
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE as error:
        raise _malformed(error) from None


def _malformed(error: Exception) -> MalformedMessage:
    return MalformedMessage(f"the certificate cannot be read: {error}", field="certificate")
