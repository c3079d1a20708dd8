"""Which server of a site holds a handle, as the reference library says."""

from __future__ import annotations

import pytest

from resolver.wire.digests import md5
from resolver.wire.hash_selection import handle_hash, hashed_part, server_index
from tests.resolver.wire.vectors import each


@each("hash_selection")
def test_hash_and_server_are_as_recorded(vector):
    handle, option = vector["handle"], vector["hash_option"]
    part = hashed_part(handle, option)
    if "hashed_part_hex" in vector:
        assert part.hex() == vector["hashed_part_hex"]
    if "md5_hex" in vector:
        assert md5(part).hex() == vector["md5_hex"]
    assert handle_hash(handle, option) == vector["hash"]
    for count, index in vector["server_index_by_count"].items():
        assert server_index(handle, option, int(count)) == index


def test_a_site_without_servers_has_none():
    with pytest.raises(ValueError, match="no servers"):
        server_index("88.300.1/a", 2, 0)
