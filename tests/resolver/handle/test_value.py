"""Values, permissions, TTLs, references and records."""

from __future__ import annotations

import pytest

from resolver.errors import InvalidValue
from resolver.handle.name import Handle
from resolver.handle.record import HandleRecord
from resolver.handle.value import HandleValue, Permission, Reference, Ttl


@pytest.mark.parametrize("bits", range(16))
def test_permissions_as_digits(bits):
    text = f"{bits:04b}"
    assert Permission.from_text(text) == bits
    assert Permission(bits).to_text() == text


@pytest.mark.parametrize("text", ["", "111", "11100", "1112", "abcd"])
def test_texts_that_are_no_permissions(text):
    with pytest.raises(InvalidValue, match="four digits"):
        Permission.from_text(text)


@pytest.mark.parametrize(("seconds", "absolute"), [(-1, False), (2**32, False), (-1, True), (2**32, True)])
def test_impossible_ttl(seconds, absolute):
    with pytest.raises(InvalidValue, match="TTL"):
        Ttl(seconds, absolute=absolute)


def test_remaining_ttl():
    assert Ttl(60).remaining_s(1_000) == 60
    assert Ttl(2**32 - 1).remaining_s(1_000) == 0, "-1 to peers in Java"
    assert Ttl(1_060, absolute=True).remaining_s(1_000) == 60
    assert Ttl(900, absolute=True).remaining_s(1_000) == 0


@pytest.mark.parametrize("digits", ["4294967296", "1" * 11, "1" * 5_000])
def test_an_index_that_is_none_is_refused(digits):
    """Python reads no number of so many digits, and raised an error of its own."""
    with pytest.raises(InvalidValue, match="outside"):
        Reference.from_text(f"{digits}:0.NA/88.300")
    with pytest.raises(InvalidValue, match="outside"):
        HandleValue.from_text(f"{digits}:URL:https://a.example/")


@pytest.mark.parametrize("text", ["300:0.NA/88.300", "0:88.300/a:b"])
def test_reference_as_text(text):
    assert Reference.from_text(text).to_text() == text


def test_reference_without_index_means_the_handle():
    assert Reference.from_text("0.NA/88.300") == Reference("0.NA/88.300", 0)


def test_value_of_text():
    value = HandleValue.from_text("1:URL:https://example.com/?a:b")
    assert (value.index, value.type, value.text) == (1, "URL", "https://example.com/?a:b")
    for wrong in ("1", "1:URL", "x:URL:y", "٣:URL:y"):
        with pytest.raises(InvalidValue):
            HandleValue.from_text(wrong)


def test_values_of_a_record_are_selected_by_type_or_index():
    values = tuple(HandleValue(index, type_, b"") for index, type_ in ((1, "URL"), (2, "URL.US"), (3, "EMAIL")))
    record = HandleRecord(Handle.from_text("88.300/a"), values)
    assert record.select() == values
    assert record.select(types=["url"]) == values[:1]
    assert record.select(types=["URL."]) == values[:2]
    assert record.select(types=["URL"], indexes=[3]) == (values[0], values[2])
    assert record.select(indexes=[9]) == ()
