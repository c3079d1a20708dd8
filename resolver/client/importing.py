"""Imports of any length that survive a broken connection, a killed worker and a crash of the application.

Strategy: chunks are numbered from 1 under one import_id. At most ``window`` chunks are unacknowledged; after a
reconnect all of them are sent again under the same numbers, and the node answers a chunk it has already
applied with the stored outcome and ``repeated_chunk``. So each row is registered once however often it is
sent. ``ImportWindow`` is that bookkeeping without any stream; ``exchange`` drives it.

To resume after a crash: ask ``durable_sequence``, cut the same input again with ``chunks_of`` and skip the
chunks up to it (or send them again, which is slower and as safe).
"""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from typing import TYPE_CHECKING

from resolver import limits
from resolver.client import batches, exchange, plans
from resolver.client.failures import OTHER_SERVER
from resolver.v1.registration_pb2 import (
    BatchCreateHandlesRequest,
    ImportHandlesRequest,
    ImportHandlesResponse,
    NewHandle,
    OnExisting,
    RowResult,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator

WINDOW_DEFAULT = 8
"""Chunks in flight: enough to hide a commit and a round trip; 32 MiB at most."""


def chunks_of(handles: Iterable[NewHandle], *, rows_max: int = 500) -> Iterator[tuple[int, list[NewHandle]]]:
    """Cuts handles into numbered chunks, from 1, of at most ``rows_max`` rows and what a message holds.

    The same handles in the same order give the same chunks, which is what resuming needs.
    """
    if not 1 <= rows_max <= limits.BATCH_CREATE_MAX:
        raise ValueError(f"{rows_max} rows are not a chunk: give 1 to {limits.BATCH_CREATE_MAX}")
    return enumerate(batches.of_handles(handles, rows_max), start=1)


class ImportWindow:
    """The unacknowledged chunks of an import, in order (a ``Desk``)."""

    def __init__(
        self,
        import_id: str,
        *,
        window: int,
        on_existing: OnExisting | None = None,
        validate_only: bool = False,
        keep_timestamps: bool = False,
    ) -> None:
        octets = len(import_id.encode())
        if not 1 <= octets <= limits.IMPORT_ID_OCTETS_MAX:
            raise ValueError(f"the import_id has {octets} octets: give 1 to {limits.IMPORT_ID_OCTETS_MAX}")
        if window < 1:
            raise ValueError(f"a window of {window} chunks sends nothing: give 1 or more")
        self._import_id = import_id
        self._window = window
        self._on_existing = on_existing
        self._validate_only = validate_only
        self._keep_timestamps = keep_timestamps
        self._open: deque[ImportHandlesRequest] = deque()
        self.settled: deque[ImportHandlesRequest] = deque()
        """Chunks that are acknowledged, until whoever hands out the acknowledgements takes them."""
        self._sent = 0
        self._early: dict[int, ImportHandlesResponse] = {}

    def accept(self, item: tuple[int, list[NewHandle]]) -> None:
        """Takes a chunk. Raises ValueError when it does not follow the one before or is too large."""
        sequence, handles = item
        if sequence < 1 or (self._open and sequence != self._open[-1].sequence + 1):
            raise ValueError(f"chunk {sequence} does not follow the one before: number chunks from 1 without gaps")
        request = ImportHandlesRequest(
            import_id=self._import_id,
            sequence=sequence,
            handles=handles,
            on_existing=self._on_existing,
            validate_only=self._validate_only,
            keep_timestamps=self._keep_timestamps,
        )
        if not handles or len(handles) > limits.BATCH_CREATE_MAX or request.ByteSize() > limits.MESSAGE_OCTETS_MAX:
            raise ValueError(
                f"chunk {sequence} has {len(handles)} rows and {request.ByteSize()} octets: give 1 to "
                f"{limits.BATCH_CREATE_MAX} rows and at most {limits.MESSAGE_OCTETS_MAX} octets, as chunks_of does"
            )
        self._open.append(request)

    def has_room(self) -> bool:
        """Whether fewer chunks than the window are unacknowledged."""
        return len(self._open) < self._window

    def is_clear(self) -> bool:
        """Whether every chunk is acknowledged."""
        return not self._open

    def reconnected(self) -> None:
        """All unacknowledged chunks must be sent again."""
        self._sent = 0

    def next_request(self) -> ImportHandlesRequest | None:
        """The next chunk to send in this connection."""
        if self._sent == len(self._open):
            return None
        self._sent += 1
        return self._open[self._sent - 1]

    def take(self, response: ImportHandlesResponse) -> list[ImportHandlesResponse]:
        """The acknowledgements that are now complete in order; one that was handed out before is dropped.

        The chunks they are for are appended to ``settled``.
        """
        if self._open and response.sequence >= self._open[0].sequence:
            self._early[response.sequence] = response
        settled: list[ImportHandlesResponse] = []
        while self._open and (ready := self._early.pop(self._open[0].sequence, None)) is not None:
            self.settled.append(self._open.popleft())
            self._sent -= 1
            settled.append(ready)
        return settled


class ImportSession:
    """One import under one import_id; made by ``AsyncClient.import_session``.

    ``on_existing``, ``validate_only`` and ``keep_timestamps`` hold for every chunk. After this you must iterate
    ``run``.
    """

    def __init__(
        self,
        import_id: str,
        line: exchange.Line,
        *,
        window: int = WINDOW_DEFAULT,
        on_existing: OnExisting | None = None,
        validate_only: bool = False,
        keep_timestamps: bool = False,
        drive: Callable[[plans.Plan[list[RowResult]]], Awaitable[list[RowResult]]] | None = None,
    ) -> None:
        """``drive`` makes the calls that take rows to the servers of a site that have them; None: they stay refused."""
        self.import_id = import_id
        self._line = line
        self._drive = drive
        self._make_window = functools.partial(
            ImportWindow,
            import_id,
            window=window,
            on_existing=on_existing,
            validate_only=validate_only,
            keep_timestamps=keep_timestamps,
        )
        self._make_window()  # wrong arguments are told here, not at the first chunk

    async def run(
        self,
        chunks: AsyncIterable[tuple[int, list[NewHandle]]] | Iterable[tuple[int, list[NewHandle]]],
    ) -> AsyncGenerator[ImportHandlesResponse, None]:
        """Sends the chunks and yields an acknowledgement for each, in order, after it is durable.

        Reconnects as needed. Raises ``CallFailed`` when the node refuses the import or there is no progress for
        the client's patience, and what ``chunks`` raises once everything before it is acknowledged. The sequence may
        start above 1 when the chunks before are durable.
        """
        window = self._make_window()
        talk = exchange.Exchange(window, self._line)
        async with contextlib.aclosing(talk.run(chunks)) as acknowledgements:
            async for acknowledgement in acknowledgements:
                await self._send_on(window.settled.popleft(), acknowledgement)
                yield acknowledgement

    async def _send_on(self, chunk: ImportHandlesRequest, acknowledgement: ImportHandlesResponse) -> None:
        """Take the rows that other servers of the site have there, and put what they say into the acknowledgement.

        Sent again after a crash they are the same requests, so that each row is registered once. A migration's rows,
        which keep their timestamps, cannot be taken there and stay refused.
        """
        refused = any(result.reason == OTHER_SERVER for result in acknowledgement.results)
        if not refused or self._drive is None or chunk.keep_timestamps:
            return
        batch = BatchCreateHandlesRequest(
            handles=chunk.handles,
            on_existing=chunk.on_existing,
            validate_only=chunk.validate_only,
            request_id=f"{self.import_id}#{chunk.sequence}",
        )
        results = await self._drive(plans.at_other_servers(list(acknowledgement.results), batch, None))
        del acknowledgement.results[:]
        acknowledgement.results.extend(results)

    async def durable_sequence(self) -> int:
        """The highest chunk of this import that is durable; 0 when there is none: resume with the one after."""
        talk = exchange.Exchange(_Inquiry(self.import_id), self._line)
        durable = 0
        async for acknowledgement in talk.run([None]):
            durable = acknowledgement.durable_sequence
        return durable


class _Inquiry:
    """Asks where an import stands (a ``Desk`` of one question): a chunk without rows."""

    def __init__(self, import_id: str) -> None:
        self._import_id = import_id
        self._asked = self._sent = self._answered = False

    def accept(self, item: None) -> None:  # noqa: ARG002 - there is only the one question
        self._asked = True

    def has_room(self) -> bool:
        return not self._asked

    def is_clear(self) -> bool:
        return self._asked == self._answered

    def reconnected(self) -> None:
        self._sent = False

    def next_request(self) -> ImportHandlesRequest | None:
        if self._sent or not self._asked:
            return None
        self._sent = True
        return ImportHandlesRequest(import_id=self._import_id, sequence=1)

    def take(self, response: ImportHandlesResponse) -> list[ImportHandlesResponse]:
        if self._answered:
            return []
        self._answered = True
        return [response]
