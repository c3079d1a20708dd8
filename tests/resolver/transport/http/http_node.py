"""A node with its HTTP doors on loopback, plain and encrypted, in a thread of the test's process.

The store is that of ``hdl_node``: prefixes 88.300 and 88.300.1 to 88.300.10, administered by the secret key
301:0.NA/88.300 and the key pair 300:0.NA/88.300.
"""

import asyncio
import base64
import datetime as dt
import os
import ssl
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from resolver.clock import SystemClock
from resolver.service import Service, ServiceOptions
from resolver.service.handle_protocol import HandleOptions, HandleProtocol
from resolver.service.hdl_requests import HandleRequests
from resolver.service.http_identity import HttpIdentity
from resolver.transport.http.calls import HandleParts, HttpOptions
from resolver.transport.http.server import HttpDoor
from resolver.transport.tls import TlsFiles
from tests.resolver.transport.hdl_node import OPTIONS, SECRET, HandleNode, rsa_key

ADMINISTRATOR = "301:0.NA/88.300"


def self_signed(name, key=None):
    """A certificate and its key as PEM, for a server called localhost or for a client called ``name``."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    addresses = [x509.DNSName("localhost"), x509.IPAddress(__import__("ipaddress").ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), secret


class HttpNode(HandleNode):
    """The node; ``plain`` and ``secure`` are base addresses, ``ca`` is the file to trust."""

    def __init__(self, directory, *, http=None, **options):
        directory = Path(directory)
        certificate, key = self_signed("localhost")
        self.ca, self.key_file = directory / "node.crt", directory / "node.key"
        self.ca.write_bytes(certificate)
        self.key_file.write_bytes(key)
        self.http_options = http or {}
        self.observed = []
        super().__init__(directory, **options)

    async def _serve(self):
        changes = self._service_changes
        options = OPTIONS if not changes else ServiceOptions(**(vars(OPTIONS) | changes))
        self._stopping = asyncio.Event()
        service = self.service = Service(self.engine, self.clock, os.urandom, options, version="test")
        await service.start()
        key = rsa_key("node")
        protocol = self.protocol = HandleProtocol(service.core, HandleOptions(0, "88.300", self.site, key))
        identity = HttpIdentity(service.core, protocol.authentication, protocol.signer, b"secret")
        parts = HandleParts(protocol, HandleRequests(protocol), identity)
        door_options = HttpOptions(**({"node_prefix": "88.300", "handle": parts} | self.http_options))
        doors = self.doors = []
        self.ports = []
        files = TlsFiles(self.ca, self.key_file, None, poll_s=60.0, clock=SystemClock())
        for tls in (None, self.context(files)):
            door = HttpDoor(service, door_options, lambda *answer: self.observed.append(answer), idle_s=30.0)
            self.ports.append(await door.start("127.0.0.1", 0, tls))
            doors.append(door)
        self.plain, self.secure = (
            f"{scheme}://127.0.0.1:{port}" for scheme, port in zip(("http", "https"), self.ports, strict=True)
        )
        self._ready.set()
        await self._stopping.wait()
        for door in doors:
            await door.drain(0.0)
        await service.close()
        await asyncio.sleep(0.02)

    @staticmethod
    def context(files):
        return files.open_context(("http/1.1",), asks=True)

    def client(self, *, secure=False, **options):
        """An httpx client of the plain or of the encrypted port; redirects are not followed."""
        verify = ssl.create_default_context(cafile=str(self.ca)) if secure else True
        return httpx.Client(base_url=self.secure if secure else self.plain, verify=verify, timeout=60, **options)


@contextmanager
def http_node(directory, **options):
    node = HttpNode(directory, **options)
    try:
        yield node
    finally:
        node.stop()


def basic(identity=ADMINISTRATOR, secret=SECRET):
    """The header of a Basic credential."""
    user = quote(identity, safe="").encode()
    return {"authorization": "Basic " + base64.b64encode(user + b":" + secret).decode()}
