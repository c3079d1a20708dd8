"""What JSON of handle values may look like that clients of the reference server send, and what it cannot."""

import json

import pytest

from resolver.errors import InvalidValue
from resolver.handle.value import HandleValue, Permission, Reference, Ttl
from resolver.wire.keys import RsaPublicKey
from resolver.wire.predefined.hs_admin import HsAdmin
from resolver.wire.predefined.hs_site import HsSite, Interface, Server
from resolver.wire.predefined.hs_vlist import HsVlist
from resolver.wire.value_json import value_from_json, value_to_json

VALUE = HandleValue(1, "URL", b"https://a.example/", Ttl(60), Permission(14), 1_700_000_000)


def test_json_permissions_may_be_a_star_or_a_number():
    for found, expected in (("*", 15), (1101, 13), ("0101", 5)):
        document = value_to_json(VALUE) | {"permissions": found}
        assert value_from_json(document, timestamp_s=0).permissions == expected


def test_json_of_a_value_without_a_time_or_with_null_references():
    assert "timestamp" not in value_to_json(HandleValue(1, "URL", b"x"))
    document = value_to_json(VALUE) | {"references": None}
    assert value_from_json(document, timestamp_s=0) == VALUE


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("*", 0xFFF),
        (True, 0xFFF),
        (False, 0),
        (None, 0),
        ("101", 5),
        (5, 5),
        ([True], 1),
        ([False, True, 1, 0], 6),
        ([False] * 11 + [True], 0x800),
    ],
)
def test_json_permissions_of_an_administrator(found, expected):
    document = {"handle": "0.NA/88.300", "index": "200", "permissions": found}
    assert HsAdmin.from_json(document).permissions == expected


@pytest.mark.parametrize("found", [4_096, -1, "2", {}, [True] * 13, ["x"], 1.5])
def test_json_permissions_of_an_administrator_that_are_none(found):
    with pytest.raises(InvalidValue):
        HsAdmin.from_json({"handle": "0.NA/88.300", "index": 200, "permissions": found})


def test_json_attributes_of_a_site_may_be_an_object():
    listed = HsSite.from_json({"attributes": [{"name": "desc", "value": "a"}, {"name": "alt", "value": "b"}]})
    assert HsSite.from_json({"attributes": {"desc": "a", "alt": ["b"]}}) == listed
    for wrong in (5, {"desc": 5}, {"desc": [[]]}):
        with pytest.raises(InvalidValue):
            HsSite.from_json({"attributes": wrong})


def test_json_names_known_transports_and_counts_others():
    shown = [Interface(3, number, 2641).to_json()["protocol"] for number in (0, 3, 9)]
    assert shown == ["UDP", "HTTPS", 9]
    assert Interface.from_json(Interface(3, 9, 2641).to_json()) == Interface(3, 9, 2641)


def of_site(site, *changes):
    """The octets of a site, some of them replaced."""
    octets = bytearray(site.to_wire())
    for place, octet in changes:
        octets[place] = octet
    return bytes(octets)


SERVER = Server(1, bytes(12) + bytes([192, 0, 2, 1]), b"", (Interface(3, 1, 2641),))
MAPPED = SERVER._replace(address=bytes(10) + b"\xff\xff" + SERVER.address[12:])
RSA = RsaPublicKey(65_537, 2**1_023 + 1).to_wire()


@pytest.mark.parametrize(
    ("type_", "data", "format_"),
    [
        ("HS_SITE", of_site(HsSite((SERVER,))), "site"),
        ("HS_SITE", of_site(HsSite((SERVER,)), (6, 0x93)), "base64"),  # roles that have no names
        ("HS_SITE", of_site(HsSite((SERVER._replace(interfaces=(Interface(0x83, 1, 2641),)),))), "base64"),
        ("HS_SITE", of_site(HsSite((MAPPED,))), "base64"),  # an address in another form
        ("HS_SITE", of_site(HsSite((SERVER._replace(public_key=RSA[:-4]),))), "site"),
        ("HS_SITE", of_site(HsSite((SERVER,), attributes=(("描述", "标识"),))), "site"),
        ("HS_SITE", of_site(HsSite((SERVER,), attributes=(("desc", "\udcb1\udcea"),))), "base64"),  # GB18030
        ("HS_ADMIN", HsAdmin(Reference("0.NA/标", 300)).to_wire(), "admin"),
        ("HS_ADMIN", HsAdmin(Reference("0.NA/\udcb1\udcea", 300)).to_wire(), "base64"),
        ("HS_VLIST", HsVlist((Reference("0.NA/\udcb1\udcea", 300),)).to_wire(), "base64"),
        ("HS_PUBKEY", RSA, "key"),
        ("HS_PUBKEY", RSA[:-4], "base64"),  # without the usual octets at the end, which signatures cover
        ("HS_PUBKEY", RSA + b"x", "base64"),
    ],
)
def test_data_is_shown_decoded_only_when_it_reads_back_the_same(type_, data, format_):
    """It came back as other octets from an export, or from whoever read and wrote it over REST."""
    shown = value_to_json(HandleValue(1, type_, data))
    assert shown["data"]["format"] == format_
    written = json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace")
    assert value_from_json(json.loads(written), timestamp_s=0).data == data


@pytest.mark.parametrize("version", ["2", "2.", ".11", "256.1", "².11", "٢.11", "2." + "1" * 5_000, "-1.1"])
def test_versions_that_are_none(version):
    """Some of them were numbers to one function of Python and none to another."""
    with pytest.raises(InvalidValue, match="no version"):
        HsSite.from_json({"protocolVersion": version})


@pytest.mark.parametrize(
    "read",
    [
        lambda name: HsAdmin.from_json({"handle": name, "index": 1, "permissions": "*"}),
        lambda name: HsVlist.from_json([{"handle": "88/a", "index": 1}, {"handle": name, "index": 1}]),
        lambda name: value_from_json(
            value_to_json(VALUE) | {"references": [{"handle": name, "index": 1}]}, timestamp_s=0
        ),
    ],
)
def test_names_that_are_too_long_for_the_octets_they_are_for(read):
    """An administrator with such a name was stored as octets that nobody reads: nobody administered the handle."""
    assert read("88/" + "标" * 681)
    with pytest.raises(InvalidValue, match="2049 octets"):
        read("88/" + "标" * 682)
