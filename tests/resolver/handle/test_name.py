"""Handles and prefixes: what is one, what is not, and how they are keyed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver import limits
from resolver.errors import InvalidName, InvalidPrefix
from resolver.handle.name import (
    Handle,
    Prefix,
    equal,
    fold,
    fold_octets,
    is_derived_prefix_handle,
    is_utf8,
    key_of_octets,
    looks_binary,
    prefix_handle_of,
    split,
    whole_name,
)


@pytest.mark.parametrize("text", ["", "/x", "88.300/", "88.300/" + "x" * 2_048, "88.300/\ud800"])
def test_texts_that_are_no_handle(text):
    with pytest.raises(InvalidName):
        Handle.from_text(text)


def test_octets_that_are_no_utf8_are_no_handle():
    with pytest.raises(InvalidName, match="octet 7"):
        Handle.from_octets(b"88.300/\xff")


def test_a_handle_splits_at_the_first_slash():
    assert Handle.from_text("10.1000/a/b")[1:] == ("10.1000", "a/b")


def test_a_name_without_slash_is_a_prefix_handle():
    assert Handle.from_text("88.abc").text == "0.NA/88.ABC"


def test_handles_are_equal_without_regard_to_ascii_case():
    assert Handle.from_text("88.300/a").equals(Handle.from_text("88.300/A"))
    assert not Handle.from_text("88.300/é").equals(Handle.from_text("88.300/É"))
    assert Handle.from_text("88.abc/x").prefix_handle == "0.NA/88.ABC"
    assert Handle.from_text("88.abc/x").prefix_folded == "88.ABC"


@pytest.mark.parametrize("letter", ["\0", "\n", "\x1f", "\x7f", "\x9f"])
def test_control_characters_are_not_registered(letter):
    with pytest.raises(InvalidName, match="control character"):
        Handle.from_text(f"88.300/a{letter}").check_registrable()


def test_keys_of_long_handles_end_in_a_digest():
    longest = b"88.300/" + b"x" * (limits.KEY_WHOLE_OCTETS_MAX - 7)
    assert key_of_octets(longest) == longest.upper()
    key = key_of_octets(longest + b"y")
    assert key == longest.upper() + hashlib.sha256((longest + b"y").upper()).digest()
    assert len(key) == limits.KEY_OCTETS_MAX


@pytest.mark.parametrize("text", ["", "88..300", ".88", "88.", "88/300", "88. 300", "8\n8", "8" * 256, "0.NA/"])
def test_texts_that_are_no_prefix(text):
    with pytest.raises(InvalidPrefix):
        Prefix.from_text(text)


def test_prefixes_are_text_and_not_numbers():
    assert Prefix.from_text("88.101.0042").folded != Prefix.from_text("88.101.42").folded


def test_prefix_by_its_handle_parent_and_keys():
    prefix = Prefix.from_text("0.na/88.300.a")
    assert prefix.text == "88.300.a"
    assert prefix.parent == Prefix("88.300")
    assert prefix.parent.parent.parent is None
    assert prefix.is_derived_from(Prefix("88.300"))
    assert not Prefix("88.3001").is_derived_from(Prefix("88.300"))
    assert prefix.key == b"88.300.A"
    assert prefix.handle_key_start == b"88.300.A/"
    assert prefix.prefix_handle == "0.NA/88.300.A"


@pytest.mark.parametrize("octet", range(0x20))
def test_controls_as_the_reference_implementation_shows_them(octet):
    assert looks_binary(bytes((octet,))) is not (0x09 <= octet <= 0x13)


@given(st.text())
def test_folding_text_and_octets_agree(text):
    octets = text.encode("utf-8", "surrogatepass")
    assert fold(text).encode("utf-8", "surrogatepass") == fold_octets(octets)
    assert fold(fold(text)) == fold(text)


@given(st.text(), st.text())
def test_split_loses_nothing(prefix, suffix):
    whole = f"{prefix}/{suffix}"
    assert "/".join(split(whole)) == whole
    assert whole_name(whole) == whole
    assert equal(prefix_handle_of(whole), "0.NA/" + split(whole)[0])


def test_only_prefix_handles_are_derived():
    assert not is_derived_prefix_handle("88.300/a.b")
    assert is_derived_prefix_handle("0.na/88.300")


@pytest.mark.parametrize(
    ("octets", "valid"),
    [
        (b"\xf8\x88\x80\x80\x80", True),
        (b"\xf8\x87\xbf\xbf\xbf", False),
        (b"\xfd\xbf\xbf\xbf\xbf\xbf", True),
        (b"\xfc\x83\xbf\xbf\xbf\xbf", False),
        (b"\xf4\x90\x80\x80", True),
        (b"\xf0\x8f\xbf\xbf", False),
        (b"\xed\xb0\x80", True),
        (b"\xfe", False),
        (b"a\x80", False),
    ],
)
def test_utf8_as_the_reference_implementation_reads_it(octets, valid):
    assert is_utf8(octets) is valid


def test_long_octets_that_are_no_utf8_are_judged_at_once():
    assert not is_utf8(b"\xed\xa0\x80" * 100_000 + b"\xff")
