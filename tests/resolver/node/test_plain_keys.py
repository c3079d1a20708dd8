"""Keys of the shortest way: for every name that a door may hand over, registered or not, readable or not."""

import pytest

from resolver.handle.name import Handle
from resolver.node.resolve_plain import keys_of


def test_keys_are_those_of_handles():
    names = ["88.300.1/abc", "88.300.1/é", "88.300.1/line\nend", "0.NA/88.300"]
    assert keys_of(names) == [Handle.from_text(name).key for name in names]
    assert keys_of(names[:1]) == [b"88.300.1/ABC"]


@pytest.mark.parametrize("others", [[], ["88.300.1/A"], ["88.300.1/a\nb"]])
def test_a_name_that_is_no_utf8_is_no_defect(others):
    """Fuzzing found it: octets of the Handle door that are no UTF-8 broke the answers to all names beside them."""
    broken, *rest = keys_of(["88.300.1/\udcff\udcfe", *others])
    assert broken.startswith(b"88.300.1/")
    assert rest == [other.upper().encode() for other in others]
