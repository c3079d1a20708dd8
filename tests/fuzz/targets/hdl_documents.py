"""JSON of values and sites, JSON web signatures and their claims: documents that strangers put into values."""

import contextlib
import json

from resolver.errors import WireError
from resolver.handle.value import HandleValue
from resolver.wire import claims, jws, keys
from resolver.wire.predefined import catalog
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.value_json import value_from_json, value_to_json
from tests.fuzz.documents import Words
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
    document = claims.Claims.from_payload(octets).to_json()
    assert claims.Claims.from_payload(json.dumps(document).encode()).to_json() == document


def _signature(octets):
    signature = jws.Jws.from_wire(octets)
    assert jws.Jws.from_wire(signature.to_compact()) == signature
    assert jws.Jws.from_wire(json.dumps(signature.to_json()).encode()) == signature
    with contextlib.suppress(WireError):
        assert signature.algorithm is not None
    with contextlib.suppress(WireError):
        report = claims.report("88.1/a", _SIGNED, signature, _KEY, 7.0)
        assert not report.is_signed or octets in _RECORDED
        claims.Claims.from_payload(signature.payload).covers("88.1/a")


def _made_signature(octets):
    """A web signature whose header and payload are documents; the first octet says where the payload begins."""
    end = 1 + (octets[:1] or b"\0")[0]
    header, payload = (keys.base64url(_WORDS.document(part)) for part in (octets[1:end], octets[end:]))
    return f"{header}.{payload}.AAAA".encode()


def _made(octets):
    return _WORDS.document(octets)


def _made_predefined(octets):
    return octets[:1] + _WORDS.document(octets[1:])


_DECODERS = (_value, _site, _predefined, _key, _claims, _signature)
_MAKERS = (_made, _made, _made_predefined, _made, _made, _made_signature)


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


_WRITTEN = (
    *(
        _written(vector, place, member)
        for file, place, member in _MEMBERS
        for vector in recorded(file)
        if member in vector
    ),
    *_predefined_seeds(),
)


def _documents():
    """The same as documents: their decoder, what stands in front of the document, and the document."""
    for seed in _WRITTEN:
        place, start = seed[0], 2 if seed[0] == _DECODERS.index(_predefined) else 1
        with contextlib.suppress(ValueError):
            yield place, seed[1:start], json.loads(seed[start:])


_WORDS = Words([*(document for _, _, document in _documents()), {"alg": "RS256"}, {"perm": "thisHandle"}, "DS256"])
_RECORDED = {seed[1:] for seed in _WRITTEN}
_SIGNED = (HandleValue(1, "URL", b"u"), HandleValue(2, "名称", "轴承".encode()))


def _made_seeds():
    for place, start, document in _documents():
        made = _WORDS.octets(document)
        if place != _DECODERS.index(_signature):
            yield bytes([place + len(_DECODERS)]) + start + made
        if place == _DECODERS.index(_claims):
            head = _WORDS.octets({"alg": "RS256"})
            yield bytes([_DECODERS.index(_signature) + len(_DECODERS), len(head)]) + head + made


SEEDS = tuple(seed[:4_000] for seed in (*_WRITTEN, *_made_seeds()))
_KEY = next(
    key
    for vector in recorded("keys_and_sessions")
    if "public_key_hex" in vector and (key := keys.public_key_from_wire(of_hex(vector["public_key_hex"]))).kind == "RSA"
)


def feed(octets):
    """The first octet chooses the kind of document, written or made; what is no JSON is for signatures to say."""
    chosen, data = (octets[0] if octets else 0) % (2 * len(_DECODERS)), octets[1:]
    place = chosen % len(_DECODERS)
    if chosen >= len(_DECODERS):
        data = _MAKERS[place](data)
    try:
        _DECODERS[place](data or b"{}")
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        pass
    except WireError as error:
        assert error.message
