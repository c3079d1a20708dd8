"""Uploaded files as a primary gives them to its mirrors: parts of contents, by digest.

The mirror holds the whole content against its digest, so nothing is checked here twice.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from resolver.errors import InvalidField, NotFound
from resolver.node.authorize import Action, require
from resolver.v1 import mirror_pb2 as pb

if TYPE_CHECKING:
    from resolver.service.call import Call
    from storage.files import FileStore

PART_OCTETS = 256 << 10
"""Octets of one answer: a slow line carries it well within the time a mirror waits."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class MirrorFiles:
    """The handler of ``ReadFile``."""

    def __init__(self, store: FileStore | None) -> None:
        self._store = store

    async def read_file(self, call: Call, request: pb.ReadFileRequest) -> pb.ReadFileResponse:
        """A part of a file. Raises InvalidField, NotFound."""
        require(call.caller, Action.MIRROR, "", "the site")
        if not _SHA256.fullmatch(request.sha256):
            raise InvalidField("sha256 is no SHA-256: give its 64 hexadecimal digits", field="sha256")
        store, digest = self._store, bytes.fromhex(request.sha256)
        part = None if store is None else await asyncio.to_thread(store.part, digest, int(request.offset), PART_OCTETS)
        if part is None:
            raise NotFound(f"no file with SHA-256 {request.sha256} is here: restore it from a backup", field="sha256")
        return pb.ReadFileResponse(content=part[0], size=part[1])
