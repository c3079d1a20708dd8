"""What the dialogue finds on a node: prepared handles, and certificates for the runs with TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.grpc_client import Peer

SMALL, BIG = 3_000, 5
BIG_OCTETS = 1_000_000
BATCH = 1_000
DAYS = 30


def prepare(peer: Peer) -> None:
    """Register what the dialogue asks for, in the same order on every node."""

    def create(rows: list[dict[str, Any]]) -> None:
        answer = peer.call("RegistrationService/BatchCreateHandles", handles=rows)
        bad = [row for row in answer.results if row.code]
        if bad:
            raise SystemExit(f"the ground could not be prepared: {bad[0].message}")

    def row(suffix: str, *values: Any) -> dict[str, Any]:
        return {"name": f"{peer.prefix}/interop-{suffix}", "values": list(values)}

    for number in range(BIG - 1):
        create([row(f"big-{number}", peer.value(1, "URL", b"x" * BIG_OCTETS))])
    for start in range(0, SMALL, BATCH):
        numbers = range(start, start + BATCH)
        create([row(f"w-{number:04d}", peer.value(1, "URL", b"y" * 1_000)) for number in numbers])
    create(
        [row("fixed", peer.value(1, "URL", "https://example.com/产品?q=1"), peer.value(2, "EMAIL", "a@b.c", ttl_s=60))]
    )
    create([row(f"big-{BIG - 1}", peer.value(1, "URL", b"x" * BIG_OCTETS))])


def certificates(directory: Path) -> dict[str, Path]:
    """An authority, a node's certificate for 127.0.0.1 and localhost, and a client's; PEM files by name."""
    now = dt.datetime.now(dt.UTC)
    files: dict[str, Path] = {}
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "interop authority")])

    def issue(name: str, key: ec.EllipticCurvePrivateKey, *extensions: tuple[x509.ExtensionType, bool]) -> None:
        subject = authority if name == "ca" else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=DAYS))
            .add_extension(identifier, critical=False)
            .add_extension(issuer, critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(authority_key, hashes.SHA256())
        files[name] = directory / f"{name}.crt"
        files[name].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[f"{name} key"] = directory / f"{name}.key"
        files[f"{name} key"].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    alternative = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    issue("ca", authority_key, (x509.BasicConstraints(ca=True, path_length=0), True))
    issue("node", ec.generate_private_key(ec.SECP256R1()), (alternative, False))
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    issue("client", ec.generate_private_key(ec.SECP256R1()), (usage, False))
    return files
