"""Whatever is wrong with a certificate is one kind of error: its octets, its version, its key."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from resolver.errors import InvalidField, MalformedMessage
from resolver.federation import following
from resolver.registry.keys import _der
from resolver.transport.http.rest_authorization import parse_certificate
from resolver.wire.certificates import certificate_from_der, certificate_from_pem, public_key_der
from tests.support.certificates import KINDS, made, of_unknown, of_version_10, pem


def test_a_certificate_is_read():
    certificate = made()
    der = certificate.public_bytes(Encoding.DER)
    assert certificate_from_der(der) == certificate_from_pem(pem(der).encode()) == certificate
    assert public_key_der(certificate).startswith(b"0Y0")
    assert parse_certificate(der)[:2] == ("0.NA/88.300", 300)


def test_a_version_that_does_not_exist_is_an_error_of_theirs():
    """The library's error for it is no ValueError, and the node called it a defect of its own."""
    der = of_version_10(made().public_bytes(Encoding.DER))
    for read in (lambda: certificate_from_der(der), lambda: certificate_from_pem(pem(der).encode())):
        with pytest.raises(MalformedMessage, match="cannot be read"):
            read()
    with pytest.raises(InvalidField, match="cannot be read"):
        parse_certificate(der)
    with pytest.raises(InvalidField, match="certificate_pem"):
        _der(pem(der))


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_an_unknown_kind_is_an_error_of_theirs(kind):
    der = of_unknown(made().public_bytes(Encoding.DER), kind)
    with pytest.raises(MalformedMessage, match="cannot be read"):
        public_key_der(certificate_from_der(der))
    with pytest.raises(InvalidField, match="cannot be read"):
        parse_certificate(der)
    assert peer_key_of(der) is None


def peer_key_of(der):
    """The key of a server whose stream is followed in TLS."""
    tls = following._Tls()
    tls._object = type("Handshaken", (), {"getpeercert": lambda _, binary_form: der})()
    return tls.peer_key()
