"""Carrying a Handle server's records into a node: its dump first, then its transactions, over and over.

Handles go through ImportHandles with "replace", deletions through BatchDeleteHandles, and what a prefix handle says of
keys and administrators through PutValues; prefixes are made when they are missing. Several changes of a handle in one
reading become the latest by date. Sites and services of prefix handles are left out, for here the registry says
where a prefix lives, and so is the handle of the node's own prefix, whose keys would administer this node. What was
answered stands in the result file before the state says that it is done.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from resolver import limits, methods
from resolver.client import CallFailed, NotFound
from resolver.errors import ResolverError
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold
from resolver.intake.results import ResultRow
from resolver.node.values import to_pb
from resolver.v1 import registration_pb2, registry_pb2
from resolver.wire import replication_records as records
from resolver.wire.replication_records import Action, StartKind, values_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from resolver.cli.migrate_state import MigrationState
    from resolver.cli.progress import Progress
    from resolver.client import AsyncClient
    from resolver.federation.following import FollowingClient
    from resolver.handle.value import HandleValue
    from resolver.intake.results import ResultWriter
    from resolver.v1.registration_pb2 import NewHandle, RowResult
    from resolver.wire.replication_records import DumpedHandle, Transaction

CHUNK_ROWS = 500
"""Handles of a chunk: one commit of the node."""

CHUNK_OCTETS = 1 << 20

_WINDOW = 4
_REPLACE = registration_pb2.ON_EXISTING_REPLACE
_INVALID, _NOT_FOUND = 3, 5
_OF_REGISTRY = ("HS_SITE", "HS_SERV", "HS_NA_DELEGATE")
"""Types, and starts of types, that the registry of this node makes itself."""


class MustRedump(Exception):
    """The transactions of the source do not lead on from where this migration is."""


@dataclass
class _Chunk:
    """Rows that are sent together: handles for the node, and the outcomes known without it."""

    handles: list[NewHandle] = field(default_factory=list)
    known: list[tuple[str, int, str, str]] = field(default_factory=list)
    octets: int = 0
    last: str = ""
    prefixes: set[str] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        return len(self.handles) + len(self.known) >= CHUNK_ROWS or self.octets >= CHUNK_OCTETS


class MigrateRun:
    """One run. ``dump`` unless the state says that it is done, then ``follow`` as often as wanted."""

    def __init__(
        self,
        client: AsyncClient,
        source: FollowingClient,
        writer: ResultWriter,
        state: MigrationState,
        state_file: Path,
        progress: Progress,
        node_prefix: str,
    ) -> None:
        self._client = client
        self._source = source
        self._writer = writer
        self._state = state
        self._state_file = state_file
        self._progress = progress
        self._own = fold(f"{PREFIX_OF_PREFIXES}/{node_prefix}")
        self._prefixes: set[str] = set()
        self._waiting: deque[_Chunk] = deque()
        """Chunks of the dump that are not noted, in its order; one without a handle for the node waits for those before
        it only."""

    async def dump(self) -> None:
        """Everything from where an earlier run was. Raises CallFailed, and what the source raises."""
        state = self._state
        self._waiting.clear()
        session = self._client.import_session(
            f"migrate-{uuid.uuid4().hex}", window=_WINDOW, on_existing=_REPLACE, keep_timestamps=True
        )
        async for answer in session.run(self._chunks()):
            self._note_dumped(self._waiting.popleft(), answer.results)
            self._note_known()
        state.is_dumped = True
        state.transaction_id = state.transaction_id or 0
        self._save()

    async def _chunks(self) -> AsyncIterator[tuple[int, list[NewHandle]]]:
        """The dump in chunks that have a handle for the node each."""
        state, chunk, number, dated = self._state, _Chunk(), 0, 0
        async for found in self._source.dump(state.dump_start, state.dump_kind):
            for record in found:
                if isinstance(record, records.Position):
                    if state.transaction_id is None:
                        state.transaction_id, state.date_ms = record.transaction_id, record.date_ms
                elif isinstance(record, records.HandleDate):
                    dated += 1
                    self._progress.total = state.last_row + dated
                elif isinstance(record, records.HomedPrefix):
                    await self._ensure(_prefix_of(record.handle), chunk)
                elif isinstance(record, records.DumpedHandle):
                    await self._add(chunk, record)
                    chunk.last = record.handle
                    if chunk.is_full:
                        await self._ensure_all(chunk)
                        self._waiting.append(chunk)
                        self._note_known()
                        if chunk.handles:
                            number += 1
                            yield number, chunk.handles
                        chunk = _Chunk()
        await self._ensure_all(chunk)
        self._waiting.append(chunk)
        self._note_known()
        if chunk.handles:
            yield number + 1, chunk.handles

    def _note_known(self) -> None:
        """Note the chunks that are next and have nothing for the node to answer."""
        while self._waiting and not self._waiting[0].handles:
            self._note_dumped(self._waiting.popleft(), ())

    def _note_dumped(self, chunk: _Chunk, results: Iterable[RowResult]) -> None:
        if chunk.last:
            self._state.dump_kind, self._state.dump_start = StartKind.HANDLES, chunk.last
        self._note(chunk, results)

    async def follow(self) -> int:
        """The changes since the last time; how many there were. Raises MustRedump, and as ``dump`` does."""
        state = self._state
        latest: dict[str, Transaction] = {}
        octets = count = 0
        last, date_ms = state.transaction_id or 0, state.date_ms
        async for found in self._source.transactions(state.transaction_id or 0, state.date_ms):
            for record in found:
                if isinstance(record, records.TransactionsBegin) and record.status == records.Status.MUST_REDUMP:
                    raise MustRedump
                if isinstance(record, records.TransactionsEnd | records.QueueEnds):
                    date_ms = max(date_ms, record.date_ms or 0)
                if not isinstance(record, records.Transaction):
                    continue
                key = fold(record.handle) + (" homed" if record.action in {Action.HOME, Action.UNHOME} else "")
                before = latest.pop(key, None)
                latest[key] = record if before is None or record.date_ms >= before.date_ms else before
                last, date_ms = max(last, record.id), max(date_ms, record.date_ms)
                octets += sum(map(len, record.values))
                if len(latest) >= CHUNK_ROWS or octets >= CHUNK_OCTETS:
                    # A place is a transaction and a date not before its own: else the source takes it for another's.
                    count += await self._apply(latest, last, date_ms)
                    latest, octets = {}, 0
        return count + await self._apply(latest, last, date_ms)

    async def _apply(self, latest: dict[str, Transaction], transaction_id: int, date_ms: int) -> int:
        """Carry out the latest change of each handle, and note the place."""
        chunk, gone = _Chunk(), []
        before = self._state.counts.total()
        for record in latest.values():
            prefix = _prefix_of(record.handle)
            if record.action in records.WITH_VALUES:
                await self._add(chunk, record)
            elif record.action == Action.DELETE:
                gone.append(record.handle)
            elif record.action == Action.HOME:
                await self._ensure(prefix, chunk)
            elif record.action == Action.UNHOME and fold(prefix) in self._prefixes:
                chunk.known.append((record.handle, 0, "SKIPPED", "unhomed at the source: end it here with idis prefix"))
            elif record.action == Action.DELETE_ALL:
                words = "the source deleted everything it had: compare what is here, nothing is deleted by that"
                chunk.known.append((record.handle, 12, "NOT_IMPLEMENTED", words))
        await self._ensure_all(chunk)
        results: list[RowResult] = []
        if chunk.handles:
            session = self._client.import_session(
                f"migrate-{uuid.uuid4().hex}", on_existing=_REPLACE, keep_timestamps=True
            )
            async for answer in session.run([(1, chunk.handles)]):
                results += answer.results
        for start in range(0, len(gone), limits.BATCH_CREATE_MAX):
            await self._delete(gone[start : start + limits.BATCH_CREATE_MAX], chunk)
        self._state.transaction_id, self._state.date_ms = transaction_id, date_ms
        if latest or date_ms:
            self._note(chunk, results)
        return self._state.counts.total() - before

    async def _delete(self, names: list[str], chunk: _Chunk) -> None:
        request = registration_pb2.BatchDeleteHandlesRequest(names=[name for name in names if _is_text(name)])
        for name, result in zip(
            request.names, (await self._client.call(methods.BATCH_DELETE_HANDLES, request)).results, strict=True
        ):
            if result.code == _NOT_FOUND:
                chunk.known.append((name, 0, "UNCHANGED", ""))
            else:
                chunk.known.append((name, result.code, result.reason, result.message))

    async def _add(self, chunk: _Chunk, record: DumpedHandle | Transaction) -> None:
        """Put a handle into a chunk, or say at once what becomes of it."""
        name = record.handle
        try:
            handle = Handle.from_text(name)
            values = values_of(record.values)
        except ResolverError as error:
            shown = name.encode("utf-8", "backslashreplace").decode()
            chunk.known.append((shown, error.meaning.grpc, error.reason, error.message))
            return
        if handle.prefix_folded == PREFIX_OF_PREFIXES:
            chunk.known.append(await self._put(name, values))
            return
        if not values:
            chunk.known.append((name, 0, "SKIPPED", "the handle has no values: nothing of it can be resolved"))
            return
        try:
            chunk.handles.append(registration_pb2.NewHandle(name=name, values=map(to_pb, values)))
        except ValueError as error:  # a type or a reference that is no text
            chunk.known.append((name, _INVALID, "INVALID_VALUE", f"a value cannot be taken: {error}"))
            return
        chunk.octets += sum(map(len, record.values))
        chunk.prefixes.add(handle.prefix)

    async def _put(self, name: str, values: Iterable[HandleValue]) -> tuple[str, int, str, str]:
        """Put what a prefix handle says of keys and administrators into ours, and tell what became of it."""
        if fold(name) in {self._own, f"{PREFIX_OF_PREFIXES}/{PREFIX_OF_PREFIXES}"}:
            return name, 0, "SKIPPED", "this node has its own keys and administrators"
        kept = [to_pb(value) for value in values if not fold(value.type).startswith(_OF_REGISTRY)]
        failed = await self._made(name.partition("/")[2])
        if failed is not None:
            return name, failed.code.value[0], failed.reason, failed.message
        if not kept:
            return name, 0, "UNCHANGED", ""
        try:
            receipt = await self._client.put_values(name, kept, request_id=uuid.uuid4().hex)
        except CallFailed as error:
            _raise_if_down(error)
            return name, error.code.value[0], error.reason, error.message
        return name, 0, "UPDATED" if receipt.serial else "UNCHANGED", ""

    async def _ensure_all(self, chunk: _Chunk) -> None:
        for prefix in sorted(chunk.prefixes):
            await self._ensure(prefix, chunk)

    async def _ensure(self, prefix: str, chunk: _Chunk) -> None:
        """Make a prefix unless it is there; a refusal is a row of its own, and its handles will say so too."""
        if fold(prefix) in self._prefixes:
            return
        failed = await self._made(prefix)
        if failed is not None:
            name = f"{PREFIX_OF_PREFIXES}/{prefix}"
            chunk.known.append((name, failed.code.value[0], failed.reason, failed.message))

    async def _made(self, prefix: str) -> CallFailed | None:
        """Make a prefix unless it is there; why it could not be."""
        if fold(prefix) in self._prefixes:
            return None
        self._prefixes.add(fold(prefix))
        if fold(f"{PREFIX_OF_PREFIXES}/{prefix}") == self._own:
            return None
        try:
            await self._client.call(methods.GET_PREFIX, registry_pb2.GetPrefixRequest(prefix=prefix))
        except NotFound:
            try:
                row = registry_pb2.Prefix(prefix=prefix, description="migrated")
                request = registry_pb2.CreatePrefixRequest(prefix=row, request_id=uuid.uuid4().hex)
                await self._client.call(methods.CREATE_PREFIX, request)
            except CallFailed as error:
                _raise_if_down(error)
                return error
        except CallFailed as error:
            _raise_if_down(error)
            return error
        return None

    def _note(self, chunk: _Chunk, results: Iterable[RowResult]) -> None:
        """Results first, durably, then the state that says they are there."""
        state = self._state
        rows = [
            (handle.name, result.code, result.reason, result.message, result.version, result.serial)
            for handle, result in zip(chunk.handles, results, strict=True)
        ]
        rows += [(*known, 0, 0) for known in chunk.known]
        found = []
        for name, code, reason, message, version, serial in rows:
            state.last_row += 1
            state.counts["failed" if code else reason.lower()] += 1
            found.append(ResultRow(state.last_row, name, code, reason, version, serial, message))
        self._writer.append(found)
        state.result_octets = self._writer.tell()
        self._save()
        self._progress.update(state.last_row, state.counts.total())

    def _save(self) -> None:
        self._writer.sync()
        self._state.save(self._state_file)


def _prefix_of(name: str) -> str:
    """The prefix that a homed name means; the oldest servers keep it without ``0.NA/``."""
    first, slash, rest = name.partition("/")
    return rest if slash else first


def _is_text(name: str) -> bool:
    """Whether protobuf can carry a name; others were never taken."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raise_if_down(error: CallFailed) -> None:
    """Stop at a failure that is about the node and not about the row."""
    if error.code.value[0] in {4, 8, 14, 16}:
        raise error
