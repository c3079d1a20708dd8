"""The national SNMS OpenAPI: envelope, status numbers and sentences of its public documents, over real HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING

from conformance.snms_client import Snms, digest_of, identifier, item, template
from conformance.suite import check, expect

if TYPE_CHECKING:
    from conformance.grpc_client import Peer

DATA = "/identityv2/data"
V5 = "/snms/api/v5/template"
SOURCE = "SNMS OpenAPI v3/v5"
NAME = ("NAME", 2000)


@cache
def _logged_in(peer: Peer) -> Snms:
    """An application with a token, one for each peer: passwords are slow to check."""
    user, password = peer.fresh_id("erp"), "a password of 2026"
    principal = peer.call("RegistryService/GetPrincipal").principal.principal_id
    peer.call("LoginService/SetPassword", principal_id=principal, user_name=user, password=password)
    return Snms(peer.http).log_in(user, password)


def _application(peer: Peer) -> tuple[Snms, str]:
    """An application with a token and a template of its own; and the version of the template."""
    application, version = _logged_in(peer), peer.fresh_id("v")
    made = application.ask("POST", V5, template(peer.prefix, version, item(*NAME, required=True, least=2, most=8)))
    expect(made == {"message": made["message"], "status": 1, "data": True}, f"the template was answered {made}")
    return application, version


@check(f"{SOURCE}, /identity/token/v1", needs="http")
def the_digest_form_of_a_token_request_is_the_documented_one(peer: Peer) -> None:
    vector = "58e2c92c46485fdbc35fdcd0814d6c0f000cad5aa156848ca5edaf29406b7661"
    expect(digest_of("123456", "2019-08-15") == vector, "this client computes another digest")
    user, password = peer.fresh_id("digest"), "another of 2026"
    principal = peer.call("RegistryService/GetPrincipal").principal.principal_id
    fields = {"principal_id": principal, "user_name": user, "password": password}
    zone = timezone(timedelta(hours=8))
    body = {"username": user, "password": digest_of(password, datetime.now(zone).strftime("%Y-%m-%d"))}
    peer.call("LoginService/SetPassword", **fields, digest_login=True)
    answer = Snms(peer.http).ask("POST", "/identity/token/v1", body)
    expect(answer["status"] == 1 and answer["data"]["token"], f"answered {answer}")
    token = Snms(peer.http, answer["data"]["token"])
    expect(token.ask("GET", f"{DATA}/detail", handle=peer.fresh())["status"] == -2, "the token is not taken")
    peer.call("LoginService/SetPassword", **fields)
    answer = Snms(peer.http).ask("POST", "/identity/token/v1", body)
    expect(answer["status"] != 1, "the digest form works for a login that has not enabled it")


@check(f"{SOURCE}, status numbers", needs="http")
def without_a_token_the_status_is_minus_one_and_a_wrong_password_has_its_sentence(peer: Peer) -> None:
    nobody = Snms(peer.http)
    for token in ("", "made-up"):
        answer = Snms(peer.http, token).ask("POST", DATA, identifier(peer.fresh(), "1"))
        expect(answer["status"] == -1, f"answered {answer}")
    answer = nobody.ask("POST", "/identity/token", {"username": peer.fresh_id("x"), "password": "wrong"})
    expect(answer["message"] == "用户名/密码错误！", f"answered {answer}")


@check(f"{SOURCE}, /identityv2/data", needs="http")
def an_identifier_is_created_read_updated_and_deleted(peer: Peer) -> None:
    erp, version = _application(peer)
    name = peer.fresh("标识")
    expect(erp.ask("POST", DATA, identifier(name, version))["data"] is True, "not created")
    again = erp.ask("POST", DATA, identifier(name, version))
    expect((again["status"], again["message"]) == (-2, "标识已存在"), f"created again: {again}")
    shown = erp.ask("GET", f"{DATA}/detail", handle=name)["data"]
    expect((shown["handle"], shown["prefix"], shown["templateVersion"]) == (name, peer.prefix, version), f"{shown}")
    wanted = {"index": 2000, "type": "NAME", "data": {"format": "string", "value": "轴承"}}
    items = [{**value, "auth": 0} for value in shown["value"] if value["index"] != 1001]
    expect(items == [{**wanted, "auth": 0}], f"values {shown['value']}")
    expect(erp.ask("PUT", DATA, identifier(name, version, "齿轮"))["status"] == 1, "not updated")
    record = peer.call("ResolutionService/Resolve", name=name, token="").record
    expect({v.index: v.data.decode() for v in record.values}.get(2000) == "齿轮", "gRPC has another record")
    expect(erp.ask("DELETE", DATA, {"handle": name})["status"] == 1, "not deleted")
    gone = erp.ask("DELETE", DATA, {"handle": name})
    expect((gone["status"], gone["message"]) == (-2, "没有找到标识"), f"deleted again: {gone}")


@check(f"{SOURCE}, error sentences", needs="http")
def the_documented_sentences_are_used_to_the_letter(peer: Peer) -> None:
    erp, version = _application(peer)
    answer = erp.ask("POST", DATA, identifier(peer.fresh(), version, index=1000))
    expect((answer["status"], answer["message"]) == (-2, "非法操作，索引1000在模板中不存在"), f"index 1000: {answer}")
    answer = erp.ask("POST", DATA, {key: value for key, value in identifier("", version).items() if key != "handle"})
    expect((answer["status"], answer["message"]) == (-2, "缺少必要的请求参数: handle"), f"no handle: {answer}")
    answer = erp.ask("POST", DATA, identifier(peer.fresh(), version, index=1001))
    expect(answer["status"] == -2, f"index 1001 was accepted: {answer}")


@check(f"{SOURCE}, batchCreate", needs="http")
def a_batch_takes_two_thousand_and_a_duplicate_fails_alone(peer: Peer) -> None:
    erp, version = _application(peer)
    names = [peer.fresh("批") for _ in range(1_999)]
    rows = [identifier(name, version) for name in [*names, names[7]]]
    answer = erp.ask("POST", f"{DATA}/batchCreate", rows)
    expect(answer["status"] == 1, f"the overall status is {answer['status']}: {answer['message']}")
    told = [row["msg"] for row in answer["data"]]
    expect(told == ["success"] * 1_999 + ["标识已存在"], f"answered {set(told)} and ends with {told[-2:]}")
    expect([row["handle"] for row in answer["data"]] == [*names, names[7]], "the order is another one")
    too_many = erp.ask("POST", f"{DATA}/batchCreate", [*rows, rows[0]])
    expect(too_many["status"] == -2, f"2,001 identifiers were answered {too_many['status']}")
    gone = erp.ask("DELETE", f"{DATA}/batchDelete", [*names, names[0]])
    codes = [row["code"] for row in gone["data"]]
    expect(gone["status"] == 1 and codes == [1] * 1_999 + [-2], f"deleted with codes {set(codes)}")


@check(f"{SOURCE}, template", needs="http")
def a_template_keeps_the_items_that_a_change_leaves_out(peer: Peer) -> None:
    erp, version = _application(peer)
    change = template(peer.prefix, version, {**item("COLOUR", 2005), "state": 1})
    expect(erp.ask("PUT", V5, change)["status"] == 1, "not changed")
    shown = erp.ask("GET", V5, prefix=peer.prefix, version=version)["data"]
    found = [(row["idIndex"], row["idType"], row["state"]) for row in shown["items"]]
    expect(found == [(2000, "NAME", 1), (2005, "COLOUR", 1)], f"items {found}")
    disabled = template(peer.prefix, version, {**item("COLOUR", 2005), "state": 0})
    expect(erp.ask("PUT", V5, disabled)["status"] == 1, "not disabled")
    answer = erp.ask("POST", DATA, identifier(peer.fresh(), version, index=2005, kind="COLOUR"))
    expect(answer["status"] == -2, "a disabled item was registered")
    low = template(peer.prefix, peer.fresh_id("v"), item("NAME", 1999))
    expect(erp.ask("POST", V5, low)["status"] == -2, "an item with index 1999 was accepted")


@check("README: Idempotency-Key", needs="http")
def a_creation_sent_again_with_its_key_is_answered_as_the_first_time(peer: Peer) -> None:
    erp, version = _application(peer)
    name, key = peer.fresh(), peer.fresh_id("key")
    answers = [erp.ask("POST", DATA, identifier(name, version), key=key) for _ in range(3)]
    expect(all(answer["status"] == 1 for answer in answers), f"answered {answers}")
    other = erp.ask("POST", DATA, identifier(peer.fresh(), version), key=key)
    expect(other["status"] == -2, "another request under the same key was answered")


@check(f"{SOURCE}, envelope", needs="http")
def whatever_comes_is_answered_in_the_envelope(peer: Peer) -> None:
    erp, _ = _application(peer)
    for body in (b"", b"{", b"[[[[", b"\xff\xfe", b"null", b'{"handle":{}}', b"[" * 20_000):
        for method, path in (("POST", DATA), ("PUT", DATA), ("DELETE", DATA), ("POST", f"{DATA}/batchCreate")):
            _, octets = erp.send(method, path, body)
            expect(b'"status":-2' in octets or b'"msg"' in octets, f"{method} {path} {body[:20]!r}: {octets[:200]!r}")
            expect(b"Traceback" not in octets, "a stack trace was told")
    status, octets = erp.send("POST", "/identityv2/none", b"{}")
    expect(status == 404 and b'"status":-2' in octets, f"an unknown path: {status} {octets[:200]!r}")


@check(f"{SOURCE}, file/upload", needs="http")
def images_and_pdfs_are_taken_within_their_limits(peer: Peer) -> None:
    erp, _ = _application(peer)
    pdf = b"%PDF-1.7\n"
    good = erp.upload("证照.pdf", pdf)
    expect(good["status"] == 1 and {"id", "path"} <= set(good["data"]), f"a PDF: {good}")
    expect(erp.upload("big.pdf", pdf + bytes(5 << 20))["status"] == -2, "a PDF above 5 MB was taken")
    expect(erp.upload("big.jpg", b"\xff\xd8\xff" + bytes(1 << 20))["status"] == -2, "an image above 1 MB was taken")
    expect(erp.upload("x.pdf", b"MZ" + pdf)["status"] == -2, "a file that is no PDF was taken by its name")


@check(f"{SOURCE}, prefix/page", needs="http")
def pages_have_the_members_of_spring(peer: Peer) -> None:
    erp, _ = _application(peer)
    page = erp.ask("GET", "/snms/api/prefix/page", pageSize="1", currentPage="1")["data"]
    wanted = {"first", "last", "totalPages", "totalElements", "number", "size", "sort", "numberOfElements", "content"}
    expect(set(page) == wanted, f"members {sorted(page)}")
    expect(page["first"] and page["numberOfElements"] == 1 == len(page["content"]), f"the first page: {page}")
    row = erp.ask("GET", "/snms/api/prefix/query", prefix=peer.prefix)["data"]
    expect((row["prefix"], row["status"]) == (peer.prefix, 1), f"the prefix: {row}")
