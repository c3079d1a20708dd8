"""``idis check | dump | backup | verify | restore``: the store of a data directory, beside its node or without it.

All open the store read only, except ``restore``, which makes one where there is none.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resolver.cli.exporting import opened
from resolver.cli.guarded import StoreVerb
from resolver.cli.output import CONFLICT, FAILED, INVALID, Failed, emit, note, one_line, to_octets
from resolver.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resolver.cli.target import Target
    from storage.backup_manifest import Manifest
    from storage.check import CheckReport
    from storage.lmdb_engine import LmdbEngine

BITE_ROWS = 1_000
"""Records of one read transaction of a dump."""

_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Data directory of the node, which may be running.",
)


@contextmanager
def _engine(root: Path) -> Iterator[LmdbEngine]:
    from storage.lmdb_engine import STORE_DIRECTORY, LmdbEngine  # noqa: PLC0415 - loads the engine

    engine = LmdbEngine(root / STORE_DIRECTORY, readonly=True)
    try:
        yield engine
    finally:
        engine.close()


@click.command("check", cls=StoreVerb)
@_DATA_DIR
@click.pass_context
def check(ctx: click.Context, data_dir: Path | None) -> None:
    """Check every checksum, counter, set hash, journal entry and index of a store, and every uploaded file.

    It may run beside the node. Exit code 0 when everything fits, 1 when something was found, 7 when the store cannot be
    opened or is too damaged to be read.
    """
    from resolver.node.audit import audit  # noqa: PLC0415 - loads protobuf
    from resolver.node.audit_files import audit_files  # noqa: PLC0415 - as above
    from storage import check as scrub  # noqa: PLC0415 - loads the engine
    from storage.extent import require_free_pages  # noqa: PLC0415 - as above
    from storage.files import FILES_DIRECTORY, FileStore  # noqa: PLC0415 - as above
    from storage.lmdb_engine import DATA_FILE  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    root = target.store_dir(data_dir)
    with _engine(root) as engine:
        begun_s = time.monotonic()
        require_free_pages(engine.path / DATA_FILE)
        with _bar("rows") as bar:
            report = scrub.check(engine, bar)
        with Progress(0, "rows compared") as progress:
            audit(engine, report, lambda rows: progress.update(rows, rows))
        audit_files(engine, FileStore(root / FILES_DIRECTORY), report)
        report.elapsed_s = time.monotonic() - begun_s
    emit(ctx, report.to_json(), _report_text(report))
    ctx.exit(0 if report.ok else FAILED)


def _report_text(report: CheckReport) -> str:
    lines = [
        f"{each.table} {one_line(each.key.decode('utf-8', 'backslashreplace'))}: {one_line(each.problem)}"
        for each in report.findings
    ]
    if report.finding_count > len(report.findings):
        lines.append(f"and {report.finding_count - len(report.findings)} more")
    records = report.rows.get("RECORDS", 0)
    summary = f"{report.row_count} rows, {records} records, journal up to {report.last_serial}"
    verdict = "nothing wrong" if report.ok else f"{report.finding_count} findings: restore a backup (idis restore)"
    lines.append(f"{summary}, {report.elapsed_s:.1f} s: {verdict}")
    return "\n".join(lines)


@click.command("dump", cls=StoreVerb)
@_DATA_DIR
@click.option("--include-restricted", is_flag=True, help="Also values without public read.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Instead of the output.")
@click.pass_context
def dump(ctx: click.Context, data_dir: Path | None, out: Path | None, *, include_restricted: bool) -> None:
    """Print every record of a store as a JSON line, sorted by handle; idis import reads it.

    Beside a running node each record is one moment, the dump as a whole is not: take a backup for that.
    """
    from resolver.intake.jsonl import record_to_json  # noqa: PLC0415 - loads msgspec
    from resolver.node import record_octets, values  # noqa: PLC0415 - loads protobuf

    target: Target = ctx.obj
    with _engine(target.store_dir(data_dir)) as engine, opened(out) as stream:
        for public, restricted in _records(engine, include_restricted=include_restricted):
            record = record_octets.parse(public)
            stream.write(to_octets(record_to_json(record, values.joined(record.values, restricted))) + b"\n")


def _records(engine: LmdbEngine, *, include_restricted: bool) -> Iterator[tuple[bytes, bytes]]:
    """Public and restricted body of every record in key order, some in each read transaction."""
    from storage.tables import Table  # noqa: PLC0415 - loads the engine

    start = b""
    while True:
        bite: list[tuple[bytes, bytes]] = []
        with engine.read() as reader:
            for key, public in reader.scan(Table.RECORDS, start):
                restricted = reader.get(Table.RESTRICTED, key) if include_restricted else None
                bite.append((public, restricted or b""))
                start = key + b"\0"
                if len(bite) == BITE_ROWS:
                    break
        if not bite:
            return
        yield from bite


@click.command("backup", cls=StoreVerb)
@_DATA_DIR
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path), metavar="[FILE]")
@click.option("--scratch", type=click.Path(exists=True, file_okay=False, path_type=Path), help="For the copy.")
@click.pass_context
def backup(ctx: click.Context, data_dir: Path | None, file: Path | None, scratch: Path | None) -> None:
    """Write a consistent backup of store and uploaded files while the node runs; without FILE to DATA_DIR/backups."""
    from storage.backup import SUFFIX, back_up  # noqa: PLC0415 - loads the engine
    from storage.directories import make_directory  # noqa: PLC0415 - with its only use
    from storage.files import FILES_DIRECTORY, FileStore  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    root = target.store_dir(data_dir)
    if file is None:
        make_directory(root / "backups")
        file = root / "backups" / (time.strftime("idis-%Y%m%dT%H%M%SZ", time.gmtime()) + SUFFIX)
    elif not file.parent.is_dir():
        raise Failed(f"there is no directory {file.parent} for {file.name}: make it, or name another file", INVALID)
    with _engine(root) as engine, _bar("octets") as bar:
        manifest = back_up(engine, file, bar, files=FileStore(root / FILES_DIRECTORY), scratch=scratch)
    if manifest.files_damaged:
        note(f"{manifest.files_damaged} uploaded files are damaged and not in the backup: idis check names them")
    octets = file.stat().st_size
    emit(
        ctx,
        {"file": str(file), "octets": octets, "manifest": manifest.to_json()},
        f"{file}: {octets} octets, {_contents(manifest)}\nnext: idis verify {file}",
    )


@click.command("verify", cls=StoreVerb)
@_DATA_DIR
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE]")
@click.option("--scratch", type=click.Path(exists=True, file_okay=False, path_type=Path), help="For unpacking.")
@click.option("--quick", is_flag=True, help="Do not walk the pages; digest, seals and journal are still checked.")
@click.pass_context
def verify(ctx: click.Context, data_dir: Path | None, file: Path | None, scratch: Path | None, *, quick: bool) -> None:
    """Unpack a backup and check all of it; without FILE the newest of DATA_DIR/backups."""
    from storage.backup import SUFFIX  # noqa: PLC0415 - loads the engine
    from storage.backup import verify as verify_backup  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    if file is None:
        root = target.store_dir(data_dir)
        file = max((root / "backups").glob(f"*{SUFFIX}"), default=None)
        if file is None:
            raise Failed(f"{root / 'backups'} holds no backup: name a FILE, or make one with idis backup", INVALID)
    with _bar("octets") as bar:
        verified = verify_backup(file, bar, scratch=scratch, walk_pages=not quick)
    shown = {
        "file": str(file),
        "ok": verified.report.ok,
        "pages_walked": verified.pages_walked,
        "manifest": verified.manifest.to_json(),
        "report": verified.report.to_json(),
    }
    verdict = "can be restored" if verified.report.ok else "has damaged rows"
    text = f"{file}: {_contents(verified.manifest)}\n{_report_text(verified.report)}\nthe backup {verdict}"
    emit(ctx, shown, text)
    ctx.exit(0 if verified.report.ok else FAILED)


@click.command("restore", cls=StoreVerb)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option(
    "--data-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Data directory without a store; made when missing.",
)
@click.option("--accept-findings", is_flag=True, help="Restore although single rows are damaged and stay unreadable.")
@click.pass_context
def restore(ctx: click.Context, file: Path, data_dir: Path, *, accept_findings: bool) -> None:
    """Make a backup the store of a data directory that has none; the node must not run."""
    from storage.backup import restore as restore_backup  # noqa: PLC0415 - loads the engine

    if (data_dir / "store" / "data.mdb").exists():
        raise Failed(f"{data_dir} holds a store already: move it away first, nothing was changed", CONFLICT)
    with _bar("octets") as bar:
        verified = restore_backup(file, data_dir, bar, accept_findings=accept_findings)
    emit(
        ctx,
        {"file": str(file), "data_dir": str(data_dir), "manifest": verified.manifest.to_json()},
        f"{data_dir}: restored, {_contents(verified.manifest)}\nnext: idis serve --data-dir {data_dir}",
    )
    note(
        "tokens and keys are those of the backup; the credential files are not part of it: keep them yourself, or make "
        "a new admin.token with idis key renew-admin"
    )


def _contents(manifest: Manifest) -> str:
    parts = [f"{manifest.rows.get('RECORDS', 0)} records", f"{manifest.rows.get('CHANGES', 0)} changes"]
    return f"{', '.join(parts)} and {manifest.files} uploaded files of {manifest.time}"


@contextmanager
def _bar(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A callback that takes what is done and what there is in all, and shows it."""
    with Progress(0, unit) as progress:

        def update(done: int, total: int) -> None:
            progress.total = total
            progress.update(done, done)

        yield update
