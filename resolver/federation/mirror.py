"""Following a primary: greet, apply what it sends through the write lane, acknowledge what is on disk.

One process of a node follows at a time, whoever holds the lock on the follower's file; a worker that dies gives it
up, and the next one greets with what the store holds, so nothing is applied twice or left out. A node that has been
promoted tells its old primary so until it has heard it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
import msgspec
import structlog

from resolver import methods
from resolver.errors import InvalidTransition, MalformedMessage, ResolverError
from resolver.federation.grpc_peer import reason_of, words_of
from resolver.federation.node_channel import NodeCredentials, channel_to
from resolver.node import mirror_copy, site_role
from resolver.service import mirror_report
from resolver.service.mirroring import SiteJob
from resolver.service.reading import stored_rows_checked
from resolver.v1 import mirror_pb2 as pb
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from resolver.federation.mirror_files import FileCopies
    from resolver.node.ledger import Ledger
    from resolver.service.core import Core
    from resolver.v1 import stored_pb2 as stored

_log = structlog.get_logger("mirror")

SILENCE_S = 3.0
"""Seconds without a message, of which one is due each second, after which the primary counts as gone."""

GREETING_S = 2.0
"""Seconds to connect and be greeted: short, because a new attempt finds a line that has come back sooner."""

SAID_AGAIN_S = 60.0
"""Seconds after which trouble that lasts is logged again."""

_NOTHING_SAID = ("", -SAID_AGAIN_S)
_RETRY_FIRST_S, _RETRY_MAX_S = 0.2, 1.0
_LOOK_S = 0.5


class Parted(Exception):
    """The mirror's records are not the primary's."""


class Follower:
    """Keeps this node's store equal to its primary's. ``run`` it as a task, cancel it at the end."""

    def __init__(
        self,
        core: Core,
        credentials: NodeCredentials,
        files: FileCopies,
        *,
        address: str,
        report: Path,
        keep_discarded: Callable[[int], None],
        on_progress: Callable[[pb.FollowResponse, mirror_copy.Copied], None] = lambda _, __: None,
    ) -> None:
        """``address`` is where this node's own gRPC door answers.

        ``keep_discarded`` writes down the changes beyond a serial, which this node acknowledged and its site has not
        kept, before they are overwritten.
        """
        self._core = core
        self._credentials = credentials
        self._files = files
        self._address = address
        self._report = report
        self._keep_discarded = keep_discarded
        self._on_progress = on_progress
        self._start_sweep = False
        self._said = _NOTHING_SAID

    async def run(self) -> None:
        """Follow, or fence, whatever the node is now; for ever."""
        wait_s = _RETRY_FIRST_S
        while True:
            try:
                if await self._act():
                    wait_s = _RETRY_FIRST_S
            except (grpc.aio.AioRpcError, OSError, TimeoutError, ResolverError, StorageError, Parted) as error:
                trouble = _trouble(error)
                self._log_trouble(trouble)
                self._tell(trouble=trouble)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _RETRY_MAX_S)

    def _log_trouble(self, trouble: str) -> None:
        """Log it when it is another than before, and what lasts once a minute: it is met each second."""
        now_s = time.monotonic()
        if trouble != self._said[0] or now_s - self._said[1] >= SAID_AGAIN_S:
            self._said = (trouble, now_s)
            _log.warning("the mirror does not follow, it goes on trying", why=trouble)

    async def _act(self) -> bool:
        """Do what the node's place in the site asks for; whether there is nothing to wait longer for."""
        site = self.site()
        if site.role == pb.SITE_ROLE_MIRROR:
            await self.follow(site)
        elif site.to_fence:
            await self._fence(site)
        else:
            await asyncio.sleep(_LOOK_S)
        return True

    def site(self) -> stored.StoredSite:
        """Where this node stands."""
        with stored_rows_checked(), self._core.engine.read() as reader:
            return site_role.site_of(reader)

    async def follow(self, site: stored.StoredSite, *, until_equal: bool = False) -> None:
        """Follow the primary until the line breaks; with ``until_equal``, until all it had is held.

        Raises AioRpcError, TimeoutError, ResolverError, Parted.
        """
        async with channel_to(site.primary, self._credentials) as channel:
            self._files.connect(channel, self._metadata())
            await self._files.complete()
            stream = channel.stream_stream(
                methods.FOLLOW.path,
                request_serializer=pb.FollowRequest.SerializeToString,
                response_deserializer=pb.FollowResponse.FromString,
            )(metadata=self._metadata())  # type: ignore[call-arg]  # the stubs know no call without an iterator
            try:
                await _write(stream, self._greeting(site), GREETING_S)
                await self._greeted(await _next(stream, GREETING_S))
                while True:
                    response = await _next(stream, SILENCE_S)
                    await self._files.take(response)
                    copied = await self._apply(response)
                    if copied.sweep is None:
                        await self._files.complete()
                    await _write(stream, pb.FollowRequest(held=copied.held), SILENCE_S)
                    self._on_progress(response, copied)
                    self._tell(response.newest)
                    self._said = _NOTHING_SAID
                    if copied.parted:
                        self._start_sweep = True
                        raise Parted(
                            f"the records of {len(copied.parted)} prefixes differ from the primary's, the first is "
                            f"{copied.parted[0]}: the tables are copied again"
                        )
                    if until_equal and response.rows.settled and copied.sweep is None:
                        return
            except grpc.aio.AioRpcError as error:
                await self._follow_elsewhere(error)
                raise
            finally:
                stream.cancel()

    def _greeting(self, site: stored.StoredSite) -> pb.FollowRequest:
        with self._core.engine.read() as reader:
            held = site_role.position(reader)
        request = pb.FollowRequest(
            mirror_id=site.mirror_id,
            epoch=site_role.epoch_of(site),
            held=held,
            site_id=site.site_id,
            start_sweep=self._start_sweep or site_role.needs_copy(site),
        )
        if site.HasField("sweep"):
            request.sweep.CopyFrom(site.sweep)
        return request

    async def _greeted(self, response: pb.FollowResponse) -> None:
        """Take over the epochs; tell of what is lost when the histories have parted."""
        if not response.epochs:
            raise MalformedMessage("the primary's greeting names no epoch: it is not a node of this kind")
        self._start_sweep = False
        if response.HasField("parted"):
            self._keep_discarded(response.parted.serial)
        job = SiteJob(lambda ledger: mirror_copy.adopt_greeting(ledger.writer, response))
        await self._core.lane.submit(job, patient=True)

    async def _apply(self, response: pb.FollowResponse) -> mirror_copy.Copied:
        rows = len(response.chunk.rows) // 2 + len(response.rows.records) + len(response.rows.rows)

        def copy(ledger: Ledger) -> mirror_copy.Copied:
            if site_role.site_of(ledger.writer).role != pb.SITE_ROLE_MIRROR:
                raise InvalidTransition("this node follows no longer: it has been promoted")
            return mirror_copy.apply(ledger, response)

        return await self._core.lane.submit(SiteJob(copy, cost=max(1, rows)), patient=True)

    async def _follow_elsewhere(self, error: grpc.aio.AioRpcError) -> None:
        """Follow the node that is the primary now, when the one we follow says who that is."""
        reason, details = reason_of(error)
        primary = details.get("primary", "")
        if reason != "NOT_PRIMARY" or not primary:
            return
        _log.warning("the primary has been replaced", primary=primary)

        def turn(ledger: Ledger) -> None:
            site = site_role.site_of(ledger.writer)
            if site.role == pb.SITE_ROLE_MIRROR:
                site.primary = primary
                site_role.store(ledger.writer, site)

        await self._core.lane.submit(SiteJob(turn))

    async def _fence(self, site: stored.StoredSite) -> None:
        """Tell the old primary that it is one no longer, and remember that it knows. Raises AioRpcError."""
        epoch = site_role.epoch_of(site)
        async with channel_to(site.to_fence, self._credentials) as channel:
            call = channel.unary_unary(
                methods.FENCE_PRIMARY.path,
                request_serializer=pb.FencePrimaryRequest.SerializeToString,
                response_deserializer=pb.FencePrimaryResponse.FromString,
            )
            request = pb.FencePrimaryRequest(epoch=epoch, primary=self._address)
            response = await call(request, metadata=self._metadata(), timeout=SILENCE_S)
        start = site.epochs[-1].start.serial
        lost = max(0, int(response.held.serial) - int(start))
        _log.warning("the old primary is fenced", old=site.to_fence, changes_it_alone_holds=lost)

        def done(ledger: Ledger) -> None:
            changed = site_role.site_of(ledger.writer)
            if changed.to_fence == site.to_fence:
                changed.to_fence = ""
                site_role.store(ledger.writer, changed)

        await self._core.lane.submit(SiteJob(done))

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._credentials.token}"),)

    def _tell(self, newest: pb.MirrorPosition | None = None, trouble: str = "") -> None:
        """Tell the other workers how it goes."""
        if newest is None:
            report = msgspec.structs.replace(mirror_report.read(self._report), trouble=trouble)
        else:
            now_us, missing = self._core.clock.now_us(), self._files.missing
            report = mirror_report.MirrorReport(newest.serial, newest.sequence, now_us, missing_files=missing)
        with suppress(OSError):
            mirror_report.write(self._report, report)


async def _write(
    stream: grpc.aio.StreamStreamCall[pb.FollowRequest, pb.FollowResponse], request: pb.FollowRequest, timeout_s: float
) -> None:
    """Send a message. Raises TimeoutError, and AioRpcError.

    Not by ``asyncio.wait_for``: in Python 3.11 it forgets that it was cancelled when its end comes in the same moment,
    and a follower that has been told to stop would go on for ever.
    """
    async with asyncio.timeout(timeout_s):
        await stream.write(request)


async def _next(
    stream: grpc.aio.StreamStreamCall[pb.FollowRequest, pb.FollowResponse], timeout_s: float
) -> pb.FollowResponse:
    """The next message. Raises TimeoutError, and AioRpcError."""
    async with asyncio.timeout(timeout_s):
        response = await stream.read()
    if not isinstance(response, pb.FollowResponse):
        raise TimeoutError("the primary has ended the stream")
    return response


def _trouble(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"the primary: {words_of(error)}"
    if isinstance(error, TimeoutError):
        return str(error) or f"the primary has been silent for {SILENCE_S:g} s"
    return str(error)
