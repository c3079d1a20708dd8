"""The recorded vectors as pytest parameters, one for each vector.

Read from conformance/vectors, or from the directory that IDIS_VECTORS names; a file that is not there
gives no parameters, so a directory may hold a few files only.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

RECORDED = Path(__file__).parents[3] / "conformance" / "vectors"
DIRECTORY = Path(os.environ.get("IDIS_VECTORS") or RECORDED)


@cache
def load(file: str, directory: Path = DIRECTORY) -> tuple[dict[str, Any], ...]:
    """The vectors of a file under test."""
    path = directory / f"{file}.json"
    return tuple(json.loads(path.read_text())["vectors"]) if path.exists() else ()


def recorded(file: str) -> tuple[dict[str, Any], ...]:
    """The vectors of a file of this repository, as material for tests that need some key or message."""
    return load(file, RECORDED)


def each(file: str, *, having: str = "", starting: str = ""):
    """Parametrise ``vector`` with the vectors of a file that have a member and whose id starts so."""
    chosen = [
        pytest.param(vector, id=vector["id"])
        for vector in load(file)
        if (not having or having in vector) and vector["id"].startswith(starting)
    ]
    return pytest.mark.parametrize("vector", chosen)


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


def decoded_value(value) -> dict[str, Any]:
    """A handle value as the vectors write it: integers of four octets signed, as in Java."""
    names = ("admin_read", "admin_write", "public_read", "public_write")
    bits = [bool(value.permissions & bit) for bit in (8, 4, 2, 1)]
    return {
        "index": signed(value.index),
        "timestamp": signed(value.timestamp_s),
        "ttl_type": "absolute" if value.ttl.absolute else "relative",
        "ttl": signed(value.ttl.seconds),
        "permissions": dict(zip(names, bits, strict=True)),
        "permission_string": "".join(letter if bit else "-" for letter, bit in zip("rwrw", bits, strict=True)),
        "type": value.type,
        "data_hex": value.data.hex(),
        "references": [{"index": signed(item.index), "handle": item.name} for item in value.references],
    }


def decoded_site(site) -> dict[str, Any]:
    return {
        "format_version": site.format_version,
        "protocol_version": str(site.version),
        "serial": site.serial,
        "primary": site.is_primary,
        "multi_primary": bool(site.roles & 0x40),
        "hash_option": site.hash_option,
        "hash_filter_hex": site.hash_filter.hex(),
        "attributes": [{"name": name, "value": text} for name, text in site.attributes],
        "servers": [
            {
                "server_id": server.id,
                "address_hex": server.address.hex(),
                "address": str(server.ip),
                "public_key_hex": server.public_key.hex(),
                "interfaces": [
                    {"type": door.roles, "protocol": door.transport, "port": door.port} for door in server.interfaces
                ],
            }
            for server in site.servers
        ],
    }


def signed(number: int) -> int:
    return number - 2**32 if number & 2**31 else number
