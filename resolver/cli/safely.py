"""The two options every write of the registry takes: repeat safely, and only check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def options(command: F) -> F:
    """Adds ``--request-id`` and ``--validate-only``."""
    command = click.option("--validate-only", is_flag=True, help="Check everything and write nothing.")(command)
    return click.option(
        "--request-id", default="", metavar="ID", help="Repeating with the same id returns the first outcome."
    )(command)
