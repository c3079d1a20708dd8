"""The handle values in the recorded REST exchanges: JSON to octets and back to the same JSON."""

from __future__ import annotations

import json

from resolver.errors import WireError
from resolver.wire.cursor import Cursor
from resolver.wire.value_json import value_from_json, value_to_json
from resolver.wire.values import value_from_wire, value_to_wire
from tests.resolver.wire.vectors import each


def documents(found):
    """Every object in a JSON document that is a handle value."""
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            return
    if isinstance(found, dict):
        if {"index", "type", "data"} <= found.keys():
            yield found
        else:
            for inner in found.values():
                yield from documents(inner)
    elif isinstance(found, list):
        for inner in found:
            yield from documents(inner)


@each("rest_exchanges")
def test_values_of_the_answer(vector):
    for document in documents(vector["response"].get("json")):
        value = value_from_json(document, timestamp_s=0)
        assert value_to_json(value) == document
        assert value_from_wire(Cursor(value_to_wire(value))) == value


@each("rest_exchanges")
def test_values_of_the_request(vector):
    for document in documents(vector["request"].get("body")):
        try:
            value = value_from_json(document, timestamp_s=1_700_000_000)
        except WireError:
            assert vector["response"]["status"] >= 400
            continue
        assert value_from_json(value_to_json(value), timestamp_s=0) == value
