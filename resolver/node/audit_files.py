"""Whether every uploaded file that a row names lies beside the store, whole."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from resolver.v1 import stored_pb2 as stored
from storage.errors import RowCorrupt, StoreFailed
from storage.tables import Table, unseal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.check import CheckReport
    from storage.engine import Engine
    from storage.files import FileStore

_BITE_ROWS = 1_000
"""Rows of one read transaction; the files are read after it has ended."""


def audit_files(engine: Engine, files: FileStore, report: CheckReport) -> None:
    """Add a finding for each row whose content is missing or damaged; rows that cannot be read are told elsewhere."""
    with to_its_end(report, Table.FILES):
        _audit_rows(engine, files, report)


@contextmanager
def to_its_end(report: CheckReport, table: Table) -> Iterator[None]:
    """Note what ends the comparison of a table early, instead of failing."""
    try:
        yield
    except (StoreFailed, RowCorrupt) as error:
        report.find(table, b"", f"cannot be compared to its end: {error}")


def _audit_rows(engine: Engine, files: FileStore, report: CheckReport) -> None:
    start = b""
    while True:
        bite: list[tuple[bytes, bytes]] = []
        with engine.read() as reader:
            for key, row in reader.scan_rows(Table.FILES, start):
                bite.append((key, row))
                if len(bite) == _BITE_ROWS:
                    break
        if not bite:
            return
        start = bite[-1][0] + b"\0"
        for key, row in bite:
            try:
                digest = stored.StoredFile.FromString(unseal(Table.FILES, key, row)).digest
            except (RowCorrupt, DecodeError):
                continue
            if files.get(digest) is None:
                problem = "is damaged" if files.has(digest) else "is missing"
                report.find(Table.FILES, key, f"its content files/{files.place_of(digest)} {problem}")
