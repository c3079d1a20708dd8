"""How a client reaches a node: channel options, TLS, credential; and what both front ends are made with.

Strategy: ``Options`` are the keyword arguments of both clients; ``Connection`` turns them into everything a
front end needs to open its own kind of channel. One channel for each client, not shared with other clients
of the process, so two clients are two connections and may reach two workers of the node.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import grpc

from resolver import limits
from resolver.client import policy
from resolver.clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    # Pings only while calls are open, far above the least interval the node accepts.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # An answer is at most one message and its status; the slack covers fields around the records.
    ("grpc.max_receive_message_length", limits.MESSAGE_OCTETS_MAX + (64 << 10)),
    # The node refuses more; refusing here spares the upload.
    ("grpc.max_send_message_length", limits.MESSAGE_OCTETS_MAX),
    # A node that restarts is back in a second or two: look often.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # The published policy retries, nothing below it does.
    ("grpc.enable_retries", 0),
    # Each client its own connection.
    ("grpc.use_local_subchannel_pool", 1),
)
"""Options of every channel, each with its reason."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to the node: files in PEM.

    ``ca_file`` None trusts the roots that grpcio ships. ``cert_file`` and ``key_file`` together present a client
    certificate. ``server_name`` is the name expected in the node's certificate when it is not the host dialled.
    """

    ca_file: str | PathLike[str] | None = None
    cert_file: str | PathLike[str] | None = None
    key_file: str | PathLike[str] | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("a client certificate needs both cert_file and key_file: give the other one too")

    def to_grpc(self) -> grpc.ChannelCredentials:
        """The credentials of a channel. Raises OSError when a file cannot be read."""
        ca, cert, key = (
            None if path is None else Path(path).read_bytes() for path in (self.ca_file, self.cert_file, self.key_file)
        )
        return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)


class Token:
    """The bearer token of a client, sent as ``authorization: Bearer TOKEN`` with every call.

    A token from a file is read again when the node refuses it, so a rotated file needs no restart.
    """

    def __init__(self, token: str | None, token_file: str | PathLike[str] | None) -> None:
        if token is not None and token_file is not None:
            raise ValueError("token and token_file are both given: give one of them")
        self._path = None if token_file is None else Path(token_file)
        self._given = () if token is None else _to_metadata(token, "token")
        self._metadata = self._read()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata to send now; empty without a token."""
        return self._metadata

    def renew(self, refused: tuple[tuple[str, str], ...]) -> bool:
        """Reads the file again; True when the token is now another than the one refused.

        A file that is gone or half written leaves the token as it is: the refusal then stands.
        """
        if self._metadata == refused:
            with contextlib.suppress(OSError, ValueError):
                self._metadata = self._read()
        return self._metadata != refused

    def _read(self) -> tuple[tuple[str, str], ...]:
        if self._path is None:
            return self._given
        return _to_metadata(self._path.read_text(encoding="ascii", errors="replace").strip(), f"token in {self._path}")


def _to_metadata(token: str, what: str) -> tuple[tuple[str, str], ...]:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(
            f"the {what} is empty or not one line of printable ASCII: give the token as the node issued it"
        )
    return (("authorization", f"Bearer {token}"),)


class Options(TypedDict, total=False):
    """Keyword arguments of ``Client`` and ``AsyncClient``; every one may be left out.

    ``token`` or ``token_file``: the API token. ``tls``: how to verify the node and who we are; None is plaintext.
    ``timeout_s``: seconds for a call with all its attempts. ``patience_s``: seconds that a stream reconnects
    without progress. ``retry`` and ``retry_streams``: the policies. ``clock`` and ``random``: the outside world.
    """

    token: str | None
    token_file: str | PathLike[str] | None
    tls: Tls | None
    timeout_s: float
    patience_s: float
    retry: policy.RetryPolicy
    retry_streams: policy.RetryPolicy
    clock: Clock
    random: Callable[[], float]


class Connection:
    """What both front ends need to reach one node, made from their options.

    Raises ValueError for a bad token and OSError for a file that cannot be read.
    """

    def __init__(self, target: str, options: Options) -> None:
        tls = options.get("tls")
        self.target = target
        self.credentials = tls.to_grpc() if tls is not None else None
        self.channel_options: list[tuple[str, str | int]] = list(CHANNEL_OPTIONS)
        if tls is not None and tls.server_name:
            self.channel_options.append(("grpc.ssl_target_name_override", tls.server_name))
        self._token = Token(options.get("token"), options.get("token_file"))
        self._timeout_s = options.get("timeout_s", policy.TIMEOUT_DEFAULT_S)
        self._patience_s = options.get("patience_s", policy.PATIENCE_DEFAULT_S)
        self._retry = options.get("retry", policy.PUBLISHED)
        self._retry_streams = options.get("retry_streams", policy.PUBLISHED_STREAMS)
        self._monotonic_s = options.get("clock", SystemClock()).monotonic_s
        self._random = options.get("random", random.random)

    def attempts(self, timeout_s: float | None) -> policy.Attempts:
        """The attempts of one call; None takes the client's timeout."""
        return self._attempts(self._retry, self._timeout_s if timeout_s is None else timeout_s)

    def stream_attempts(self) -> policy.Attempts:
        """The attempts of one stream that resumes."""
        return self._attempts(self._retry_streams, self._patience_s)

    def _attempts(self, retry: policy.RetryPolicy, budget_s: float) -> policy.Attempts:
        return policy.Attempts(retry, budget_s, self._token, monotonic_s=self._monotonic_s, random=self._random)
