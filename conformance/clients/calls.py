"""Calls of every method with one request and one answer, as data that programs in any language can follow.

A line has a name, the method, the messages it takes and gives, who calls, what to remember of the answer, and the
request in protobuf's JSON, with tabs between. The first line names the fields whose values differ between two honest
runs: of these an answer shows only that they are there. ``$RUN`` is the word of the run, ``$NAME`` what was remembered.
A call whose name ends in ``?`` is asked for its status only. Every method must be called; ``lines`` refuses otherwise.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from conformance.grpc_client import described_methods

if TYPE_CHECKING:
    from collections.abc import Iterator

VOLATILE = (
    *("create_time_us", "update_time_us", "commit_time_us", "password_time_us", "expire_time_us", "step_time_us"),
    *(
        "time_us",
        "timestamp_s",
        "serial",
        "sequence",
        "handle_count",
        "key_id",
        "token",
        "next_page_token",
        "site_serial",
    ),
    *("certificate_sha256", "identities", "own_site", "set_hash", "site_serial"),
)
NOBODY, NODE = "-", "$NODE"
USER = "$USER"
P = "88.300.$RUN"


class Call(NamedTuple):
    """One call."""

    name: str
    method: str
    request: dict[str, Any]
    token: str = NODE
    keep: str = ""
    """``NAME=path.of.field`` of the answer."""


def _url(index: int, text: str, type_: str = "URL") -> dict[str, Any]:
    return {"index": index, "type": type_, "data": base64.b64encode(text.encode()).decode(), "ttl_s": 60}


def _row(suffix: str, *values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": f"{P}/{suffix}", "values": list(values), **more}


_ENTERPRISE = {
    "enterprise_id": "$RUN",
    "name": "互通测试 $RUN",
    "contact": {"name": "张三", "phone": "010-1", "email": "a@b.c"},
    "description": "two\nlines",
    "quota": {"handles_max": 1000, "prefixes_max": 3},
}
_ITEM = {"index": 2000, "type": "NAME", "name": "名称", "required": True, "kind": "ITEM_KIND_TEXT", "maximum": 20}
_MORE = {"index": 2001, "type": "COLOUR", "name": "颜色", "kind": "ITEM_KIND_ENUM", "options": ["red", "蓝"]}
_TEMPLATE = {"template_id": "$RUN-t", "prefix": P, "label": "1.0", "items": [_ITEM]}
_LOGIN = {"user_name": "$RUN", "password": "correct-horse-9"}

_REGISTRY = [
    ("CreateEnterprise", {"enterprise": _ENTERPRISE, "request_id": "$RUN-e"}),
    ("CreateEnterprise by the same request", {"enterprise": _ENTERPRISE, "request_id": "$RUN-e"}),
    ("CreateEnterprise again", {"enterprise": _ENTERPRISE}),
    ("GetEnterprise", {"enterprise_id": "$RUN"}),
    ("GetEnterprise of none", {"enterprise_id": "$RUN-none"}),
    ("ListEnterprises?", {"page_size": 1}),
    ("UpdateEnterprise", {"enterprise": {**_ENTERPRISE, "name": "新名称"}, "if_version": 1}),
    ("UpdateEnterprise of an old version", {"enterprise": _ENTERPRISE, "if_version": 1}),
    ("CreatePrefix", {"prefix": {"prefix": P, "enterprise_id": "$RUN"}}),
    ("CreatePrefix of another node", {"prefix": {"prefix": "77.1.$RUN", "enterprise_id": "$RUN"}}),
    ("GetPrefix", {"prefix": P}),
    ("GetPrefix of none", {"prefix": P + ".none"}),
    ("ListPrefixes", {"enterprise_id": "$RUN"}),
    ("UpdatePrefix", {"prefix": P, "status": "PREFIX_STATUS_ENABLED", "description": "了"}),
    (
        "MovePrefix of no place",
        {"prefix": P, "step": "MOVE_STEP_BEGIN", "to": "HOSTING_ELSEWHERE", "validate_only": True},
    ),
    ("MovePrefix not begun", {"prefix": P, "step": "MOVE_STEP_SWITCH"}),
    (
        "CreatePrincipal",
        {"principal": {"principal_id": "$RUN-u", "role": "ROLE_ENTERPRISE_USER", "enterprise_id": "$RUN"}},
    ),
    ("CreatePrincipal of no role", {"principal": {"principal_id": "$RUN-x", "enterprise_id": "$RUN"}}),
    ("GetPrincipal", {"principal_id": "$RUN-u"}),
    ("ListPrincipals", {"enterprise_id": "$RUN"}),
    ("UpdatePrincipal", {"principal_id": "$RUN-u", "display_name": "李四"}),
    ("CreateKey", {"principal_id": "$RUN-u", "kind": "KEY_KIND_API_TOKEN", "description": "钥匙"}),
    ("ListKeys", {"principal_id": "$RUN-u"}),
    ("CreateKey of a second", {"principal_id": "$RUN-u", "kind": "KEY_KIND_API_TOKEN"}),
    ("RevokeKey", {"key_id": "$KEY"}),
    ("RevokeKey of none", {"key_id": "no-such-key"}),
]
_REGISTRY_KEEPS = {"CreateKey": "USER=token", "CreateKey of a second": "KEY=key.key_id"}

_RECORDS: list[tuple[str, str, dict[str, Any]]] = [
    ("CreateHandle", USER, _row("a", _url(1, "https://例子"), _url(2, "x@y.z", "EMAIL"), request_id="$RUN-a")),
    ("CreateHandle again", USER, _row("a", _url(1, "x"))),
    ("CreateHandle of others", USER, {"name": "88.300.1/$RUN", "values": [_url(1, "x")]}),
    ("CreateHandle by nobody", NOBODY, _row("b", _url(1, "x"))),
    ("CreateHandle without values", USER, _row("b")),
    ("UpdateHandle", USER, _row("a", _url(1, "new"), _url(3, "3"), if_version=1)),
    ("UpdateHandle of an old version", USER, _row("a", _url(1, "newer"), if_version=1)),
    ("PutValues", USER, _row("a", _url(4, "四"), mode="PUT_MODE_ADD")),
    ("PutValues that are there", USER, _row("a", _url(4, "x"), mode="PUT_MODE_ADD")),
    ("RemoveValues", USER, {"name": f"{P}/a", "indexes": [3]}),
    ("RemoveValues of none", USER, {"name": f"{P}/none", "indexes": [3]}),
    ("BatchCreateHandles", USER, {"handles": [_row("c", _url(1, "c")), _row("d", _url(1, "d")), _row("c")]}),
    ("BatchUpdateHandles", USER, {"handles": [_row("c", _url(1, "cc")), _row("none", _url(1, "x"))]}),
    ("BatchDeleteHandles", USER, {"names": [f"{P}/c", f"{P}/none"]}),
    ("Resolve", NOBODY, {"name": f"{P}/A"}),
    ("Resolve of a type", NOBODY, {"name": f"{P}/a", "types": ["EMAIL", "URL"], "indexes": [9]}),
    ("BatchResolve", NOBODY, {"names": [f"{P}/a", f"{P}/c", "77.1/x"]}),
    ("ListHandles", USER, {"prefix": P, "page_size": 1, "include_records": True}),
    ("ListHandles of others", USER, {"prefix": "88.300.1"}),
    ("CreateTemplate", USER, {"template": _TEMPLATE}),
    ("CreateTemplate of a taken label", USER, {"template": {**_TEMPLATE, "template_id": "$RUN-t2"}}),
    ("GetTemplate", USER, {"template_id": "$RUN-t"}),
    ("GetTemplate by label", USER, {"prefix": P, "label": "1.0"}),
    ("UpdateTemplate", USER, {"template": {**_TEMPLATE, "items": [_ITEM, _MORE]}, "if_version": 1}),
    ("UpdateTemplate of an old version", USER, {"template": _TEMPLATE, "if_version": 1}),
    ("ListTemplates", USER, {"prefix": P}),
    ("ListTemplateVersions", USER, {"template_id": "$RUN-t"}),
    ("CreateHandle against its template", USER, _row("t", _url(2001, "green", "COLOUR"), template_id="$RUN-t")),
    ("CreateHandle of a template", USER, _row("t", _url(2000, "名", "NAME"), template_id="$RUN-t")),
    ("DeleteTemplate", USER, {"template_id": "$RUN-t", "if_version": 2}),
    ("DeleteTemplate again", USER, {"template_id": "$RUN-t"}),
    ("DeleteHandle", USER, {"name": f"{P}/a"}),
    ("DeleteHandle again", USER, {"name": f"{P}/a"}),
    ("SetPassword", NODE, {"principal_id": "$RUN-u", **_LOGIN}),
    ("SetPassword too short", NODE, {"principal_id": "$RUN-u", "user_name": "$RUN", "password": "short"}),
    ("ListLogins?", NODE, {"page_size": 1}),
    ("LogIn", NOBODY, _LOGIN),
    ("GetEnterprise by a login", "$LOGIN", {"enterprise_id": "$RUN"}),
    ("LogOut", "$LOGIN", {}),
    ("RemoveLogin", NODE, {"user_name": "$RUN"}),
    ("RemoveLogin again", NODE, {"user_name": "$RUN"}),
    ("GetNodeInfo", USER, {}),
    ("GetNodeInfo by nobody", NOBODY, {}),
    ("GetStatistics?", USER, {"prefix": P}),
    ("GetStatistics of others", USER, {"prefix": "88.300.1"}),
    ("ListSourceStatistics?", USER, {"prefix": P}),
    ("ListSourceStatistics of days that run back", USER, {"prefix": P, "from_day": 20260102, "to_day": 20260101}),
    ("GetMirrorStatus", NODE, {}),
    ("GetMirrorStatus by a user", USER, {}),
    ("PromoteMirror of a primary", NODE, {}),
    ("FencePrimary of no epoch", NODE, {}),
    ("ReadFile of none", NODE, {"sha256": "0" * 64}),
    ("ReadFile by a user", USER, {"sha256": "0" * 64}),
    ("GetSite", NODE, {}),
    ("GetSite by a user", USER, {}),
    ("CountShares of no layout", NODE, {}),
    ("ChangeSite of no step", NODE, {}),
]
_RECORD_KEEPS = {"LogIn": "LOGIN=token"}


def _calls() -> Iterator[Call]:
    for name, request in _REGISTRY:
        yield Call(name, name.rstrip("?").partition(" ")[0], request, NODE, _REGISTRY_KEEPS.get(name, ""))
    for name, token, request in _RECORDS:
        yield Call(name, name.rstrip("?").partition(" ")[0], request, token, _RECORD_KEEPS.get(name, ""))


def lines() -> str:
    """The calls as text. Raises SystemExit when a method of the contracts is not among them."""
    methods = {
        method.name: method
        for method in described_methods()
        if not method.client_streaming and not method.server_streaming
    }
    calls = list(_calls())
    missing = methods.keys() - {call.method for call in calls}
    if missing:
        raise SystemExit(f"add calls of {', '.join(sorted(missing))} to {__name__}")
    made = [",".join(VOLATILE)]
    for call in calls:
        method = methods[call.method]
        path = f"{method.containing_service.full_name}/{method.name}"
        messages = (method.input_type.full_name, method.output_type.full_name)
        made.append("\t".join([call.name, path, *messages, call.token, call.keep, json.dumps(call.request)]))
    return "\n".join(made) + "\n"
