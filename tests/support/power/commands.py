"""The commands that run beside a node whose power is cut: backups, and imports of files that are resumed.

A backup that was told done is there and whole, and no file with a backup's name is anything else. An import that was
told done has its result file, one line for each row; one that was not goes on with ``--resume`` and then has it too.
"""

import asyncio
import csv
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
START = "88.300.1/COMMAND-"
"""How the names of imported handles begin."""

ROWS = 3_000
CHUNK_ROWS = 200
BACKUPS_KEPT = 2


class Commands:
    """``disk`` is where results and backups go, ``elsewhere`` what keeps the input."""

    def __init__(self, node, disk, elsewhere, book):
        self.node, self.disk, self.elsewhere, self.book = node, disk, elsewhere, book
        self.backups, self.results = disk / "backups", disk / "results"
        self.told = []
        """Backups and result files that were told done."""
        self.backups_told = self.imports_told = self.resumed = 0
        self.number = self.begun = 0
        self.is_open = False

    def figures(self):
        """How much of it there was."""
        return {"backups": self.backups_told, "imports": self.imports_told, "imports_resumed": self.resumed}

    def loops(self):
        """What runs until the cut."""
        for directory in (self.backups, self.results):
            directory.mkdir(exist_ok=True)
        return self._back_up(), self._import()

    def is_backing_up(self):
        """Whether a backup is being written now."""
        return any(self.backups.glob(".idis-*"))

    async def _idis(self, *words):
        command = (sys.executable, "-m", "resolver", "--data-dir", self.node.data_dir, *words)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *map(str, command), cwd=ROOT, env=self.node.environment, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        if process.returncode or b'"' not in said:
            raise RuntimeError(f"{words}: exit code {process.returncode}: {said[-300:]!r}")

    async def _back_up(self):
        while True:
            self.begun += 1
            path = self.backups / f"{self.begun:04}.idisbak"
            await self._idis("backup", path, "--json")
            self.backups_told += 1
            self.told.append(path)
            for old in sorted(self.backups.glob("*.idisbak"))[:-BACKUPS_KEPT]:
                if old in self.told:
                    self.told.remove(old)
                old.unlink()

    async def _import(self):
        while True:
            self.resumed += self.is_open
            self.number += not self.is_open
            rows, result = self.elsewhere / f"{self.number}.jsonl", self.results / f"{self.number}.csv"
            if not self.is_open:
                rows.write_text("".join(json.dumps(_row(self.number, row)) + "\n" for row in range(ROWS)))
            self.is_open = True
            await self._idis("import", rows, "--result", result, "--resume", "--chunk-rows", str(CHUNK_ROWS), "--json")
            self.is_open = False
            self.imports_told += 1
            self.told.append(result)

    def check(self):
        """Every file that was told done is there; every result has its rows, once each."""
        for path in self.told:
            if not path.exists():
                self.book.lost.append(f"{path.name}: was told done and is not there")
            elif path.suffix == ".csv":
                with path.open(newline="") as file:
                    found = [(int(line["row"]), line["code"]) for line in csv.DictReader(file)]
                if [code for _, code in found] != ["OK"] * ROWS or len({row for row, _ in found}) != ROWS:
                    self.book.lost.append(f"{path.name}: has {len(found)} lines, not one for each of {ROWS} rows")


def _row(number, row):
    return {
        "name": f"{START}{number}-{row}",
        "values": [{"index": 1, "type": "URL", "data": f"https://example.com/{row}"}],
    }
