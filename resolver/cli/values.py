"""Handle values on the command line: ``--value INDEX:TYPE:DATA`` and what holds for all of them.

``options`` adds the options that writing commands share; ``from_options`` makes the values. The checks here
spare a round trip, the node checks again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resolver.cli.output import INVALID, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resolver.handle.value import HandleValue

F = TypeVar("F", bound="Callable[..., Any]")


def options(command: F) -> F:
    """Adds ``--value``, ``--value-file``, ``--ttl`` and ``--permissions``."""
    for option in reversed(
        (
            click.option(
                "--value",
                "texts",
                multiple=True,
                metavar="INDEX:TYPE:DATA",
                help="A value, such as 1:URL:https://example.com/; may be repeated.",
            ),
            click.option(
                "--value-file",
                "files",
                multiple=True,
                metavar="INDEX:TYPE:FILE",
                help="A value whose data are the octets of a file; may be repeated.",
            ),
            click.option(
                "--ttl", "ttl_s", type=click.IntRange(0, 2**31 - 1), metavar="SECONDS", help="TTL of these values."
            ),
            click.option(
                "--permissions",
                metavar="BITS",
                help="Four digits for admin read, admin write, public read, public write; 1110 when not given.",
            ),
        )
    ):
        command = option(command)
    return command


def from_options(
    texts: Sequence[str], files: Sequence[str], ttl_s: int | None, permissions: str | None
) -> list[HandleValue]:
    """The values of the options. Raises InvalidValue, Failed."""
    from dataclasses import replace  # noqa: PLC0415 - with the nouns

    from resolver.handle.value import HandleValue, Permission, Ttl  # noqa: PLC0415 - loads when values are given

    values = [HandleValue.from_text(text) for text in texts]
    for text in files:
        named = HandleValue.from_text(text)
        try:
            values.append(replace(named, data=Path(named.data.decode()).read_bytes()))
        except (OSError, ValueError) as error:
            raise Failed(
                f"the file of --value-file {text!r} cannot be read ({error}): correct its name", INVALID
            ) from error
    if ttl_s is not None:
        values = [replace(value, ttl=Ttl(ttl_s)) for value in values]
    if permissions is not None:
        bits = Permission.from_text(permissions)
        values = [replace(value, permissions=bits) for value in values]
    return values
