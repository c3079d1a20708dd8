"""Templates of the SNMS OpenAPI, v3 and v5: created, read, changed without losing an item, deleted."""

import pytest

from resolver import methods
from resolver.v1 import template_pb2
from tests.resolver.transport.http.snms_door import INDUSTRIES, ITEMS, identifier, run, string, template, value
from tests.support.builders import PREFIX_A, PREFIX_B

V3, V5 = "/snms/api/v3/template", "/snms/api/v5/template"
GOOD = {"message": "success", "status": 1, "data": True}


def failure(words, status=-2):
    return {"message": words, "status": status, "data": None}


@pytest.fixture
def snms(world, monkeypatch):
    return lambda main, **options: run(world, main, monkeypatch, **options)


async def shown(erp, version="1.0", prefix=PREFIX_A, path=V5):
    return await erp.ask("GET", path, params={"prefix": prefix, "version": version})


def test_v5_reads_back_what_it_was_given(snms):
    async def main(node):
        given = template(version="二.零", description="轴承", type=1)
        assert await node.a.ask("POST", V5, given) == GOOD
        answer = await shown(node.a, "二.零")
        items = [{**item, "state": 1} for item in ITEMS]
        assert answer["data"] == given | {"items": items, "handle": None}
        answer = await shown(node.b, "二.零", path=V3)
        assert "handle" not in answer["data"]
        exists = await node.a.ask("POST", V5, given)
        assert exists["message"].startswith("数据已存在")
        assert await shown(node.a, "none") == failure("没有找到模板")
        assert await shown(node.a, "版" * 128) == failure("没有找到模板")

    snms(main)


def test_v3_numbers_items(snms):
    async def main(node):
        items = [string("名称", "NAME", required=True), string("型号", "MODEL")]
        assert await node.a.ask("POST", V3, template(version="v3", items=items)) == GOOD
        answer = await shown(node.a, "v3", path=V3)
        assert [(item["idIndex"], item["idType"]) for item in answer["data"]["items"]] == [
            (2000, "NAME"),
            (2001, "MODEL"),
        ]
        made = await node.a.ask("POST", "/identityv2/data", identifier(f"{PREFIX_A}/x", value(), version="v3"))
        assert made == GOOD

    snms(main)


def test_an_application_of_before_v3_goes_on(snms):
    async def main(node):
        v1 = "/snms/api/template/v1"
        missing = await shown(node.a, "V1.0.0", path=v1)
        assert (missing["status"], missing["data"]) == (-2, None)
        metadata = {"type": "String", "minLength": 0, "maxLength": 10_000}
        items = [
            {"name": name, "idType": kind, "metadata": metadata} for name, kind in (("产品", "name"), ("码", "code"))
        ]
        made = {"prefix": PREFIX_A, "version": "V1.0.0", "items": items}
        assert await node.a.ask("POST", v1, made) == GOOD
        answer = await shown(node.a, "V1.0.0", path=v1)
        assert [(item["name"], item["idIndex"], item["idType"]) for item in answer["data"]["items"]] == [
            ("产品", 2000, "name"),
            ("码", 2001, "code"),
        ]
        values = [value(2000, "轴承", "name"), value(2001, "x", "code")]
        rows = [identifier(f"{PREFIX_A}/v1", *values, version="V1.0.0")]
        told = await node.a.ask("POST", "/identityv2/data/batchCreate", rows)
        assert told["data"] == [{"handle": f"{PREFIX_A}/v1", "msg": "success"}]
        strict = await node.a.ask("POST", V3, made | {"version": "V2"})
        assert strict["message"] == "缺少必要的请求参数: industryCategory"
        assert (await node.a.ask("POST", v1, {"prefix": PREFIX_A}))["message"] == "缺少必要的请求参数: items"
        assert (await node.a.ask("DELETE", v1, {"prefix": PREFIX_A, "version": "none"}))["status"] == -2

    snms(main)


def test_a_change_keeps_what_it_leaves_out(snms):
    async def main(node):
        change = template(items=[string("颜色", "COLOUR", 2005, state=1)])
        assert await node.a.ask("PUT", V5, change) == GOOD
        disabled = template(items=[{**ITEMS[1], "state": 0, "name": "旧型号"}], description="更新")
        assert await node.a.ask("PUT", V5, disabled) == GOOD
        data = (await shown(node.a))["data"]
        assert [(item["idIndex"], item["name"], item["state"]) for item in data["items"]] == [
            (2000, "名称", 1),
            (2001, "旧型号", 0),
            (2005, "颜色", 1),
        ]
        assert data["description"] == "更新"
        both = [value(), value(2001, "6204", "MODEL")]
        answer = await node.a.ask("POST", "/identityv2/data", identifier(f"{PREFIX_A}/x", *both))
        assert answer == failure("非法操作，索引2001在模板中已停用")
        other_type = await node.a.ask("PUT", V5, template(items=[{**string("x", "OTHER", 2000), "state": 1}]))
        assert other_type["message"].startswith("非法操作: ")
        assert await node.a.ask("PUT", V5, template(version="9", items=[{**ITEMS[0], "state": 1}])) == failure(
            "没有找到模板"
        )
        template_id = (await node.asker.ask("user_a", methods.LIST_TEMPLATES, prefix=PREFIX_A)).templates[0].template_id
        history = await node.asker.ask("user_a", methods.LIST_TEMPLATE_VERSIONS, template_id=template_id)
        assert [row.version for row in history.templates] == [3, 2, 1]

    snms(main)


def test_an_item_without_an_index_is_added_to_a_template(snms):
    async def main(node):
        new = [string(name, kind, state=1) for name, kind in (("颜色", "COLOUR"), ("重量", "WEIGHT"))]
        del new[0]["metadata"]["type"]
        assert await node.a.ask("PUT", V5, template(items=[*new, {**ITEMS[1], "state": 0}])) == GOOD
        items = (await shown(node.a))["data"]["items"]
        assert [(item["idIndex"], item["idType"], item["state"]) for item in items] == [
            (2000, "NAME", 1),
            (2001, "MODEL", 0),
            (2002, "COLOUR", 1),
            (2003, "WEIGHT", 1),
        ]
        again = await node.a.ask("PUT", V5, template(items=[string("色", "colour", state=1)]))
        assert again == failure("参数 items[0].idType 不能重复，修改已有数据项请同时提供 idIndex")
        twice = await node.a.ask("PUT", V5, template(items=[string("长", "LENGTH", state=1)] * 2))
        assert twice == failure("参数 items[1].idType 不能重复，修改已有数据项请同时提供 idIndex")
        assert await node.a.ask("PUT", V5, template(version="9", items=new)) == failure("没有找到模板")

    snms(main)


def test_deletion(snms):
    async def main(node):
        made = identifier(f"{PREFIX_A}/x")
        assert await node.a.ask("POST", "/identityv2/data", made) == GOOD
        assert await node.a.ask("DELETE", V5, {"prefix": PREFIX_A, "version": "1.0"}) == GOOD
        assert await shown(node.a) == failure("没有找到模板")
        again = {"prefix": PREFIX_A, "version": "1.0"}
        assert await node.a.ask("DELETE", V3, params=again) == failure("没有找到模板")
        answer = await node.a.ask("POST", "/identityv2/data", identifier(f"{PREFIX_A}/y"))
        assert answer == failure("模板已停用，不能用于新的标识")
        # What follows it lives on.
        shown_x = await node.a.ask("GET", "/identityv2/data/detail", params={"handle": f"{PREFIX_A}/x"})
        assert shown_x["data"]["templateVersion"] == "1.0"
        assert await node.a.ask("PUT", "/identityv2/data", made | {"value": [value(text="新名")]}) == GOOD
        assert await node.a.ask("POST", V5, template()) == GOOD
        assert await node.a.ask("POST", "/identityv2/data", identifier(f"{PREFIX_A}/y")) == GOOD

    snms(main)


def test_what_is_missing_or_wrong_is_named(snms):
    async def main(node):
        def item(**changes):
            return {"items": [{**string("名称", "NAME", 2000), **changes}]}

        for changes, words in (
            ({"items": []}, "缺少必要的请求参数: items"),
            ({"prefix": None}, "缺少必要的请求参数: prefix"),
            ({"version": " "}, "缺少必要的请求参数: version"),
            ({"industryTrade": None}, "缺少必要的请求参数: industryTrade"),
            ({"type": None}, "缺少必要的请求参数: type"),
            ({"type": 3}, "参数 type 只能是 1、2"),
            ({"prefix": "8" * 65}, "参数 prefix 的长度不能大于64"),
            (item(idIndex=None), "缺少必要的请求参数: items[0].idIndex"),
            (item(idIndex=1001), "参数 items[0].idIndex 不能小于2000"),
            (item(name=None), "缺少必要的请求参数: items[0].name"),
            (item(idType=None), "缺少必要的请求参数: items[0].idType"),
            (item(metadata=None), "缺少必要的请求参数: items[0].metadata"),
            (item(metadata={}), "缺少必要的请求参数: items[0].metadata.minLength"),
            (item(metadata={"type": ""}), "参数 items[0].metadata.type 只能是 string"),
            (item(metadata={"type": "String"}), "参数 items[0].metadata.type 只能是 string"),
            (item(metadata={"type": "string", "maxLength": 1}), "缺少必要的请求参数: items[0].metadata.minLength"),
            (
                item(metadata={"type": "string", "minLength": 2, "maxLength": 1}),
                "参数 items[0].metadata 的 minLength 和 maxLength 不正确",
            ),
        ):
            assert await node.a.ask("POST", V5, template(version="new") | changes) == failure(words)
        assert await node.a.ask("PUT", V5, template()) == failure("缺少必要的请求参数: items[0].state")
        wrong_state = template(items=[{**ITEMS[0], "state": 2}])
        assert await node.a.ask("PUT", V5, wrong_state) == failure("参数 items[0].state 只能是 0、1")
        assert await node.a.ask("GET", V5, params={"prefix": PREFIX_A}) == failure("缺少必要的请求参数: version")
        assert (await node.a.ask("GET", f"/snms/api/v4/template?prefix={PREFIX_A}&version=1.0"))["status"] == -2
        assert len(INDUSTRIES) == 4

    snms(main)


def test_templates_of_others_are_read_and_not_touched(snms):
    async def main(node):
        denied = failure("没有权限", -3)
        assert await node.b.ask("POST", V5, template(version="2.0")) == denied
        assert await node.app.ask("POST", V5, template(version="2.0")) == denied
        assert await node.b.ask("PUT", V5, template(items=[{**ITEMS[0], "state": 0}])) == denied
        assert await node.b.ask("DELETE", V5, {"prefix": PREFIX_A, "version": "1.0"}) == denied
        assert (await shown(node.b))["status"] == 1
        assert (await shown(node.nobody))["status"] == -1
        wrong_prefix = identifier(f"{PREFIX_B}/x", version="only-a")
        assert await node.a.ask("POST", V5, template(version="only-a")) == GOOD
        answer = await node.b.ask("POST", "/identityv2/data", wrong_prefix)
        assert answer == failure("没有找到模板，请检查前缀和模板版本")

    snms(main)


def test_a_template_of_the_whole_node_is_there_for_every_prefix(snms):
    async def main(node):
        items = [template_pb2.TemplateItem(index=2000, type="NAME", required=True)]
        row = template_pb2.Template(label="common", items=items)
        await node.asker.ask("administrator", methods.CREATE_TEMPLATE, template=row)
        for erp, prefix in ((node.a, PREFIX_A), (node.b, PREFIX_B)):
            assert (await shown(erp, "common", prefix))["data"]["prefix"] == ""
            made = identifier(f"{prefix}/x", version="common")
            assert await erp.ask("POST", "/identityv2/data", made) == GOOD
            change = template(prefix, "common", items=[{**ITEMS[0], "state": 0}])
            assert await erp.ask("PUT", V5, change) == failure("没有找到模板")
            assert await erp.ask("DELETE", V5, {"prefix": prefix, "version": "common"}) == failure("没有找到模板")

    snms(main)


def test_the_same_key_creates_a_template_once(snms):
    async def main(node):
        for _ in range(2):
            headers = {"Idempotency-Key": "t"}
            assert await node.a.ask("POST", V5, template(version="2.0"), headers=headers) == GOOD

    snms(main)
