"""Print a configuration so that the print is one: TOML with a sentence over each key, or rows for JSON."""

from __future__ import annotations

import json
import typing
from typing import Any, NamedTuple

import msgspec

from resolver.config.changes import WHEN_APPLIED
from resolver.config.settings import Config
from resolver.config.sources import keys, to_environment_name, value_of


class Row(NamedTuple):
    """One key as a reader wants to know it."""

    key: str
    value: object
    default: object
    sentence: str
    applied: str
    environment: str


def sentence_of(key: str) -> str:
    """The sentence of a key."""
    marks = [mark for mark in getattr(keys()[key], "__metadata__", ()) if isinstance(mark, msgspec.Meta)]
    return next((mark.description for mark in marks if mark.description), "")


def choices_of(key: str) -> tuple[str, ...]:
    """The words a key accepts, none when it is free."""
    annotated: Any = keys()[key]
    plain = typing.get_args(annotated)[0]
    return typing.get_args(plain) if typing.get_origin(plain) is typing.Literal else ()


def rows(config: Config) -> list[Row]:
    """Every key in the order of the file."""
    defaults = Config()
    return [
        Row(
            key,
            value_of(config, key),
            value_of(defaults, key),
            sentence_of(key),
            WHEN_APPLIED[key].value,
            to_environment_name(key),
        )
        for key in keys()
    ]


def to_toml(config: Config) -> str:
    """The whole configuration as TOML that ``load`` reads back to the same object."""
    lines = [
        "# Configuration of an IDIS node. Each key may also be set by an environment variable,",
        "# for example IDIS_GRPC__LISTEN for listen in [grpc]; flags of idis serve win over both.",
    ]
    section = ""
    for row in rows(config):
        table, _, name = row.key.partition(".")
        if table != section:
            section = table
            doc = (typing.get_type_hints(Config)[table].__doc__ or "").splitlines()[0]
            lines += ["", f"# {doc}", f"[{table}]"]
        words = choices_of(row.key)
        notes = [row.sentence]
        if words:
            notes.append(f"One of {', '.join(words)}.")
        if row.value != row.default:
            notes.append(f"Default: {_to_toml_value(row.default)}.")
        lines += [f"# {' '.join(notes)}", f"{name} = {_to_toml_value(row.value)}"]
    return "\n".join(lines) + "\n"


def to_json(config: Config) -> str:
    """The rows as JSON, an object a line."""
    return "".join(json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rows(config))


def _to_toml_value(value: object) -> str:
    """One TOML value. A JSON string is a TOML basic string but for DEL, which TOML wants escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
