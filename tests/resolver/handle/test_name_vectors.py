"""Names as the reference library folds, splits, derives and matches them."""

from __future__ import annotations

from resolver.handle import name
from tests.resolver.wire.vectors import each, octets


@each("names", having="upper_case")
def test_fold(vector):
    handle = vector["handle"]
    assert name.fold(handle) == vector["upper_case"]
    assert name.fold_prefix(handle) == vector["upper_case_prefix"]
    assert name.fold_octets(handle.encode()).hex() == vector["upper_case_hex"]
    assert name.fold_prefix(handle).encode().hex() == vector["upper_case_prefix_hex"]


@each("names", having="equals_ci")
def test_equal(vector):
    a, b = vector["a"], vector["b"]
    assert name.equal(a, b) is vector["equals_ci"]
    assert name.equal_prefix_folded(a, b) is vector["equals_prefix_ci"]


@each("names", having="zero_na_handle")
def test_split(vector):
    handle = vector["handle"]
    assert name.split(handle) == (vector["prefix"], vector["suffix"])
    assert name.prefix_handle_of(handle) == vector["zero_na_handle"]
    assert name.whole_name(handle) == vector["as_prefix_handle"]
    assert ("/" in handle) is vector["has_slash"]


@each("names", having="is_derived")
def test_derive(vector):
    handle = vector["prefix_handle"]
    assert name.is_derived_prefix_handle(handle) is vector["is_derived"]
    assert name.parent_prefix_handle(handle) == vector["parent"]


@each("names", having="is_under")
def test_under(vector):
    assert name.is_under_prefix_handle(vector["handle"], vector["prefix"]) is vector["is_under"]


@each("names", having="is_derived_from")
def test_derived_from(vector):
    assert name.is_derived_from(vector["handle"], vector["ancestor"]) is vector["is_derived_from"]


@each("names", having="matches")
def test_type_matches(vector):
    assert (vector["value_type"] in name.WantedTypes([vector["query_type"]])) is vector["matches"]


@each("names", having="has_type")
def test_has_type(vector):
    assert name.has_type(vector["value_type"], vector["asked"]) is vector["has_type"]


@each("names", having="valid")
def test_utf8(vector):
    assert name.is_utf8(octets(vector["hex"])) is vector["valid"]


@each("names", having="binary")
def test_looks_binary(vector):
    assert name.looks_binary(octets(vector["hex"])) is vector["binary"]
