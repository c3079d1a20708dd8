"""Prefixes, enterprises and files of the SNMS OpenAPI."""

import copy
import hashlib
import zlib

import pytest

from resolver import methods
from resolver.registry import files
from storage.tables import Table
from tests.resolver.transport.http.snms_door import Erp, identifier, run, template
from tests.support.builders import PREFIX_A, PREFIX_B, dump

APPLY, UPGRADE = "/snms/api/v3/ent/apply", "/snms/api/v3/ent/upgrade-apply"
PAGE, DETAIL = "/snms/api/v3/ent/page", "/snms/api/v3/ent/detail"
UPLOAD = "/snms/api/file/upload"
GOOD = {"message": "success", "status": 1, "data": True}
JPEG, PNG, PDF = b"\xff\xd8\xff\xe0 jpeg", b"\x89PNG\r\n\x1a\n png", b"%PDF-1.7 text"
CODE = "91350100M000100Y43"


def failure(words, status=-2):
    return {"message": words, "status": status, "data": None}


@pytest.fixture
def snms(world, monkeypatch, tmp_path):
    return lambda main, **options: run(world, main, monkeypatch, files_dir=tmp_path / "files", **options)


async def uploaded(erp, content=JPEG, name="执照.jpg", **options):
    return await erp.ask("POST", UPLOAD, files={"file": (name, content)}, **options)


def application(file_id, prefix="88.300.77", user="李四", code=CODE, **basic):
    return {
        "sysUser": {
            "userName": user,
            "mobile": f"138{zlib.crc32(user.encode()) % 10**8:08}",
            "email": f"{user}@example.cn",
            "password": hashlib.sha256(b"erp password").hexdigest(),
        },
        "entBasicInfo": {
            "orgName": "泉州轴承有限公司",
            "orgNature": 1,
            "orgAddr": "泉州市",
            "orgCrtType": "1",
            "orgCrtCode": code,
            "orgCrtImgRid": file_id,
            "industryCategory": "C",
            "industrySpecific": "34",
            "contactName": "王五",
            "contactCrtType": "1",
            "contactCrtNo": "350500199001010000",
            "contactEmail": "wang@example.cn",
            "contactPhone": "0595-1234567",
            "legalName": "赵六",
            "legalCrtType": "1",
            "legalCrtNo": "350500197001010000",
            "entPrefix": prefix,
            **basic,
        },
        "entRegisterManageInfo": {
            "entInfoSyses": [
                {"sysType": kind, "deployMode": 2, "cloudVendor": "某云", "ipPort": "[192.0.2.1]:8000;[2001:db8::1]:80"}
                for kind in (1, 2, 3, 4)
            ]
        },
        "entHostingAndIdentifyServeInfo": {"extWebName": "网站", "entInfoLicenses": [{"type": 1, "no": "B1-2026"}]},
    }


def test_from_application_to_the_first_identifier(snms, world, tmp_path):
    async def main(node):
        answer = await uploaded(node.admin)
        assert answer["status"] == 1
        file_id, path = answer["data"]["id"], answer["data"]["path"]
        assert (tmp_path / path).read_bytes() == JPEG
        assert await node.admin.ask("POST", APPLY, application(file_id)) == GOOD
        erp = await node.nobody.log_in("李四", "erp password")
        # The prefix waits for the audit of the national node.
        query = {"prefix": "88.300.77"}
        row = (await node.admin.ask("GET", "/snms/api/prefix/query", params=query))["data"]
        assert (row["status"], row["entNameCn"], row["industry"], row["address"]) == (
            4,
            "泉州轴承有限公司",
            "C",
            "泉州市",
        )
        refused = await erp.ask("POST", "/snms/api/v5/template", template("88.300.77"))
        assert refused["status"] == 1, "a template may be prepared before"
        refused = await erp.ask("POST", "/identityv2/data", identifier("88.300.77/x"))
        assert refused == failure("前缀未启用")
        config = {"proxyServerId": 1, "entPrefixConfig": {"entPrefix": "88.300.77"}}
        not_approved = failure("前缀尚未通过国家顶级节点审核或未启用")
        assert await node.admin.ask("POST", "/snms/api/ent/config", config) == not_approved
        await node.asker.ask("administrator", methods.UPDATE_PREFIX, prefix="88.300.77", status=3)
        assert await node.admin.ask("POST", "/snms/api/ent/config", config) == GOOD
        assert await erp.ask("POST", "/identityv2/data", identifier("88.300.77/x")) == GOOD
        # The record reads back whole, without the password.
        detail = (await erp.ask("GET", DETAIL))["data"]
        given = application(file_id)
        del given["sysUser"]["password"]
        assert {section: detail[section] for section in given} == given
        assert (detail["orgName"], detail["entPrefix"], detail["state"]) == ("泉州轴承有限公司", "88.300.77", 1)
        octets = b"".join(key + body for _, key, body in dump(world.engine))
        assert hashlib.sha256(b"erp password").hexdigest().encode() not in octets
        assert hashlib.sha256(b"erp password").digest() not in octets
        enterprise = await node.asker.ask("administrator", methods.GET_ENTERPRISE, credit_code=CODE)
        assert enterprise.enterprise.contact.name == "王五"

    snms(main)


TAKEN = {
    "entBasicInfo.orgCrtCode": {"code": CODE},
    "sysUser.userName": {"user": "李四"},
    "entBasicInfo.entPrefix": {"prefix": "88.300.77"},
}


@pytest.mark.parametrize("parameter", [*TAKEN, "sysUser.mobile", "sysUser.email", "entBasicInfo.orgCrtImgRid"])
def test_what_belongs_to_one_enterprise_is_refused_to_another_and_nothing_is_written(snms, world, parameter):
    async def main(node):
        first, second = [(await uploaded(node.admin, PDF))["data"]["id"] for _ in range(2)]
        assert await node.admin.ask("POST", APPLY, application(first)) == GOOD
        fields = {"prefix": "88.300.78", "user": "钱七", "code": "none"} | TAKEN.get(parameter, {})
        body = application(second, **fields)
        if parameter == "sysUser.mobile":
            body["sysUser"]["mobile"] = application(first)["sysUser"]["mobile"]
        if parameter == "sysUser.email":
            body["sysUser"]["email"] = application(first)["sysUser"]["email"].upper()
        if parameter == "entBasicInfo.orgCrtImgRid":
            body["entBasicInfo"]["orgCrtImgRid"] = first
        before = dump(
            world.engine, [table for table in Table if table.name not in {"STATISTICS", "ACTIVITY", "SOURCES"}]
        )
        answer = await node.admin.ask("POST", APPLY, body)
        assert answer["status"] == -2
        assert parameter in answer["message"]
        after = dump(
            world.engine, [table for table in Table if table.name not in {"STATISTICS", "ACTIVITY", "SOURCES"}]
        )
        assert after == before
        good = application(second, prefix="88.300.78", user="钱七", code="none")
        assert await node.admin.ask("POST", APPLY, good) == GOOD

    snms(main)


def test_what_is_missing_or_wrong_is_named(snms):
    async def main(node):
        file_id = (await uploaded(node.admin))["data"]["id"]

        def with_(path, content):
            body = copy.deepcopy(application(file_id))
            place = body
            for step in path[:-1]:
                place = place[step]
            if content is ...:
                del place[path[-1]]
            else:
                place[path[-1]] = content
            return body

        systems = ("entRegisterManageInfo", "entInfoSyses")
        for path, content, words in (
            (("sysUser",), ..., "缺少必要的请求参数: sysUser"),
            (("sysUser", "mobile"), ..., "缺少必要的请求参数: sysUser.mobile"),
            (("sysUser", "password"), "clear", "参数 sysUser.password 须为密码的 SHA-256 十六进制值"),
            (("entBasicInfo",), None, "缺少必要的请求参数: entBasicInfo"),
            (("entBasicInfo",), [], "参数 entBasicInfo 的格式不正确"),
            (("entBasicInfo", "orgName"), " ", "缺少必要的请求参数: entBasicInfo.orgName"),
            (("entBasicInfo", "orgName"), "名" * 256, "参数 entBasicInfo.orgName 的长度不能大于255"),
            (("entBasicInfo", "orgNature"), 6, "参数 entBasicInfo.orgNature 的取值不正确"),
            (("entBasicInfo", "orgDesc"), {"x": 1}, "参数 entBasicInfo.orgDesc 的格式不正确"),
            (("entBasicInfo", "x" * 81), "y", f"参数 entBasicInfo.{'x' * 80} 的格式不正确"),
            (systems, [], "缺少必要的请求参数: entRegisterManageInfo.entInfoSyses"),
            ((*systems, 3), ..., "缺少必要的请求参数: entRegisterManageInfo.entInfoSyses[sysType=4]"),
            (
                (*systems, 0, "ipPort"),
                "192.0.2.1:80",
                "参数 entRegisterManageInfo.entInfoSyses[0].ipPort 的格式是 [ip]:port，多个以分号分隔",
            ),
            (("entBasicInfo", "orgCrtImgRid"), "file-none", None),
            (("entBasicInfo", "entPrefix"), "86.1", None),
        ):
            answer = await node.admin.ask("POST", APPLY, with_(path, content))
            assert answer["status"] == -2, path
            assert words is None or answer["message"] == words
        many = application(file_id)
        many["entBasicInfo"] |= {f"unknown{number}": "x" for number in range(65)}
        assert (await node.admin.ask("POST", APPLY, many))["message"] == "参数 entBasicInfo 的格式不正确"
        for body in ([], "text", {"sysUser": "x"}):
            assert (await node.admin.ask("POST", APPLY, body))["status"] == -2

    snms(main)


def test_an_enterprise_files_again_for_itself(snms):
    async def main(node):
        denied = failure("没有权限", -3)
        file_id = (await uploaded(node.a))["data"]["id"]
        body = application(file_id, prefix=f"{PREFIX_A}.5")
        assert await node.a.ask("POST", APPLY, body) == denied
        assert await node.app.ask("POST", UPGRADE, body) == denied
        assert await node.a.ask("POST", UPGRADE, body) == GOOD
        assert await node.a.ask("POST", UPGRADE, body) == GOOD
        detail = (await node.a.ask("GET", DETAIL))["data"]
        assert (detail["id"], detail["entBasicInfo"]["orgName"]) == ("ent-a", "泉州轴承有限公司")
        assert "sysUser" not in detail
        # Prefixes are found by the name that is shown.
        for name, found in (("泉州轴承", {"泉州轴承有限公司"}), ("ent-a", set())):
            page = (await node.admin.ask("GET", "/snms/api/prefix/page", params={"entName": name}))["data"]
            assert {row["entNameCn"] for row in page["content"]} == found
        # Neither another's prefix nor another's file, nor below another's prefix.
        other = (await uploaded(node.b))["data"]["id"]
        for wrong in (
            application(other),
            application(file_id, prefix=PREFIX_B),
            application(file_id, prefix=f"{PREFIX_B}.1"),
        ):
            assert (await node.a.ask("POST", UPGRADE, wrong))["status"] in {-2, -3}
        taken = await node.b.ask("POST", UPGRADE, application(other, prefix=f"{PREFIX_B}.1"))
        assert taken == failure("entBasicInfo.orgCrtCode 已被使用")
        # An administrator files for the enterprise of the certificate.
        changed = application(file_id, prefix=f"{PREFIX_A}.5", orgAddr="厦门市")
        assert await node.admin.ask("POST", UPGRADE, changed) == GOOD
        assert (await node.a.ask("GET", DETAIL))["data"]["entBasicInfo"]["orgAddr"] == "厦门市"
        # What an administrator has verified is not changed by the enterprise.
        row = await node.asker.ask("administrator", methods.GET_ENTERPRISE, enterprise_id="ent-a")
        assert row.enterprise.name == "ent-a"

    snms(main)


def test_the_same_key_files_once(snms):
    async def main(node):
        key = {"Idempotency-Key": "apply-1"}
        first = await uploaded(node.admin, headers=key)
        assert await uploaded(node.admin, headers=key) == first
        body = application(first["data"]["id"])
        for _ in range(2):
            assert await node.admin.ask("POST", APPLY, body, headers=key | {"Idempotency-Key": "apply-2"}) == GOOD
        body["sysUser"]["password"] = "0" * 64
        answer = await node.admin.ask("POST", APPLY, body, headers={"Idempotency-Key": "apply-2"})
        assert answer == failure("Idempotency-Key 已用于另一个请求")

    snms(main)


def test_pages(snms, world):
    async def main(node):
        # API tokens do as well as tokens for passwords, and outlive the days that pass here.
        node.admin, node.a, node.b = (
            Erp(node.client, world.tokens[who]) for who in ("administrator", "user_a", "user_b")
        )
        for number in range(3):
            file_id = (await uploaded(node.admin))["data"]["id"]
            fields = {"prefix": f"88.300.5{number}", "user": f"user{number}", "code": str(number)}
            await node.admin.ask("POST", APPLY, application(file_id, **fields, orgName=f"公司{number}"))
            world.clock.advance(86_400)
        page = (await node.admin.ask("GET", PAGE, params={"pageSize": 2, "currentPage": 2}))["data"]
        assert set(page) == {
            "first",
            "last",
            "totalPages",
            "totalElements",
            "number",
            "size",
            "sort",
            "numberOfElements",
            "content",
        }
        assert (page["totalElements"], page["totalPages"], page["number"], page["size"]) == (5, 3, 1, 2)
        assert (page["first"], page["last"], page["numberOfElements"]) == (False, False, 2)
        page = (await node.admin.ask("GET", PAGE, params={"orgName": "公司1"}))["data"]
        assert [row["orgName"] for row in page["content"]] == ["公司1"]
        day = page["content"][0]["createDate"][:10]
        page = (await node.admin.ask("GET", PAGE, params={"startDate": day, "endDate": day}))["data"]
        assert [row["orgName"] for row in page["content"]] == ["公司1"]
        page = (await node.admin.ask("GET", PAGE, params={"currentPage": 99}))["data"]
        assert (page["content"], page["last"], page["first"]) == ([], True, False)
        page = (await node.a.ask("GET", PAGE))["data"]
        assert [row["id"] for row in page["content"]] == ["ent-a"]
        page = (await node.admin.ask("GET", "/snms/api/prefix/page", params={"entPrefix": "88.300.5"}))["data"]
        assert [(row["prefix"], row["status"], row["state"], row["proxyState"]) for row in page["content"]] == [
            (f"88.300.5{number}", 4, 0, 4) for number in range(3)
        ]
        page = (await node.admin.ask("GET", "/snms/api/prefix/page", params={"entName": "公司2"}))["data"]
        assert [row["entNameCn"] for row in page["content"]] == ["公司2"]
        page = (await node.b.ask("GET", "/snms/api/prefix/page"))["data"]
        assert [(row["prefix"], row["state"], row["entId"]) for row in page["content"]] == [(PREFIX_B, 1, "ent-b")]
        for query in ("pageSize=0", "pageSize=x", "pageSize=1001", "currentPage=0", "currentPage=-1", "startDate=1.1"):
            assert (await node.admin.ask("GET", f"{PAGE}?{query}"))["status"] == -2
        by_prefix = await node.admin.ask("GET", DETAIL, params={"entPrefix": PREFIX_B})
        assert by_prefix["data"]["id"] == "ent-b"
        assert await node.admin.ask("GET", DETAIL) == failure("缺少必要的请求参数: id")

    snms(main)


def test_hosting(snms):
    async def main(node):
        config = "/snms/api/ent/config"
        place = {"entPrefix": PREFIX_A, "hdlType": "HS_SITE", "ipType": 6, "ip": "2001:db8::7", "tcpPort": "2641"}
        own = {"entPrefixConfig": place}
        denied = failure("没有权限", -3)
        assert await node.a.ask("POST", config, own) == denied
        assert await node.admin.ask("POST", config, own) == GOOD
        row = (await node.asker.ask("administrator", methods.GET_PREFIX, prefix=PREFIX_A)).prefix
        assert (row.hosting, row.routes[0].address, row.routes[0].tcp_port) == (2, "2001:db8::7", 2641)
        answer = await node.a.ask("POST", "/identityv2/data", identifier(f"{PREFIX_A}/x"))
        assert answer == failure("前缀未托管在本节点")
        hosted = {"proxyServerId": "1", "entPrefixConfig": {"entPrefix": PREFIX_A}}
        assert await node.admin.ask("POST", config, hosted) == GOOD
        assert (await node.a.ask("POST", "/identityv2/data", identifier(f"{PREFIX_A}/x"))) == GOOD
        for changes, words in (
            ({"hdlType": "URL"}, "参数 hdlType 只能是 HS_SITE"),
            ({"ipType": 5}, "参数 ipType 只能是 4、6"),
            ({"ipType": 4}, "参数 ip 与 ipType 不一致"),
            ({"tcpPort": None}, "缺少必要的请求参数: tcpPort"),
            ({"tcpPort": "x"}, "参数 tcpPort 必须是1到65535的端口"),
            ({"tcpPort": 65536}, "参数 tcpPort 必须是1到65535的端口"),
            ({"entPrefix": None}, "缺少必要的请求参数: entPrefix"),
        ):
            assert await node.admin.ask("POST", config, {"entPrefixConfig": place | changes}) == failure(words)
        assert await node.admin.ask("POST", config, {}) == failure("缺少必要的请求参数: entPrefixConfig")
        wrong = await node.admin.ask("POST", config, hosted | {"proxyServerId": "7"})
        assert wrong == failure("参数 proxyServerId 不是本节点的托管服务器")
        assert await node.a.ask("GET", "/snms/api/prefix/query", params={"prefix": PREFIX_A}) == denied
        none = await node.admin.ask("GET", "/snms/api/prefix/query", params={"prefix": "88.300.99"})
        assert none == failure("没有找到前缀")

    snms(main)


def test_uploads(snms, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "UNLINKED_MAX", 4)

    async def main(node):
        for content in (JPEG, PNG, PDF):
            assert (await uploaded(node.a, content))["status"] == 1
        assert await uploaded(node.a, b"MZ not an image") == failure("文件只能是 JPEG、PNG 图片或 PDF")
        assert await uploaded(node.a, JPEG + bytes(1 << 20)) == failure("文件大小不能超过1MB")
        assert await uploaded(node.a, PDF + bytes(5 << 20)) == failure("文件大小不能超过5MB")
        assert await uploaded(node.a, b"") == failure("缺少必要的请求参数: file")
        same = await uploaded(node.a, JPEG, name="../../etc/passwd")
        assert same["status"] == 1
        assert await uploaded(node.a, JPEG) == failure("超出配额")
        assert await uploaded(node.app, JPEG) == failure("没有权限", -3)
        assert (await uploaded(node.nobody))["status"] == -1
        stored = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
        assert sorted(path.read_bytes() for path in stored) == sorted([JPEG, PNG, PDF])
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in stored)
        one = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n%PDF- \r\n--b\r\n--b--\r\n'
        for body, kind in (
            (one[:-6], "multipart/form-data; boundary=b"),
            (one, "multipart/form-data; boundary=c"),
            (one, "multipart/form-data"),
            (one, "application/json"),
            (b"", "multipart/form-data; boundary=b"),
            (b"--b\r\n" * 10_000, "multipart/form-data; boundary=b"),
            (b"--b" + b"x" * 100_000, "multipart/form-data; boundary=b"),
            (b"--b\r\nname: file\r\n\r\n--b--", "multipart/form-data; boundary=b"),
        ):
            answer = await node.b.ask("POST", UPLOAD, content=body, headers={"Content-Type": kind})
            assert answer["status"] == -2, (body[:40], kind)

    snms(main)


def test_without_a_directory_nothing_is_uploaded(world, monkeypatch):
    async def main(node):
        assert (await uploaded(node.a))["status"] == -2

    run(world, main, monkeypatch)
