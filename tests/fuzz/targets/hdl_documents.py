"""JSON of values and sites, JSON web signatures and their claims: documents that strangers put into values."""

import contextlib
import json

from resolver.errors import WireError
from resolver.wire import claims, jws, keys
from resolver.wire.predefined import catalog
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.value_json import value_from_json, value_to_json
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded

INSTRUMENT = (
    "resolver.wire.value_json",
    "resolver.wire.octets_json",
    "resolver.wire.json_members",
    "resolver.wire.predefined.hs_site",
    "resolver.wire.predefined.hs_admin",
    "resolver.wire.predefined.hs_vlist",
    "resolver.wire.claims",
    "resolver.wire.jws",
    "resolver.wire.keys",
)
_FORMATS = list(catalog.BY_FORMAT.values())


def _value(octets):
    value = value_from_json(json.loads(octets), timestamp_s=7)
    assert value_from_json(value_to_json(value), timestamp_s=7).data == value.data


def _site(octets):
    site = HsSite.from_json(json.loads(octets))
    assert HsSite.from_wire(site.to_wire()) == site


def _predefined(octets):
    _FORMATS[octets[0] % len(_FORMATS)].from_json(json.loads(octets[1:])).to_wire()


def _key(octets):
    keys.public_key_from_jwk(json.loads(octets)).to_jwk()


def _claims(octets):
    claims.Claims.from_payload(octets)


def _signature(octets):
    jws.Jws.from_wire(octets)


_DECODERS = (_value, _site, _predefined, _key, _claims, _signature)


def _written(vector, place, member):
    """A member of a vector as the input of a decoder."""
    found = vector[member]
    return bytes([place]) + (found if isinstance(found, str) else json.dumps(found)).encode()


_MEMBERS = (
    ("handle_values", 0, "json"),
    ("keys_and_sessions", 3, "jwk_public"),
    ("signatures_jws", 4, "payload"),
    ("signatures_jws", 5, "jws_compact"),
    ("signatures_jws", 5, "jws_json"),
)


def _predefined_seeds():
    for vector in recorded("handle_values"):
        class_ = catalog.class_of(vector["decoded"]["type"])
        if class_ in _FORMATS:
            with contextlib.suppress(WireError):
                document = class_.from_wire(of_hex(vector["decoded"]["data_hex"])).to_json()
                yield bytes([2, _FORMATS.index(class_)]) + json.dumps(document).encode()
                if class_ is HsSite:
                    yield b"\1" + json.dumps(document).encode()


SEEDS = tuple(
    seed[:4_000]
    for seed in (
        *(
            _written(vector, place, member)
            for file, place, member in _MEMBERS
            for vector in recorded(file)
            if member in vector
        ),
        *_predefined_seeds(),
    )
)


def feed(octets):
    """The first octet chooses the kind of document; what is no JSON is not our affair but for signatures."""
    try:
        _DECODERS[(octets[0] if octets else 0) % len(_DECODERS)](octets[1:] or b"{}")
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        pass
    except WireError as error:
        assert error.message
