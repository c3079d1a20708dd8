"""HS_SITE and its kin: a site, its servers, their addresses, keys and interfaces (RFC 3651 section 3.2.2).

Addresses have 16 octets. IPv4 is written with twelve zero octets in front, as both reference
implementations do; the mapped form ``::ffff:a.b.c.d`` is read as well and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import Any, ClassVar, NamedTuple, Self

from resolver.errors import InvalidValue, WireError
from resolver.wire import bounds
from resolver.wire.cursor import Cursor, counted, pack_u32, sized, sized_text, text_from_wire, text_to_wire
from resolver.wire.json_members import member, member_flag, member_index, member_integer, member_list, member_text
from resolver.wire.octets_json import octets_from_json, octets_to_json
from resolver.wire.predefined.hs_pubkey import HsPubkey
from resolver.wire.versions import OWN, Version

PRIMARY = 0x80
MULTI_PRIMARY = 0x40

ADMIN = 1
QUERY = 2

_HEAD = Struct(">HBBHBB")
_SERVER_OCTETS_MIN = 28
_INTERFACE = Struct(">BBI")
_INTERFACE_OCTETS = 6
_ATTRIBUTE_OCTETS_MIN = 8
_ADDRESS_OCTETS = 16
_IPV4_START = bytes(12)
_LOOPBACK = IPv6Address("::1").packed
_HASH_ALL = 2
_SERIAL_SIGN = 0x8000


class Transport(IntEnum):
    """How an interface is spoken to."""

    UDP = 0
    TCP = 1
    HTTP = 2
    HTTPS = 3


class Interface(NamedTuple):
    """A door of a server. ``roles`` are the bits ADMIN and QUERY; none means out of service."""

    roles: int
    transport: int
    port: int

    @classmethod
    def from_json(cls, document: Any) -> Interface:
        """The interface in a JSON object. Raises InvalidValue."""
        name = member(document, "protocol")
        if isinstance(name, str) and name.upper() in Transport.__members__:
            transport = int(Transport[name.upper()])
        else:
            transport = member_integer(document, "protocol", most=255)
        query, admin = member_flag(document, "query", default=False), member_flag(document, "admin", default=False)
        return cls(query * QUERY | admin * ADMIN, transport, member_integer(document, "port", most=2**32 - 1))

    def to_json(self) -> dict[str, Any]:
        """The JSON object."""
        known = self.transport in Transport.__members__.values()
        return {
            "query": bool(self.roles & QUERY),
            "admin": bool(self.roles & ADMIN),
            "protocol": Transport(self.transport).name if known else self.transport,
            "port": self.port,
        }


class Server(NamedTuple):
    """A server of a site. ``public_key`` are octets as the record has them, perhaps none; ``id`` counts from 1."""

    id: int
    address: bytes
    public_key: bytes
    interfaces: tuple[Interface, ...]

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        """The address; IPv4 also when it came in the mapped form. ``::1`` is itself, not 0.0.0.1."""
        if self.address.startswith(_IPV4_START) and self.address != _LOOPBACK:
            return IPv4Address(self.address[12:])
        address = IPv6Address(self.address)
        return address.ipv4_mapped or address

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Server:
        """The server at the cursor. Raises MalformedMessage."""
        id_ = cursor.take_u32("server id")
        address = cursor.take(_ADDRESS_OCTETS, "server address")
        key = cursor.take_sized("server public key")
        count = cursor.take_count("interfaces", _INTERFACE_OCTETS, bounds.INTERFACES_MAX)
        position = cursor.need(count * _INTERFACE_OCTETS, "interfaces")
        interfaces = _INTERFACE.iter_unpack(cursor.octets[position : position + count * _INTERFACE_OCTETS])
        return cls(id_, address, key, tuple(Interface(*fields) for fields in interfaces))

    def to_wire(self) -> bytes:
        """The octets of the server."""
        interfaces = counted(_INTERFACE.pack(*interface) for interface in self.interfaces)
        return pack_u32(self.id) + self.address + sized(self.public_key) + interfaces

    @classmethod
    def from_json(cls, document: Any) -> Server:
        """The server in a JSON object. Raises WireError."""
        key = member(document, "publicKey", None)
        if isinstance(key, dict) and key.get("format") == HsPubkey.FORMAT:
            key_octets = HsPubkey.from_json(member(key, "value")).to_wire()
        else:
            key_octets = b"" if key is None else octets_from_json(key)
        interfaces = member_list(document, "interfaces", [], items_max=bounds.INTERFACES_MAX)
        return cls(
            member_index(document, "serverId"),
            address_to_wire(member_text(document, "address")),
            key_octets,
            tuple(Interface.from_json(interface) for interface in interfaces),
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "serverId": self.id,
            "address": str(self.ip),
            "publicKey": _key_to_json(self.public_key),
            "interfaces": [interface.to_json() for interface in self.interfaces],
        }


def address_to_wire(text: str) -> bytes:
    """The 16 octets of an address. Raises InvalidValue."""
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidValue(f"{text[:60]!r} is no IP address", field="address") from None
    return _IPV4_START + address.packed if isinstance(address, IPv4Address) else address.packed


def _key_to_json(octets: bytes) -> dict[str, Any]:
    if octets:
        try:
            return {"format": HsPubkey.FORMAT, "value": HsPubkey.from_wire(octets).to_json()}
        except WireError:
            pass
    return octets_to_json(octets, as_text=False)


def _attributes_from_json(document: Any) -> tuple[tuple[str, str], ...]:
    """The attributes of a site: a list of objects with name and value, or one object of them. Raises InvalidValue."""
    found = member(document, "attributes", [])
    if isinstance(found, dict):
        pairs = [(name, each) for name, text in found.items() for each in (text if isinstance(text, list) else [text])]
        found = [{"name": name, "value": text} for name, text in pairs]
    items = member_list({"attributes": found}, "attributes", items_max=bounds.ATTRIBUTES_MAX)
    return tuple((member_text(item, "name"), member_text(item, "value")) for item in items)


def _version_from_text(text: str) -> Version:
    """The version that ``2.11`` names; each number fills an octet. Raises InvalidValue."""
    major, dot, minor = text.partition(".")
    if dot and all(part.isascii() and part.isdigit() and len(part) <= 3 and int(part) < 256 for part in (major, minor)):
        return Version(int(major), int(minor))
    raise InvalidValue(f"protocolVersion {text[:20]!r} is no version such as 2.11", field="protocolVersion")


@dataclass(frozen=True, slots=True)
class HsSite:
    """A site.

    ``roles`` are the bits PRIMARY and MULTI_PRIMARY. ``hash_option`` says which part of a handle chooses the server,
    see ``hash_selection``. ``serial`` grows with each change of the site.
    """

    TYPES: ClassVar[tuple[str, ...]] = ("HS_SITE", "HS_SITE.6", "HS_SITE.PREFIX", "HS_NA_DELEGATE")
    FORMAT: ClassVar[str] = "site"

    servers: tuple[Server, ...]
    serial: int = 1
    roles: int = PRIMARY
    hash_option: int = _HASH_ALL
    attributes: tuple[tuple[str, str], ...] = ()
    version: Version = OWN
    hash_filter: bytes = b""
    format_version: int = 1

    @property
    def is_primary(self) -> bool:
        """Whether the site takes changes."""
        return bool(self.roles & PRIMARY)

    @classmethod
    def from_wire(cls, data: bytes) -> Self:
        """The site in the data of a value or the body of an answer. Raises MalformedMessage."""
        cursor = Cursor(data)
        format_version, major, minor, serial, roles, hash_option = _HEAD.unpack_from(
            data, cursor.need(_HEAD.size, "site")
        )
        hash_filter = cursor.take_sized("hash filter")
        count = cursor.take_count("attributes", _ATTRIBUTE_OCTETS_MIN, bounds.ATTRIBUTES_MAX)
        attributes = tuple((cursor.take_text("attribute"), cursor.take_text("attribute")) for _ in range(count))
        count = cursor.take_count("servers", _SERVER_OCTETS_MIN, bounds.SERVERS_MAX)
        servers = tuple(Server.from_wire(cursor) for _ in range(count))
        version = Version(major, minor)
        return cls(servers, serial, roles, hash_option, attributes, version, hash_filter, format_version)

    def to_wire(self) -> bytes:
        """The data of a value."""
        head = _HEAD.pack(self.format_version, *self.version, self.serial, self.roles, self.hash_option)
        attributes = counted(sized_text(name) + sized_text(text) for name, text in self.attributes)
        return head + sized(self.hash_filter) + attributes + counted(server.to_wire() for server in self.servers)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The site in a JSON value, as in a siteinfo.json file. Raises WireError."""
        version = _version_from_text(member_text(value, "protocolVersion", str(OWN)))
        primary, multi = member_flag(value, "primarySite", default=False), member_flag(value, "multiPrimary", False)
        servers = member_list(value, "servers", [], items_max=bounds.SERVERS_MAX)
        return cls(
            tuple(Server.from_json(server) for server in servers),
            member_integer(value, "serialNumber", 1, least=-_SERIAL_SIGN, most=0xFFFF) % 2**16,
            primary * PRIMARY | multi * MULTI_PRIMARY,
            member_integer(value, "hashOption", _HASH_ALL, most=255),
            _attributes_from_json(value),
            version,
            text_to_wire(member_text(value, "hashFilter", "")),
            member_integer(value, "version", 1, most=0xFFFF),
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON value. The serial is signed, as Java writes it: an unknown one is -1."""
        document: dict[str, Any] = {
            "version": self.format_version,
            "protocolVersion": str(self.version),
            "serialNumber": self.serial - 2**16 if self.serial & _SERIAL_SIGN else self.serial,
            "primarySite": self.is_primary,
            "multiPrimary": bool(self.roles & MULTI_PRIMARY),
        }
        if self.hash_option != _HASH_ALL:
            document["hashOption"] = self.hash_option
        if self.hash_filter:
            document["hashFilter"] = text_from_wire(self.hash_filter)
        document["attributes"] = [{"name": name, "value": text} for name, text in self.attributes]
        document["servers"] = [server.to_json() for server in self.servers]
        return document
