"""MirrorService: a primary feeds its mirrors, a mirror is promoted, an old primary is fenced.

A stream to a mirror is read from the store when the mirror is ready for more, so a slow one costs no memory here.
Other workers' commits are seen by looking at the ends of journal and row log every few milliseconds: two reads, and
the wait of a client that asked for confirmation hangs on it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from resolver.errors import InvalidField
from resolver.node import site_role
from resolver.node.authorize import Action, require
from resolver.node.mirror_source import MirrorSource, lag, require_same_site
from resolver.node.share_source import ShareSource
from resolver.registry.rows import check_id
from resolver.service import mirror_report
from resolver.v1 import mirror_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from resolver.node.ledger import Ledger
    from resolver.service.call import Call
    from resolver.service.core import Core
    from resolver.v1 import stored_pb2 as stored
    from storage.engine import Reader

T = TypeVar("T")

LOOK_S = 0.002
"""Seconds between two looks for new changes."""

SHARE_LOOK_S = 0.02
"""The same for another server of the site: no client waits for it, and it follows for years."""

HEARTBEAT_S = 1.0
"""Seconds after which a mirror that has everything gets a sign of life, with tallies to compare."""

UNACKNOWLEDGED_MAX = 8
"""Messages on their way to a mirror: some megabytes, enough for a long line."""

_SITE_ID_OCTETS = 16

_log = structlog.get_logger("mirror")


@dataclass
class SiteJob(Generic[T]):
    """A change of what this node is in its site, or a mirror's copy: accepted whatever the node is."""

    change: Callable[[Ledger], T]
    cost: int = 1
    frees_space: bool = False
    everywhere: bool = True

    def prepare(self) -> None:
        """Nothing to check outside the transaction."""

    def apply(self, ledger: Ledger) -> T:
        """Make the change."""
        return self.change(ledger)


class Mirroring:
    """Handlers of MirrorService."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def follow(self, call: Call, requests: AsyncIterator[pb.FollowRequest]) -> AsyncIterator[pb.FollowResponse]:
        """Feed a mirror, or another server of the site, for as long as both live and this node is the primary."""
        require(call.caller, Action.MIRROR, "", "the site")
        incoming = self._core.until_drain(requests)
        try:
            greeting = await anext(incoming)
        except StopAsyncIteration:
            return
        check_id(greeting.mirror_id, "mirror_id")
        await self._begin_logging(greeting)
        source = ShareSource(greeting.share) if greeting.HasField("share") else MirrorSource()
        with self._core.reading() as reader:
            yield source.greet(reader, greeting)
        stream = _Acknowledged(self._core, greeting)
        reader_task = asyncio.create_task(stream.read(incoming))
        _log.info("a mirror follows", mirror=greeting.mirror_id, serial=greeting.held.serial)
        try:
            async for message in self._messages(call, source, stream):
                stream.sent += 1
                yield message
        finally:
            reader_task.cancel()
            with suppress(asyncio.CancelledError):
                await reader_task
            _log.info("a mirror has left", mirror=greeting.mirror_id)

    async def _begin_logging(self, greeting: pb.FollowRequest) -> None:
        """Log rows from the first mirror on. Raises NotPrimary, and is fenced by a mirror that knows a later epoch."""
        core = self._core
        with core.reading() as reader:
            site = site_role.site_of(reader)
        is_mirror = not greeting.HasField("share")
        if is_mirror:
            require_same_site(site, greeting)
        is_of_site = not is_mirror or greeting.site_id == site.site_id  # the epoch of another site says nothing here
        if is_of_site and greeting.epoch > site_role.epoch_of(site):
            site = await core.lane.submit(SiteJob(lambda ledger: site_role.fence(ledger.writer, greeting.epoch, "")))
        refusal = site_role.refusal(site)
        if refusal is not None:
            raise refusal
        if not site.logging or not site.site_id:

            def begin(ledger: Ledger) -> None:
                changed = site_role.site_of(ledger.writer)
                changed.logging = True
                changed.site_id = changed.site_id or core.randomness(_SITE_ID_OCTETS)
                site_role.store(ledger.writer, changed)

            await core.lane.submit(SiteJob(begin))

    async def _messages(
        self, call: Call, source: MirrorSource | ShareSource, stream: _Acknowledged
    ) -> AsyncIterator[pb.FollowResponse]:
        core = self._core
        loop = asyncio.get_running_loop()
        quiet_since = identified = loop.time()
        look_s = SHARE_LOOK_S if isinstance(source, ShareSource) else LOOK_S
        while not stream.ended:
            core.refuse_when_draining()
            if stream.sent - stream.acknowledged >= UNACKNOWLEDGED_MAX:
                await stream.progress()
                continue
            if identified + HEARTBEAT_S < loop.time():
                core.identify_again(call)
                identified = loop.time()
            with core.reading() as reader:
                refusal = site_role.refusal(site_role.site_of(reader))
                if refusal is not None:
                    raise refusal
                message = self._next(source, reader, is_quiet=loop.time() - quiet_since > HEARTBEAT_S)
            if message is None:
                await asyncio.sleep(look_s)
                continue
            quiet_since = loop.time()
            yield message

    @staticmethod
    def _next(source: MirrorSource | ShareSource, reader: Reader, *, is_quiet: bool) -> pb.FollowResponse | None:
        """What to send now; None for nothing yet."""
        message = source.next_message(reader)
        if message.HasField("chunk") or message.HasField("rows"):
            return message
        return source.check(reader) if is_quiet else None

    def get_mirror_status(self, call: Call, request: pb.GetMirrorStatusRequest) -> pb.GetMirrorStatusResponse:
        """Where this node stands in its site."""
        del request
        require(call.caller, Action.MIRROR, "", "the site")
        core = self._core
        report = mirror_report.read(core.mirror.report) if core.mirror else mirror_report.MirrorReport()
        with core.reading() as reader:
            site = site_role.site_of(reader)
            response = pb.GetMirrorStatusResponse(
                role=site.role,
                epochs=site.epochs,
                held=site_role.position(reader),
                primary=site.primary,
                sweeping=site.HasField("sweep"),
            )
            if site.role == pb.SITE_ROLE_MIRROR:
                response.primary_newest.CopyFrom(pb.MirrorPosition(serial=report.serial, sequence=report.sequence))
                response.heard_time_us, response.trouble = report.heard_time_us, report.trouble
                response.missing_files = report.missing_files
            elif core.confirmations is not None and site.role == pb.SITE_ROLE_PRIMARY:
                response.confirmations = core.confirmations.needed
                for held in core.confirmations.held():
                    position = pb.MirrorPosition(serial=held.serial, sequence=held.sequence)
                    response.mirrors.add(
                        mirror_id=held.mirror_id,
                        held=position,
                        heard_time_us=held.time_us,
                        lag=lag(reader, position),
                    )
        return response

    async def promote_mirror(self, call: Call, request: pb.PromoteMirrorRequest) -> pb.PromoteMirrorResponse:
        """Begin a new epoch with this mirror as its primary."""
        require(call.caller, Action.MIRROR, "", "the site")
        core = self._core
        job = SiteJob(lambda ledger: site_role.promote(ledger, request.at_least_serial))
        epoch = await core.lane.submit(job)
        if core.confirmations is not None:
            core.confirmations.clear()
        report = mirror_report.read(core.mirror.report) if core.mirror else mirror_report.MirrorReport()
        _log.warning("promoted to primary", epoch=epoch.number, serial=epoch.start.serial, by=call.caller.principal_id)
        address = core.mirror.address if core.mirror else ""
        return pb.PromoteMirrorResponse(epoch=epoch, last_heard_serial=report.serial, address=address)

    async def fence_primary(self, call: Call, request: pb.FencePrimaryRequest) -> pb.FencePrimaryResponse:
        """Take no changes any more, because another node is the primary of a later epoch."""
        require(call.caller, Action.MIRROR, "", "the site")
        if not request.epoch:
            raise InvalidField("epoch is 0: give the number of the epoch that has begun", field="epoch")

        def fence(ledger: Ledger) -> tuple[stored.StoredSite, pb.MirrorPosition]:
            site = site_role.fence(ledger.writer, request.epoch, request.primary)
            return site, site_role.position(ledger.writer)

        site, held = await self._core.lane.submit(SiteJob(fence))
        role = pb.SiteRole.Name(site.role).removeprefix("SITE_ROLE_").lower()
        _log.warning("told of a later epoch", epoch=request.epoch, primary=request.primary, role=role)
        return pb.FencePrimaryResponse(role=site.role, held=held)


class _Acknowledged:
    """What a mirror has acknowledged of a stream."""

    def __init__(self, core: Core, greeting: pb.FollowRequest) -> None:
        self._core = core
        self._confirmations = None if greeting.HasField("share") else core.confirmations  # those are of mirrors
        self._place = self._confirmations.place(greeting.mirror_id) if self._confirmations is not None else 0
        self._arrived = asyncio.Event()
        self.sent = self.acknowledged = 0
        self.ended = False
        copying = greeting.HasField("sweep") or greeting.start_sweep
        self._note(pb.MirrorPosition() if copying else greeting.held)

    async def read(self, incoming: AsyncIterator[pb.FollowRequest]) -> None:
        """Take acknowledgements until the mirror is gone."""
        try:
            async for request in incoming:
                self.acknowledged += 1
                self._note(request.held)
                self._arrived.set()
        finally:
            self.ended = True
            self._arrived.set()

    async def progress(self) -> None:
        """Wait for an acknowledgement, or the end."""
        self._arrived.clear()
        await self._arrived.wait()

    def _note(self, held: pb.MirrorPosition) -> None:
        if self._confirmations is not None:
            self._confirmations.note(self._place, held.serial, held.sequence, self._core.clock.now_us())
