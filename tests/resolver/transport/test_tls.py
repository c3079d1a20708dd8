"""Certificates are taken when they fit, renewed while serving, and a broken renewal changes nothing."""

import datetime as dt
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from resolver.transport.client_certificates import presented
from resolver.transport.tls import CertificateUnusable, TlsFiles, load, server_credentials
from tests.support.certificates import of_unknown, of_version_10

NOW = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class FakeClock:
    def __init__(self):
        self.at_s = 0.0

    def monotonic_s(self):
        return self.at_s

    def now_us(self):
        return 0


def issue(directory, name, days=36_500):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    Path(directory / "node.crt").write_bytes(pem)
    Path(directory / "node.key").write_bytes(secret)
    return pem, secret


@pytest.fixture
def files(tmp_path):
    issue(tmp_path, "first")
    clock = FakeClock()
    made = TlsFiles(tmp_path / "node.crt", tmp_path / "node.key", None, poll_s=60.0, clock=clock)
    return made, clock, tmp_path


def test_renewal_is_seen_after_the_poll_time(files):
    made, clock, directory = files
    first = made.current()
    pem, _ = issue(directory, "second")
    clock.at_s = 59.0
    assert made.current() is first
    clock.at_s = 60.0
    assert made.current().chain == pem


def test_recheck_sees_it_at_once(files):
    made, _, directory = files
    assert not made.recheck()
    pem, _ = issue(directory, "second")
    assert made.recheck()
    assert made.current().chain == pem


def test_broken_renewal_keeps_the_old_pair_until_it_fits(files):
    made, _, directory = files
    first = made.current()
    old_key = (directory / "node.key").read_bytes()
    pem, new_key = issue(directory, "second")
    (directory / "node.key").write_bytes(old_key)
    assert not made.recheck()
    assert made.current() is first
    (directory / "node.key").unlink()
    assert not made.recheck()
    (directory / "node.key").write_bytes(new_key)
    assert made.recheck()
    assert made.current().chain == pem


@pytest.mark.parametrize(
    ("file", "octets", "said"),
    [
        ("node.crt", b"no", "has no PEM certificate"),
        ("node.key", b"no", "has no PEM private key"),
        ("node.crt", None, "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, file, octets, said):
    issue(tmp_path, "first")
    if octets is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(octets)
    with pytest.raises(CertificateUnusable, match=said):
        load(tmp_path / "node.crt", tmp_path / "node.key", None)


@pytest.mark.parametrize("damage", [of_version_10, lambda der: of_unknown(der, "key")])
def test_a_renewal_by_a_certificate_that_no_library_knows_changes_nothing(files, damage):
    """It was an error that nobody expected."""
    made, _, directory = files
    before = made.current()
    octets = damage(ssl.PEM_cert_to_DER_cert((directory / "node.crt").read_text()))
    (directory / "node.crt").write_text(ssl.DER_cert_to_PEM_cert(octets))
    assert not made.recheck()
    assert made.current() is before
    with pytest.raises(CertificateUnusable, match="has no PEM certificate"):
        load(directory / "node.crt", directory / "node.key", None)


def test_key_of_another_certificate(tmp_path):
    issue(tmp_path, "first")
    (tmp_path / "other").mkdir()
    issue(tmp_path / "other", "second")
    with pytest.raises(CertificateUnusable, match="is not the key of"):
        load(tmp_path / "node.crt", tmp_path / "other" / "node.key", None)


def ask(port, root, **options):
    credentials = grpc.ssl_channel_credentials(root, **options)
    settings = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, settings) as channel:
        call = channel.unary_unary("/t/T")
        try:
            return call(b"?", timeout=60)
        except grpc.RpcError as error:
            return error.code()


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"!")


def test_grpc_serves_the_renewed_certificate_without_a_restart(files):
    made, _, directory = files
    first = made.current().chain
    server = grpc.server(ThreadPoolExecutor(2), handlers=[Echo()])
    port = server.add_secure_port("127.0.0.1:0", server_credentials(made))
    server.start()
    try:
        assert ask(port, first) == b"!"
        second, _ = issue(directory, "second")
        made.recheck()
        assert ask(port, second) == b"!"
        assert ask(port, first) == grpc.StatusCode.UNAVAILABLE
    finally:
        server.stop(None).wait()


def test_clients_need_a_certificate_of_the_authority(tmp_path):
    root, _ = issue(tmp_path, "node")
    for name in ("client", "stranger"):
        (tmp_path / name).mkdir()
    client, client_key = issue(tmp_path / "client", "client")
    stranger, stranger_key = issue(tmp_path / "stranger", "stranger")
    made = TlsFiles(
        tmp_path / "node.crt", tmp_path / "node.key", tmp_path / "client" / "node.crt", poll_s=1.0, clock=FakeClock()
    )
    assert made.wants_client_certificate
    server = grpc.server(ThreadPoolExecutor(2), handlers=[Echo()])
    port = server.add_secure_port("127.0.0.1:0", server_credentials(made))
    server.start()
    try:
        assert ask(port, root, private_key=client_key, certificate_chain=client) == b"!"
        assert ask(port, root, private_key=stranger_key, certificate_chain=stranger) == grpc.StatusCode.UNAVAILABLE
        assert ask(port, root) == grpc.StatusCode.UNAVAILABLE
    finally:
        server.stop(None).wait()


def shake_hands(server_side, root, own=None):
    return connect(client_context(root, own), server_side).selected_alpn_protocol()


def client_context(root, own):
    client = ssl.create_default_context(cadata=root.decode())
    if own is not None:
        client.load_cert_chain(own / "node.crt", own / "node.key")
    client.set_alpn_protocols(["h2", "http/1.1"])
    return client


def connect(client, server_side, session=None):
    """The client's end of a connection whose hands were shaken."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server_side.wrap_bio(to_server, to_client, server_side=True)
    two = client.wrap_bio(to_client, to_server, server_hostname="localhost", session=session)
    for _ in range(4):
        for side in (two, one):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    with suppress(ssl.SSLWantReadError):
        two.unwrap()  # OpenSSL forgets the session of a connection that is dropped
    one.unwrap()
    return two


def test_socket_context_offers_h2_and_follows_renewals(files):
    made, _, directory = files
    context = made.ssl_context()
    assert shake_hands(context, made.current().chain) == "h2"
    second, _ = issue(directory, "second")
    made.recheck()
    assert shake_hands(context, second) == "h2"


def with_words(directory, pem):
    """A file of authorities as operators write it: with words beside each."""
    file = directory / "authorities.pem"
    file.write_bytes("# 某某根证书\n".encode() + pem)
    return file


def test_words_in_a_file_of_authorities_may_be_in_any_language(files):
    made, _, directory = files
    pem = made.current().chain
    made = TlsFiles(
        directory / "node.crt", directory / "node.key", with_words(directory, pem), poll_s=1.0, clock=FakeClock()
    )
    assert made.ssl_context().get_ca_certs(binary_form=True)


def test_words_in_a_renewed_file_of_authorities_may_be_in_any_language(files):
    made, _, directory = files
    pem = made.current().chain
    authorities = directory / "authorities.pem"
    authorities.write_bytes(pem)
    made = TlsFiles(directory / "node.crt", directory / "node.key", authorities, poll_s=1.0, clock=FakeClock())
    made.ssl_context()
    with_words(directory, pem)
    assert made.recheck()


def test_certificates_are_found_in_the_messages_of_both_versions():
    der = b"\x30" + b"d" * 40
    entry = len(der).to_bytes(3, "big") + der
    old = len(entry).to_bytes(3, "big") + entry
    new = b"\x00" + (len(entry) + 2).to_bytes(3, "big") + entry + b"\x00\x00"
    for body in (old, new):
        assert presented(b"\x0b" + len(body).to_bytes(3, "big") + body) == der
    for message in (b"", b"\x0b", b"\x0b\x00\x00\x00", b"\x0b\x00\x00\x04\x00\x00\x00\x00", b"\x0b" + b"\xff" * 50):
        assert presented(message) == b""


def believing_before(tmp_path):
    """The files of a node that believes what "before" says, and the file of its authorities; "after" waits beside."""
    issue(tmp_path, "node")
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
        issue(tmp_path / name, name)
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes((tmp_path / "before" / "node.crt").read_bytes())
    made = TlsFiles(tmp_path / "node.crt", tmp_path / "node.key", authorities, poll_s=1.0, clock=FakeClock())
    return made, authorities


def test_authorities_that_were_taken_out_are_believed_no_more(tmp_path):
    made, authorities = believing_before(tmp_path)
    context, chain = made.ssl_context(), made.current().chain
    assert shake_hands(context, chain, tmp_path / "before") == "h2"
    with pytest.raises(ssl.SSLError):
        shake_hands(context, chain, tmp_path / "after")
    authorities.write_bytes((tmp_path / "after" / "node.crt").read_bytes())
    assert made.recheck()
    assert shake_hands(context, chain, tmp_path / "after") == "h2"
    with pytest.raises(ssl.SSLError):
        shake_hands(context, chain, tmp_path / "before")


def test_a_session_does_not_outlive_its_authority(tmp_path):
    """Over TLS 1.2 a client comes back to its session without a certificate, and nobody verifies one."""
    made, authorities = believing_before(tmp_path)
    context, client = made.ssl_context(), client_context(made.current().chain, tmp_path / "before")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    session = connect(client, context).session
    again = connect(client, context, session)
    assert again.session_reused
    authorities.write_bytes((tmp_path / "after" / "node.crt").read_bytes())
    assert made.recheck()
    with pytest.raises(ssl.SSLError):
        connect(client, context, again.session)


def test_a_context_that_could_not_be_filled_is_filled_when_it_can(files):
    """Between two looks at the files they may change: then the old certificate would have served until it ended."""
    made, _, directory = files
    context = made.ssl_context()
    pem, _ = issue(directory, "second")

    class ChangedMeanwhile:
        def load_cert_chain(self, *_):
            made._contexts.pop(0)
            raise ssl.SSLError("the key of another certificate")

    made._contexts.insert(0, (ChangedMeanwhile(), ssl.CERT_NONE))
    assert not made.recheck()
    assert made.recheck()
    assert shake_hands(context, pem) == "h2"
