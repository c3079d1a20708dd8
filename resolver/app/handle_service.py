"""The keys and the site of the Handle doors, on the supervisor's side and on the worker's.

    credentials/node_rsa.pem     the key of the server: signs answers, stands in the node's HS_SITE
    credentials/admin_rsa.pem    the key of the first administrator, 300:0.NA/PREFIX, as PKCS #8
    credentials/admin_rsa.bin    the same for the tools of the Handle System, in CNRI's form

The supervisor makes what is missing before workers start; a worker reads it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from resolver.app.data_dir import DataDir, StartRefused, write_whole
from resolver.config.lists import parts, reference
from resolver.errors import ResolverError
from resolver.federation.roots import sites_to_octets
from resolver.node import shares, site_info, site_record, site_role
from resolver.registry.first_start import NodeRole, role_of
from resolver.registry.handle_start import prepare_handle_service, prepare_root_handle
from resolver.service.handle_protocol import HandleOptions, HandleProtocol
from resolver.transport.hdl_rate import AnswerRate
from resolver.transport.hdl_relay import Relay
from resolver.transport.hdl_tcp import HandleTcpDoor
from resolver.transport.hdl_udp import HandleUdpDoor
from resolver.wire import key_files
from resolver.wire.keys import der_of_pem, pem_of
from resolver.wire.predefined.hs_site import ADMIN, QUERY, HsSite, Interface, Transport
from resolver.wire.private_keys import PrivateKey, private_key_from_der
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resolver.app.messages import Assignment
    from resolver.clock import Clock
    from resolver.config.settings import Config
    from resolver.node.shares import Share
    from resolver.service.core import Core
    from storage.engine import Engine

_log = structlog.get_logger()

SITE_FILE = "site.json"
"""File in the data directory with the node's site, for the operator of the node above."""

KEY_BITS = 2_048
"""Bits of new RSA keys: every client of the last twenty years takes them."""

_EXPONENT = 65_537


def key_file(data: DataDir, name: str) -> Path:
    """The file of a private key."""
    return data.credentials / f"{name}.pem"


def load_or_make_key(data: DataDir, name: str, *, for_tools: bool = False) -> PrivateKey:
    """The private key in a file, made at the first time. Raises StartRefused."""
    path = key_file(data, name)
    try:
        if not path.exists():
            native = rsa.generate_private_key(_EXPONENT, KEY_BITS)
            der = native.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            if for_tools:
                clear = private_key_from_der(der).to_wire()
                write_whole(path.with_suffix(".bin"), key_files.write_key_file(clear))
            write_whole(path, pem_of("PRIVATE KEY", der).encode())
        return private_key_from_der(der_of_pem(path.read_bytes()))
    except (OSError, ResolverError) as error:
        raise StartRefused(
            f"the key {path} cannot be read or made: {error}. Put a PKCS #8 key there, or move the file away to get "
            "a new one"
        ) from error


def prepare(
    data: DataDir,
    engine: Engine,
    config: Config,
    doors: Mapping[str, tuple[str, int]],
    clock: Clock,
    *,
    take_over: bool = False,
) -> None:
    """Make keys and prefix handles that are missing, and let the node's HS_SITE tell where it answers.

    ``doors`` are hosts and ports, by name; ``take_over`` puts this node in the place of the primary before. A mirror's
    handles are its primary's. Raises StartRefused.
    """
    host, port = doors.get("hdl", (doors.get("http", ("", 0))[0], 0))
    admin_key = load_or_make_key(data, "admin_rsa", for_tools=True)
    if not config.hdl.address and ipaddress.ip_address(_literal(host)).is_unspecified:
        _log.warning(
            "the node's HS_SITE names loopback, others cannot follow it: set hdl.address to this machine's address",
            hdl=f"{host}:{port}",
        )
    try:
        with engine.read() as reader:
            role = role_of(reader)
            share = shares.share_of(reader)
            is_primary = site_role.refusal(site_role.site_of(reader)) is None
        own = site = _own_site(config, doors, load_or_make_key(data, "node_rsa"), role)
        if share is not None and share.layout.servers:
            site = site_record.hs_site(share.layout)
            _warn_when_moved(share, own)
        write_whole(data.root / SITE_FILE, sites_to_octets([site]))
        if not is_primary or (share is not None and share.follows_registry):
            return
        if config.node.prefix:
            key = admin_key.public.to_wire()
            is_layout = site is not own
            prepare_handle_service(
                engine, config.node.prefix, site, key, clock.now_us(), take_over=take_over, is_layout=is_layout
            )
        if role is NodeRole.TOP:
            prepare_root_handle(engine, site, clock.now_us())
    except (ResolverError, StorageError, OSError) as error:
        raise StartRefused(f"the Handle doors cannot be prepared: {error}") from error


def _warn_when_moved(share: Share, own: HsSite) -> None:
    """Say when this server answers elsewhere than the site's record tells."""
    known = share.layout.servers[share.place].site if share.place >= 0 else b""
    if known and HsSite.from_wire(known).servers != own.servers:
        _log.warning("the site names other ports, another address or key for this server: run idis site move again")


def _own_site(config: Config, doors: Mapping[str, tuple[str, int]], key: PrivateKey, role: NodeRole) -> HsSite:
    """The node as a site: its address, its ports, its key."""
    host, port = doors.get("hdl", (doors.get("http", ("", 0))[0], 0))
    http = None
    if "http" in doors:
        transport = Transport.HTTPS if config.tls.certificate_file else Transport.HTTP
        http = Interface(ADMIN | QUERY, transport, doors["http"][1])
    # Other nodes ask over gRPC without TLS, and only where the gRPC door is as open to them as the Handle doors.
    grpc_port = doors["grpc"][1] if doors["grpc"][0] == host and not config.tls.certificate_file else 0
    return site_info.site_of(
        config.hdl.address or _address_of(host),
        port,
        port,
        key.public.to_wire(),
        f"{role.value} node {config.node.prefix}".strip(),
        http=http,
        grpc_port=grpc_port,
    )


def _literal(host: str) -> str:
    """The IP address that a host name or address stands for on this machine."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return str(socket.getaddrinfo(host, None)[0][4][0])


def _address_of(host: str) -> str:
    """The IP address of a host as a client on this machine reaches it."""
    address = ipaddress.ip_address(_literal(host))
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return str(address)


def handle_protocol(core: Core, assignment: Assignment) -> HandleProtocol:
    """The Handle protocol of one worker, for all its doors. Raises StartRefused."""
    config = assignment.config
    key = load_or_make_key(DataDir(Path(config.node.data_dir)), "node_rsa")
    with core.reading() as reader:
        own = _own_site(config, assignment.doors, key, role_of(reader))
        site = site_info.stored_site(reader, config.node.prefix) if config.node.prefix else own
    if site is None:
        raise StartRefused(f"the handle 0.NA/{config.node.prefix} has no HS_SITE: start the node anew to get one")
    return HandleProtocol(
        core,
        HandleOptions(
            worker=assignment.worker,
            node_prefix=config.node.prefix,
            site=site,
            key=key,
            server_admins=administrators(config.hdl.administrators),
            replication_admins=administrators(config.hdl.replication_admins, "hdl.replication_admins"),
            takes_legacy=config.hdl.legacy_authentication,
            own_site=own,
        ),
    )


def relay_of(protocol: HandleProtocol, assignment: Assignment) -> Relay:
    """One worker's end of the relay between the workers."""
    return Relay(DataDir(Path(assignment.config.node.data_dir)).run / "hdl", assignment.worker, protocol)


class HandleDoors:
    """The TCP and UDP doors of one worker."""

    def __init__(
        self, core: Core, protocol: HandleProtocol, relay: Relay, assignment: Assignment, clock: Clock
    ) -> None:
        config = assignment.config
        self._assignment = assignment
        self._relay = relay
        rate = AnswerRate(config.hdl.udp_answers_per_s, core.randomness)
        self._tcp = HandleTcpDoor(core, protocol, self._relay, clock, idle_s=config.hdl.idle_s)
        self._udp = HandleUdpDoor(core, protocol, self._relay, clock, rate)

    async def start(self) -> None:
        """Answer on the ports of the assignment."""
        host, port = self._assignment.doors["hdl"]
        await self._tcp.start(host, port)
        await self._udp.start(host, port)

    @property
    def connection_count(self) -> int:
        """TCP connections open."""
        return self._tcp.connection_count

    async def drain(self, grace_s: float) -> None:
        """Take no new requests, let those under way finish and their answers be taken for ``grace_s``."""
        await asyncio.gather(self._tcp.drain(grace_s), self._udp.drain(grace_s))
        await self._relay.close()


def administrators(text: str, setting: str = "hdl.administrators") -> tuple[str, ...]:
    """The references in a list by commas, the value of a setting. Raises StartRefused."""
    try:
        return tuple(reference(part) for part in parts(text))
    except ValueError as error:
        raise StartRefused(f"{setting}: {error}") from error
