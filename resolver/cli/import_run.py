"""Carries the items of a file to the node and writes one result line for each row, in the order of the file.

An item is a chunk of registrations or a single operation (the Handle batch format has both). Chunks travel on
one ImportSession, which numbers, resends and orders them; an operation waits until everything before it is
settled. Results are written and now and then synced, then the state: whenever process or machine dies, state and
result file fit each other.

Memory is the window of the session and ``WAITING_MAX`` items whose results wait for their turn.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING

from resolver.cli.import_state import SAVE_S
from resolver.client import CallFailed
from resolver.client.plans import ASKING_FAILED
from resolver.intake.chunks import Chunk, chunks
from resolver.intake.hdl_batch import Kind, Operation
from resolver.intake.results import ResultRow
from resolver.intake.rows import IntakeError
from resolver.v1.registration_pb2 import PUT_MODE_ADD, PUT_MODE_MODIFY, ImportHandlesResponse, NewHandle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path

    from resolver.cli.import_state import ImportState
    from resolver.cli.progress import Progress
    from resolver.client import AsyncClient, ImportSession
    from resolver.intake.results import ResultWriter
    from resolver.v1.registration_pb2 import WriteReceipt

Item = Chunk | Operation

WAITING_MAX = 64
"""Items that may wait for the results of those before them."""

DUPLICATE = "DUPLICATE_IN_FILE"
"""Reason of a row that an earlier row of the file makes superfluous: told, and no failure."""


def items_of_operations(operations: Iterable[Operation], rows_max: int, record_octets_max: int) -> Iterator[Item]:
    """The blocks of a Handle batch file: runs of registrations as chunks, everything else on its own."""
    sequence = 0
    wanted = (operation for operation in operations if not operation.ignored)
    for registers, run in itertools.groupby(wanted, lambda each: each.kind is Kind.CREATE or each.error is not None):
        if not registers:
            yield from run
            continue
        rows = (operation.to_row() for operation in run)
        for chunk in chunks(rows, rows_max, record_octets_max=record_octets_max):
            sequence += 1 if chunk.sequence else 0
            yield chunk._replace(sequence=sequence if chunk.sequence else 0)


class ImportRun:
    """One run over the items of a file. After this you must await ``run``.

    ``state_file`` None keeps no state. ``prefixes_to_come`` are prefixes that a dry run would have made: their
    absence is no fault of a row.
    """

    def __init__(
        self,
        client: AsyncClient,
        session: ImportSession,
        writer: ResultWriter,
        state: ImportState,
        *,
        state_file: Path | None,
        progress: Progress,
        validate_only: bool = False,
        prefixes_to_come: frozenset[str] = frozenset(),
    ) -> None:
        self._client = client
        self._session = session
        self._writer = writer
        self._state = state
        self._state_file = state_file
        self._progress = progress
        self._validate_only = validate_only
        self._prefixes_to_come = prefixes_to_come
        self._saved_s = -math.inf
        self._waiting: deque[Chunk] = deque()
        self._moved = asyncio.Event()

    async def run(self, items: Iterator[Item]) -> Counter[str]:
        """Carries the items that no earlier run has done; how many rows had which outcome, earlier runs included.

        Raises ``CallFailed`` and IntakeError; everything that was settled before is in the result file.
        """
        try:
            await self._carry(items)
        except BaseException:
            with suppress(IntakeError):  # what ended the run says more
                self._save()
            raise
        self._save()
        return self._state.counts

    async def _carry(self, items: Iterator[Item]) -> None:
        """All that is left to do."""
        for _ in itertools.islice(items, self._state.items_done):
            pass
        async for answer in self._session.run(self._sent(items)):
            while self._waiting:
                chunk = self._waiting.popleft()
                self._settle(chunk, answer if chunk.sequence else None)
                if chunk.sequence:
                    break
            self._settle_errors()
            self._moved.set()
        self._settle_errors()

    def _settle_errors(self) -> None:
        """Chunks of nothing but errors need no answer, only that it is their turn."""
        while self._waiting and not self._waiting[0].sequence:
            self._settle(self._waiting.popleft(), None)

    async def _sent(self, items: Iterator[Item]) -> AsyncIterator[tuple[int, list[NewHandle]]]:
        """The chunks to send; what needs no chunk is done on the way."""
        for item in items:
            if isinstance(item, Operation):
                await self._wait(0)
                self._note([await self._done(item)], item.number)
                continue
            await self._wait(WAITING_MAX)
            if not item.sequence and not self._waiting:
                self._settle(item, None)
                await asyncio.sleep(0)
                continue
            self._waiting.append(item)
            if item.sequence:
                yield item.sequence, item.handles

    async def _wait(self, waiting_max: int) -> None:
        while len(self._waiting) > waiting_max:
            self._moved.clear()
            await self._moved.wait()

    def _settle(self, chunk: Chunk, answer: ImportHandlesResponse | None) -> None:
        outcomes = iter(() if answer is None else answer.results)
        rows = [
            ResultRow.of_error(row)
            if row.handle is None
            else self._as_expected(ResultRow.of_result(row, next(outcomes)))
            for row in chunk.rows
        ]
        self._note(rows, chunk.rows[-1].number)

    def _as_expected(self, row: ResultRow) -> ResultRow:
        if row.reason == "PREFIX_NOT_SERVED" and row.name.partition("/")[0] in self._prefixes_to_come:
            return ResultRow(row.row, row.name, 0, "CREATED")
        return row

    def _note(self, rows: list[ResultRow], last_row: int) -> None:
        """Results first, then now and then the state that says they are there."""
        self._writer.append(rows)
        state = self._state
        for row in rows:
            state.counts[outcome_of(row)] += 1
        state.items_done += 1
        state.last_row = last_row
        state.result_octets = self._writer.tell()
        if time.monotonic() - self._saved_s >= SAVE_S:
            self._save()
        self._progress.update(last_row, state.counts.total())

    def _save(self) -> None:
        """Make the results durable, then say so. Raises IntakeError."""
        if self._state_file is not None:
            self._writer.sync()
            self._state.save(self._state_file)
        self._saved_s = time.monotonic()

    async def _done(self, operation: Operation) -> ResultRow:
        """Makes the call of an operation; its request_id makes a second run safe."""
        name, number = operation.name, operation.number
        request_id = f"{self._state.import_id}/{number}"
        try:
            receipt = await self._call(operation, request_id)
        except CallFailed as failed:
            if failed.code in ASKING_FAILED:
                raise
            return ResultRow(number, name, failed.code.value[0], failed.reason, message=failed.message)
        reason = "DELETED" if operation.kind is Kind.DELETE else "UPDATED" if receipt.serial else "UNCHANGED"
        if self._validate_only and reason == "UNCHANGED":
            reason = "UPDATED"
        return ResultRow(number, name, 0, reason, receipt.version, receipt.serial)

    async def _call(self, operation: Operation, request_id: str) -> WriteReceipt:
        client, name, dry = self._client, operation.name, self._validate_only
        if operation.kind is Kind.DELETE:
            return await client.delete(name, request_id=request_id, validate_only=dry)
        if operation.kind is Kind.REMOVE:
            return await client.remove_values(name, operation.indexes, request_id=request_id, validate_only=dry)
        mode = PUT_MODE_ADD if operation.kind is Kind.ADD else PUT_MODE_MODIFY
        return await client.put_values(name, operation.values, mode=mode, request_id=request_id, validate_only=dry)


OUTCOMES = ("created", "updated", "unchanged", "deleted", "duplicate", "failed")
"""What can become of a row, in the order it is told."""


def outcome_of(row: ResultRow) -> str:
    """The outcome a result row counts as."""
    if row.reason == DUPLICATE:
        return "duplicate"
    return "failed" if row.code else row.reason.lower()


def told(counts: Counter[str], say: Callable[[str], str] = str) -> str:
    """The counts in words: created, updated, unchanged and failed always, the others when there are any."""
    always = {"created", "updated", "unchanged", "failed"}
    return say(", ".join(f"{counts[each]} {each}" for each in OUTCOMES if each in always or counts[each]))
