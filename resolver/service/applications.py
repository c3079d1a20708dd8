"""Applications of enterprises and the files they name: hashing and files beside the loop, rows by the lane."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from resolver.errors import NotFound, NotImplementedYet, StorageFailed, StorageFull
from resolver.lanes import FULL_MESSAGE
from resolver.methods import Method
from resolver.node.authorize import Action, require
from resolver.registry import applications, enterprise_form, files
from resolver.registry.undo import whole_or_nothing
from resolver.service.jobs import RequestJob
from resolver.v1 import stored_pb2 as stored
from storage.errors import StorageError, StoreFull
from storage.files import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.node.ledger import Ledger
    from resolver.service.call import Call
    from resolver.service.core import Core
    from resolver.service.logins import Logins
    from storage.files import FileStore

_MESSAGES = (stored.StoredApplication, stored.StoredApplication)
_APPLY = Method("snms", "Apply", *_MESSAGES, writes=True)
_APPLY_AGAIN = Method("snms", "ApplyAgain", *_MESSAGES, writes=True)
_UPLOAD = Method("snms", "Upload", stored.StoredFile, stored.StoredApplication, writes=True)


class Applications:
    """What the national interface asks of enterprises; it has no gRPC methods."""

    def __init__(self, core: Core, logins: Logins, file_store: FileStore | None) -> None:
        self._core = core
        self._logins = logins
        self._files = file_store

    async def apply(self, call: Call, document: dict[str, Any], request_id: str) -> None:
        """File a first application: enterprise, user and prefix. Raises InvalidField, AlreadyExists."""
        require(call.caller, Action.ADMINISTER, "", "enterprises")
        checked = enterprise_form.check(document, with_user=True)
        sha256 = str(checked["sysUser"].pop("password")).lower()
        password = await self._logins.to_stored(sha256, digest_login=False)
        slow = b""
        if request_id:
            slow = await self._logins.slow_hash(sha256, request_id)

        def decide(ledger: Ledger) -> stored.StoredApplication:
            made = applications.apply(ledger, call.caller, checked, password, self._core.randomness)
            return stored.StoredApplication(enterprise_id=made)

        await self._submit(call, _APPLY, checked, decide, request_id, slow)

    async def apply_again(self, call: Call, document: dict[str, Any], request_id: str) -> None:
        """File an application for an enterprise that is there."""
        require(call.caller, Action.APPLY_PREFIX, call.caller.enterprise_id or None, "enterprises")
        checked = enterprise_form.check(document, with_user=False)

        def decide(ledger: Ledger) -> stored.StoredApplication:
            return stored.StoredApplication(enterprise_id=applications.apply_again(ledger, call.caller, checked))

        await self._submit(call, _APPLY_AGAIN, checked, decide, request_id)

    async def _submit(
        self,
        call: Call,
        method: Method[stored.StoredApplication, stored.StoredApplication],
        document: dict[str, Any],
        decide: Callable[[Ledger], stored.StoredApplication],
        request_id: str,
        password_hash: bytes = b"",
    ) -> None:
        self._core.require_registry()
        octets = json.dumps(document, sort_keys=True).encode()
        request = stored.StoredApplication(document=octets, password_hash=password_hash)

        def whole(ledger: Ledger) -> stored.StoredApplication:
            with whole_or_nothing(ledger):
                return decide(ledger)

        job = RequestJob(caller=call.caller, method=method, request=request, decide=whole, request_id=request_id)
        await self._core.lane.submit(job)
        self._core.poll()

    async def upload(self, call: Call, octets: bytes, request_id: str) -> tuple[str, str]:
        """Store a file: its id, and where its content lies below the directory of files."""
        files.require_uploader(call.caller)
        self._core.require_registry()
        if self._files is None:
            raise NotImplementedYet("this node keeps no files: start it with a data directory")
        media_type = files.media_type_of(octets)
        store = self._files
        digest = await asyncio.to_thread(digest_of, octets)
        if not store.has(digest):  # what is here may be a retry, whose outcome is known
            self._require_room(call)
        try:
            await asyncio.to_thread(store.put, octets)
        except StoreFull as error:
            raise StorageFull(FULL_MESSAGE, retry_after_s=2.0) from error
        except StorageError as error:
            raise StorageFailed("the file could not be stored: try again", retry_after_s=2.0) from error
        request = stored.StoredFile(digest=digest, octets=len(octets), media_type=media_type)

        def decide(ledger: Ledger) -> stored.StoredApplication:
            made = files.add(
                ledger.writer,
                call.caller,
                digest,
                len(octets),
                media_type,
                ledger.now_us,
                self._core.randomness,
            )
            return stored.StoredApplication(enterprise_id=made)

        job = RequestJob(caller=call.caller, method=_UPLOAD, request=request, decide=decide, request_id=request_id)
        answer = stored.StoredApplication.FromString(await self._core.lane.submit(job))
        return answer.enterprise_id, store.place_of(digest)

    def _require_room(self, call: Call) -> None:
        """Raise before a content is stored that no row would name: nobody removes it again."""
        space = self._core.engine.space()
        if space.free_octets < space.reserve_octets:
            raise StorageFull(FULL_MESSAGE, retry_after_s=2.0)
        with self._core.reading() as reader:
            files.require_room(reader, call.caller)

    def record(self, call: Call, enterprise_id: str, prefix: str) -> applications.Record:
        """The record of an enterprise, by id or by a prefix of it."""
        with self._core.reading() as reader:
            found = enterprise_id or applications.enterprise_of_prefix(reader, prefix)
            if not found:
                require(call.caller, Action.READ_REGISTRY, None, f"prefix {prefix[:80]!r}")
                raise NotFound(f"prefix {prefix[:80]!r} belongs to no enterprise: check it", field="entPrefix")
            return applications.record(reader, call.caller, found)
