"""A certificate of ``300:0.NA/88.300``, and what no library knows made of it."""

import base64
import datetime as dt
import textwrap

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VERSION_3 = bytes.fromhex("a003020102")
KINDS = {"key": bytes.fromhex("06072a8648ce3d0201"), "curve": bytes.fromhex("06082a8648ce3d030107")}


def made():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.USER_ID, "300:0.NA/88.300")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    return builder.not_valid_after(dt.datetime(2036, 1, 1, tzinfo=dt.UTC)).sign(key, hashes.SHA256())


def pem(der):
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def of_version_10(der):
    return der.replace(VERSION_3, VERSION_3[:-1] + b"\x09", 1)


def of_unknown(der, kind):
    """The same with a key, or a curve, of another number."""
    oid = KINDS[kind]
    return der.replace(oid, oid[:-1] + b"\x6f", 1)
