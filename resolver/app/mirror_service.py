"""Following a primary, put together: for the workers of a running node, and for ``idis mirror init`` before it runs.

DATA_DIR/credentials/mirror.token    what a mirror shows its primary
DATA_DIR/run/follower.lock           held by the worker that follows
DATA_DIR/discarded*.jsonl            changes this node had acknowledged and its site has not kept
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from resolver.app.certificates import own_certificate
from resolver.app.copying_core import copying_core
from resolver.app.data_dir import DataDir, StartRefused, write_whole
from resolver.app.discarded import keeper
from resolver.app.sole_worker import SoleWorker
from resolver.config.settings import Config
from resolver.errors import ResolverError
from resolver.federation.mirror import Follower
from resolver.federation.mirror_files import FileCopies
from resolver.federation.node_channel import NodeCredentials
from resolver.node import site_role
from resolver.node.prefixes import NODE_PREFIX_KEY
from resolver.service.core import Core, MirrorOptions
from resolver.service.mirroring import SiteJob
from resolver.v1 import mirror_pb2 as pb
from storage.errors import StorageError
from storage.files import FileStore
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from resolver.app.messages import Assignment
    from resolver.clock import Clock
    from resolver.node.ledger import Ledger
    from resolver.node.mirror_copy import Copied

_log = structlog.get_logger("mirror")

_ANNOUNCE_S = 1.0


def mirror_options(config: Config, doors: Mapping[str, tuple[str, int]]) -> MirrorOptions:
    """What the service wants to know of mirrors."""
    run = DataDir(Path(config.node.data_dir)).run
    host, port = doors["grpc"]
    address = config.mirror.address or f"{host}:{port}"
    return MirrorOptions(run, config.mirror.confirmations, config.mirror.confirm_timeout_s, address)


def credentials_of(config: Config, data: DataDir) -> NodeCredentials:
    """What this node shows a primary. Raises StartRefused."""
    path = Path(config.mirror.token_file) if config.mirror.token_file else data.mirror_token
    authorities = config.mirror.ca_file
    try:
        token = path.read_text("ascii").strip() if path.exists() or config.mirror.token_file else ""
        return NodeCredentials(
            token, Path(authorities).read_bytes() if authorities else None, *own_certificate(config.tls)
        )
    except (OSError, ValueError) as error:
        raise StartRefused(f"[mirror] token_file or ca_file cannot be read: {error}") from error


class MirrorService(SoleWorker):
    """The part of a worker that follows. ``start`` it on the worker's loop, ``close`` it at the end."""

    def __init__(self, core: Core, assignment: Assignment, clock: Clock) -> None:
        """Put it together. Raises StartRefused."""
        self._core = core
        self._assignment = assignment
        self._clock = clock
        config = assignment.config
        self._data = DataDir(Path(config.node.data_dir))
        options = mirror_options(config, assignment.doors)
        self._follower = Follower(
            core,
            credentials_of(config, self._data),
            FileCopies(core.engine, FileStore(self._data.files)),
            address=options.address,
            report=options.report,
            keep_discarded=keeper(core.engine, self._data.root),
        )
        super().__init__(self._data.run / "follower.lock", self._follower.run, self._announce)

    async def _announce(self) -> None:
        """After a promotion, let the prefix handles name this node's site in place of the old primary's."""
        while True:
            if self._follower.site().announce:
                try:
                    await asyncio.to_thread(self._take_over)
                    await self._core.lane.submit(SiteJob(_announced))
                    _log.info("prefix handles name this node as the primary")
                except (StartRefused, StorageError, ResolverError) as error:
                    _log.error("prefix handles still name the old primary", why=str(error))
            await asyncio.sleep(_ANNOUNCE_S)

    def _take_over(self) -> None:
        doors = self._assignment.doors
        if doors.keys() & {"hdl", "http"}:
            from resolver.app.handle_service import prepare  # noqa: PLC0415 - needed with these doors only

            prepare(self._data, self._core.engine, self._assignment.config, doors, self._clock, take_over=True)


def _announced(ledger: Ledger) -> None:
    site = site_role.site_of(ledger.writer)
    site.announce = False
    site_role.store(ledger.writer, site)


def make_mirror(
    root: Path,
    primary: str,
    mirror_id: str,
    credentials: NodeCredentials,
    on_progress: Callable[[pb.FollowResponse, Copied], None],
) -> pb.MirrorPosition:
    """Make a data directory the copy of a primary's store, or bring one up to date; what it holds then.

    The directory may be empty, an interrupted copy, a mirror, or a fenced primary: what that one alone has is written
    to ``discarded*.jsonl`` and given up. Raises StartRefused, StorageError, and what ``Follower.follow`` raises.
    """
    data = DataDir(root)
    data.create()
    with data.lock():
        engine = LmdbEngine(data.store, map_octets=Config().storage.map_octets)
        try:
            held = asyncio.run(_copy(engine, data, primary, mirror_id, credentials, on_progress))
        finally:
            engine.close()
        write_whole(data.mirror_token, credentials.token.encode("ascii") + b"\n")
        return held


def _refuse_a_node_of_its_own(engine: LmdbEngine, root: Path) -> None:
    """Raise StartRefused for the store of a node that never had a mirror: the copy would overwrite it."""
    with engine.read() as reader:
        site = site_role.site_of(reader)
        is_node = reader.get(Table.META, NODE_PREFIX_KEY) is not None
    if is_node and site.role == pb.SITE_ROLE_PRIMARY and not site.site_id:
        raise StartRefused(
            f"{root} holds the store of a node of its own, which the copy would overwrite: name a directory without one"
        )


async def _copy(
    engine: LmdbEngine,
    data: DataDir,
    primary: str,
    mirror_id: str,
    credentials: NodeCredentials,
    on_progress: Callable[[pb.FollowResponse, Copied], None],
) -> pb.MirrorPosition:
    _refuse_a_node_of_its_own(engine, data.root)
    core = copying_core(engine, MirrorOptions(data.run))
    follower = Follower(
        core,
        credentials,
        FileCopies(engine, FileStore(data.files)),
        address="",
        report=data.run / "mirror.json",
        keep_discarded=keeper(engine, data.root),
        on_progress=on_progress,
    )
    await core.start()
    try:
        with engine.read() as reader:
            before = site_role.site_of(reader)
            is_new = site_role.position(reader).serial == 0 and not before.complete
        await core.lane.submit(
            SiteJob(lambda ledger: site_role.follow(ledger.writer, primary, mirror_id, is_new=is_new))
        )
        begun = follower.site()
        try:
            await follower.follow(begun, until_equal=True)
        except BaseException:
            now = follower.site()
            begun.primary = now.primary
            if now == begun:  # nothing was taken over: a primary that was named by mistake stays one
                await core.lane.submit(SiteJob(lambda ledger: site_role.store(ledger.writer, before)))
            raise
        with engine.read() as reader:
            return site_role.position(reader)
    finally:
        await core.close()
