"""The Handle REST interface and the proxy: credentials, certificates, names, bodies, patterns, places to lead to.

The first octet chooses what reads the rest.
"""

from resolver.errors import ResolverError
from resolver.node.location_sets import of_values, to_xml
from resolver.node.locations import Asked, choose, target_of, web_address
from resolver.node.search import Pattern
from resolver.transport.client_certificates import presented
from resolver.transport.http import rest_authorization as authorization
from resolver.transport.http.page_text import language_of
from resolver.transport.http.rest_input import Parameters, _items, _value
from resolver.transport.http.rest_reply import callback_of, to_json
from resolver.v1 import handle_pb2 as pb
from resolver.wire.json_members import parse_json
from resolver.wire.predefined.xml_element import parse_xml
from resolver.wire.value_json import value_to_json

INSTRUMENT = (
    "resolver.node.location_sets",
    "resolver.node.locations",
    "resolver.node.search",
    "resolver.transport.client_certificates",
    "resolver.transport.http.rest_authorization",
    "resolver.transport.http.rest_input",
    "resolver.wire.json_members",
    "resolver.wire.value_json",
)

LOCATIONS = b'<locations chooseby="locatt,country,weighted"><location id="1" href="https://a/" weight="2"/></locations>'
SEEDS = (
    b"\x00" + b'sessionId="x", id="300%3A0.NA/88", type="HS_SECKEY", alg="HMAC-SHA1", signature="AA==", cnonce="AA=="',
    b"\x01" + b"MzAxJTNBMC5OQSUyRjg4LjMwMDpwZWVyLXNlY3JldA==",
    b"\x02" + b"\x0b\x00\x00\x0a\x00\x00\x00\x06\x00\x00\x01\x30\x00\x00",
    b"\x03" + b'{"values":[{"index":1,"type":"URL","data":"x","ttl":"2030-01-01T00:00:00Z"}]}',
    b"\x04" + LOCATIONS,
    b"\x05" + b"https://a.example/x?y=1 .evil",
    b"\x06" + b"*a*b*|aab",
    b"\x07" + b"index=1&index=various&type=URL&page=3&callback=a.b",
)


def feed(octets):
    """Hand one input to what its first octet names."""
    if octets:
        READERS[octets[0] % len(READERS)](octets[1:])


def _credential(octets):
    try:
        given = authorization.parse_parameters(octets.decode("latin-1"))
        assert all(name == name.lower() for name in given)
        authorization.parse_identity(given.get("id", ""))
        answer = authorization.parse_answer(given)
    except (ResolverError, authorization.NotVerified):
        return
    assert type(answer).from_wire(answer.to_wire()) == answer


def _basic(octets):
    try:
        handle, index, _ = authorization.parse_basic(octets.decode("latin-1"))
    except ResolverError:
        return
    assert handle
    assert 0 <= index < 2**32


def _certificate(octets):
    found = presented(octets)
    assert found in octets
    try:
        authorization.parse_certificate(found or octets)
    except ResolverError:
        return


def _body(octets):
    try:
        values = [_value(item, 0) for item in _items(parse_json(octets), "88.1/x")]
    except ResolverError:
        return
    for value in values:
        to_json(value_to_json(value))


def _location(octets):
    values = [pb.HandleValue(index=1, type="10320/loc", data=octets), pb.HandleValue(index=2, type="URL", data=octets)]
    found = of_values(values, values[:1])
    asked = Asked((("id", "1"), ("mode", None)), "cn", "10.0.0.1")
    location = choose(found.locations, found.settings, asked, lambda: 0.5)
    if location is not None and (target := target_of(location, found.settings, "88.1/x")) is not None:
        _safe(target.url)
    parse_xml(to_xml(found, "88.1/x").decode(), "locations")


def _address(octets):
    text, _, appended = octets.decode("utf-8", "surrogateescape").partition(" ")
    for url in (web_address(text), web_address(text, appended)):
        if url is not None:
            _safe(url)


def _safe(url):
    assert url.isascii()
    assert url.lower().startswith(("http://", "https://"))
    assert not any(letter <= " " or letter in '"<>\\^`{|}' for letter in url)


def _pattern(octets):
    text, _, data = octets.partition(b"|")
    pattern = Pattern.from_text(text.decode("utf-8", "surrogateescape"))
    fits = pattern.fits(data.upper())
    if b"*" not in text:
        assert fits == (data.upper() == pattern.parts[0])


def _query(octets):
    try:
        query = Parameters.from_octets(octets)
        query.indexes()
        query.number("page")
    except ResolverError:
        return
    called = callback_of({"callback": query.get("callback") or ""})
    assert not set(called) & set("();\"'<>/ \r\n")
    assert language_of(octets.decode("latin-1")) in {"zh-CN", "en"}


READERS = (_credential, _basic, _certificate, _body, _location, _address, _pattern, _query)
