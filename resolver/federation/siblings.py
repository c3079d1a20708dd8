"""Following the other servers of the site: the registry for good, and handles while shares change (gRPC).

One worker of a server runs this. What is to be copied stands in the store: a pull for the registry, while another
server takes its changes, and one for each server that handles are to come from. Each pull is a task with a stream of
its own; when the stream breaks it is opened again and goes on where the store says. A server whose place is another one
by now says NOT_PRIMARY and where to go, as to mirrors.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import grpc
import structlog

from resolver import methods
from resolver.errors import InvalidTransition, MalformedMessage, ResolverError
from resolver.federation.grpc_peer import reason_of, words_of
from resolver.federation.node_channel import NodeCredentials, channel_to
from resolver.node import share_copy, shares, site_role
from resolver.node.share_source import Wanted
from resolver.service.mirroring import SiteJob
from resolver.service.reading import stored_rows_checked
from resolver.v1 import mirror_pb2 as pb
from resolver.v1 import site_pb2 as site_pb
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.node.ledger import Ledger
    from resolver.service.core import Core
    from resolver.v1 import stored_pb2 as stored

_log = structlog.get_logger("site")

SILENCE_S = 5.0
"""Seconds without a message, of which one is due each second, after which the other server counts as gone."""

GREETING_S = 3.0
LOOK_S = 0.1
"""Seconds between two looks whether there is something else to copy."""

DROPPED_AT_ONCE, LOOKED_AT_ONCE = 500, 4_000
"""Handles let go in one transaction, and rows looked at for them: some milliseconds."""

_RETRY_FIRST_S, _RETRY_MAX_S = 0.1, 1.0


class Pull(NamedTuple):
    """One thing to copy: of which server, from where, what."""

    server: int
    grpc: str
    share: bytes
    """The ShareWanted, serialised."""

    @property
    def wanted(self) -> Wanted:
        """What the other server is to send."""
        return Wanted(pb.ShareWanted.FromString(self.share))


def pulls_of(row: stored.StoredServer) -> list[Pull]:
    """What a server has to copy now."""
    found: list[Pull] = []
    for pull in row.pulls:
        share = share_copy.share_wanted(row, pull)
        if share is not None:
            found.append(Pull(pull.server, pull.grpc, share.SerializeToString(deterministic=True)))
    return found


class Siblings:
    """Copies what this server's store says is to be copied. ``run`` it as a task, cancel it at the end."""

    def __init__(self, core: Core, credentials: Callable[[], NodeCredentials]) -> None:
        """``credentials`` are asked for with each connection, because an operator may give new ones."""
        self._core = core
        self._credentials = credentials
        self._tasks: dict[Pull, asyncio.Task[None]] = {}
        self.trouble = ""
        """What keeps it from copying, in one sentence."""

    async def run(self) -> None:
        """Copy, and let go what is another server's; for ever."""
        try:
            while True:
                try:
                    await self._look()
                except (ResolverError, StorageError) as error:
                    _log.warning("the shares of this server cannot be looked after, it tries again", why=str(error))
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self) -> None:
        with stored_rows_checked(), self._core.engine.read() as reader:
            row = shares.server_row(reader)
            serves = site_role.refusal(site_role.site_of(reader)) is None
        wanted = pulls_of(row) if serves else []
        if shares.is_to_come(row.copy_from_us, self._core.clock.now_us()):
            wanted = [pull for pull in wanted if pull.wanted.share.registry]
        for pull in [pull for pull in self._tasks if pull not in wanted]:
            self._tasks.pop(pull).cancel()
        for pull in wanted:
            if pull not in self._tasks:
                self._tasks[pull] = asyncio.create_task(self._keep(pull))
        if serves and row.leftovers and row.stage == site_pb.SITE_STAGE_UNSPECIFIED:
            await self._drop()

    async def _drop(self) -> None:
        """Let what belongs to other servers go, a few rows after another."""
        _log.info("handles of other servers are let go")
        is_more = True
        while is_more:
            is_more = await self._core.lane.submit(SiteJob(_drop_some, cost=DROPPED_AT_ONCE), patient=True)
        self._core.poll()
        _log.info("no handle of another server is left here")

    async def _keep(self, pull: Pull) -> None:
        """Copy one thing, over as many streams as it takes."""
        wait_s = _RETRY_FIRST_S
        while True:
            try:
                await self.follow(pull)
                wait_s = _RETRY_FIRST_S
            except (grpc.aio.AioRpcError, OSError, TimeoutError, ResolverError, StorageError) as error:
                self.trouble = trouble_of(error)
                _log.warning("another server of the site cannot be followed, it tries again", why=self.trouble)
            except Exception as error:  # noqa: BLE001 - an ended task would be taken for one that copies
                self.trouble = f"{type(error).__name__}: {error}"
                _log.exception("what another server of the site sends is not understood")
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _RETRY_MAX_S)

    async def follow(self, pull: Pull, *, until_complete: bool = False) -> None:
        """Follow one server until the line breaks; with ``until_complete``, until all it had is held.

        Raises AioRpcError, TimeoutError, ResolverError.
        """
        credentials = self._credentials()
        async with channel_to(pull.grpc, credentials) as channel:
            stream = channel.stream_stream(
                methods.FOLLOW.path,
                request_serializer=pb.FollowRequest.SerializeToString,
                response_deserializer=pb.FollowResponse.FromString,
            )(metadata=(("authorization", f"Bearer {credentials.token}"),))  # type: ignore[call-arg]  # the stubs know no call without an iterator
            try:
                await asyncio.wait_for(stream.write(self._greeting(pull)), GREETING_S)
                await self._greeted(pull, await _next(stream, GREETING_S))
                while True:
                    response = await _next(stream, SILENCE_S)
                    held = await self._apply(pull, response)
                    await asyncio.wait_for(stream.write(pb.FollowRequest(held=held)), SILENCE_S)
                    self.trouble = ""
                    if until_complete and self._row(pull).complete:
                        return
            except grpc.aio.AioRpcError as error:
                await self._follow_elsewhere(pull, error)
                raise
            finally:
                stream.cancel()

    def _row(self, pull: Pull) -> site_pb.SitePull:
        """How far a pull has come. Raises InvalidTransition when it is wanted no more."""
        with stored_rows_checked(), self._core.engine.read() as reader:
            row = shares.server_row(reader)
        found = share_copy.pull_of(row, pull.server, registry=pull.wanted.share.registry)
        if found is None:
            raise InvalidTransition("this server copies nothing from there any more")
        return found

    def _greeting(self, pull: Pull) -> pb.FollowRequest:
        row = self._row(pull)
        is_new = not row.complete and not row.HasField("catching_up")
        request = pb.FollowRequest(
            mirror_id=f"server-{pull.server}",
            epoch=row.epoch,
            held=row.held,
            start_sweep=is_new and not row.HasField("sweep"),
            share=pull.wanted.share,
        )
        if row.HasField("sweep"):
            request.sweep.CopyFrom(row.sweep)
        return request

    async def _greeted(self, pull: Pull, response: pb.FollowResponse) -> None:
        if not response.epochs:
            raise MalformedMessage("the greeting names no epoch: what answers there is not a node of this kind")
        registry = pull.wanted.share.registry
        job = SiteJob(lambda ledger: share_copy.adopt_greeting(ledger, pull.server, registry, response))
        await self._core.lane.submit(job, patient=True)

    async def _apply(self, pull: Pull, response: pb.FollowResponse) -> pb.MirrorPosition:
        rows = len(response.chunk.rows) // 2 + len(response.chunk.images)
        rows += len(response.rows.records) + len(response.rows.rows)
        wanted = pull.wanted

        def copy(ledger: Ledger) -> pb.MirrorPosition:
            return share_copy.apply(ledger, pull.server, wanted, response)

        held = await self._core.lane.submit(SiteJob(copy, cost=max(1, rows)), patient=True)
        if rows:
            self._core.poll()
        return held

    async def _follow_elsewhere(self, pull: Pull, error: grpc.aio.AioRpcError) -> None:
        """Follow the mirror that has taken the other server's place, when it says who that is."""
        reason, details = reason_of(error)
        primary = details.get("primary", "")
        if reason != "NOT_PRIMARY" or not primary:
            return
        registry = pull.wanted.share.registry

        def turn(ledger: Ledger) -> None:
            row = shares.server_row(ledger.writer)
            found = share_copy.pull_of(row, pull.server, registry=registry)
            if found is not None:
                found.grpc = primary
                shares.store_server(ledger.writer, row)

        await self._core.lane.submit(SiteJob(turn))


def _drop_some(ledger: Ledger) -> bool:
    return share_copy.drop_leftovers(ledger, DROPPED_AT_ONCE, LOOKED_AT_ONCE)


async def _next(
    stream: grpc.aio.StreamStreamCall[pb.FollowRequest, pb.FollowResponse], timeout_s: float
) -> pb.FollowResponse:
    """The next message. Raises TimeoutError, and AioRpcError."""
    response = await asyncio.wait_for(stream.read(), timeout_s)
    if not isinstance(response, pb.FollowResponse):
        raise TimeoutError("the other server has ended the stream")
    return response


def trouble_of(error: Exception) -> str:
    """What went wrong, in one sentence."""
    if isinstance(error, grpc.aio.AioRpcError):
        return f"the other server: {words_of(error)}"
    if isinstance(error, TimeoutError):
        return str(error) or f"the other server has been silent for {SILENCE_S:g} s"
    return str(error)
