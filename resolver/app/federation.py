"""Asking other nodes, put together for one worker from configuration and data directory.

    DATA_DIR/top.json      the site record of the top of the tree; without it nobody stands above this node

Every worker has its own cache and its own connections. What says which names are this node's is the store.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from resolver.app.data_dir import DataDir, StartRefused, write_whole
from resolver.app.messages import Above
from resolver.config.endpoint import Endpoint
from resolver.federation.addresses import AddressPolicy
from resolver.federation.cache import ForeignCache
from resolver.federation.delegations import Delegations
from resolver.federation.roots import Refresh, SiteFileUnusable, sites_from_octets
from resolver.federation.search import Searcher
from resolver.federation.upstream import Upstream
from resolver.node.site_record import hs_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.app.messages import Assignment
    from resolver.clock import Clock
    from resolver.config.settings import Config
    from resolver.node.shares import Share
    from resolver.service import Service
    from resolver.wire.predefined.hs_site import HsSite

_log = structlog.get_logger("federation")

TOP_FILE = "top.json"


def top_file(config: Config, data: DataDir) -> Path:
    """Where the site record of the top lies, whether or not it is there."""
    return Path(config.federation.top_file) if config.federation.top_file else data.root / TOP_FILE


def top_sites(config: Config, data: DataDir) -> list[HsSite]:
    """The sites of the top; none when nobody stands above. Raises StartRefused for a file that cannot be used."""
    path = top_file(config, data)
    try:
        return sites_from_octets(path.read_bytes(), str(path))
    except FileNotFoundError:
        if config.federation.top_file:
            raise StartRefused(
                f"federation.top_file: {path} is not there: put the site record of the top there"
            ) from None
        return []
    except OSError as error:
        raise StartRefused(f"{path} cannot be read: {error.strerror}") from error
    except SiteFileUnusable as error:
        raise StartRefused(str(error)) from error


class Federation:
    """What asks other nodes in one worker. ``start`` it on the worker's loop, ``close`` it at the end."""

    def __init__(
        self, service: Service, assignment: Assignment, clock: Clock, randomness: Callable[[int], bytes]
    ) -> None:
        """Put it together. Raises StartRefused."""
        config = assignment.config
        options = config.federation
        data = DataDir(Path(config.node.data_dir))
        try:
            policy = AddressPolicy.from_text(options.allow_networks, options.allow_ports, _own_doors(assignment))
        except ValueError as error:
            raise StartRefused(f"federation.allow_networks or federation.allow_ports: {error}") from error
        self._delegations = Delegations(policy, top_sites(config, data))
        cache = ForeignCache(
            options.cache_entries_max,
            options.cache_octets_max,
            negative_ttl_s=options.negative_ttl_s,
            stale_s=options.stale_s,
        )
        searcher = Searcher(
            service.resolution.foreign.look,
            cache,
            self._delegations,
            policy,
            certifies=options.certified,
            speaks_grpc=options.grpc,
            forwards=options.forward,
        )
        self.upstream = Upstream(searcher, clock, randomness, octets_max=options.answer_octets_max)
        service.core.on_share(lambda share: _allow_siblings(policy, share))
        self._path = top_file(config, data)
        self._refresh = Refresh(
            self._delegations,
            clock,
            randomness,
            interval_s=options.refresh_s,
            keep=lambda octets: write_whole(self._path, octets),
        )
        self._service = service
        self._data = data
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Let the service ask other nodes."""
        self._service.core.elsewhere = self.upstream
        self._follow_top()

    def _follow_top(self) -> None:
        """Keep the record of the top up to date while there is a top."""
        if self._delegations and self._task is None:
            self._task = asyncio.create_task(self._refresh.run())
        elif not self._delegations and self._task is not None:
            self._task.cancel()
            self._task = None

    def above(self) -> Above | None:
        """How the top of the tree is seen; None when nobody stands above this node."""
        known = self._delegations
        return Above(known.is_asked, known.silent_since_us) if known else None

    def reload(self, config: Config) -> None:
        """Read the site record of the top again; a file that cannot be used changes nothing."""
        try:
            sites = top_sites(config, self._data)
        except StartRefused as error:
            _log.error("the site record of the top is not taken over, the old one stays", why=str(error))
            return
        self._path = top_file(config, self._data)
        if tuple(sites) == self._delegations.roots().sites:
            return
        before = self._delegations.hosts
        self._delegations.replace_roots(sites)
        if before.isdisjoint(self._delegations.hosts):
            self.upstream.searcher.cache.clear()  # another tree says other things
        self._follow_top()
        _log.info("the site record of the top was read again", serials=[site.serial for site in sites])

    async def close(self) -> None:
        """Ask nobody any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.upstream.close()


def _allow_siblings(policy: AddressPolicy, share: Share | None) -> None:
    """Let the other servers of this site be asked: the operator has named them."""
    servers = () if share is None or not share.layout.servers else hs_site(share.layout).servers
    policy.siblings = frozenset(server.ip for server in servers)


def _own_doors(assignment: Assignment) -> list[tuple[str, int]]:
    """The places of this node's own doors, as far as they have an address."""
    found = []
    for host, port in assignment.doors.values():
        address = Endpoint(host, port).reachable().host
        try:
            AddressPolicy.from_text("", "", [(address, port)])
        except ValueError:
            continue
        found.append((address, port))
    if assignment.config.hdl.address and "hdl" in assignment.doors:
        found.append((assignment.config.hdl.address, assignment.doors["hdl"][1]))
    return found
