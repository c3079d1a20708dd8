"""``idis import``: a file of an enterprise becomes registrations, one result line for each row.

Here are the options, what is asked of the node first, and the summary; the carrying is ``import_run``, the
reading is the intake room. A second run of the same file changes nothing and says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from resolver.cli.output import FAILED, INVALID, Failed, Verb, emit, note, number_of
from resolver.cli.register import ON_EXISTING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from resolver.cli.import_run import Item
    from resolver.cli.import_state import ImportState
    from resolver.cli.target import Target
    from resolver.cli.vendors import Made
    from resolver.client import AsyncClient
    from resolver.intake.hwids import BusKind
    from resolver.v1.node_pb2 import GetNodeInfoResponse

CHUNK_ROWS_DEFAULT = 500
"""Rows of a chunk: one commit; larger chunks gain little and hold the writer longer."""

FORMATS = ("csv", "jsonl", "xlsx", "hdl", "usb-ids", "pci-ids")


@dataclass(frozen=True)
class Wanted:
    """The options of one import."""

    file: str
    format_: str
    result: Path
    on_existing: str
    mapping: Path | None
    template_id: str
    sheet: str | None
    encoding: str | None
    chunk_rows: int
    dry_run: bool
    resume: bool

    def deciding(self, node_prefix: str) -> dict[str, Any]:
        """What decides rows, chunks and outcomes: it must be the same in a run that resumes."""
        mapping = hashlib.sha256(self.mapping.read_bytes()).hexdigest() if self.mapping else ""
        return {
            "format": self.format_,
            "on-existing": self.on_existing,
            "mapping": mapping,
            "template": self.template_id,
            "sheet": self.sheet or "",
            "encoding": self.encoding or "",
            "node prefix": node_prefix,
        }


@click.command("import", cls=Verb)
@click.argument("file", metavar="FILE")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Format; told by the file ending if not given.")
@click.option(
    "--result",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Result file, one line for each row: CSV, or JSON lines if it ends in .jsonl.  [FILE's name with .result.csv]",
)
@click.option(
    "--on-existing",
    type=click.Choice(ON_EXISTING),
    default="keep",
    show_default=True,
    help="A handle that is registered: fail, keep it if it is the same, or replace its values.",
)
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.toml",
    help="Which column of a table becomes which value.",
)
@click.option("--template", "template_id", default="", metavar="ID", help="Template whose items match the columns.")
@click.option("--sheet", metavar="NAME", help="Sheet of a workbook; the first if not given.")
@click.option("--encoding", metavar="NAME", help="Encoding of a text file; found out if not given.")
@click.option("--dry-run", is_flag=True, help="Let the node check every row and write nothing.")
@click.option("--resume", is_flag=True, help="Go on where an import with the same result file was interrupted.")
@click.option(
    "--chunk-rows", type=click.IntRange(1, 2_000), default=CHUNK_ROWS_DEFAULT, show_default=True, help="Rows a commit."
)
@click.pass_context
def import_(
    ctx: click.Context,
    file: str,
    format_: str | None,
    result: Path | None,
    on_existing: str,
    mapping: Path | None,
    template_id: str,
    sheet: str | None,
    encoding: str | None,
    chunk_rows: int,
    *,
    dry_run: bool,
    resume: bool,
) -> None:
    """Register the rows of FILE: CSV, JSON lines, XLSX, Handle batch, or Debian's usb.ids and pci.ids.

    '-' reads standard input. Rows in error never stop the others; the exit code is 1 when any row failed.
    """
    from resolver.intake.files import format_of  # noqa: PLC0415 - loads the readers

    if result is None:
        if file == "-":
            raise click.UsageError("standard input has no name: say with --result where one line for each row goes")
        result = Path(file).with_suffix(".result.csv")
    if file != "-" and Path(file).resolve() == result.resolve():
        raise Failed("the result file is the input file: name another one with --result", INVALID)
    if mapping and template_id:
        raise click.UsageError("--mapping and --template both say what columns mean: give one of them")
    wanted = Wanted(
        file=file,
        format_=format_of(file, format_),
        result=result,
        on_existing=on_existing,
        mapping=mapping,
        template_id=template_id,
        sheet=sheet,
        encoding=encoding,
        chunk_rows=chunk_rows,
        dry_run=dry_run,
        resume=resume,
    )
    begun_s = time.monotonic()
    counts, made, state = asyncio.run(_import(ctx.obj, wanted))
    _tell(ctx, wanted, counts, made, state, time.monotonic() - begun_s)
    ctx.exit(FAILED if counts["failed"] else 0)


async def _import(target: Target, wanted: Wanted) -> tuple[Counter[str], Made | None, ImportState]:
    from resolver import methods  # noqa: PLC0415 - loads protobuf
    from resolver.cli.import_run import ImportRun  # noqa: PLC0415 - loads gRPC
    from resolver.cli.progress import Progress, lines_of  # noqa: PLC0415 - with its only use
    from resolver.intake.results import ResultWriter  # noqa: PLC0415 - loads msgspec
    from resolver.intake.rows import IntakeError  # noqa: PLC0415 - as above
    from resolver.v1 import node_pb2, registration_pb2  # noqa: PLC0415 - loads protobuf

    async with target.async_client() as client:
        info = await client.call(methods.GET_NODE_INFO, node_pb2.GetNodeInfoRequest())
        state, state_file = _state(wanted, info)
        made = await _vendors(client, wanted, info.prefix)
        items = await _items(client, wanted, info.prefix, state)
        first = list(itertools.islice(items, 1))  # a file that is none is told before a result file is begun
        resumed = state.items_done > 0
        writer = (
            ResultWriter.resume_at(wanted.result, state.result_octets)
            if resumed
            else ResultWriter.create(wanted.result)
        )
        state.result_octets = writer.tell()
        if state_file is not None:
            state.save(state_file)
        lines = 0 if wanted.file == "-" or wanted.format_ == "xlsx" else lines_of(Path(wanted.file))
        session = client.import_session(
            state.import_id,
            on_existing=number_of(registration_pb2.OnExisting.DESCRIPTOR, wanted.on_existing),
            validate_only=wanted.dry_run,
        )
        with writer, Progress(lines, "rows") as progress:
            progress.begin(state.last_row, state.counts.total())
            run = ImportRun(
                client,
                session,
                writer,
                state,
                state_file=state_file,
                progress=progress,
                validate_only=wanted.dry_run,
                prefixes_to_come=made.missing_prefixes if made else frozenset(),
            )
            try:
                counts = await run.run(itertools.chain(first, items))
                writer.sync()
            except IntakeError:
                raise  # the file itself: the error says what to do
            except BaseException:
                if state_file is not None:
                    note(f"interrupted after {state.counts.total()} rows: the same command with --resume goes on")
                raise
        if state_file is not None:
            state_file.unlink(missing_ok=True)
        return counts, made, state


def _state(wanted: Wanted, info: GetNodeInfoResponse) -> tuple[ImportState, Path | None]:
    """The state to go on from, or a new one; and where it is kept, None for input that cannot be read twice."""
    from resolver.cli.import_state import ImportState, state_path  # noqa: PLC0415 - with its only use
    from resolver.intake.fingerprint import fingerprint  # noqa: PLC0415 - as above

    file = state_path(wanted.result)
    cuts = {"chunk-rows": wanted.chunk_rows, "record-octets": info.record_octets_max}
    if wanted.file == "-":
        if wanted.resume:
            raise Failed("standard input cannot be read again: save it as a file to be able to resume", INVALID)
        return ImportState(_import_id(), "", cuts), None
    now = fingerprint(Path(wanted.file)).to_text()
    deciding = wanted.deciding(info.prefix)
    if wanted.dry_run:
        if wanted.resume:
            raise Failed("a dry run keeps nothing to resume: leave one of --dry-run and --resume out", INVALID)
        return ImportState(_import_id(), now, deciding | cuts), None
    before = ImportState.load(file) if wanted.resume else None
    if before is not None:
        # Chunks are cut as the earlier run cut them, whatever is asked for now.
        cuts = {key: before.options.get(key, content) for key, content in cuts.items()}
        before.check(Path(wanted.file), now, deciding | cuts)
        return before, file
    if wanted.resume:
        note(f"no interrupted import has the result file {wanted.result}: starting at the first row")
    elif file.exists():
        note("an interrupted import with this result file is given up; rows that are there already are recognised")
    return ImportState(_import_id(), now, deciding | cuts), file


def _import_id() -> str:
    return uuid.uuid4().hex


async def _vendors(client: AsyncClient, wanted: Wanted, node_prefix: str) -> Made | None:
    """Enterprises and prefixes of a hardware list; None for other formats."""
    if not wanted.format_.endswith("-ids"):
        return None
    from resolver.cli.progress import Progress  # noqa: PLC0415 - with its only use
    from resolver.cli.vendors import make_vendors  # noqa: PLC0415 - as above

    kind = cast("BusKind", wanted.format_.removesuffix("-ids"))
    with Progress(0, "vendors") as progress:
        try:
            return await make_vendors(
                client, Path(wanted.file), kind, node_prefix, dry_run=wanted.dry_run, progress=progress
            )
        except ExceptionGroup as group:
            raise group.exceptions[0] from None


async def _items(client: AsyncClient, wanted: Wanted, node_prefix: str, state: ImportState) -> Iterator[Item]:
    """The items of the file. Raises IntakeError, ``CallFailed`` for the template."""
    from resolver import methods  # noqa: PLC0415 - loads protobuf
    from resolver.cli.import_run import items_of_operations  # noqa: PLC0415 - as above
    from resolver.intake import hdl_batch  # noqa: PLC0415 - as above
    from resolver.intake.chunks import chunks  # noqa: PLC0415 - as above
    from resolver.intake.files import open_rows, read_mapping  # noqa: PLC0415 - as above
    from resolver.intake.fingerprint import Fingerprint, check_unchanged, guarded  # noqa: PLC0415 - as above
    from resolver.v1 import template_pb2  # noqa: PLC0415 - as above

    path = Path(wanted.file)
    before = Fingerprint.from_text(state.fingerprint) if state.fingerprint else None
    rows_max, record_octets_max = int(state.options["chunk-rows"]), int(state.options["record-octets"])
    if wanted.format_ == "hdl":
        if wanted.mapping or wanted.template_id or wanted.sheet:
            raise Failed("--mapping, --template and --sheet are for tables: leave them out", INVALID)

        def operations() -> Iterator[hdl_batch.Operation]:
            if before is None:
                yield from hdl_batch.operations(sys.stdin.buffer, None, wanted.encoding)
                return
            with path.open("rb") as stream:
                yield from hdl_batch.operations(stream, path.parent, wanted.encoding)
            check_unchanged(path, before)

        return items_of_operations(operations(), rows_max, record_octets_max)
    mapping: Any = read_mapping(wanted.mapping) if wanted.mapping else None
    if wanted.template_id:
        request = template_pb2.GetTemplateRequest(template_id=wanted.template_id)
        mapping = (await client.call(methods.GET_TEMPLATE, request)).template
    rows = open_rows(
        wanted.file,
        wanted.format_,
        mapping,
        sheet=wanted.sheet,
        encoding=wanted.encoding,
        node_prefix=node_prefix,
        stdin=sys.stdin.buffer,
    )
    if before is not None:
        rows = guarded(rows, path, before)
    return chunks(rows, rows_max, record_octets_max=record_octets_max)


def _tell(
    ctx: click.Context,
    wanted: Wanted,
    counts: Counter[str],
    made: Made | None,
    state: ImportState,
    elapsed_s: float,
) -> None:
    """The summary."""
    from resolver.cli.import_run import OUTCOMES, told  # noqa: PLC0415 - loads gRPC

    rows = counts.total()
    shown: dict[str, Any] = {
        "rows": rows,
        **{each: counts[each] for each in OUTCOMES},
        "seconds": round(elapsed_s, 3),
        "rows_per_s": round(rows / elapsed_s) if elapsed_s else 0,
        "dry_run": wanted.dry_run,
        "import_id": state.import_id,
        "result": str(wanted.result),
    }
    lines = []
    if made is not None:
        shown |= {"enterprises_created": made.enterprises, "prefixes_created": made.prefixes}
        would = "would be " if wanted.dry_run else ""
        lines.append(f"{made.enterprises} enterprises and {made.prefixes} prefixes {would}created")
    dry = " (checked only, nothing was written)" if wanted.dry_run else ""
    lines.append(f"{rows} rows in {elapsed_s:.1f} s ({shown['rows_per_s']}/s): {told(counts)}{dry}")
    changed = sum(counts[each] for each in ("created", "updated", "deleted"))
    changed += made.enterprises + made.prefixes if made else 0
    shown["changed"] = bool(changed) and not wanted.dry_run
    if not changed:
        lines.append("nothing changed")
    lines.append(f"result: {wanted.result}")
    emit(ctx, shown, "\n".join(lines))
