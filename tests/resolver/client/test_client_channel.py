"""TLS and mutual TLS to a real server, the bearer token on every call, and what is refused beforehand."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from scripted_node import running

from resolver import methods
from resolver.client import AsyncClient, CallFailed, Client, Tls
from resolver.v1 import resolution_pb2


def certificate(folder, name, issuer=None, *, addresses=()):
    """Writes NAME.pem and NAME.key; returns what signs others."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (subject, key)
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if addresses:
        names = [x509.DNSName("node.test"), *(x509.IPAddress(ipaddress.ip_address(each)) for each in addresses)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(builder.sign(issuer_key, hashes.SHA256()).public_bytes(pem))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return subject, key


@pytest.fixture
def secure(tmp_path):
    """A server that demands a client certificate: its target, the folder of the files, and the calls it saw."""
    authority = certificate(tmp_path, "ca")
    certificate(tmp_path, "node", authority, addresses=["127.0.0.1"])
    certificate(tmp_path, "app", authority)
    seen = []

    def behaviour(request, context):
        peer = context.auth_context()["x509_common_name"][0].decode()
        seen.append((peer, dict(context.invocation_metadata())["authorization"]))
        return resolution_pb2.ResolveResponse()

    pair = ((tmp_path / "node.key").read_bytes(), (tmp_path / "node.pem").read_bytes())
    credentials = grpc.ssl_server_credentials([pair], (tmp_path / "ca.pem").read_bytes(), require_client_auth=True)
    with running({methods.RESOLVE: behaviour}, credentials=credentials) as target:
        yield target, tmp_path, seen


def test_mutual_tls_and_the_token_reach_the_node(secure):
    target, folder, seen = secure
    tls = Tls(ca_file=folder / "ca.pem", cert_file=folder / "app.pem", key_file=folder / "app.key")
    with Client(target, tls=tls, token="t-1") as client:
        client.resolve("88.300.1/a")

    async def main():
        named = Tls(tls.ca_file, tls.cert_file, tls.key_file, server_name="node.test")
        async with AsyncClient(target, tls=named, token="t-2") as client:
            await client.resolve("88.300.1/a")

    asyncio.run(main())
    assert seen == [("app", "Bearer t-1"), ("app", "Bearer t-2")]


def test_a_node_that_is_not_the_one_named_is_not_spoken_to(secure):
    target, folder, seen = secure
    tls = Tls(folder / "ca.pem", folder / "app.pem", folder / "app.key", server_name="other.test")
    with Client(target, tls=tls, token="secret", timeout_s=0.5) as client, pytest.raises(CallFailed) as caught:
        client.resolve("88.300.1/a")
    assert caught.value.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert seen == []


def test_plaintext_to_a_tls_node_is_unavailable(secure):
    target, _, seen = secure
    with Client(target, token="secret", timeout_s=0.5) as client, pytest.raises(CallFailed) as caught:
        client.resolve("88.300.1/a")
    assert caught.value.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert seen == []


def test_half_a_client_certificate_is_refused_beforehand(tmp_path):
    with pytest.raises(ValueError, match="both cert_file and key_file"):
        Tls(cert_file=tmp_path / "app.pem")
    with pytest.raises(FileNotFoundError):
        Client("127.0.0.1:1", tls=Tls(ca_file=tmp_path / "none.pem"))


def test_no_batches_in_flight_is_refused_beforehand():
    with pytest.raises(ValueError, match="1 or more"):
        AsyncClient("127.0.0.1:1", in_flight_max=0)
