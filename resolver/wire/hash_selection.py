"""Which server of a site holds a handle (RFC 3652 section 3.1.3).

The servers of a site share its handles by a hash: MD5 of a part of the folded handle, its last four
octets as a signed integer, the absolute value, modulo the number of servers.
"""

from __future__ import annotations

from enum import IntEnum

from resolver.handle.name import fold_octets, split
from resolver.wire.cursor import text_to_wire
from resolver.wire.digests import md5


class HashOption(IntEnum):
    """Which part of a handle is hashed."""

    PREFIX = 0
    SUFFIX = 1
    ALL = 2


def hashed_part(handle: str, option: int) -> bytes:
    """The folded octets that are hashed; an option no table names means the whole handle."""
    prefix, suffix = split(handle)
    part = {HashOption.PREFIX: prefix, HashOption.SUFFIX: suffix}.get(HashOption(min(option, 2)), handle)
    return fold_octets(text_to_wire(part))


def key_index(folded: bytes, option: int, servers: int) -> int:
    """As ``server_index``, for the folded octets of a whole handle, which are its key while it is short."""
    if option < HashOption.ALL:
        prefix, _, suffix = folded.partition(b"/")
        folded = prefix if option == HashOption.PREFIX else suffix
    return _hash_of(folded) % servers


def _hash_of(part: bytes) -> int:
    return abs(int.from_bytes(md5(part)[-4:], "big", signed=True))


def handle_hash(handle: str, option: int = HashOption.ALL) -> int:
    """The hash of a handle, 0 to 2**31.

    The reference implementation leaves -2**31 negative; its absolute value is taken here.
    """
    return _hash_of(hashed_part(handle, option))


def server_index(handle: str, option: int, servers: int) -> int:
    """The place of the handle's server in the list of the site, from 0. Raises ValueError for a site without any."""
    if servers < 1:
        raise ValueError("the site has no servers")
    return handle_hash(handle, option) % servers
