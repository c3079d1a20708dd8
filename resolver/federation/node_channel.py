"""A gRPC channel to another node of the same site: what this node shows there, and how it knows the other.

With authorities it speaks TLS. Where the other asks its clients for a certificate, this node shows the one that it
serves with; it reads the files for each channel, so that a renewed certificate is shown from the next connection on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import grpc.aio

from resolver import limits

if TYPE_CHECKING:
    from pathlib import Path


class NodeCredentials(NamedTuple):
    """What a node shows another one of its site, and by which authorities it knows it."""

    token: str
    authorities: bytes | None = None
    """PEM; None means no TLS."""
    certificate_file: Path | None = None
    """PEM chain to show where a certificate is asked for; with it ``key_file``."""
    key_file: Path | None = None


def channel_to(place: str, credentials: NodeCredentials) -> grpc.aio.Channel:
    """A channel to the node at HOST:PORT."""
    options = (
        ("grpc.max_receive_message_length", 4 * limits.MESSAGE_OCTETS_MAX),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", 30_000),
    )
    if credentials.authorities is None:
        return grpc.aio.insecure_channel(place, options=options)
    key, chain = _own(credentials)
    known = grpc.ssl_channel_credentials(credentials.authorities, key, chain)
    return grpc.aio.secure_channel(place, known, options=options)


def _own(credentials: NodeCredentials) -> tuple[bytes | None, bytes | None]:
    """Key and chain; none when they cannot be read just now, and whoever asks for them refuses."""
    if credentials.certificate_file is None or credentials.key_file is None:
        return None, None
    try:
        return credentials.key_file.read_bytes(), credentials.certificate_file.read_bytes()
    except OSError:
        return None, None
