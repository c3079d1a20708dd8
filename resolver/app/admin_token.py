"""Giving a stopped node's administrator a new token: for whoever has lost the last one that could make others.

The data directory is all that is asked for, since whoever may write it can do anything to the node already. The change
goes through a write lane like any other, so mirrors and the other servers of a site get it from the row log. Only the
node that takes changes of the registry can make it: rows of a mirror are its primary's, and one that it had changed
itself would part it from the others unseen. A mirror whose primary is gone for good becomes the primary first.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, NamedTuple

from resolver.app.data_dir import DataDir, StartRefused, StoreRefused
from resolver.app.store_watch import require_none_lost
from resolver.clock import SystemClock
from resolver.config.settings import Config
from resolver.errors import InvalidTransition, RecordCorrupt, ResolverError, StorageFailed, StorageFull
from resolver.lanes import LaneOptions, WriteLane
from resolver.node import shares, site_role
from resolver.registry.admin_token import Renewed, renew
from resolver.service import mirror_report
from resolver.service.core import MirrorOptions
from resolver.service.mirroring import SiteJob
from resolver.v1 import mirror_pb2 as pb
from storage.errors import StorageError
from storage.lmdb_engine import LmdbEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from resolver.node.ledger import Ledger
    from storage.engine import Engine, Reader


class Outcome(NamedTuple):
    """What was done.

    ``epoch`` is that of a mirror that has become the primary, and ``lost`` counts the changes that the primary before
    had when it was last heard, and this node has not.
    """

    renewed: Renewed
    epoch: pb.Epoch | None
    lost: int


def renew_admin_token(data: DataDir, *, promote: bool) -> Outcome:
    """Revoke the administrator's tokens and write a new one to ``data.admin_token``; the node must not run.

    ``promote`` makes a mirror the primary of its site first. An interruption leaves a file with a token of nothing or
    the work done: doing it again is right in either case. Raises StartRefused and StoreRefused.
    """
    require_none_lost(data)
    data.create()
    with data.lock():
        try:
            engine = LmdbEngine(data.store, map_octets=Config().storage.map_octets)
        except StorageError as error:
            raise StoreRefused(str(error)) from error
        try:
            renewed, epoch = asyncio.run(_renew(engine, data.root, data.write_admin_token, promote=promote))
        except (StorageError, StorageFull, StorageFailed, RecordCorrupt) as error:
            raise StoreRefused(str(error)) from error
        except ResolverError as error:
            raise StartRefused(str(error)) from error
        finally:
            engine.close()
        heard = mirror_report.read(MirrorOptions(data.run).report).serial
        return Outcome(renewed, epoch, 0 if epoch is None else max(0, heard - epoch.start.serial))


async def _renew(
    engine: Engine, root: Path, keep: Callable[[str], None], *, promote: bool
) -> tuple[Renewed, pb.Epoch | None]:
    """Promote, then renew: in two transactions, since the row log of the new epoch begins behind the first."""

    def begin_epoch(ledger: Ledger) -> pb.Epoch | None:
        _require_registry(ledger.writer, root)
        is_mirror = site_role.site_of(ledger.writer).role == pb.SITE_ROLE_MIRROR
        return site_role.promote(ledger, 0) if is_mirror else None

    def change(ledger: Ledger) -> Renewed:
        _require_registry(ledger.writer, root)
        _require_primary(ledger.writer, root)
        return renew(ledger, secrets.token_bytes, keep)

    lane = WriteLane(engine, SystemClock(), LaneOptions(group_rows_max=1, queue_rows_max=1))
    lane.start()
    try:
        epoch = await lane.submit(SiteJob(begin_epoch, frees_space=True)) if promote else None
        # Accepted whatever the node is: a change of shares that stands still is about handles, and ended with a token.
        # On a full disk it goes into the reserve, as revoking a credential does.
        return await lane.submit(SiteJob(change, frees_space=True)), epoch
    finally:
        await lane.close()


def _require_registry(reader: Reader, root: Path) -> None:
    """Raise InvalidTransition for a server of a site that copies the registry of another one."""
    share = shares.share_of(reader)
    if share is None or not share.follows_registry:
        return
    first = next((each.grpc for each in share.layout.servers if each.id == share.layout.registry_server), "")
    raise InvalidTransition(
        f"{root} holds server {share.server} of a site, which copies the registry of {first or share.registry}: give "
        "the command there, or on its mirror with --promote if it is gone for good; this server then takes the new "
        "token as soon as it has followed"
    )


def _require_primary(reader: Reader, root: Path) -> None:
    """Raise InvalidTransition for a mirror and for a primary of an earlier epoch."""
    site = site_role.site_of(reader)
    primary = site.primary or "the primary of the site"
    if site.role == pb.SITE_ROLE_MIRROR:
        raise InvalidTransition(
            f"{root} holds a mirror, whose credentials are those of {primary}: give the command there, and this node "
            "takes the new token as soon as it has followed; if that one is gone for good, give --promote, which makes "
            "this one the primary"
        )
    if site.role == pb.SITE_ROLE_FENCED:
        raise InvalidTransition(
            f"{root} holds the primary of an earlier epoch, which takes no changes any more: give the command at "
            f"{primary}, and make this one its mirror with idis mirror init"
        )
