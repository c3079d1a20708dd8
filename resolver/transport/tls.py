"""Certificates of a door: read, checked, and read again when the files change.

A renewed certificate must serve without a restart, and a broken renewal must not take the door down:
new files are taken only when certificate and key fit together, else the old ones stay and the fault is
logged. Files are compared by time, size and inode, which also sees the symlink swaps of Kubernetes.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from resolver.transport.client_certificates import take_any
from resolver.wire.certificates import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from resolver.clock import Clock

log = structlog.get_logger()

ALPN_PROTOCOLS = ("h2",)
"""Protocols a gRPC door offers in the TLS handshake (RFC 9113 section 3.2)."""

Stamp = tuple[tuple[int, int, int], ...]


class CertificateUnusable(Exception):
    """Certificate, key or authorities cannot be used; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The contents of the files at one moment, checked to fit together."""

    chain: bytes
    key: bytes
    client_ca: bytes | None
    not_before_s: float
    """Begin of the certificate's validity, seconds since 1970."""
    not_after_s: float
    """End of the certificate's validity, seconds since 1970."""


class TlsFiles:
    """The files of one door. ``current`` gives the newest usable contents; safe to call from any thread."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None, *, poll_s: float, clock: Clock) -> None:
        """Read the files. Raises CertificateUnusable."""
        self._paths = (certificate, key) if client_ca is None else (certificate, key, client_ca)
        self._poll_s = poll_s
        self._clock = clock
        self._lock = Lock()
        self._contexts: list[tuple[ssl.SSLContext, ssl.VerifyMode]] = []
        self._demanding: list[_Renewed] = []
        """Contexts that demand a certificate of the authorities."""
        self._stamp = _stamp(self._paths)
        self._loaded = load(certificate, key, client_ca)
        self._looked_s = clock.monotonic_s()

    @property
    def wants_client_certificate(self) -> bool:
        """Whether clients must present a certificate of the authorities."""
        return self._loaded.client_ca is not None

    def current(self) -> Loaded:
        """The newest usable contents; looks at the files at most every ``poll_s`` seconds."""
        if self._clock.monotonic_s() - self._looked_s >= self._poll_s:
            self.recheck()
        return self._loaded

    def recheck(self) -> bool:
        """Look at the files now; True when new contents were taken."""
        with self._lock:
            self._looked_s = self._clock.monotonic_s()
            try:
                stamp = _stamp(self._paths)
                if stamp == self._stamp:
                    return False
                loaded = load(*self._paths[:2], self._paths[2] if len(self._paths) == 3 else None)
            except CertificateUnusable as error:
                log.warning("certificate not renewed, the old one stays", fault=str(error))
                return False
            self._stamp = stamp
            if loaded == self._loaded:
                return False
            try:
                for context, mode in self._contexts:
                    self._fill(context, mode, loaded)
                newest = [_empty_context(ALPN_PROTOCOLS) for _ in self._demanding]
                for context in newest:
                    self._fill(context, ssl.CERT_REQUIRED, loaded)
                for demanding, context in zip(self._demanding, newest, strict=True):
                    demanding.newest = context
            except (ssl.SSLError, OSError, ValueError) as error:
                log.warning("certificate changed while it was read, looking again later", fault=str(error))
                self._stamp = ()
                return False
            self._loaded = loaded  # not before: what is loaded already is not filled in again
            log.info("certificate renewed", file=str(self._paths[0]), not_after_s=loaded.not_after_s)
            return True

    def ssl_context(self) -> ssl.SSLContext:
        """A server context for sockets that offers HTTP/2 and follows renewals.

        Where there are authorities, clients must present a certificate of theirs. One that is taken out of the file
        must not be believed any longer, but a context forgets none, nor the sessions that it began, and a session that
        is resumed asks nobody: so each connection begins in the newest context, which knows no session of another.
        """
        if not self.wants_client_certificate:
            return self._context(ALPN_PROTOCOLS, ssl.CERT_REQUIRED)
        context = _empty_context(ALPN_PROTOCOLS)
        with self._lock:
            self._fill(context, ssl.CERT_REQUIRED, self._loaded)
            self._demanding.append(context)
        return context

    def open_context(self, protocols: tuple[str, ...], *, asks: bool) -> ssl.SSLContext:
        """A server context that knows no authorities and follows renewals.

        With ``asks`` clients may present a certificate, of any issuer: see ``client_certificates``.
        """
        context = self._context(protocols, ssl.CERT_NONE)
        if asks and not take_any(context, self._bare):
            log.warning("client certificates are not asked for: this Python cannot take those of any issuer")
        return context

    def _bare(self) -> ssl.SSLContext:
        """A context with the certificate and nothing else, for one connection."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._paths[0], self._paths[1])
        return context

    def _context(self, protocols: tuple[str, ...], certificates: ssl.VerifyMode) -> ssl.SSLContext:
        context = _empty_context(protocols)
        with self._lock:
            self._fill(context, certificates, self._loaded)
            self._contexts.append((context, certificates))
        return context

    def _fill(self, context: ssl.SSLContext, certificates: ssl.VerifyMode, loaded: Loaded) -> None:
        """Give a context the chain, the key and the authorities."""
        context.load_cert_chain(self._paths[0], self._paths[1])
        if loaded.client_ca is not None and certificates is not ssl.CERT_NONE:
            context.verify_mode = certificates
            context.num_tickets = 0
            context.options |= ssl.OP_NO_TICKET
            context.load_verify_locations(cadata=loaded.client_ca.decode("ascii", "ignore"))  # words in between


class _Renewed(ssl.SSLContext):
    """A context that leaves its connections to the newest one; loops keep the context that they listen with."""

    newest: ssl.SSLContext | None = None

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """A connection, of the newest context."""
        return super().wrap_bio(*args, **options) if self.newest is None else self.newest.wrap_bio(*args, **options)


def _empty_context(protocols: tuple[str, ...]) -> _Renewed:
    """A server context that has no certificate yet."""
    context = _Renewed(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    return context


def load(certificate: Path, key: Path, client_ca: Path | None) -> Loaded:
    """Read the files and check that they fit together. Raises CertificateUnusable."""
    chain, secret = _read(certificate), _read(key)
    authorities = _read(client_ca) if client_ca is not None else None
    plain = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
        public = leaf.public_key().public_bytes(*plain)
    except UNREADABLE as error:
        raise CertificateUnusable(f"{certificate} has no PEM certificate that can be used: {error}") from error
    try:
        private = load_pem_private_key(secret, password=None)
    except UNREADABLE as error:
        raise CertificateUnusable(f"{key} has no PEM private key without a password: {error}") from error
    if public != private.public_key().public_bytes(*plain):
        raise CertificateUnusable(f"{key} is not the key of {certificate}: give the pair that was issued together")
    if authorities is not None:
        try:
            x509.load_pem_x509_certificates(authorities)
        except UNREADABLE as error:
            raise CertificateUnusable(f"{client_ca} has no PEM certificate: {error}") from error
    begin_s, end_s = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    return Loaded(chain, secret, authorities, begin_s, end_s)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials for a grpcio server that ask the files anew for each connection."""
    fetch: Any = _fetcher(files)  # the stubs do not know that None means no change
    return grpc.dynamic_ssl_server_credentials(
        _to_grpc(files.current()), fetch, require_client_authentication=files.wants_client_certificate
    )


def _fetcher(files: TlsFiles) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    """What grpcio calls before each handshake: a new configuration, or None to keep the last."""
    given = files.current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        loaded = files.current()
        if loaded is given:
            return None
        given = loaded
        return _to_grpc(loaded)

    return fetch


def _to_grpc(loaded: Loaded) -> grpc.ServerCertificateConfiguration:
    """The contents as grpcio takes them."""
    return grpc.ssl_server_certificate_configuration([(loaded.key, loaded.chain)], root_certificates=loaded.client_ca)


def _stamp(paths: tuple[Path, ...]) -> Stamp:
    """Time, size and inode of each file. Raises CertificateUnusable."""
    try:
        found = [path.stat() for path in paths]
    except OSError as error:
        raise CertificateUnusable(f"{error.filename} cannot be read: {error.strerror}") from error
    return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)


def _read(path: Path) -> bytes:
    """A whole file. Raises CertificateUnusable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateUnusable(f"{path} cannot be read: {error.strerror}") from error
