"""Who calls over HTTP, whether what they present may be believed, and the octets of a path.

A credential over plain HTTP is a credential for everybody on the way. It is believed on an encrypted connection, from
a proxy of ours that says it was encrypted, or where the operator trusts the network; the doors of
this node's own APIs also believe it from the machine itself, as the gRPC door does.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple, Protocol

from resolver.config.lists import any_network, parts
from resolver.errors import CredentialInvalid, CredentialMissing
from resolver.registry.keys import certificate_digest
from resolver.service import Call, Credential
from resolver.service.hdl_peer import Peer
from resolver.telemetry.calls import HTTP, REST
from resolver.transport.requests import credential_of

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from resolver.config.lists import Network
    from resolver.service import Service
    from resolver.service.handle_protocol import HandleProtocol
    from resolver.service.hdl_requests import HandleRequests
    from resolver.service.hdl_turn import Send
    from resolver.service.http_identity import HttpIdentity
    from resolver.wire.message import Frame


class Pass(Protocol):
    """Passes messages on; see ``transport/hdl_relay.py``."""

    async def pass_on(self, frame: Frame, peer: Peer, send: Send) -> None:
        """Answer a message here or by the worker it belongs to."""


class HandleParts(NamedTuple):
    """What the doors of the Handle System share: the protocol, its operations, and who asks."""

    protocol: HandleProtocol
    requests: HandleRequests
    identity: HttpIdentity
    relay: Pass | None = None
    """Passes a message on to the worker that keeps its session; None where there is one worker only."""


@dataclass(frozen=True)
class SnmsOptions:
    """What the operator set for the national SNMS OpenAPI, where its documents leave things open."""

    enabled: bool = True
    reference_type: str = "TEMPLATE"
    """Type of the value at index 1001 that names the template; empty stores no such value."""
    utc_offset_s: float = 8 * 3_600.0
    """Time zone of dates in requests and answers."""
    first_page: int = 1
    """Number of the first page."""
    proxy_server_id: str = "1"
    """How the node itself is called where a prefix is to be hosted."""
    ghr_name: str = ""
    """Name of the national top-level node in prefix records."""
    mapped_http_status: bool = False
    """Whether failures have HTTP statuses of their own instead of 200."""


@dataclass(frozen=True)
class HttpOptions:
    """What the operator set for all HTTP doors."""

    node_prefix: str
    handle: HandleParts | None = None
    """The Handle service, for the doors that speak of handles; None where there is none."""
    believes_clear_credentials: bool = False
    """Whether credentials over plain HTTP count, from wherever they come."""
    proxies: tuple[Network, ...] = ()
    """Networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    snms: SnmsOptions = SnmsOptions()


def networks_of(text: str) -> tuple[Network, ...]:
    """The networks in a list by commas. Raises ValueError."""
    return tuple(any_network(part) for part in parts(text))


def source_of(request: HTTPConnection, options: HttpOptions) -> str:
    """The caller's address: the peer's, or what a proxy of ours says it is."""
    peer = request.client.host if request.client else ""
    if not _is_in(peer, options.proxies):
        return peer
    # The last address that is not a proxy of ours: what stands before it may be made up, also in a line of its own.
    for part in reversed(",".join(request.headers.getlist("x-forwarded-for")).split(",")):
        address = part.strip().strip("[]")
        if address and not _is_in(address, options.proxies):
            return address if _is_address(address) else peer
    return peer


def peer_of(request: HTTPConnection, options: HttpOptions) -> Peer:
    """The caller as the Handle service knows those who ask."""
    peer = Peer.of(source_of(request, options), is_stream=True)
    peer.door = REST
    return peer


def is_encrypted(request: HTTPConnection, options: HttpOptions) -> bool:
    """Whether the client's connection is encrypted: ours, or the one to a proxy of ours."""
    if request.scope["scheme"] == "https":
        return True
    peer = request.client.host if request.client else ""
    told = ",".join(request.headers.getlist("x-forwarded-proto")).split(",")
    return _is_in(peer, options.proxies) and {part.strip().lower() for part in told} == {"https"}


def believes(request: HTTPConnection, options: HttpOptions) -> bool:
    """Whether a credential in the request counts (as for the Handle REST API, loopback is no exception)."""
    return options.believes_clear_credentials or is_encrypted(request, options)


def certificate_of(request: HTTPConnection) -> bytes:
    """The client's certificate in DER, whose key the client has proven to have; empty without one."""
    octets: bytes = request.scope.get("state", {}).get("certificate", b"")
    return octets


def caller(request: HTTPConnection, service: Service, options: HttpOptions) -> Call:
    """The call of a Bearer token or a client certificate; anonymous without both.

    A browser presents a certificate by itself, be it that a page of another site has it ask: then it does not count.

    Raises CredentialInvalid, and CredentialMissing for a token that came over plain HTTP through a network.
    """
    source = source_of(request, options)
    door: str = request.scope.get("door", HTTP)
    header = request.headers.get("authorization")
    if header is None:
        certificate = certificate_of(request)
        if certificate and is_from_other_site(request):
            if request.scope["method"] not in {"GET", "HEAD"}:
                raise CredentialInvalid("a client certificate does not count where a page of another site asks")
            certificate = b""
        credential = Credential(certificate=certificate_digest(certificate)) if certificate else None
        return service.call_from(source, credential, door)
    require_confidential(request, options)
    if not header.lower().startswith("bearer "):
        raise CredentialInvalid("the header Authorization is not 'Bearer TOKEN': send the token in that form")
    return service.call_from(source, credential_of((("authorization", header),)), door)


def is_from_other_site(request: HTTPConnection) -> bool:
    """Whether a browser says that the page of another site makes it ask (Fetch standard; RFC 6454)."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        return True
    return request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}


_FORWARDED = {"forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"}
"""Headers by which a proxy gives itself away: what it passes on has come through a network, wherever it runs."""


def require_confidential(request: HTTPConnection, options: HttpOptions) -> None:
    """Raise CredentialMissing when a secret in the request may have been read on its way."""
    peer = request.client.host if request.client else ""
    is_local = _is_address(peer) and ip_address(peer).is_loopback and _FORWARDED.isdisjoint(request.headers.keys())
    if not is_local and not believes(request, options):
        raise CredentialMissing(
            "credentials over plain HTTP are not accepted: use https, or let the operator set "
            "http.accept_clear_credentials or http.trusted_proxies",
            details={"rule": "CLEAR"},
        )


def path_octets(request: HTTPConnection) -> bytes:
    """The path as it came, percent-encoding and all: what ``%2F`` and ``+`` mean is for the door to say."""
    octets: bytes = request.scope["raw_path"]
    return octets


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    if not networks or not _is_address(address):
        return False
    parsed = ip_address(address)
    return any(parsed in network for network in networks if network.version == parsed.version)
