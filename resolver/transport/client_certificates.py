"""TLS contexts that ask for a client certificate and take any whose key the client has.

In the Handle System the key of a certificate is what counts, and a handle value says whose it is: certificates are
mostly self-signed and no authority stands behind them. Python's ssl verifies against authorities only, and has no
hook for another verdict. So the certificate that a client presents becomes, for its own handshake and nothing else,
the one authority that is trusted: OpenSSL still checks dates, purpose and that the client holds the key. The
certificate is seen by ``_msg_callback``, which CPython has for debugging since 3.8; without it nobody is asked.

Whoever reads a peer's certificate from such a connection must find out by its key, or by a digest of all of it, whose
it is; names in it prove nothing.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CERTIFICATE_OCTETS_MAX = 16 << 10
"""Octets of a client certificate that is looked at."""

_CERTIFICATE = 11
"""The handshake message with a certificate (RFC 8446 section 4, RFC 5246 section 7.4)."""

_HEAD = 4


def take_any(context: ssl.SSLContext, fresh: Callable[[], ssl.SSLContext]) -> bool:
    """Let a server context ask for certificates and take any; False where Python cannot.

    ``fresh`` makes a context with the server's own certificate, for a connection whose client has one.
    """
    if not hasattr(context, "_msg_callback"):
        return False
    context.verify_mode = ssl.CERT_OPTIONAL
    # A certificate that is trusted itself need not be followed to an issuer.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN

    def see(connection: ssl.SSLObject, direction: str, _version: Any, _content: Any, kind: Any, data: bytes) -> None:
        if direction != "read" or kind != _CERTIFICATE:
            return
        der = presented(data)
        if der:
            own = fresh()
            with suppress(ssl.SSLError, ValueError):  # what is no certificate is not trusted, and OpenSSL refuses it
                own.load_verify_locations(cadata=der)
            connection.context = own

    hooked: Any = context
    hooked._msg_callback = see  # noqa: SLF001 - see the module
    return True


def presented(message: bytes) -> bytes:
    """The first certificate (DER) of a Certificate message of TLS 1.3 or 1.2; empty when there is none."""
    for start in (_HEAD + 1 + message[_HEAD] if len(message) > _HEAD else _HEAD, _HEAD):
        entries = _sized(message, start)
        if entries is None or start + 3 + len(entries) != len(message):
            continue
        certificate = _sized(entries, 0)
        if certificate and len(certificate) <= CERTIFICATE_OCTETS_MAX:
            return certificate
    return b""


def _sized(octets: bytes, at: int) -> bytes | None:
    """What stands behind three octets of length, None when it is not all there."""
    end = at + 3 + int.from_bytes(octets[at : at + 3], "big")
    return octets[at + 3 : end] if at + 3 <= len(octets) and end <= len(octets) else None
