"""The root of the command line: options that say which node, and a table of commands that load when called.

A command is named by module and attribute and imported when it is asked for, so that ``idis --help`` and a
single resolution do not pay for what they do not use. Exit codes are those of ``output.EXITS``.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resolver import __version__
from resolver.cli.guarded import ARGUMENTS
from resolver.cli.output import EXITS, JSON_LINE, faults_of_line, speak_utf8
from resolver.cli.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMANDS: dict[str, dict[str, str]] = {
    "Identifiers": {
        "resolve": "resolve:resolve",
        "register": "register:register",
        "update": "change:update",
        "put": "change:put",
        "remove-values": "change:remove_values",
        "delete": "change:delete",
        "import": "importing:import_",
        "migrate": "migrate:migrate",
        "list": "listing:list_",
        "export": "exporting:export",
        "watch": "watch:watch",
        "stats": "stats:stats",
        "hdl": "hdl:hdl",
    },
    "Registry": {
        "enterprise": "enterprise:enterprise",
        "prefix": "prefix:prefix",
        "principal": "principal:principal",
        "key": "key:key",
        "login": "login:login",
        "template": "template:template",
    },
    "Node": {
        "init": "init:init",
        "serve": "serve:serve",
        "mirror": "mirror:mirror",
        "site": "site:site",
        "config": "config_commands:config",
        "doctor": "doctor:doctor",
        "health": "health:health",
        "backup": "store:backup",
        "verify": "store:verify",
        "restore": "store:restore",
        "check": "store:check",
        "dump": "store:dump",
        "demo": "demo:demo",
    },
}
"""Every command by heading and name: module of this package and attribute."""

NODE_COMMANDS = frozenset({"serve", "demo"})
"""Commands that run a node, whose transport logs to its log."""

_PLACES = {name: place for section in COMMANDS.values() for name, place in section.items()}


class Root(click.Group):
    """The group that loads a command when it is called."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command line; who asks for JSON gets its faults in it, wherever they stand."""
        given = args[: args.index("--")] if "--" in args else args
        as_json = "--json" in given
        with faults_of_line(as_json=as_json):
            ctx = super().make_context(info_name, args, parent, **extra)
        ctx.meta[JSON_LINE] = as_json
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with faults_of_line(as_json=bool(ctx.meta.get(JSON_LINE))):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """Names in the order of the table."""
        return list(_PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command of a name; None when there is none."""
        place = _PLACES.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(f"resolver.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command asked for; a wrong word is told with the one that is nearest."""
        near = difflib.get_close_matches(args[0], _PLACES, 1) if args[0] not in _PLACES else []
        if near:
            ctx.fail(f"there is no command {args[0]!r}; did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands under their headings."""
        for heading, section in COMMANDS.items():
            loaded = ((name, self.get_command(ctx, name)) for name in section)
            rows = [(name, command.get_short_help_str(90)) for name, command in loaded if command is not None]
            with formatter.section(heading):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """The exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl(_lines(EXITS.items()))


def _lines(exits: Iterable[tuple[int, str]]) -> list[tuple[str, str]]:
    return [(str(code), textwrap.dedent(meaning)) for code, meaning in exits]


@click.group("idis", cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="idis")
@click.option("--target", metavar="HOST:PORT", envvar="IDIS_TARGET", help="gRPC door of the node.  [IDIS_TARGET]")
@click.option(
    "--token-file",
    metavar="FILE",
    envvar="IDIS_TOKEN_FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the API token.  [IDIS_TOKEN_FILE]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line; also after the command.")
@click.option(
    "--data-dir",
    metavar="DIR",
    envvar="IDIS_NODE__DATA_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data directory of a node on this machine, used without --target.  [./data, ./idis-data]",
)
@click.option(
    "--tls-ca",
    metavar="FILE",
    envvar="IDIS_TLS_CA",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Authority that signed the node's certificate: speak TLS.",
)
@click.option(
    "--tls-cert",
    metavar="FILE",
    envvar="IDIS_TLS_CERT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Client certificate.",
)
@click.option(
    "--tls-key",
    metavar="FILE",
    envvar="IDIS_TLS_KEY",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key of the client certificate.",
)
@click.option("--tls-name", metavar="NAME", default="", help="Name in the node's certificate, if not the host dialled.")
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="For one call with all its attempts.",
)
@click.pass_context
def root(
    ctx: click.Context,
    target: str | None,
    token_file: Path | None,
    as_json: bool,  # noqa: ARG001, FBT001 - output.wants_json reads it
    data_dir: Path | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_name: str,
    timeout_s: float,
) -> None:
    """Register and resolve identifiers, and run the node that keeps them.

    Without --target the node that runs on the data directory is used, with the administrator's token beside it.
    """
    if ctx.invoked_subcommand not in NODE_COMMANDS:
        # What the transport has to say, the client says in its errors.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if data_dir is not None:
        # The commands that run or examine a node have the option too; theirs wins.
        ctx.default_map = {name: {"data_dir": str(data_dir)} for name in ("init", "serve", "doctor")}
    ctx.meta[ARGUMENTS] = ctx.obj  # none where the command line is not a program
    ctx.obj = Target(target, token_file, data_dir, tls_ca, tls_cert, tls_key, tls_name, timeout_s)


def main(prog_name: str = "idis") -> None:
    """Run the command line and exit."""
    speak_utf8()
    root(prog_name=prog_name, obj=tuple(sys.argv[1:]))
