"""Which locations a handle has, from its own values and those of its prefix."""

from xml.etree import ElementTree as ET

from resolver.node import location_sets
from resolver.v1 import handle_pb2 as pb

A, B, C = "https://a.example/", "https://b.example/", "https://c.example/"


def value(index, type_, data, **more):
    return pb.HandleValue(index=index, type=type_, data=data.encode(), **({"ttl_s": 86_400} | more))


def loc(href, **settings):
    said = "".join(f' {name}="{text}"' for name, text in settings.items())
    return f'<locations{said}><location href="{href}"/></locations>'


def shown(found):
    return [(location.href, location.weight) for location in found.locations]


def test_a_handle_with_urls_only_leads_to_the_first():
    found = location_sets.of_values([value(2, "URL.web", A), value(1, "url", B), value(3, "0.TYPE/URL", C)], ())
    assert found.is_plain
    assert shown(found) == [(B, 1), (C, 0), (A, 0)]
    assert [each.index for each in found.values] == [1, 3, 2]
    assert location_sets.of_values([value(1, "EMAIL", "a@b.example")], ()).locations == ()


def test_beside_documents_urls_weigh_nothing_unless_they_say_so():
    url, dotted = value(1, "URL", A), value(2, "URL.web", B)
    found = location_sets.of_values([value(3, "10320/loc", loc(C)), url, dotted], ())
    assert not found.is_plain
    assert shown(found) == [(C, 1), (A, 0), (B, 0)]
    assert found.locations[1].attributes["mode"] == "legacy"
    weighed = value(3, "10320/loc", loc(C, urlWeight="2", urlSubtypeWeight="0.5"))
    assert shown(location_sets.of_values([weighed, url, dotted], ())) == [(C, 1), (A, 2), (B, 0.5)]
    assert shown(location_sets.of_values([weighed, dotted], ())) == [(C, 1), (B, 2)]
    alone = value(3, "10320/loc.x", loc(C, no_legacy="true"))
    assert shown(location_sets.of_values([alone, url], ())) == [(C, 1)]


def test_locations_of_the_prefix_come_after_and_settings_of_the_handle_count_first():
    shared = [value(9, "10320/loc", loc(C, http_sc="301", chooseby="score"))]
    found = location_sets.of_values([value(3, "10320/loc", loc(A, http_sc="308"))], shared)
    assert shown(found) == [(A, 1), (C, 1)]
    assert found.settings == {"http_sc": "308", "chooseby": "score"}
    assert shown(location_sets.of_values([value(1, "URL", A)], shared)) == [(A, 0), (C, 1)]
    without = [value(3, "10320/loc", loc(A, no_nslocs="yes"))]
    assert shown(location_sets.of_values(without, shared)) == [(A, 1)]


def test_a_document_that_cannot_be_read_is_none():
    broken = [value(1, "10320/loc", "<locations"), value(2, "URL", A)]
    assert location_sets.of_values(broken, broken[:1]).is_plain
    assert shown(location_sets.of_values(broken, broken[:1])) == [(A, 1)]


def test_an_answer_is_kept_as_long_as_its_values_and_never_over_two_days():
    day = value(1, "URL", A)
    assert location_sets.expires_s([day, value(2, "URL", B, ttl_s=60)], 1_000.0) == 1_060
    until = pb.HandleValue(index=3, type="URL", ttl_until_s=1_030)
    assert location_sets.expires_s([day, until], 1_000.0) == 1_030
    assert location_sets.expires_s([value(1, "URL", A, ttl_s=10**9)], 1_000.0) == 173_800


def test_locations_as_a_document():
    template = '<locations><location href_template="https://a.example/{hdl}" weight="3" country="cn"/></locations>'
    values = [value(1, "10320/loc", template), value(2, "URL", "https://b.example/?a=1&b=\0")]
    root = ET.fromstring(location_sets.to_xml(location_sets.of_values(values, ()), "88.1/x"))
    first, second = root
    assert first.attrib["href"] == "https://a.example/88.1%2Fx"
    assert (first.attrib["country"], first.attrib["weight"]) == ("cn", "3")
    assert second.attrib == {"href": "https://b.example/?a=1&b=\ufffd", "weight": "0.0", "mode": "legacy"}
