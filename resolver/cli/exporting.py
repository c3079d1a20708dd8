"""``idis export``: the records under a prefix, page by page, as a file that ``idis import`` reads.

JSON lines keep everything. CSV has a column ``INDEX:TYPE`` for each kind of value; its header must stand first,
so the prefix is read twice, and what a table cannot hold (data that is no text, TTL, permissions, references)
is refused or left out and said on standard error.
"""

from __future__ import annotations

import csv
import os
import sys
from contextlib import ExitStack, contextmanager
from heapq import merge
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from resolver.cli.output import FAILED, Failed, Verb, note, to_octets, unwritten
from resolver.handle.name import fold_octets
from storage.directories import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resolver.cli.target import Target
    from resolver.v1.handle_pb2 import HandleRecord

PAGE_ROWS = 500
"""Records of a page; the node ends a page earlier when records are large."""

Column = tuple[int, str]
"""Index and type of a column."""


@click.command("export", cls=Verb)
@click.argument("prefix")
@click.option("--format", "format_", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--start", "suffix_start", default="", metavar="TEXT", help="Only suffixes that start with this text.")
@click.option("--restricted", is_flag=True, help="Also values without public read, as far as the token may read them.")
@click.option("--site", is_flag=True, help="From all servers of a site that share the handles.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Instead of the output.")
@click.pass_context
def export(
    ctx: click.Context, prefix: str, format_: str, suffix_start: str, out: Path | None, *, restricted: bool, site: bool
) -> None:
    """Print every record under a prefix; the result is an import file."""
    target: Target = ctx.obj
    with ExitStack() as opens:
        clients = [opens.enter_context(client) for client in target.clients(of_site=site)]
        stream = opens.enter_context(opened(out))

        def records() -> Iterator[HandleRecord]:
            lists = [
                client.list_records(
                    prefix, suffix_start=suffix_start, include_restricted=restricted, page_size=PAGE_ROWS
                )
                for client in clients
            ]
            return merge(*lists, key=lambda record: fold_octets(record.name.encode()))

        if format_ == "jsonl":
            from resolver.intake.jsonl import record_to_json  # noqa: PLC0415 - loads msgspec

            for record in records():
                stream.write(to_octets(record_to_json(record)) + b"\n")
            return
        columns = sorted({(value.index, value.type) for record in records() for value in record.values})
        binary = _write_csv(stream, columns, records())
    if binary:
        raise Failed(f"{binary} values are no text and were left out: export as jsonl to keep them", FAILED)


@contextmanager
def opened(out: Path | None) -> Iterator[IO[bytes]]:
    """The file to write, or standard output; the file appears whole or not at all. Raises Failed."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        with unfinished.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(out)
        sync_directory(out.parent)
        note(f"written: {out}")
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise unwritten(out, error) from error
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


class _Lines:
    """Text in, UTF-8 out, for the csv module."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a line."""
        return self._stream.write(text.encode())


def _write_csv(stream: IO[bytes], columns: list[Column], records: Iterator[HandleRecord]) -> int:
    """Writes header and rows; how many values were left out because they are no text."""
    writer = csv.writer(_Lines(stream), lineterminator="\n")
    writer.writerow(["name", *(f"{index}:{type_}" for index, type_ in columns)])
    binary = 0
    for record in records:
        cells = {}
        for value in record.values:
            try:
                cells[value.index, value.type] = value.data.decode()
            except UnicodeDecodeError:
                binary += 1
        writer.writerow([record.name, *(cells.get(column, "") for column in columns)])
    return binary
