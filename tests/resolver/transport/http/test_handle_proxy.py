"""The proxy and its pages, as browsers, scanners of codes and strangers use them."""

import hashlib
import re
from xml.etree import ElementTree as ET

import httpx
import pytest

from resolver.errors import Overloaded
from resolver.registry import templates
from resolver.transport.http.handle_rest import HandleRest
from resolver.v1 import template_pb2
from tests.resolver.transport.hdl_node import value
from tests.resolver.transport.http.http_node import http_node
from tests.resolver.wire.vectors import load
from tests.support.builders import ADMIN, register
from tests.support.builders import value as handle_value

NAME = "88.300.1/产品 A?b#c/d"
PATH = "/88.300.1/%E4%BA%A7%E5%93%81%20A%3Fb%23c/d"
TARGET = "https://trace.example.com/p?id=1"
LOCATIONS = (
    '<locations chooseby="locatt,country,weighted">'
    '<location id="1" href="https://one.example/" country="cn" weight="1"/>'
    '<location id="2" href="https://two.example/" weight="1" http_sc="308"/></locations>'
)
ROLES = (
    '<locations http_sc="307"><location href="https://browser.example/" http_role="browser"/>'
    '<location href="https://data.example/" http_role="conneg" weight="0"/>'
    '<location href="https://json.example/" http_role="conneg" media-type="application/json" weight="0"/>'
    '<location href="https://nothing.example/" http_role="no_conneg" weight="0"/>'
    '<location href="https://metadata.example/" role="metadata" weight="0"/></locations>'
)
TONGUES = (
    '<locations><location href="https://german.example/" language="de" weight="0"/>'
    '<location href="https://french.example/" language="fr" weight="0"/><location href="https://any.example/"/></locations>'
)
ENGLISH = {"accept-language": "en-GB,en;q=0.9,zh;q=0.3"}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with http_node(tmp_path_factory.mktemp("proxy")) as node:
        node.store(
            NAME,
            value(1, "URL", TARGET),
            value(2, "EMAIL", "a@example.com"),
            value(3, "NAME", "<script>alert('x')</script>"),
            value(4, "BINARY", bytes(range(200))),
            value(5, "JSON", '{"批次": "2026"}'),
            value(6, "LONG", "长" * 2_000),
            value(7, "BAD", "javascript:alert(1)"),
        )
        brackets = "[" * 900 + "]" * 900
        node.store("88.300.1/deep", *(value(number, "JSON", brackets) for number in range(1, 200)))
        node.store("88.300.1/loc", value(1, "URL", TARGET), value(2, "10320/loc", LOCATIONS))
        node.store("88.300.1/alias", value(1, "HS_ALIAS", "hdl:" + NAME), value(2, "URL", "https://alias.example/"))
        node.store("88.300.1/circle", value(1, "HS_ALIAS", "88.300.1/ELCRIC"))
        node.store("88.300.1/elcric", value(1, "HS_ALIAS", "88.300.1/CIRCLE"))
        node.store("88.300.1/plain", value(1, "EMAIL", "a@example.com"))
        node.store("88.300.1/script", value(1, "URL", "javascript:alert(1)"))
        node.store("88.300.1/other-url", value(1, "URL.web", "https://dotted.example/"))
        node.store(
            "0.NA/88.300.3",
            value(50, "10320/loc", '<locations><location href_template="https://p.example/{hdl}"/></locations>'),
        )
        node.store("88.300.3/x", value(1, "EMAIL", "a@example.com"))
        node.store("0.NA/88.300.4", value(50, "HS_NAMESPACE", "<namespace><locs>88.300.4/locs</locs></namespace>"))
        shared = '<locations><location href_template="https://n.example/{hdl:path}"/></locations>'
        node.store("88.300.4/locs", value(1, "10320/loc", shared))
        node.store("88.300.4/x", value(1, "URL", TARGET))
        node.store("88.300.1/readable", value(1, "URL", "https://a.example/产品?型号=6205"), value(2, "NOTE", ""))
        node.store("88.300.1/tongues", value(2, "10320/loc", TONGUES))
        node.store("88.300.1/roles", value(1, "URL", TARGET), value(2, "10320/loc", ROLES))
        yield node


def get(node, path, **headers):
    with node.client() as client:
        return client.get(path, headers=headers)


def test_a_handle_leads_to_its_address(node):
    found = get(node, PATH)
    assert (found.status_code, found.headers["location"]) == (302, TARGET)
    assert found.headers["content-type"] == "text/html;charset=utf-8"
    assert "GMT" in found.headers["expires"]
    assert "https://trace.example.com/p?id=1" in found.text


@pytest.mark.parametrize("scheme", ["hdl:", "doi:", "info:doi/", "urn:hdl:", "HDL:"])
def test_the_scheme_of_a_link_is_no_part_of_the_name(node, scheme):
    assert get(node, f"/{scheme}88.300.1/other-url").headers["location"] == "https://dotted.example/"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/88.300.1/loc?country=CN", "https://one.example/"),
        ("/88.300.1/loc?country=de", "https://two.example/"),
        ("/88.300.1/loc?locatt=id:1", "https://one.example/"),
        ("/88.300.1/loc?type=URL", TARGET),
        ("/88.300.1/loc?index=1", TARGET),
        ("/88.300.1/other-url", "https://dotted.example/"),
        ("/88.300.3/x", "https://p.example/88.300.3%2Fx"),
        ("/88.300.4/x", "https://n.example/88.300.4/x"),
        ("/88.300.4/x?type=URL", TARGET),
        ("/88.300.1/roles?locatt=role:metadata", "https://metadata.example/"),
        ("/88.300.1/roles?action=metadata", "https://metadata.example/"),
        ("/88.300.1/roles?locatt=mode:legacy", TARGET),
        ("/88.300.1/alias", PATH),
        ("/88.300.1/alias?locatt=a:b&x=%0d%3c", PATH + "?locatt=a:b&x=%0d%3c"),
        ("/88.300.1/alias?type=URL", "https://alias.example/"),
        ("/urn:hdl:88.300.1:other-url", "https://dotted.example/"),
        ("/urn:eidr:88.300.1/other-url", "https://dotted.example/"),
        ("/88.300.1/other-url?urlappend=?q=a+b%26c;locatt=x", "https://dotted.example/?q=a+b&c"),
        ("/88.300.1/other-url?action=Redirect&noredirect", "https://dotted.example/"),
        ("/88.300.1/other-url?action=toolbar", "https://dotted.example/"),
        ("/88.300.1/other-url?index=x", "https://dotted.example/"),
        ("/88.300.1/alias?ignore_aliases", "https://alias.example/"),
        (PATH + "?urlappend=%26x%3D1", TARGET + "&x=1"),
        (PATH + "?action=redirect", TARGET),
    ],
)
def test_what_is_led_to(node, path, location):
    assert get(node, path).headers["location"] == location


@pytest.mark.parametrize(
    ("headers", "location"),
    [
        ({"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, "https://browser.example/"),
        ({"accept": "image/webp,text/turtle;q=0.5"}, "https://browser.example/"),
        ({"accept": "*/*", "user-agent": "Mozilla/5.0 x"}, "https://browser.example/"),
        ({"accept": "*/*", "user-agent": "curl/8"}, "https://nothing.example/"),
        ({"accept": "application/json"}, "https://json.example/"),
        ({"accept": "text/turtle;q=0.1, application/json;q=0.9, text/html;q=0.2"}, "https://json.example/"),
    ],
)
def test_what_headers_want_chooses_among_locations(node, headers, location):
    found = get(node, "/88.300.1/roles", **headers)
    assert (found.status_code, found.headers["location"]) == (307, location)


def test_the_language_wanted_most_chooses_among_locations(node):
    for wanted, location in (("de;q=0.3, fr;q=0.9", "french"), ("it, de;q=x", "german"), ("", "any")):
        found = get(node, "/88.300.1/tongues", **{"accept-language": wanted})
        assert found.headers["location"] == f"https://{location}.example/"


def test_an_alias_is_moved_for_as_long_as_it_stands(node):
    found = get(node, "/88.300.1/alias")
    assert (found.status_code, found.headers["location"]) == (301, PATH)
    assert "GMT" in found.headers["expires"]
    assert get(node, "/88.300.1/alias?action=showvalues").status_code == 200


def test_the_json_of_a_handle_is_a_way_to_show_it(node):
    with node.client() as client:
        for action in ("api", "API"):
            shown = client.get(f"{PATH}?action={action}&type=URL")
            assert shown.json() == client.get(f"/api/handles{PATH}?type=URL").json()
            assert shown.headers["content-type"] == "application/json;charset=utf-8"
        missing = client.get("/88.300.1/none?action=api")
        assert (missing.status_code, missing.json()) == (404, {"responseCode": 100, "handle": "88.300.1/none"})
        wrong = client.get(f"{PATH}?action=api&index=x")
        assert (wrong.status_code, wrong.json()["responseCode"]) == (400, 4)


def test_scripts_of_any_origin_may_follow_and_ask(node):
    with node.client() as client:
        for path in (PATH, PATH + "?noredirect", "/88.300.1/none", "/88.300.1/alias", PATH + "?action=showurls"):
            assert client.get(path).headers["access-control-allow-origin"] == "*"
        asked = client.options(PATH, headers={"origin": "https://a.example", "access-control-request-method": "GET"})
        assert (asked.status_code, asked.content) == (200, b"")
        assert asked.headers["access-control-allow-origin"] == "*"


def test_a_form_asks_as_a_link_does(node):
    with node.client() as client:
        sent = client.post("/", data={"hdl": " hdl:88.300.1/other-url "})
        assert (sent.status_code, sent.headers["location"]) == (302, "https://dotted.example/")
        assert "88.300.1/other-url" in client.post("/", data={"hdl": "88.300.1/other-url", "noredirect": ""}).text
        assert client.post("/88.300.1/other-url").headers["location"] == "https://dotted.example/"
        assert client.post("/88.300.1/alias").headers["location"] == TARGET
        assert "标识解析" in client.post("/", data={"hdl": ""}).text


def test_slashes_before_a_name_are_no_part_of_it(node):
    with node.client() as client:
        found = client.get(httpx.URL(node.plain).copy_with(raw_path=b"//%2F88.300.1/other-url"))
    assert found.headers["location"] == "https://dotted.example/"


def test_a_location_may_choose_the_status(node):
    assert get(node, "/88.300.1/loc?locatt=id:2").status_code == 308


def test_the_page_of_a_handle_is_chinese_and_shows_what_is_registered(node):
    found = get(node, PATH + "?noredirect")
    assert (found.status_code, found.headers["content-type"]) == (200, "text/html;charset=utf-8")
    assert found.headers["content-language"] == "zh-CN"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    text = found.text
    assert "产品 A?b#c/d" in text
    assert "标识值" in text
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in text
    assert "<script" not in text
    assert 'href="javascript' not in text
    assert "二进制数据，200 字节" in text
    assert "批次" in text
    assert "<details>" in text
    assert f'href="{TARGET}"' in text
    assert f'href="/api/handles{PATH}"' in text


def test_the_page_is_english_for_those_who_want_it(node):
    found = get(node, PATH + "?noredirect", **ENGLISH)
    assert found.headers["content-language"] == "en"
    assert "Registered" in found.text
    assert get(node, PATH + "?noredirect&lang=zh", **ENGLISH).headers["content-language"] == "zh-CN"


def test_an_address_in_chinese_stays_readable_and_empty_data_is_said_to_be_empty(node):
    text = get(node, "/88.300.1/readable?noredirect").text
    encoded = "https://a.example/%E4%BA%A7%E5%93%81?%E5%9E%8B%E5%8F%B7=6205"
    assert f'<a class="visit" href="{encoded}" rel="noopener noreferrer">访问链接 <span>https://a.example/产品' in text
    assert text.count(encoded) == 2, "where links lead, and nowhere to read"
    assert '<span class="note">空</span>' in text
    assert '<span class="note">empty</span>' in get(node, "/88.300.1/readable?noredirect", **ENGLISH).text


def test_values_are_called_what_their_template_calls_them(node):
    item = template_pb2.TemplateItem(index=2000, type="NAME", name="产品<名称>")
    row = template_pb2.Template(template_id="t1", prefix="88.300.1", label="2026 版", items=[item])
    with node.engine.write() as writer:
        templates.create(writer, ADMIN, row, node.clock.now_us(), node.service.core.randomness)
    given = [handle_value(2000, "轴承", "NAME"), handle_value(7, "x", "NAME")]
    register(node.engine, node.clock, "88.300.1/templated", given, template_id="t1")
    text = get(node, "/88.300.1/templated").text
    assert "<b>产品&lt;名称&gt;</b><small>NAME</small>" in text
    assert "<b>NAME</b>" in text
    assert "<dd>2026 版</dd>" in text


def test_a_page_is_not_much_longer_than_what_is_registered(node):
    with node.client() as client:
        page = client.get("/88.300.1/deep?noredirect")
    assert page.status_code == 200
    assert page.text.count("[" * 200) >= 199
    assert len(page.content) < 4 * 199 * 1_800


def test_the_page_of_an_alias_says_so(node):
    assert f"88.300.1/Alias 是别名，指向 {NAME}。" in get(node, "/88.300.1/Alias?noredirect").text
    assert "别名，" not in get(node, PATH.lower() + "?noredirect").text


def test_what_browsers_and_crawlers_ask_is_no_question_for_a_handle(node, monkeypatch):
    counted = []
    monkeypatch.setattr(node.service.core.counting, "resolved", lambda *name: counted.append(name))
    assert get(node, "/robots.txt").text.startswith("User-agent: *")
    icon = get(node, "/favicon.ico")
    assert (icon.status_code, icon.content) == (404, b"")
    assert counted == []
    get(node, "/88.300.1/none")
    assert len(counted) == 1


@pytest.mark.parametrize("path", ["/88.300.1/plain", "/88.300.1/script"])
def test_without_an_address_of_the_web_the_page_is_shown(node, path):
    found = get(node, path)
    assert found.status_code == 200
    assert "location" not in found.headers


def test_showurls_is_a_document_of_what_leads_somewhere(node):
    found = get(node, "/88.300.1/roles?action=showurls")
    assert (found.status_code, found.headers["content-type"]) == (200, "text/xml;charset=utf-8")
    places = [place.attrib for place in ET.fromstring(found.content)]
    assert places[0] == {"href": "https://browser.example/", "http_role": "browser"}
    assert places[-1] == {"href": TARGET, "weight": "0.0", "mode": "legacy"}
    (only,) = ET.fromstring(get(node, PATH + "?action=showurls").content)
    assert only.attrib == {"href": TARGET, "weight": "1.0", "mode": "legacy"}
    assert get(node, "/88.300.1/plain?action=showurls").headers["content-type"] == "text/html;charset=utf-8"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/88.300.1/none", 404, "该标识没有在本节点注册"),
        ("/99.999/none", 404, "本节点不负责前缀“99.999”"),
        ("/88.300.1/circle", 404, "循环"),
        ("/88.300.1/" + "x" * 2_100, 400, "这不是一个有效的标识"),
        ("/88.300.1/%00%0d%0aX-Evil:1", 404, "没有在本节点注册"),
        ("/%B2%FA%C6%B7/x", 400, "这不是一个有效的标识"),
        (PATH + "?urlappend=%00", 302, ""),
        ("/88.300.1/plain?" + "&a=b" * 3_000, 400, "参数不正确"),
    ],
)
def test_the_page_says_why_there_is_nothing(node, path, status, words):
    found = get(node, path)
    assert found.status_code == status
    assert words in found.text
    assert "x-evil" not in found.headers
    assert "Traceback" not in found.text


@pytest.mark.parametrize("path", ["/88.300.1/none", "/88.300.1/none?action=api"])
def test_a_trouble_that_passes_says_when_to_come_again(node, monkeypatch, path):
    def full(*_):
        raise Overloaded("too many ask: try again", retry_after_s=3.0)

    monkeypatch.setattr(node.service.resolution, "resolve", full)
    monkeypatch.setattr(HandleRest, "read", full)
    found = get(node, path)
    assert (found.status_code, found.headers["retry-after"]) == (503, "3")


def test_what_is_appended_does_not_lead_to_another_host(node):
    node.store("88.300.1/bare", value(1, "URL", "https://a.example"))
    found = get(node, "/88.300.1/bare?urlappend=.evil.example/")
    assert (found.status_code, "location" in found.headers) == (400, False)


def test_the_form_leads_to_the_page(node):
    found = get(node, "/?handle=hdl:88.300.1/%E4%BA%A7%20x%3F")
    assert (found.status_code, found.headers["location"]) == (303, "/88.300.1/%E4%BA%A7%20x%3F?noredirect")
    assert "标识解析" in get(node, "/").text


def test_nothing_leads_to_a_host_that_a_stranger_wrote_into_a_path(node):
    for slashes in range(1, 5):
        asked = "/" * slashes + "evil.example/x"
        location = get(node, f"/?handle={asked}").headers["location"]
        assert location == "/" + "%2F" * slashes + "evil.example/x?noredirect"
        url = httpx.URL(node.plain).copy_with(raw_path=f"/{asked}".encode())
        with node.client() as client:
            found = client.get(url)
        assert found.status_code in {400, 404}
        assert 'href="//' not in found.text
        assert "location" not in found.headers


def test_the_style_is_served(node):
    found = get(node, "/_page/page.css")
    assert found.headers["content-type"] == "text/css;charset=utf-8"
    address = re.search(r'href="(/_page/page.css[^"]*)"', get(node, "/").text)
    assert address[1].endswith(hashlib.sha256(found.content).hexdigest()[:12])
    assert get(node, address[1]).content == found.content


def test_other_methods_are_refused(node):
    with node.client() as client:
        assert client.put(PATH, content=b"x").status_code == 405
        assert client.delete(PATH).status_code == 405


@pytest.mark.parametrize(
    "vector",
    [vector for vector in load("rest_exchanges") if not vector["request"]["path"].startswith("/api")],
    ids=lambda vector: vector["id"],
)
def test_recorded_exchange(node, vector):
    node.store("88.300.1/P0000042", value(1, "URL", "https://trace.example.com/product/0000042?batch=20260101"))
    found = get(node, vector["request"]["path"])
    recorded = vector["response"]
    assert found.status_code == recorded["status"]
    for name in ("Content-Type", "Location"):
        assert found.headers.get(name) == recorded["headers"].get(name)
    assert ("Expires" in recorded["headers"]) == ("expires" in found.headers)
