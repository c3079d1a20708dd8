"""The choice of a location, filter by filter, and the addresses that may be led to."""

import random

import pytest

from resolver.node.locations import Asked, choose, target_of, web_address
from resolver.wire.predefined.loc_10320 import Loc10320


def document(*locations, choose_by=""):
    chosen = f' chooseby="{choose_by}"' if choose_by else ""
    return Loc10320.from_wire(f"<locations{chosen}>{''.join(locations)}</locations>".encode())


def loc(href, **attributes):
    text = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f'<location href="{href}" {text}/>'


def chosen(found, asked=None, point=0.0):
    location = choose(found.locations, found.attributes, asked or Asked(), lambda: point)
    return location and location.href


A, B, C = "https://a.example/", "https://b.example/", "https://c.example/"


def test_weights_decide_by_chance_and_weight_0_is_never_chosen_unless_alone():
    found = document(loc(A, weight="1"), loc(B, weight="3"), loc(C, weight="0"))
    assert [chosen(found, point=point) for point in (0.0, 0.24, 0.26, 0.999)] == [A, A, B, B]
    assert chosen(document(loc(C, weight="0"))) == C
    random_ = random.Random(7)
    counts = {A: 0, B: 0}
    for _ in range(4_000):
        counts[choose(found.locations, {}, Asked(), random_.random).href] += 1
    assert 2.6 < counts[B] / counts[A] < 3.5


def test_an_attribute_asked_for_keeps_those_that_have_it():
    found = document(loc(A, id="1"), loc(B, id="2"))
    assert chosen(found, Asked((("id", "2"),))) == B
    assert chosen(found, Asked((("id", "9"),))) == A
    assert chosen(document(loc(A), loc(B, id="2"), choose_by="weighted"), Asked((("id", "2"),))) == A
    assert chosen(document(loc(A), loc(B, id="2")), Asked((("id", None),))) == B
    # One after the other, the first wanted most; what none has is passed over.
    three = document(loc(A, id="1", role="x"), loc(B, id="2", role="x"), loc(C, id="2"))
    assert chosen(three, Asked((("id", "2"), ("role", "x")))) == B
    assert chosen(three, Asked((("none", "2"), ("role", "x"), ("id", "1")))) == A


def test_countries_choose_their_own_and_others_those_of_no_country():
    found = document(loc(A, country="cn"), loc(B, country="de"), loc(C))
    assert chosen(found, Asked(country="DE")) == B
    assert chosen(found, Asked(country="fr")) == C
    assert chosen(document(loc(A, country="cn")), Asked(country="fr")) == A


def test_addresses_and_scores_when_the_document_says_so():
    found = document(loc(A), loc(B, addresses="10.0.0.0/8, 2001:db8::/32, nonsense"), choose_by="address,weighted")
    assert chosen(found, Asked(address="10.1.2.3")) == B
    assert chosen(found, Asked(address="2001:db8::1")) == B
    assert chosen(found, Asked(address="192.0.2.1")) == A
    assert chosen(found, Asked(address="no address")) == A
    assert chosen(document(loc(A, score="1"), loc(B, score="2.5"), loc(C, score="nan"), choose_by="score")) == B


def test_all_filters_are_used_when_the_document_names_none():
    found = document(loc(A, score="1"), loc(B, score="2"), loc(C, addresses="192.0.2.0/24"))
    assert chosen(found) == B
    assert chosen(found, Asked(address="192.0.2.7")) == C
    both = f'<locations chooseby="score" choose_by="locatt">{loc(A)}{loc(B, score="2")}</locations>'
    assert chosen(Loc10320.from_wire(both.encode())) == A


def test_filters_work_in_the_order_they_are_named():
    first = loc(A, id="1", country="cn", weight="0")
    found = document(first, loc(B, id="1", country="de"), loc(C, country="cn"), choose_by="country,locatt")
    assert chosen(found, Asked((("id", "1"),), "cn")) == A


def test_templates_and_statuses():
    (location,) = document('<location href_template="https://a.example/{hdl:path}?id={hdl}" http_sc="307"/>').locations
    path, whole = "88.1/%E4%BA%A7%20%E5%93%81%3F", "88.1%2F%E4%BA%A7%20%E5%93%81%3F"
    assert target_of(location, {}, "88.1/产 品?") == (f"https://a.example/{path}?id={whole}", 307)
    (location,) = document(loc(A, http_sc="200")).locations
    assert target_of(location, {}, "88.1/x") == (A, 302)
    (location,) = document(loc(A)).locations
    assert target_of(location, {"http_sc": "303"}, "88.1/x") == (A, 303)
    (location,) = document(loc("javascript:alert(1)")).locations
    assert target_of(location, {}, "88.1/x") is None
    assert choose((), {}, Asked(), lambda: 0.0) is None


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://a.example/",
        "//a.example/",
        "/relative",
        "a.example",
        "http:///path",
        "http://",
        "https://[::1",
        "https://a.example:port/",
        "\0https://a.example/",
        "ht\ntps://a.example/",
        "https://a\t.example/",
        "",
    ],
)
def test_what_is_no_address_of_the_web_is_not_led_to(text):
    assert web_address(text) is None


def test_addresses_are_safe_in_a_header():
    assert web_address(" https://a.example/产品?x=1%202&y=<b>\r\nSet-Cookie: a=b ") == (
        "https://a.example/%E4%BA%A7%E5%93%81?x=1%202&y=%3Cb%3E%0D%0ASet-Cookie:%20a=b"
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://中国.example/路", "https://xn--fiqs8s.example/%E8%B7%AF"),
        ("http://u:p@bücher.example:8080/x", "http://u:p@xn--bcher-kva.example:8080/x"),
        ("http://" + "长" * 70 + ".example/", "http://" + "%E9%95%BF" * 70 + ".example/"),
    ],
)
def test_hosts_are_led_to_in_the_letters_of_the_dns(text, address):
    assert web_address(text) == address
    assert web_address(text, "?y=1") == address + "?y=1"


def test_what_is_appended_cannot_change_the_host():
    assert web_address("https://a.example/x", "?y=1#z") == "https://a.example/x?y=1#z"
    for appended in (".evil.example/", "@evil.example/", ":443@evil.example"):
        assert web_address("https://a.example", appended) is None
