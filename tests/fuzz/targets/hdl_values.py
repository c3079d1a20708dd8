"""Handle values, and the data of every predefined type in both of its forms."""

import json

from resolver.errors import WireError
from resolver.handle.value import HandleValue
from resolver.wire.cursor import Cursor
from resolver.wire.predefined import catalog
from resolver.wire.value_json import value_from_json, value_to_json
from resolver.wire.values import value_from_wire, value_to_wire, values_from_wire
from tests.fuzz import lengths
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded

INSTRUMENT = (
    "resolver.wire.values",
    "resolver.wire.cursor",
    "resolver.handle.value",
    "resolver.wire.predefined.hs_admin",
    "resolver.wire.predefined.hs_alias",
    "resolver.wire.predefined.hs_cert",
    "resolver.wire.predefined.hs_namespace",
    "resolver.wire.predefined.hs_pubkey",
    "resolver.wire.predefined.hs_seckey",
    "resolver.wire.predefined.hs_serv",
    "resolver.wire.predefined.hs_signature",
    "resolver.wire.predefined.hs_site",
    "resolver.wire.predefined.hs_vlist",
    "resolver.wire.predefined.loc_10320",
    "resolver.wire.predefined.text_data",
    "resolver.wire.predefined.xml_element",
    "resolver.wire.keys",
)
_CLASSES = list(dict.fromkeys(catalog.CLASSES.values()))
_DOCUMENTS = set(catalog.BY_FORMAT.values())
_VALUE, _LIST = len(_CLASSES), len(_CLASSES) + 1


def _seeds():
    for vector in recorded("handle_values"):
        whole = of_hex(vector["hex"])
        yield bytes([_VALUE]) + whole
        yield bytes([_LIST]) + b"\0\0\0\2" + whole + whole
        class_ = catalog.class_of(vector["decoded"]["type"])
        if class_ is not None:
            yield bytes([_CLASSES.index(class_)]) + of_hex(vector["decoded"]["data_hex"])


SEEDS = tuple(seed[:4_000] for seed in _seeds())


def feed(octets):
    """The first octet chooses the type, a whole value, or a list of values; as it came and with lengths that agree."""
    chosen, data = (octets[0] if octets else 0) % (len(_CLASSES) + 2), octets[1:]
    _decode(chosen, data)
    if chosen in {_VALUE, _LIST}:
        mended = lengths.mended(value_from_wire if chosen == _VALUE else values_from_wire, data)
    else:
        mended = lengths.mended_octets(_CLASSES[chosen].from_wire, data)
    if mended != data:
        _decode(chosen, mended)


def _decode(chosen, data):
    try:
        if chosen == _VALUE:
            value = value_from_wire(Cursor(data))
            assert data.startswith(value_to_wire(value)) or value.permissions.value != data[13]
            _check_data(value)
            return
        if chosen == _LIST:
            for value in values_from_wire(Cursor(data)):
                _check_data(value)
            return
    except WireError as error:
        assert error.message
        return
    _check(_CLASSES[chosen], data)


def _check_data(value):
    """The data of a value of a predefined type, lengths inside it mended too."""
    class_ = catalog.class_of(value.type)
    if class_ is not None:
        _check(class_, lengths.mended_octets(class_.from_wire, value.data))


def _check(class_, data):
    """What is read is written so that the same is read, in octets and in JSON."""
    try:
        found = class_.from_wire(data)
    except WireError as error:
        assert error.message
        return
    assert class_.from_wire(found.to_wire()) == found
    try:
        document = found.to_json()
    except WireError:
        return
    assert document is not None or not data
    shown = value_to_json(HandleValue(1, class_.TYPES[0], data))
    assert value_from_json(json.loads(json.dumps(shown)), timestamp_s=0).data == data
    if class_ in _DOCUMENTS:
        again = class_.from_json(json.loads(json.dumps(document)))
        assert again.to_json() == document
