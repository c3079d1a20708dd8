"""Logs: structlog events, JSON or console, on standard error.

Whatever comes from a request is data: control and bidirectional characters in values are written as escapes, so that
no name can forge a line or turn it around on a screen.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_DANGEROUS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def escape(text: str) -> str:
    """The text with every control, bidirectional and surrogate character written as a four-digit escape."""
    return _DANGEROUS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _escaped(value: object) -> object:
    """A log value with every text inside it escaped."""
    match value:
        case str():
            return escape(value)
        case bool() | int() | float() | None:
            return value
        case dict():
            return {escape(str(key)): _escaped(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_escaped(item) for item in value]
        case _:
            return escape(str(value))


def _escape_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape every value but a trace, whose lines are ours and whose message is escaped line by line."""
    for key, value in event.items():
        if key == "exception":
            event[key] = "\n".join(escape(line) for line in str(value).split("\n"))
        elif key != "exc_info":
            event[key] = _escaped(value)
    return event


class _ToStructlog(logging.Handler):
    """Carries records of libraries that use the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as an event of the same level."""
        logger = structlog.get_logger()
        logger.log(record.levelno, record.getMessage(), source=record.name, exc_info=record.exc_info or None)


def configure_logging(
    level: str, form: str, *, fields: dict[str, object] | None = None, to: TextIO | None = None
) -> None:
    """Set level and form of every log line from now on; call it again to change them.

    Args:
        level: debug, info, warning or error.
        form: json, console, or auto (console on a terminal).
        fields: Values that every line of this process carries.
        to: Where lines go; standard error when not given.
    """
    stream = to or sys.stderr
    constant = fields or {}

    def add_fields(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in constant.items():
            event.setdefault(key, value)
        return event

    console = form == "console" or (form == "auto" and stream.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_fields,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _escape_values,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    # Libraries talk a lot; below warning they are heard only when the operator asks for debug.
    root.setLevel(_LEVELS[level] if level == "debug" else max(_LEVELS[level], logging.WARNING))
