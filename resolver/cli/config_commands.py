"""``idis config show``, ``check`` and ``unit``: the configuration, whether a file is one, and a unit for systemd."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from resolver.config import listing
from resolver.config import unit as units
from resolver.config.sources import ConfigInvalid, load

EXIT_CONFIG = 78
"""The configuration is invalid (EX_CONFIG of sysexits.h)."""


def wants_json(ctx: click.Context) -> bool:
    """Whether this command or the root command was given --json."""
    scope: click.Context | None = ctx
    while scope is not None:
        if scope.params.get("as_json"):
            return True
        scope = scope.parent
    return False


@click.group("config")
def config() -> None:
    """Show and check the configuration."""


@config.command("show")
@click.option(
    "--config",
    "config_file",
    envvar="IDIS_CONFIG",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file to start from.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object for each key.")
@click.pass_context
def show(ctx: click.Context, config_file: Path | None, as_json: bool) -> None:  # noqa: ARG001, FBT001 - wants_json reads it
    """Print every key with its value and one sentence, as TOML that is itself a configuration."""
    try:
        found = load(config_file, os.environ)
    except ConfigInvalid as error:
        _refuse(error, as_json=wants_json(ctx))
    click.echo(listing.to_json(found) if wants_json(ctx) else listing.to_toml(found), nl=False)


@config.command("check")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(ctx: click.Context, file: Path | None, as_json: bool) -> None:  # noqa: ARG001, FBT001 - wants_json reads it
    """Tell whether FILE is a configuration; the exit code is 0 or 78.

    Without FILE: whether the variables IDIS_… of this environment are one, with the file that IDIS_CONFIG names.
    """
    named = os.environ.get("IDIS_CONFIG")
    where = str(file or f"the environment{f' with {named}' if named else ''}")
    try:
        if file is not None:
            load(file)
        else:
            load(Path(named) if named else None, os.environ)
    except ConfigInvalid as error:
        _refuse(error, as_json=wants_json(ctx))
    click.echo(json.dumps({"ok": True, "faults": []}) if wants_json(ctx) else f"{where} is a valid configuration")


@config.command("unit")
@click.option(
    "--config",
    "config_file",
    envvar="IDIS_CONFIG",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file of the node: ports and drain times are taken from it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def unit(ctx: click.Context, config_file: Path | None, as_json: bool) -> None:  # noqa: ARG001, FBT001 - wants_json reads it
    """Print a systemd unit for this installation; its first lines say where it goes."""
    try:
        found = load(config_file, os.environ)
    except ConfigInvalid as error:
        _refuse(error, as_json=wants_json(ctx))
    text = units.unit(found, f"{sys.executable} -m resolver")
    click.echo(json.dumps({"unit": text}, ensure_ascii=False) if wants_json(ctx) else text, nl=wants_json(ctx))


def _refuse(error: ConfigInvalid, *, as_json: bool) -> NoReturn:
    """Print the faults and end."""
    if as_json:
        click.echo(json.dumps({"ok": False, "faults": error.faults}, ensure_ascii=False))
    else:
        for fault in error.faults:
            click.echo(f"error: {fault}", err=True)
    sys.exit(EXIT_CONFIG)
