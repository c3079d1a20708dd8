"""Pages in the form of Spring, and dates, as the SNMS OpenAPI has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from resolver import limits
from resolver.transport.http.snms import bodies
from resolver.transport.http.snms.envelope import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from resolver.transport.http.calls import SnmsOptions

PAGE_SIZE_DEFAULT = 10
"""Rows of a page when the request names no size."""

_MOMENT = "%Y-%m-%d %H:%M:%S"

R = TypeVar("R")


def moment(time_us: int, options: SnmsOptions) -> str | None:
    """A time as ``yyyy-MM-dd HH:mm:ss`` in the zone of the interface; None for 0."""
    if not time_us:
        return None
    return (datetime.fromtimestamp(time_us // 1_000_000, UTC) + timedelta(seconds=options.utc_offset_s)).strftime(
        _MOMENT
    )


class Asked(NamedTuple):
    """Which page is wanted, and of which days."""

    number: int
    """From 0."""
    size: int
    from_us: int
    before_us: int

    def is_in(self, time_us: int) -> bool:
        """Whether a time is in the days asked for."""
        return self.from_us <= time_us < self.before_us

    def page(self, rows: Sequence[R], shown: Callable[[R], dict[str, Any]]) -> dict[str, Any]:
        """The page of these rows."""
        start = self.number * self.size
        content = [shown(row) for row in rows[start : start + self.size]]
        pages = -(-len(rows) // self.size)
        return {
            "first": self.number == 0,
            "last": self.number >= pages - 1,
            "totalPages": pages,
            "totalElements": len(rows),
            "number": self.number,
            "size": self.size,
            "sort": {"empty": True, "sorted": False, "unsorted": True},
            "numberOfElements": len(content),
            "content": content,
        }


def asked(request: Request, options: SnmsOptions) -> Asked:
    """Page and days of a request. Raises Said."""
    number = _whole(request, "currentPage", options.first_page, 1_000_000_000) - options.first_page
    size = _whole(request, "pageSize", PAGE_SIZE_DEFAULT, limits.PAGE_MAX)
    if number < 0 or size < 1:
        raise Said(f"参数 currentPage 从{options.first_page}开始，pageSize 为1到{limits.PAGE_MAX}")
    first = _day(request, "startDate", options)
    last = _day(request, "endDate", options, is_end=True)
    return Asked(number, size, 0 if first is None else first, 1 << 62 if last is None else last)


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
