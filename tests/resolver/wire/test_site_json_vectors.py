"""JSON forms of sites and values against their octets."""

from __future__ import annotations

from resolver.wire.cursor import Cursor
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.value_json import value_from_json, value_to_json
from resolver.wire.values import value_to_wire, values_from_wire, values_to_wire
from tests.resolver.wire.vectors import decoded_value, each, octets

RECORDED_AT_S = 1_700_000_000


@each("site_and_value_json", starting="siteinfo-json")
def test_site_both_ways(vector):
    site = HsSite.from_wire(octets(vector["hex"]))
    assert site.to_wire().hex() == vector["hex"]
    assert site.to_json() == vector["json"]
    assert HsSite.from_json(vector["json"]) == site
    assert HsSite.from_json(vector["json"]).to_wire().hex() == vector["hex"]


@each("site_and_value_json", starting="global-values")
def test_values_file_both_ways(vector):
    whole = octets(vector["hex"])
    cursor = Cursor(whole)
    values = values_from_wire(Cursor(cursor.take_sized("values file")))
    assert cursor.remaining == 0
    assert [decoded_value(value) for value in values] == vector["values"]
    written = values_to_wire(values)
    assert len(written).to_bytes(4, "big") + written == whole


@each("site_and_value_json", starting="json-to-value")
def test_value_of_json(vector):
    value = value_from_json(vector["json"], timestamp_s=RECORDED_AT_S, as_reference_server=True)
    assert value_to_wire(value).hex() == vector["hex"]
    assert decoded_value(value) == vector["decoded"]
    assert value_from_json(value_to_json(value), timestamp_s=0) == value
