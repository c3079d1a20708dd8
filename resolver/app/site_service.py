"""One of several servers of a site, put together: for the workers of a running node, and for ``idis site join``.

DATA_DIR/credentials/site.token    what a server shows the other servers of its site
DATA_DIR/run/siblings.lock         held by the worker that copies from them
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from resolver.app.certificates import own_certificate
from resolver.app.copying_core import copying_core
from resolver.app.data_dir import DataDir, StartRefused, write_whole
from resolver.app.sole_worker import SoleWorker
from resolver.config.settings import Config
from resolver.errors import InvalidTransition, ResolverError
from resolver.federation.node_channel import NodeCredentials
from resolver.federation.siblings import Siblings, pulls_of
from resolver.node import shares, site_info, site_record, site_role
from resolver.node.ledger import last_serial
from resolver.service.mirroring import SiteJob
from storage.errors import StorageError
from storage.lmdb_engine import LmdbEngine

if TYPE_CHECKING:
    from resolver.app.messages import Assignment
    from resolver.clock import Clock
    from resolver.node.ledger import Ledger
    from resolver.service.core import Core

_log = structlog.get_logger("site")

_ANNOUNCE_S = 0.2


def credentials_of(config: Config, data: DataDir) -> NodeCredentials:
    """What this server shows the others. Raises ResolverError."""
    path = Path(config.site.token_file) if config.site.token_file else data.site_token
    try:
        authorities = Path(config.site.ca_file).read_bytes() if config.site.ca_file else None
        return NodeCredentials(path.read_text("ascii").strip(), authorities, *own_certificate(config.tls))
    except (OSError, ValueError) as error:
        raise InvalidTransition(
            f"[site] token_file or ca_file cannot be read, and the other servers are to be shown a token: {error}"
        ) from error


class SiteService(SoleWorker):
    """The part of a worker that looks after the shares. ``start`` it on the worker's loop, ``close`` it at the end."""

    def __init__(self, core: Core, assignment: Assignment, clock: Clock) -> None:
        self._core = core
        self._assignment = assignment
        self._clock = clock
        self._data = DataDir(Path(assignment.config.node.data_dir))
        self._siblings = Siblings(core, lambda: credentials_of(assignment.config, self._data))
        super().__init__(self._data.run / "siblings.lock", self._siblings.run, self._announce)

    async def _announce(self) -> None:
        """Let the prefix handles name all servers of the site, where the registry is changed."""
        while True:
            share = self._core.served.share
            if share is not None and not share.follows_registry and share.layout.servers and self._is_news(share):
                try:
                    await asyncio.to_thread(self._publish)
                    _log.info("prefix handles name the servers of the site", serial=share.layout.serial)
                except (StartRefused, StorageError, ResolverError) as error:
                    _log.error("prefix handles still name the servers before", why=str(error))
            await asyncio.sleep(_ANNOUNCE_S)

    def _is_news(self, share: shares.Share) -> bool:
        prefix = self._assignment.config.node.prefix
        with self._core.engine.read() as reader:
            if not prefix or site_role.refusal(site_role.site_of(reader)) is not None:
                return False
            return site_info.stored_site(reader, prefix) != site_record.hs_site(share.layout)

    def _publish(self) -> None:
        from resolver.app.handle_service import prepare  # noqa: PLC0415 - needed where a site has a layout only

        prepare(self._data, self._core.engine, self._assignment.config, self._assignment.doors, self._clock)


def make_server(root: Path, registry: str, server: int, credentials: NodeCredentials) -> int:
    """Make a data directory that of a new server of a site; the serial it holds of the registry then.

    An interrupted copy goes on. Raises StartRefused, StorageError, and what ``Siblings.follow`` raises.
    """
    data = DataDir(root)
    data.create()
    with data.lock():
        engine = LmdbEngine(data.store, map_octets=Config().storage.map_octets)
        try:
            held = asyncio.run(_copy(engine, registry, server, credentials))
        finally:
            engine.close()
        write_whole(data.site_token, credentials.token.encode("ascii") + b"\n")
        return held


async def _copy(engine: LmdbEngine, registry: str, server: int, credentials: NodeCredentials) -> int:
    with engine.read() as reader:
        row = shares.server_row(reader)
        if last_serial(reader) and not row.id:
            raise StartRefused("the data directory holds a node of its own: join with an empty one")
        if row.id and (row.id != server or not row.follows_registry):
            raise StartRefused(f"the data directory is that of server {row.id}: use another one for server {server}")
    core = copying_core(engine)
    siblings = Siblings(core, lambda: credentials)

    def begin(ledger: Ledger) -> None:
        changed = shares.server_row(ledger.writer)
        changed.id, changed.follows_registry = server, True
        if not changed.pulls:
            changed.pulls.add(registry=True)
        changed.pulls[0].grpc = registry
        shares.store_server(ledger.writer, changed)

    await core.start()
    try:
        await core.lane.submit(SiteJob(begin))
        with engine.read() as reader:
            pull = pulls_of(shares.server_row(reader))[0]
        await siblings.follow(pull, until_complete=True)
        with engine.read() as reader:
            return int(shares.server_row(reader).pulls[0].held.serial)
    finally:
        await core.close()
