"""The envelope of the SNMS OpenAPI, ``{message, status, data}``, and what it says of each failure, in Chinese.

Sentences that the national documents print are used to the letter; where they print none the words are ours, and end
with the node's own sentence where that names what is wrong. ``status`` is that of the table in ``errors.py``: 1
success, -1 not logged in, -2 business failure, -3 no permission, -4 internal error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from resolver import limits
from resolver.errors import InvalidField, ResolverError, TemplateNotFollowed, leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from resolver.transport.http.door import Failure
    from resolver.v1.registration_pb2 import RowResult

SUCCESS = "success"
"""The message of a success, also of one item of a batch."""

EXISTS = "标识已存在"
"""What a handle that is registered already is told; clients count it as success when they send again."""

NOT_FOUND = "没有找到标识"

NOT_THERE = "标识不存在"
"""What a handle that is not there is told in a batch of deletions."""

WRONG_PASSWORD = "用户名/密码错误！"  # noqa: S105 - a sentence, no password

BUSINESS_FAILURE = -2

_PLAIN: dict[str, str] = {
    "HANDLE_ALREADY_EXISTS": EXISTS,
    "HANDLE_NOT_FOUND": NOT_FOUND,
    "VALUES_NOT_FOUND": NOT_FOUND,
    "CREDENTIAL_MISSING": "未登录，请在请求头中携带 Authorization: Bearer <token>",
    "CREDENTIAL_INVALID": "登录已失效，请重新获取 token",
    "PERMISSION_DENIED": "没有权限",
    "INVALID_NAME": "参数 handle 不是正确的标识，应为“前缀/后缀”，且不含控制字符",
    "PREFIX_NOT_SERVED": "前缀不存在或不由本节点服务",
    "PREFIX_NOT_ENABLED": "前缀未启用",
    "PREFIX_ELSEWHERE": "前缀未托管在本节点",
    "QUOTA_EXHAUSTED": "超出配额",
    "VERSION_MISMATCH": "数据已被修改，请重新查询后再试",
    "REQUEST_ID_REUSED": "Idempotency-Key 已用于另一个请求",
    "TOO_MANY_ITEMS": f"批量操作一次最多 {limits.BATCH_CREATE_MAX} 条",
    "MESSAGE_TOO_LARGE": "请求内容过大",
    "RECORD_TOO_LARGE": "标识内容过大",
    "OVERLOADED": "系统繁忙，请稍后重试",
    "SHUTTING_DOWN": "系统繁忙，请稍后重试",
    "STORAGE_FULL": "系统繁忙，存储空间不足",
    "STORAGE_FAILED": "系统繁忙，请稍后重试",
    "RECORD_CORRUPT": "系统内部错误，数据校验失败",
    "INTERNAL": "系统内部错误",
}
"""Reasons that are told in one sentence."""

_WITH_DETAIL: dict[str, str] = {
    "NOT_FOUND": "没有找到数据",
    "ALREADY_EXISTS": "数据已存在",
    "INVALID_TRANSITION": "非法操作",
    "NOT_IMPLEMENTED": "不支持该操作",
}
"""Reasons whose sentence ends with the node's own; all others begin with "参数不正确"."""

_RULES: dict[str, str] = {
    "UNKNOWN_INDEX": "非法操作，索引{index}在模板中不存在",
    "RESERVED": "非法操作，索引{index}为模板保留索引",
    "TYPE": "非法操作，索引{index}的类型与模板不一致",
    "DISABLED": "非法操作，索引{index}在模板中已停用",
    "REQUIRED": "缺少模板的必填项: 索引{index}({type})",
    "LENGTH_MIN": "索引{index}({type})的值长度不能小于{minimum}",
    "LENGTH_MAX": "索引{index}({type})的值长度不能大于{maximum}",
    "WITHDRAWN": "模板已停用，不能用于新的标识",
    "PREFIX": "模板不属于标识的前缀",
}
"""What the rules of a template are called; a rule that is not here ends with the node's own sentence."""


_PARAMETERS: dict[str, str] = {
    "MISSING": "缺少必要的请求参数: {parameter}",
    "LENGTH": "参数 {parameter} 的长度不能大于{maximum}",
    "ONE_OF": "参数 {parameter} 的取值不正确",
    "DIGEST": "参数 {parameter} 须为密码的 SHA-256 十六进制值",
    "ADDRESS": "参数 {parameter} 的格式是 [ip]:port，多个以分号分隔",
    "SHAPE": "参数 {parameter} 的格式不正确",
    "TAKEN": "{parameter} 已被使用",
    "CLEAR": "不接受明文 HTTP 传输的密码和 token，请使用 HTTPS，或由管理员设置 http.accept_clear_credentials",
    "FILE_SIZE": "文件大小不能超过{megabytes}MB",
    "FILE_KIND": "文件只能是 JPEG、PNG 图片或 PDF",
}
"""What the rules of enterprise records, files and connections are called."""


class Missing(InvalidField):
    """A parameter of the interface is not there; the sentence is the documented one."""

    def __init__(self, parameter: str) -> None:
        super().__init__(f"缺少必要的请求参数: {parameter}", field=parameter)


class Said(InvalidField):
    """A parameter of the interface is wrong; the sentence is ours and complete."""


def sentence_of(reason: str, message: str, details: Mapping[str, str]) -> str:
    """What a reason is called in Chinese."""
    if reason == TemplateNotFollowed.reason:
        rule = _RULES.get(details.get("rule", ""))
        if rule is not None:
            return rule.format_map(details)
        return f"索引{details.get('index', '')}的值不符合模板要求: {message}"
    parameter = _PARAMETERS.get(details.get("rule", ""))
    if parameter is not None:
        return parameter.format_map(details)
    plain = _PLAIN.get(reason)
    if plain is not None:
        return plain
    return f"{_WITH_DETAIL.get(reason, '参数不正确')}: {message}"


def message_of(error: ResolverError) -> str:
    """What an error is called in Chinese."""
    if isinstance(error, (Missing, Said)):
        return error.message
    return sentence_of(error.reason, error.message, error.details)


def message_of_row(row: RowResult) -> str:
    """What became of one row of a batch."""
    return sentence_of(row.reason, row.message, row.details) if row.code else SUCCESS


_ENCODER = msgspec.json.Encoder()


def reply(data: Any, message: str = SUCCESS, status: int = 1, http_status: int = 200) -> Response:
    """An answer in the envelope."""
    body = _ENCODER.encode({"message": message, "status": status, "data": data})
    return Response(body, http_status, media_type="application/json")


def refusal(error: ResolverError, *, mapped: bool = False) -> Response:
    """An error in the envelope.

    The HTTP status is 200 for what the interface itself decides, as its clients expect, unless ``mapped`` asks for
    that of the table in ``errors.py``; the node's own troubles always have it, for proxies and clients that send again.
    """
    meaning = error.meaning
    http_status = meaning.http if mapped or meaning.http >= 500 else 200
    response = reply(None, message_of(error), meaning.snms, http_status)
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    return response


def failed(_request: Request, failure: Failure) -> Response:
    """What went wrong before or around a handler: no such path or method, too large a body, a defect."""
    words = _PATHS.get(failure.status) or message_of(failure.error)
    return reply(None, words, failure.error.meaning.snms, failure.status)


_PATHS = {404: "请求的接口不存在", 405: "请求方法不正确"}


assert set(_PLAIN) | set(_WITH_DETAIL) <= set(leaves())  # noqa: S101 - a reason that does not exist is a typing error
