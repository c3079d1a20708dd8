"""The command: list the operations, run one or all, write a JSON for each and print its table."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import plot, readme, sampling, table
from bench.report import say
from bench.settings import ALL, Settings

if TYPE_CHECKING:
    from types import FrameType

OPERATIONS = {
    "storage": "storage",
    "codec": "codec",
    "resolve": "resolve",
    "grpc-unary": "grpc_unary",
    "grpc-batch": "grpc_batch",
    "grpc-stream": "grpc_stream",
    "hdl": "hdl",
    "federation": "federation",
    "http-handles": "http_handles",
    "http-json": "http_json",
    "register": "register",
    "batch-register": "batch_register",
    "snms-batch": "snms_batch",
    "import": "importing",
    "lanes": "lanes",
    "write-ahead": "write_ahead",
    "client": "client",
    "cold": "cold",
    "profile": "profile",
    "soak": "soak",
}
"""Operation and the module that measures it, in the order of ``all``."""

ASKED_FOR = ("soak",)
"""Operations that are not part of ``all``: they take too long."""

EXTRAS = {
    "all": "Every operation but soak, briefly; then readme.",
    "table": "The tables of the results, printed again.",
    "goals": "The ratios of the results that have a goal.",
    "plot": "The results as SVG, beside them.",
    "readme": "The generated parts of README.md, from the results.",
}
"""What can be asked for beside operations."""

RESULTS = Path(__file__).resolve().parent / "results"
README = RESULTS.parent / "README.md"


def _listing() -> str:
    lines = ["", "Operations:", ""]
    for name, module in OPERATIONS.items():
        what = (import_module(f"bench.operations.{module}").run.__doc__ or "").partition("\n")[0]
        lines.append(f"  {name:15s} {what}")
    lines += [f"  {name:15s} {what}" for name, what in EXTRAS.items()]
    return "\n".join(lines)


@click.command()
@click.argument("operations", nargs=-1)
@click.option("--records", type=click.IntRange(1_000), help="Records in the store; 1,000,000.")
@click.option("--seconds", type=click.FloatRange(0.05), help="Seconds of one measurement; 2, with all 0.8.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds; 3.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes of the contenders with N workers; 2.")
@click.option("--minutes", type=click.FloatRange(0.05), help="Minutes of a soak; 30.")
@click.option("--seed", type=int, help="Seed of names and orders; 1.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Directory of the results.")
def main(operations: tuple[str, ...], out: Path, **given: float | None) -> None:
    """Measure the node beside its peers and its limits; without an operation, list them."""
    if not operations:
        click.echo(click.get_current_context().get_help() + "\n" + _listing())
        return
    unknown = [name for name in operations if name not in {*OPERATIONS, *EXTRAS}]
    if unknown:
        raise click.UsageError(f"there is no operation {', '.join(unknown)}: python -m bench lists them")
    settings = replace(
        ALL if "all" in operations else Settings(),
        **{name: value for name, value in given.items() if value is not None},
    )
    every = [name for name in OPERATIONS if name not in ASKED_FOR]
    chosen = [name for name in (every if "all" in operations else OPERATIONS) if {name, "all"} & {*operations}]
    failed = [name for name in chosen if not _measure(name, settings, out)]
    results = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (out / f"{name}.json" for name in OPERATIONS)
        if path.exists()
    ]
    if "table" in operations:
        for result in results:
            click.echo(table.to_markdown(result))
    if {"goals", "all"} & {*operations}:
        click.echo(table.goals(results))
    if "plot" in operations:
        for path in plot.draw_all(out):
            say(f"wrote {path.name}")
    if {"readme", "all"} & {*operations} and out.resolve() == RESULTS:
        readme.write(README, out, results)  # results kept elsewhere are not those of the page
    if failed:
        say(f"failed: {', '.join(failed)}")
        sys.exit(1)


def _measure(name: str, settings: Settings, out: Path) -> bool:
    """Run one operation; whether it came to a result."""
    say(f"{name}: {settings.records:,} records, {settings.rounds} rounds of {settings.seconds:g} s")
    try:
        report = import_module(f"bench.operations.{OPERATIONS[name]}").run(settings)
        path = report.write(out)
    except sampling.Unavailable as error:
        say(f"{name} is left out: {error}")
        return True
    except Exception as error:  # noqa: BLE001 - one failed operation must not cost the others
        say(f"{name} failed: {type(error).__name__}: {error}")
        return False
    click.echo(table.to_markdown(json.loads(path.read_text(encoding="utf-8"))))
    return True


def _end(number: int, _frame: FrameType | None) -> None:
    """End as if by the keyboard, so that the servers that were started end too."""
    sys.exit(128 + number)


if __name__ == "__main__":
    for end in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # a shell ignores some of them for what it has behind it
        signal.signal(end, _end)
    main()
