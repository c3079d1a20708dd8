"""The uploaded files of a primary, at its mirror: a row that names a file is acknowledged when its content is here.

Rows bring digests, contents are asked for by them in parts and held against them. What a change names is fetched
before the change is applied; what a copy of whole tables has brought, before its end is acknowledged; and whatever a
crash has left out, before the next greeting. A content that the primary itself has lost holds nothing up: it is
counted, logged once, and asked for again with the next greeting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import structlog

from resolver import methods
from resolver.errors import StorageFailed, StorageFull
from resolver.registry.files import PDF_OCTETS_MAX
from resolver.service.reading import stored_rows_checked
from resolver.v1 import mirror_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.errors import StorageError, StoreFull
from storage.tables import Table, unseal

if TYPE_CHECKING:
    from storage.engine import Engine
    from storage.files import FileStore

_log = structlog.get_logger("mirror")

PART_S = 10.0
"""Seconds for one part of a file."""

_ROWS_AT_ONCE = 1_000
"""Rows looked at in one read transaction."""

_HAS_NONE = {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED}


class FileCopies:
    """Brings the contents of files over. ``connect`` it to the channel of the primary first."""

    def __init__(self, engine: Engine, store: FileStore) -> None:
        self._engine = engine
        self._store = store
        self._is_whole = False
        """Whether every row of the store was seen to have its content, or none to be had from this primary."""
        self._lost: set[bytes] = set()

    @property
    def missing(self) -> int:
        """Contents that rows name and the primary could not give."""
        return len(self._lost)

    def connect(self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
        """Ask this primary from now on."""
        self._is_whole = self._is_whole and not self._lost
        self._metadata = metadata
        self._read = channel.unary_unary(
            methods.READ_FILE.path,
            request_serializer=pb.ReadFileRequest.SerializeToString,
            response_deserializer=pb.ReadFileResponse.FromString,
        )

    async def take(self, response: pb.FollowResponse) -> None:
        """Fetch what a message names, before it is applied. Raises AioRpcError, StorageFull, StorageFailed."""
        if response.chunk.table == Table.FILES.value.decode():
            self._is_whole = False
        for image in response.rows.rows:
            if image.table == Table.FILES.value.decode() and image.row:
                with stored_rows_checked():
                    row = stored.StoredFile.FromString(unseal(Table.FILES, image.key, image.row))
                await self._fetch(row)

    async def complete(self) -> None:
        """Fetch what rows name and is not here. Raises AioRpcError, StorageFull, StorageFailed."""
        if self._is_whole:
            return
        self._lost.clear()
        after: bytes | None = b""
        while after is not None:
            rows, after = await asyncio.to_thread(self._missing_after, after)
            for row in rows:
                await self._fetch(row)
        self._is_whole = True

    def _missing_after(self, after: bytes) -> tuple[list[stored.StoredFile], bytes | None]:
        """Rows without their content among the next ones, and where to go on; None at the end."""
        rows: list[tuple[bytes, bytes]] = []
        with stored_rows_checked(), self._engine.read() as reader:
            for key, body in reader.scan(Table.FILES, after + b"\0" if after else b""):
                rows.append((key, body))
                if len(rows) == _ROWS_AT_ONCE:
                    break
        found = [stored.StoredFile.FromString(body) for _, body in rows]
        missing = [row for row in found if not self._store.has(row.digest)]
        return missing, rows[-1][0] if len(rows) == _ROWS_AT_ONCE else None

    async def _fetch(self, row: stored.StoredFile) -> None:
        """Bring one content over, unless it is here."""
        if await asyncio.to_thread(self._store.has, row.digest):
            return
        try:
            octets = await self._octets_of(row)
            why = "it is not whole there"
        except grpc.aio.AioRpcError as error:
            if error.code() not in _HAS_NONE:
                raise
            octets, why = b"", error.details() or error.code().name
        try:
            is_here = bool(octets) and await asyncio.to_thread(self._store.put_if, row.digest, octets)
        except StoreFull as error:
            raise StorageFull("the disk has no room for an uploaded file: free some", retry_after_s=2.0) from error
        except StorageError as error:
            raise StorageFailed(f"an uploaded file could not be stored: {error}", retry_after_s=2.0) from error
        if is_here:
            self._lost.discard(row.digest)
        elif row.digest not in self._lost:
            self._lost.add(row.digest)
            _log.error("the primary does not give an uploaded file", sha256=row.digest.hex(), why=why)

    async def _octets_of(self, row: stored.StoredFile) -> bytes:
        """The content as the primary sends it; empty when that is not of the size the row says."""
        octets = bytearray()
        while len(octets) < min(row.octets, PDF_OCTETS_MAX):
            request = pb.ReadFileRequest(sha256=row.digest.hex(), offset=len(octets))
            part = await self._read(request, metadata=self._metadata, timeout=PART_S)
            if not part.content:
                break
            octets += part.content
        return bytes(octets) if len(octets) == row.octets else b""
