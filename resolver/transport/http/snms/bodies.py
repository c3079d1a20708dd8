"""Bodies of SNMS requests: what they are made of, and sentences for what is missing or wrong in them.

Decoding is typed and in one go; fields are optional there, because a missing one has a documented sentence of its own,
and in a batch it concerns one item only. A batch with an item of a wrong shape is decoded again item by item.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from resolver import limits
from resolver.errors import TooManyItems
from resolver.transport.http.snms.envelope import Missing, Said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

HANDLE_CHARACTERS_MAX = 255
VERSION_CHARACTERS_MAX = 128
TYPE_CHARACTERS_MAX = 128
VALUE_CHARACTERS_MAX = 255
PREFIX_CHARACTERS_MAX = 64

AT_ONCE_OCTETS_MAX = 1 << 20
"""Octets of a batch that is decoded in one go: some two milliseconds."""

SLICE_OCTETS = 256 << 10
"""Octets of items of a larger one that are decoded before others have their turn."""

COMMAS_MAX = 1 << 20
"""Commas of a body: 16 MiB of identifiers have fewer, and each comma may stand for an object of a hundred octets."""

COMMAS_OF_ONE_MAX = 1 << 17
"""Commas of one identifier, template or application: the largest have some ten thousand beside those in texts."""

T = TypeVar("T")


class Parameters(Struct, frozen=True, rename="camel", gc=False):
    """A JSON object of the interface; unknown members are ignored, as the original does.

    They hold no cycles, and a batch has tens of thousands of them: the collector need not look at any.
    """


class Content(Parameters, frozen=True, gc=False):
    """The data of a value; the format is always "string"."""

    format: str | None = None
    value: str | None = None


class Value(Parameters, frozen=True, gc=False):
    """A value of an identifier. ``auth`` is reserved and not looked at."""

    index: int | None = None
    type: str | None = None
    data: Content | None = None


class Identifier(Parameters, frozen=True, gc=False):
    """An identifier to be created or updated."""

    handle: str | None = None
    template_version: str | None = None
    value: list[Value] | None = None


class Named(Parameters, frozen=True, gc=False):
    """Names an identifier."""

    handle: str | None = None


class Login(Parameters, frozen=True, gc=False):
    """A token request."""

    username: str | None = None
    password: str | None = None


class TemplateName(Parameters, frozen=True, gc=False):
    """Names a template."""

    prefix: str | None = None
    version: str | None = None


class ItemMetadata(Parameters, frozen=True, gc=False):
    """What the data of a template item is."""

    type: str | None = None
    min_length: int | None = None
    max_length: int | None = None


class TemplateItem(Parameters, frozen=True, gc=False):
    """An item of a template."""

    name: str | None = None
    id_type: str | None = None
    id_index: int | None = None
    required: bool | None = None
    state: int | None = None
    metadata: ItemMetadata | None = None


class Template(Parameters, frozen=True, gc=False):
    """A template to be created or changed."""

    prefix: str | None = None
    version: str | None = None
    industry_category: str | None = None
    industry_specific: str | None = None
    industry_trade: str | None = None
    industry_subclass: str | None = None
    type: int | None = None
    description: str | None = None
    items: list[TemplateItem] | None = None


class PrefixConfig(Parameters, frozen=True, gc=False):
    """Where the handles of a prefix live."""

    ent_prefix: str | None = None
    hdl_type: str | None = None
    ip_type: int | None = None
    ip: str | None = None
    tcp_port: str | int | None = None
    udp_port: str | int | None = None
    http_port: str | int | None = None


class Hosting(Parameters, frozen=True, gc=False):
    """Where the handles of a prefix shall live: at a hosting server, or at the enterprise's own."""

    proxy_server_id: str | int | None = None
    ent_prefix_config: PrefixConfig | None = None


_KINDS = {"object": "对象", "array": "数组", "str": "字符串", "int": "整数", "float": "数字", "bool": "布尔值"}
_EXPECTED = re.compile(r"^Expected `([a-z]+)[^`]*`.*?(?: - at `\$\.?([^`]*)`)?$", re.DOTALL)


def _misfit(words: str) -> str:
    """What msgspec says of JSON of another shape, in the language of the interface."""
    found = _EXPECTED.match(words)
    kind = _KINDS.get(found[1]) if found else None
    return words if found is None or kind is None else f"{found[2] + ' ' if found[2] else '请求体'}的类型应为{kind}"


_RAWS = list[Raw]


def decode(body: bytes, kind: type[T]) -> T:
    """A body of one shape. Raises Said for anything else, and TooManyItems."""
    commas_max = COMMAS_MAX if kind is _RAWS else COMMAS_OF_ONE_MAX
    if len(body) > commas_max and body.count(b",") > commas_max:
        raise TooManyItems("the body has more parts than any identifier or template needs: split it")
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise Said(f"参数格式不正确: {_misfit(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        words = "嵌套过深" if isinstance(error, RecursionError) else str(error)
        raise Said(f"请求体不是正确的 JSON: {words}") from None


async def decode_each(body: bytes, kind: type[T]) -> list[T | Said]:
    """The items of an array; an item of another shape is its own error. Raises Said when it is none, TooManyItems."""
    items: list[T | Said] | None = None
    if len(body) <= AT_ONCE_OCTETS_MAX:
        try:
            items = msgspec.json.decode(body, type=list[kind], strict=False)  # type: ignore[valid-type]
        except msgspec.ValidationError:
            pass  # item by item below
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            decode(body, _RAWS)
            raise Said("请求体不是正确的 JSON") from None
    if items is None:
        items = await _decode_slowly(body, kind)
    if not items:
        raise Said("请求体是空数组，请至少提供一条")
    require_few(len(items))
    return items


def require_few(count: int) -> None:
    """Raise TooManyItems for more items than a batch may have."""
    if count > limits.BATCH_CREATE_MAX:
        raise TooManyItems(f"{count} items are sent; at most {limits.BATCH_CREATE_MAX} are allowed: split them")


def text(given: str | None, parameter: str, characters_max: int) -> str:
    """A text that must be there. Raises Missing, Said."""
    if given is None or not given.strip():
        raise Missing(parameter)
    return optional_text(given, parameter, characters_max)


def optional_text(given: str | None, parameter: str, characters_max: int) -> str:
    """A text that may be left out. Raises Said."""
    if given is None:
        return ""
    if len(given) > characters_max:
        raise Said(f"参数 {parameter} 的长度不能大于{characters_max}")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise Said(f"参数 {parameter} 含有不成对的代理字符，不是正确的 Unicode 文本") from None
    return given


def query_text(request: Request, parameter: str, characters_max: int) -> str:
    """A query parameter that must be there, once and in UTF-8. Raises Missing, Said."""
    found = request.query_params.getlist(parameter)
    if len(found) > 1:
        raise Said(f"参数 {parameter} 只能出现一次")
    if found and "\ufffd" in found[0]:
        raise Said(f"参数 {parameter} 必须是百分号编码的 UTF-8")
    return text(found[0] if found else None, parameter, characters_max)


def optional_query(request: Request, parameter: str, characters_max: int) -> str:
    """A query parameter that may be left out or empty. Raises Said."""
    return query_text(request, parameter, characters_max) if request.query_params.get(parameter, "").strip() else ""


def number(given: Any, parameter: str, allowed: Sequence[int]) -> int:
    """A number of a few. Raises Missing, Said."""
    if given is None:
        raise Missing(parameter)
    if given not in allowed:
        raise Said(f"参数 {parameter} 只能是 {'、'.join(str(each) for each in allowed)}")
    return int(given)


async def _decode_slowly(body: bytes, kind: type[T]) -> list[T | Said]:
    """The items of an array one by one, with turns for others between them."""
    items: list[T | Said] = []
    octets = 0
    raws = decode(body, _RAWS)
    require_few(len(raws))  # before any is looked at: there may be millions
    for raw in raws:
        octets += len(bytes(raw))
        if octets > SLICE_OCTETS:
            octets = 0
            await asyncio.sleep(0)
        try:
            items.append(decode(bytes(raw), kind))
        except Said as error:
            items.append(error)
    return items
