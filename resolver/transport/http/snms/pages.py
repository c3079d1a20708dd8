"""Pages in the form of Spring, and dates, as the SNMS OpenAPI has them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from resolver import limits
from resolver.service.registry_pages import Wanted
from resolver.transport.http.snms import bodies
from resolver.transport.http.snms.envelope import Said

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from resolver.service.registry_pages import Page
    from resolver.transport.http.calls import SnmsOptions

PAGE_SIZE_DEFAULT = 10
"""Rows of a page when the request names no size."""

SHOWN_AT_ONCE = 25
"""Rows of a page that are made before others have their turn."""

_MOMENT = "%Y-%m-%d %H:%M:%S"

R = TypeVar("R")


def moment(time_us: int, options: SnmsOptions) -> str | None:
    """A time as ``yyyy-MM-dd HH:mm:ss`` in the zone of the interface; None for 0."""
    if not time_us:
        return None
    return (datetime.fromtimestamp(time_us // 1_000_000, UTC) + timedelta(seconds=options.utc_offset_s)).strftime(
        _MOMENT
    )


async def shown(wanted: Wanted, page: Page[R], show: Callable[[R], dict[str, Any]]) -> dict[str, Any]:
    """A page in the form of Spring; others have their turn while a long one is made."""
    content = []
    for place, row in enumerate(page.rows, start=1):
        content.append(show(row))
        if place % SHOWN_AT_ONCE == 0:
            await asyncio.sleep(0)
    pages = -(-page.total // wanted.size)
    return {
        "first": wanted.number == 0,
        "last": wanted.number >= pages - 1,
        "totalPages": pages,
        "totalElements": page.total,
        "number": wanted.number,
        "size": wanted.size,
        "sort": {"empty": True, "sorted": False, "unsorted": True},
        "numberOfElements": len(content),
        "content": content,
    }


def asked(request: Request, options: SnmsOptions, *, name: str = "", prefix: str = "") -> Wanted:
    """Page and days of a request, and what else is wanted. Raises Said."""
    number = _whole(request, "currentPage", options.first_page, 1_000_000_000) - options.first_page
    size = _whole(request, "pageSize", PAGE_SIZE_DEFAULT, limits.PAGE_MAX)
    if number < 0 or size < 1:
        raise Said(f"参数 currentPage 从{options.first_page}开始，pageSize 为1到{limits.PAGE_MAX}")
    first = _day(request, "startDate", options)
    last = _day(request, "endDate", options, is_end=True)
    return Wanted(number, size, 0 if first is None else first, 1 << 62 if last is None else last, name, prefix)


def _whole(request: Request, parameter: str, default: int, most: int) -> int:
    text = bodies.optional_query(request, parameter, 20).strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) > most:
        raise Said(f"参数 {parameter} 必须是不大于{most}的整数")
    return int(text)


def _day(request: Request, parameter: str, options: SnmsOptions, *, is_end: bool = False) -> int | None:
    """A date or a moment as microseconds; the end of a day is the next one's start."""
    text = bodies.optional_query(request, parameter, 19).strip()
    if not text:
        return None
    for form, step in (("%Y-%m-%d", timedelta(days=1)), (_MOMENT, timedelta(seconds=1))):
        try:
            found = datetime.strptime(text, form).replace(tzinfo=UTC) - timedelta(seconds=options.utc_offset_s)
            return int((found + step if is_end else found).timestamp() * 1_000_000)
        except (ValueError, OverflowError):
            continue
    raise Said(f"参数 {parameter} 的格式是 yyyy-MM-dd 或 yyyy-MM-dd HH:mm:ss")
