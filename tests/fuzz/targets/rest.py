"""The Handle REST interface and the proxy: credentials, certificates, names, bodies, patterns, places to lead to.

The first octet chooses what reads the rest.
"""

import base64
import json
from xml.etree import ElementTree as ET

from resolver.errors import ResolverError
from resolver.node.location_sets import of_values, to_xml
from resolver.node.locations import Asked, choose, target_of, web_address
from resolver.node.search import Pattern
from resolver.transport.client_certificates import presented
from resolver.transport.http import rest_authorization as authorization
from resolver.transport.http.page_text import language_of
from resolver.transport.http.rest_input import Parameters, _items, _members, _value
from resolver.transport.http.rest_reply import callback_of, to_json
from resolver.v1 import handle_pb2 as pb
from resolver.wire.json_members import parse_json
from resolver.wire.predefined.xml_element import parse_xml
from resolver.wire.value_json import value_to_json
from tests.fuzz.documents import Words

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

CERTIFICATE = base64.b64decode(
    "MIIBLjCB1aADAgECAgEBMAoGCCqGSM49BAMCMCExHzAdBgoJkiaJk/IsZAEBDA8zMDA6MC5OQS84OC4zMDAwHhcNMjYwMTAxMDAwMDAwWhcNMzYw"
    "MTAxMDAwMDAwWjAhMR8wHQYKCZImiZPyLGQBAQwPMzAwOjAuTkEvODguMzAwMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEO8Kwd3WuaVHTXTgg"
    "AUbpT3G7Zwed5UAeROM9x+N8m5WrJ7J8C8QI5OTiYYiJ6hd8uHRCBE2y694YYMHro2pMIjAKBggqhkjOPQQDAgNIADBFAiEA5H3S0rwCR7eePMM6"
    "iVTIaoCaVBpfcNG9XQrF7nhoP/MCIDvbqaudSRxqR8xcQbuM201YiUZQKqfVt7Q6NDm+XDkL"
)
"""Of ``300:0.NA/88.300``, signed by its own key."""

_VALUE = {
    "index": 1,
    "type": "URL",
    "data": {"format": "string", "value": "https://a.example/"},
    "ttl": 86_400,
    "permissions": "1110",
    "timestamp": "2026-01-01T00:00:00Z",
    "references": [{"handle": "88.1/x", "index": 2}],
}
_BODIES = (
    {"handle": "88.1/x", "values": [_VALUE, {"index": 2, "type": "EMAIL", "data": "a@a.example"}]},
    [_VALUE | {"ttl": "2030-01-01T00:00:00Z", "data": {"format": "base64", "value": "AAEC"}}],
    _VALUE | {"type": "HS_ADMIN", "data": {"format": "admin", "value": {"handle": "0.NA/88", "index": 200}}},
    {"index": [1, "2"], "type": "URL", "auth": True, "callback": "a.b", "pageSize": 2, "sessionId": None},
)
_LOCATION_SETS = (
    {
        "chooseby": "locatt,address,country,score,weighted",
        "http_sc": "303",
        "urlWeight": "1",
        "no_nslocs": "true",
        "location": [
            {"id": "1", "href": "https://a/", "weight": "2", "country": "cn", "cr_type": "MR-LIST", "score": "0.5"},
            {"href_template": "https://b/{hdl}?{loc}", "http_role": "conneg", "cidr": "10.0.0.0/8", "label": "轴承"},
        ],
    },
    {"location": [{"href": "hdl:88.1/y", "mode": "legacy", "weight": "nan"}]},
)
_CREDENTIALS = (
    {"sessionId": "x", "id": "300%3A0.NA/88", "type": "HS_PUBKEY", "alg": "SHA256", "signature": "AA=="},
    {
        "type": "HS_SECKEY",
        "alg": "PBKDF2WithHmacSHA1",
        "salt": "AAAA",
        "iterations": "10000",
        "length": "160",
        "signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "cnonce": "AA==",
        "clientCert": "true",
    },
    {"alg": "HMAC-SHA256", "signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "serverAlg": "SHA-1"},
)
_WORDS = Words([*_BODIES, *_LOCATION_SETS, *_CREDENTIALS, {"hmac": "SHA1", "MD5": "SHA-1"}])

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
    *(bytes([8]) + _WORDS.octets(document) for document in _BODIES),
    *(bytes([9]) + _WORDS.octets(document) for document in _LOCATION_SETS),
    *(bytes([10]) + _WORDS.octets(document) for document in _CREDENTIALS),
    b"\x0b" + b"300%3A0.NA/88.300:secret",
    b"\x0c" + CERTIFICATE,
    *(bytes([13]) + _WORDS.octets(document) for document in _BODIES),
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
    except ResolverError:
        return
    _check_query(query)
    assert language_of(octets.decode("latin-1")) in {"zh-CN", "en"}


def _check_query(query):
    try:
        query.indexes()
        query.number("page")
    except ResolverError:
        return
    called = callback_of({"callback": query.get("callback") or ""})
    assert not set(called) & set("();\"'<>/ \r\n")


def _made_body(octets):
    _body(_WORDS.document(octets))


def _made_locations(octets):
    document = json.loads(_WORDS.document(octets))
    root = ET.Element("locations", _attributes(document))
    items = document.get("location") if isinstance(document, dict) else None
    for item in items if isinstance(items, list) else ():
        ET.SubElement(root, "location", _attributes(item))
    _location(ET.tostring(root, encoding="unicode").encode("utf-8", "replace"))


def _attributes(document):
    """The members of an object that can be attributes."""
    members = document.items() if isinstance(document, dict) else ()
    return {name: text for name, text in members if isinstance(text, str) and name.isidentifier()}


def _made_credential(octets):
    given = _attributes(json.loads(_WORDS.document(octets)))
    quoted = {name: text.replace("\\", "\\\\").replace('"', '\\"') for name, text in given.items()}
    _credential(", ".join(f'{name}="{text}"' for name, text in quoted.items()).encode("latin-1", "replace"))


def _made_basic(octets):
    _basic(base64.b64encode(octets))


def _made_certificate(octets):
    entries = _sized(octets) + bytes(2)
    _certificate(b"\x0b" + len(_sized(entries)).to_bytes(3, "big") + b"\0" + _sized(entries))


def _sized(octets):
    return len(octets).to_bytes(3, "big") + octets


def _made_parameters(octets):
    document = json.loads(_WORDS.document(octets))
    try:
        pairs = tuple(_members(document if isinstance(document, dict) else {}))
    except ResolverError:
        return
    _check_query(Parameters(pairs))


_MADE = (_made_body, _made_locations, _made_credential, _made_basic, _made_certificate, _made_parameters)
"""Readers of what is made of octets, see ``documents``."""
READERS = (_credential, _basic, _certificate, _body, _location, _address, _pattern, _query, *_MADE)
