"""SiteService: the servers of the site, what each would have of another layout, and the steps of a change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from resolver.errors import InvalidField
from resolver.handle.name import fold_octets
from resolver.limits import KEY_WHOLE_OCTETS_MAX
from resolver.node import listing, record_octets, shares, site_steps
from resolver.node.authorize import Action, permits, require
from resolver.service.mirroring import SiteJob
from resolver.service.reading import stored_rows_checked
from resolver.v1 import site_pb2 as pb
from resolver.wire.hash_selection import key_index
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.service.call import Call
    from resolver.service.core import Core
    from storage.engine import Reader

COUNTED_MAX = 20_000
"""Handles counted for a page: some fifty milliseconds of a read transaction, in a thread."""

_log = structlog.get_logger("site")


class Site:
    """Handlers of SiteService."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def get_site(self, call: Call, request: pb.GetSiteRequest) -> pb.GetSiteResponse:
        """The servers of the site; how a change of it goes only for those who look after mirrors."""
        del request
        with self._core.reading() as reader:
            if not permits(call.caller, Action.MIRROR, ""):
                return pb.GetSiteResponse(
                    layout=shares.layout_of(reader), server=shares.server_row(reader).id, site_serial=self._serial
                )
            return self._state(reader)

    @property
    def _settle_ms(self) -> int:
        """Milliseconds within which all workers act upon what is stored, with as much again for a busy machine."""
        return int(2_000 * self._core.options.watch_poll_s) + 100

    @property
    def _serial(self) -> int:
        published = self._core.published
        return 0 if published is None else published.serial

    def _state(self, reader: Reader) -> pb.GetSiteResponse:
        state = site_steps.state_of(reader)
        state.settle_ms = self._settle_ms
        state.site_serial = self._serial
        if self._core.published is not None:
            state.own_site = self._core.published.own_site
        return state

    async def count_shares(self, call: Call, request: pb.CountSharesRequest) -> pb.CountSharesResponse:
        """What of this server's handles each server of another layout would have; counted in a thread."""
        require(call.caller, Action.MIRROR, "", "the site")
        if not 0 < request.servers <= site_steps.SERVERS_MAX:
            raise InvalidField(f"a site has 1 to {site_steps.SERVERS_MAX} servers", field="servers")
        if request.hash not in pb.SiteHash.values() or not request.hash:
            raise InvalidField("say what is hashed: the prefix, the suffix, or all of the handle", field="hash")
        return await asyncio.to_thread(self._count, request)

    def _count(self, request: pb.CountSharesRequest) -> pb.CountSharesResponse:
        counts = [[0, 0] for _ in range(request.servers)]
        option = shares.hash_option(request.hash)
        which = f"shares {request.servers} {option}"
        token = ""
        with stored_rows_checked(), self._core.engine.read() as reader:
            share = shares.share_of(reader)
            start = listing.start_of(which, request.page_token, b"")
            for number, (key, body) in enumerate(reader.scan(Table.RECORDS, start), start=1):
                folded = key
                if len(key) > KEY_WHOLE_OCTETS_MAX:
                    folded = fold_octets(record_octets.parse(body).name.encode())
                if not shares.is_of_system(folded) and (share is None or share.holds(folded)):
                    count = counts[key_index(folded, option, request.servers)]
                    count[0] += 1
                    count[1] += len(body)
                if number == COUNTED_MAX:
                    token = listing.token_for(which, key)
                    break
        rows = [pb.ShareCount(handles=handles, octets=octets) for handles, octets in counts]
        return pb.CountSharesResponse(shares=rows, next_page_token=token)

    async def change_site(self, call: Call, request: pb.ChangeSiteRequest) -> pb.ChangeSiteResponse:
        """Take a step of a change of the site."""
        require(call.caller, Action.MIRROR, "", "the site")
        core = self._core
        settle_us = self._settle_ms * 1_000
        job = SiteJob(lambda ledger: site_steps.take(ledger, request, core.clock.now_us(), settle_us))
        await core.lane.submit(job)
        core.poll()
        _log.info("step of a change of the site", step=pb.SiteStep.Name(request.step), by=call.caller.principal_id)
        with core.reading() as reader:
            return pb.ChangeSiteResponse(site=self._state(reader))
