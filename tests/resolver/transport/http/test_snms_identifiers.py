"""Tokens and identifiers of the SNMS OpenAPI: envelope, statuses and sentences as its documents have them."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from resolver import methods
from resolver.transport.http.calls import SnmsOptions
from resolver.transport.http.snms import bodies, desk, enterprises, identifiers
from resolver.v1 import registration_pb2 as registration
from resolver.v1 import template_pb2
from tests.resolver.transport.http.snms_door import PASSWORD, Erp, identifier, run, value
from tests.support.builders import PREFIX_A, PREFIX_B
from tests.support.builders import value as node_value
from tests.support.node import no_second_ends

DATA = "/identityv2/data"
A = f"{PREFIX_A}/ZC.2026.001"
GOOD = {"message": "success", "status": 1, "data": True}


def failure(words, status=-2):
    return {"message": words, "status": status, "data": None}


@pytest.fixture
def snms(world, monkeypatch):
    return lambda main, **options: run(world, main, monkeypatch, **options)


def test_tokens(snms, world):
    async def main(node):
        wrong = failure("用户名/密码错误！")
        for body in ({"username": "a", "password": "wrong one"}, {"username": "x", "password": PASSWORD}):
            assert await node.nobody.ask("POST", "/identity/token", body) == wrong
        for body, words in (
            ({}, "缺少必要的请求参数: username"),
            ({"username": "a"}, "缺少必要的请求参数: password"),
            ({"username": "x" * 51, "password": "y"}, "参数 username 的长度不能大于50"),
            ({"username": "a", "password": "y" * 65}, "参数 password 的长度不能大于64"),
        ):
            assert await node.nobody.ask("POST", "/identity/token", body) == failure(words)
        date = (datetime.fromtimestamp(world.clock.now_us() // 10**6, UTC) + timedelta(hours=8)).strftime("%Y-%m-%d")
        inner = hashlib.sha256(PASSWORD.encode()).hexdigest()
        digest = hashlib.sha256((inner + date).encode()).hexdigest()
        answer = await node.nobody.ask("POST", "/identity/token/v1", {"username": "a", "password": digest})
        assert (answer["status"], set(answer["data"])) == (1, {"token"})
        assert (await Erp(node.client, answer["data"]["token"]).ask("POST", DATA, identifier(A)))["status"] == 1
        # b has not enabled the digest form.
        assert await node.nobody.ask("POST", "/identity/token/v1", {"username": "b", "password": digest}) == wrong
        for erp in (node.nobody, Erp(node.client, "idis_made-up")):
            assert (await erp.ask("GET", f"{DATA}/detail", params={"handle": A}))["status"] == -1
        world.clock.advance(86_400)
        assert (await node.a.ask("GET", f"{DATA}/detail", params={"handle": A}))["status"] == -1

    snms(main)


def test_guessing_is_slowed(snms):
    async def main(node):
        body = {"username": "a", "password": "wrong one"}
        told = {(await node.nobody.ask("POST", "/identity/token", body))["message"] for _ in range(11)}
        assert told == {"用户名/密码错误！", "密码错误次数过多，请稍后再试"}

    snms(main)


def test_an_identifier_from_creation_to_deletion(snms):
    async def main(node):
        both = [value(), value(2001, "6204", "MODEL", auth="reserved")]
        assert await node.a.ask("POST", DATA, identifier(A, *both)) == GOOD
        assert await node.a.ask("POST", DATA, identifier(A)) == failure("标识已存在")
        shown = await node.a.ask("GET", f"{DATA}/detail", params={"handle": A})
        reference = {"auth": None, **value(1001, "1.0", "TEMPLATE")}
        assert shown["data"] == {
            "code": "200",
            "prefix": PREFIX_A,
            "handle": A,
            "templateVersion": "1.0",
            "value": [reference, {"auth": None, **value()}, {**value(2001, "6204", "MODEL"), "auth": None}],
        }
        assert await node.a.ask("PUT", DATA, identifier(A, value(text="齿轮"))) == GOOD
        shown = await node.app.ask("GET", f"{DATA}/detail", params={"handle": A})
        assert [each["data"]["value"] for each in shown["data"]["value"]] == ["1.0", "齿轮"]
        none = f"{PREFIX_A}/none"
        assert await node.a.ask("PUT", DATA, identifier(none)) == failure("没有找到标识")
        assert await node.a.ask("DELETE", DATA, {"handle": none}) == failure("没有找到标识")
        assert await node.a.ask("DELETE", DATA) == failure("缺少必要的请求参数: handle")
        assert await node.a.ask("DELETE", DATA, params={"handle": A}) == GOOD
        assert await node.a.ask("GET", f"{DATA}/detail", params={"handle": A}) == failure("没有找到标识")

    snms(main)


def test_the_rules_of_the_template(snms):
    async def main(node):
        for values, words in (
            ([value(1000)], "非法操作，索引1000在模板中不存在"),
            ([value(2009)], "非法操作，索引2009在模板中不存在"),
            ([value(-1)], "非法操作，索引-1在模板中不存在"),
            ([value(), value(2**40)], f"非法操作，索引{2**40}在模板中不存在"),
            ([value(1001)], "非法操作，索引1001为模板保留索引"),
            ([value(kind="OTHER")], "非法操作，索引2000的类型与模板不一致"),
            ([value(2001, "x", "MODEL")], "缺少模板的必填项: 索引2000(NAME)"),
            ([value(text="短")], "索引2000(NAME)的值长度不能小于2"),
            ([value(text="很长很长很长很长很长")], "索引2000(NAME)的值长度不能大于8"),
            ([], "缺少必要的请求参数: value"),
        ):
            body = identifier(A) | {"value": values}
            assert await node.a.ask("POST", DATA, body) == failure(words)
        repeated = await node.a.ask("POST", DATA, identifier(A, value(), value()))
        assert repeated == failure("参数 value 中的索引不能重复")
        no_template = failure("没有找到模板，请检查前缀和模板版本")
        assert await node.a.ask("POST", DATA, identifier(A, version="9.9")) == no_template
        assert await node.a.ask("POST", DATA, identifier(A, version="版" * 128)) == no_template

    snms(main)


def test_what_is_missing_or_wrong_is_named(snms):
    async def main(node):
        def without(*path):
            body = identifier(A)
            place = body
            for step in path[:-1]:
                place = place[step]
            del place[path[-1]]
            return body

        for body, words in (
            (without("handle"), "缺少必要的请求参数: handle"),
            (without("templateVersion"), "缺少必要的请求参数: templateVersion"),
            (without("value"), "缺少必要的请求参数: value"),
            (without("value", 0, "index"), "缺少必要的请求参数: index"),
            (without("value", 0, "type"), "缺少必要的请求参数: type"),
            (without("value", 0, "data"), "缺少必要的请求参数: data"),
            (without("value", 0, "data", "format"), "缺少必要的请求参数: format"),
            (without("value", 0, "data", "value"), "缺少必要的请求参数: data.value"),
            (identifier(f"{PREFIX_A}/{'x' * 250}"), "参数 handle 的长度不能大于255"),
            (identifier(A, value(text="x" * 256)), "参数 data.value 的长度不能大于255"),
            (identifier(A, value(kind="x" * 129)), "参数 type 的长度不能大于128"),
            (identifier(A, version="x" * 129), "参数 templateVersion 的长度不能大于128"),
        ):
            assert await node.a.ask("POST", DATA, body) == failure(words)
        body = identifier(A)
        body["value"][0]["data"]["format"] = "number"
        assert await node.a.ask("POST", DATA, body) == failure("参数 format 只能是 string")
        no_slash = await node.a.ask("POST", DATA, identifier(PREFIX_A))
        assert no_slash["message"].startswith("参数 handle 不是正确的标识")
        assert await node.a.ask("GET", f"{DATA}/detail") == failure("缺少必要的请求参数: handle")
        for query in ("handle=", "handle=%20"):
            assert (await node.a.ask("GET", f"{DATA}/detail?{query}"))["message"] == "缺少必要的请求参数: handle"
        for query in ("handle=%B1%EA%CA%B6", f"handle={A}&handle={A}"):
            assert (await node.a.ask("GET", f"{DATA}/detail?{query}"))["message"].startswith("参数 handle ")
        # Numbers as texts, as loosely typed applications send them.
        body = identifier(A)
        body["value"][0]["index"] = "2000"
        assert await node.a.ask("POST", DATA, body) == GOOD

    snms(main)


TRAPS = {
    " \n": "请求体不是正确的 JSON",
    "{": "请求体不是正确的 JSON",
    '{"handle": "\udcff"}': "请求体不是正确的 JSON",
    "[" * 100_000: "参数格式不正确",
    '{"value":' * 50_000: "参数格式不正确",
    '{"x":' + "[" * 100_000: "请求体不是正确的 JSON: 嵌套过深",
    "null": "参数格式不正确",
    "[]": "参数格式不正确",
    '{"handle": 5, "templateVersion": [], "value": {}}': "参数格式不正确",
    '{"handle": "88.300.10/\\ud800", "templateVersion": "1.0", "value": [{"index":2000}]}': "",
    '{"handle": "88.300.10/\\u0000x", "templateVersion": "1.0", "value": [{"index":2000}]}': "",
}


def test_failures_are_counted_as_failures_though_their_http_status_is_200(snms):
    async def main(node):
        core = node.asker.service.core
        with no_second_ends(core):
            core.calls.take()
            await node.a.ask("GET", f"{DATA}/detail", params={"handle": A})
            await node.nobody.ask("GET", f"{DATA}/detail", params={"handle": A})
            await node.a.ask("POST", DATA, identifier(A))
            await node.nobody.ask("POST", "/identity/token", {"username": "a", "password": "wrong one"})
            seen = core.calls.take().calls
        return {(called.name, result): count for (door, called, result), count in seen.items() if door == "snms"}

    assert snms(main) == {
        ("Resolve", "-2"): 1,
        ("Resolve", "-1"): 1,
        ("CreateHandle", "200"): 1,
        ("LogIn", "-2"): 1,
    }


def test_bodies_that_are_none(snms):
    async def main(node):
        for body, words in TRAPS.items():
            octets = body.encode("utf-8", "surrogateescape")
            for method, path in (("POST", DATA), ("PUT", DATA), ("DELETE", DATA), ("POST", f"{DATA}/batchCreate")):
                answer = await node.a.ask(method, path, content=octets, headers={"Content-Type": "application/json"})
                if path == DATA and method != "DELETE":
                    assert answer["status"] == -2
                    assert answer["message"].startswith(words), (body[:40], answer)
                assert answer["status"] == -2 or all(row["msg"] != "success" for row in answer["data"]), body[:40]
        octets = json.dumps(identifier(A)).encode()
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "garbage"):
            answer = await node.a.ask("POST", DATA, content=octets, headers={"Content-Type": kind})
            assert answer["message"].startswith("Content-Type 必须是 application/json")
        utf_16 = json.dumps(identifier(A)).encode("utf-16")
        assert (await node.a.ask("POST", DATA, content=utf_16))["status"] == -2
        assert await node.a.ask("POST", DATA, content=octets, headers={"Content-Type": "APPLICATION/JSON;x=y"}) == GOOD

    snms(main)


def test_a_byte_order_mark_before_a_body_is_passed_over(snms):
    async def main(node):
        body = "\ufeff" + json.dumps(identifier(A))
        headers = {"Content-Type": "application/json"}
        answer = await node.a.send("POST", DATA, headers=headers, content=body.encode())
        assert answer.json() == GOOD

    snms(main)


def test_paths_methods_and_sizes_outside_the_interface(snms):
    async def main(node):
        for method, path, status in (
            ("GET", "/identityv2/none", 404),
            ("GET", "/snms/", 404),
            ("PATCH", DATA, 405),
            ("GET", "/identity/token", 405),
        ):
            response = await node.a.send(method, path)
            assert (response.status_code, response.json()["status"]) == (status, -2)
        response = await node.a.send("PATCH", DATA)
        assert set(response.headers["allow"].split(", ")) == {"POST", "PUT", "DELETE"}
        for path, octets in (
            (DATA, desk.ONE_OCTETS_MAX),
            (f"{DATA}/batchCreate", 16 << 20),
            ("/snms/api/v5/template", desk.ONE_OCTETS_MAX),
            ("/snms/api/v3/ent/apply", enterprises.RECORD_OCTETS_MAX),
            ("/identity/token", 64 << 10),
        ):
            response = await node.a.send("POST", path, content=b" " * octets + b"{}")
            assert (response.status_code, response.json()) == (413, failure("请求内容过大"))

            async def pieces(octets=octets):
                for _ in range(0, octets + 1, 1 << 15):
                    yield b" " * (1 << 15)

            response = await node.a.send("POST", path, content=pieces())
            assert (response.status_code, response.json()) == (413, failure("请求内容过大"))
        # Two thousand names of 255 characters are three megabytes when each character is escaped.
        response = await node.a.send("DELETE", f"{DATA}/batchDelete", content=b" " * (3 << 20) + b"[]")
        assert response.json()["message"].startswith("请求体是空数组")

    snms(main)


def test_bodies_that_come_in_together_are_bounded(snms, monkeypatch):
    monkeypatch.setattr("resolver.transport.http.snms.desk.HELD_OCTETS_MAX", 1 << 20)

    async def main(node):
        async def trickle():
            for _ in range(12):
                yield b" " * (1 << 16)
                await asyncio.sleep(0.02)
            yield json.dumps(identifier(A)).encode()

        calls = [node.a.send("POST", DATA, content=trickle()) for _ in range(4)]
        calls.append(node.a.send("POST", DATA, identifier(f"{PREFIX_A}/small")))
        *large, small = await asyncio.gather(*calls)
        busy = failure("系统繁忙，请稍后重试", -4)
        assert busy in [answer.json() for answer in large]
        assert all(answer.status_code == (503 if answer.json() == busy else 200) for answer in large)
        assert small.json() == GOOD

    snms(main)


@pytest.mark.parametrize("in_slices", [False, True])
def test_batches(snms, monkeypatch, in_slices):
    if in_slices:
        monkeypatch.setattr(identifiers, "SLICE_ROWS", 2)
        monkeypatch.setattr(bodies, "AT_ONCE_OCTETS_MAX", 0)
        monkeypatch.setattr(bodies, "SLICE_OCTETS", 1)

    async def main(node):
        names = [f"{PREFIX_A}/B{number}" for number in range(3)]
        rows = [identifier(name) for name in (*names, names[1])]
        rows[2]["value"][0]["index"] = 1000
        rows += [{"templateVersion": "1.0"}, 5, identifier(f"{PREFIX_B}/x")]
        answer = await node.a.ask("POST", f"{DATA}/batchCreate", rows)
        assert (answer["message"], answer["status"]) == ("success", 1)
        told = answer["data"]
        assert told[0] == {"handle": names[0], "msg": "success"}
        assert [row["msg"] for row in told[:5]] == [
            "success",
            "success",
            "非法操作，索引1000在模板中不存在",
            "标识已存在",
            "缺少必要的请求参数: handle",
        ]
        assert told[5]["handle"] is None
        assert told[5]["msg"] == "参数格式不正确: 请求体的类型应为对象"
        assert told[6] == {"handle": f"{PREFIX_B}/x", "msg": "没有权限"}
        rows = [identifier(name, value(text="新的")) for name in names]
        answer = await node.a.ask("PUT", f"{DATA}/batchUpdate", rows)
        assert [row["msg"] for row in answer["data"]] == ["success", "success", "没有找到标识"]
        answer = await node.a.ask("DELETE", f"{DATA}/batchDelete", [names[0], names[0], "", "no slash", 7])
        assert [row["code"] for row in answer["data"]] == [1, -2, -2, -2, -2]
        assert answer["data"][0] == {"handle": names[0], "code": 1, "msg": "success"}
        assert answer["data"][1] == {"handle": names[0], "code": -2, "msg": "标识不存在"}
        answer = await node.a.ask("DELETE", f"{DATA}/batchDelete", {"handles": [names[1]]})
        assert [row["code"] for row in answer["data"]] == [1]
        for body in ([], {"handles": []}, {}):
            assert (await node.a.ask("DELETE", f"{DATA}/batchDelete", body))["message"].startswith("请求体是空数组")

    snms(main)


def test_two_thousand_and_not_one_more(snms):
    async def main(node):
        rows = [identifier(f"{PREFIX_A}/{number}") for number in range(2_001)]
        too_many = failure("批量操作一次最多 2000 条")
        assert await node.a.ask("POST", f"{DATA}/batchCreate", rows) == too_many
        assert await node.a.ask("PUT", f"{DATA}/batchUpdate", rows) == too_many
        names = [row["handle"] for row in rows]
        assert await node.a.ask("DELETE", f"{DATA}/batchDelete", names) == too_many
        answer = await node.a.ask("POST", f"{DATA}/batchCreate", rows[1:])
        assert answer["status"] == 1
        assert {row["msg"] for row in answer["data"]} == {"success"}
        assert [row["handle"] for row in answer["data"]] == names[1:]
        answer = await node.a.ask("DELETE", f"{DATA}/batchDelete", names[1:])
        assert [row["code"] for row in answer["data"]] == [1] * 2_000

    snms(main)


def test_the_same_key_gets_the_first_outcome_again(snms):
    async def main(node):
        key = {"Idempotency-Key": "order-4711"}
        for _ in range(3):
            assert await node.a.ask("POST", DATA, identifier(A), headers=key) == GOOD
        assert await node.a.ask("POST", DATA, identifier(A), headers={"Idempotency-Key": "other"}) == failure(
            "标识已存在"
        )
        reused = failure("Idempotency-Key 已用于另一个请求")
        assert await node.a.ask("POST", DATA, identifier(A, value(text="别的")), headers=key) == reused
        rows = [identifier(f"{PREFIX_A}/K"), identifier(A)]
        key = {"Idempotency-Key": "批".encode().hex() * 40}
        answers = [await node.a.ask("POST", f"{DATA}/batchCreate", rows, headers=key) for _ in range(2)]
        assert answers[0] == answers[1]
        assert [row["msg"] for row in answers[0]["data"]] == ["success", "标识已存在"]
        key = {"Idempotency-Key": "gone"}
        for _ in range(2):
            assert await node.a.ask("DELETE", DATA, {"handle": A}, headers=key) == GOOD
        for wrong in ("x" * 256, "a\tb"):
            answer = await node.a.ask("POST", DATA, identifier(A), headers={"Idempotency-Key": wrong})
            assert answer["message"].startswith("请求头 Idempotency-Key")
        # Two at once: one decides, both hear the same.
        calls = [node.a.ask("POST", DATA, identifier(A), headers={"Idempotency-Key": "race"}) for _ in range(8)]
        assert await asyncio.gather(*calls) == [GOOD] * 8

    snms(main)


def test_other_values_of_a_handle_are_left_alone(snms):
    async def main(node):
        await node.a.ask("POST", DATA, identifier(A))
        own = [node_value(1, "https://a.cn"), node_value(7, b"\xff\xfe", "BINARY")]
        await node.asker.ask("user_a", methods.PUT_VALUES, name=A, values=own)
        assert await node.a.ask("PUT", DATA, identifier(A, value(text="齿轮"))) == GOOD
        record = (await node.asker.ask("", methods.RESOLVE, name=A)).record
        assert {each.index: each.data for each in record.values} == {
            1: b"https://a.cn",
            7: b"\xff\xfe",
            1001: b"1.0",
            2000: "齿轮".encode(),
        }
        shown = await node.a.ask("GET", f"{DATA}/detail", params={"handle": A})
        assert [each["index"] for each in shown["data"]["value"]] == [1001, 2000]
        free = registration.CreateHandleRequest(name=f"{PREFIX_A}/free", values=own)
        await node.asker.ask("user_a", methods.CREATE_HANDLE, free)
        shown = await node.a.ask("GET", f"{DATA}/detail", params={"handle": f"{PREFIX_A}/free"})
        assert shown["data"]["templateVersion"] is None
        assert [each["index"] for each in shown["data"]["value"]] == [1]

    snms(main)


def test_typed_items_are_checked_here_too(snms):
    async def main(node):
        items = [template_pb2.TemplateItem(index=2000, type="WEIGHT", kind="ITEM_KIND_NUMBER", maximum=9)]
        typed = template_pb2.Template(prefix=PREFIX_A, label="typed", items=items)
        await node.asker.ask("user_a", methods.CREATE_TEMPLATE, template=typed)
        assert await node.a.ask("POST", DATA, identifier(A, value(2000, "8.5", "WEIGHT"), version="typed")) == GOOD
        answer = await node.a.ask("PUT", DATA, identifier(A, value(2000, "heavy", "WEIGHT"), version="typed"))
        assert answer["message"].startswith("索引2000的值不符合模板要求: ")
        answer = await node.a.ask("GET", "/snms/api/v5/template", params={"prefix": PREFIX_A, "version": "typed"})
        assert answer == failure("模板包含非字符串类型的数据项，不能通过该接口读取")

    snms(main)


def test_an_operator_can_turn_it_off(world, monkeypatch):
    async def main(node):
        response = await node.nobody.send("POST", "/identity/token", {"username": "a", "password": PASSWORD})
        assert (response.status_code, response.json()) == (404, failure("请求的接口不存在"))

    run(world, main, monkeypatch, furnished=False, snms=SnmsOptions(enabled=False))


def test_the_reference_value_and_http_statuses_can_be_set(snms):
    async def main(node):
        await node.a.ask("POST", DATA, identifier(A))
        record = (await node.asker.ask("", methods.RESOLVE, name=A)).record
        assert [each.index for each in record.values] == [2000]
        assert (await node.a.send("POST", DATA, identifier(A))).status_code == 409
        assert (await node.nobody.send("POST", DATA, identifier(A))).status_code == 401

    snms(main, snms=SnmsOptions(reference_type="", mapped_http_status=True))
