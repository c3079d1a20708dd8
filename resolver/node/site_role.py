"""Where this node stands in its site: primary, mirror or fenced, and the epochs of the site.

The row lives in META and is read inside every write transaction, so that a promotion or a fence holds for all workers
from its commit on: there is no moment at which one of them still takes a change. Epochs are numbered; each names
the position at which it began, so that two histories can be compared and the last point they share is known.
A store without the row is a primary of epoch 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import InvalidTransition, NotPrimary
from resolver.node import mirror_ahead
from resolver.node.ledger import last_serial
from resolver.v1 import mirror_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.node.ledger import Ledger
    from storage.engine import Reader, Writer

META_KEY = b"site"

_EPOCHS_KEPT = 1_000


def site_of(reader: Reader) -> stored.StoredSite:
    """The row; for a store that has none, what it means."""
    site = stored.StoredSite.FromString(reader.get(Table.META, META_KEY) or b"")
    if not site.role:
        site.role = pb.SITE_ROLE_PRIMARY
    if not site.epochs:
        site.epochs.add(number=1, start=pb.MirrorPosition())
    return site


def store(writer: Writer, site: stored.StoredSite) -> None:
    """Keep the row."""
    del site.epochs[:-_EPOCHS_KEPT]
    writer.put(Table.META, META_KEY, site.SerializeToString(deterministic=True))


def sequence_key(sequence: int) -> bytes:
    """Key of an entry of the row log."""
    return sequence.to_bytes(8, "big")


def last_sequence(reader: Reader) -> int:
    """Sequence of the newest entry of the row log; 0 for an empty one."""
    key = reader.last_key(Table.ROW_LOG)
    return 0 if key is None else int.from_bytes(key, "big")


def position(reader: Reader) -> pb.MirrorPosition:
    """What the store holds."""
    return pb.MirrorPosition(serial=last_serial(reader), sequence=last_sequence(reader))


def epoch_of(site: stored.StoredSite) -> int:
    """Number of the current epoch."""
    return int(site.epochs[-1].number)


def refusal(site: stored.StoredSite) -> NotPrimary | None:
    """Why changes are refused; None at a primary."""
    if site.role == pb.SITE_ROLE_PRIMARY:
        return None
    where = f": send it to the primary, {site.primary}" if site.primary else ": send it to the primary of the site"
    what = "a mirror" if site.role == pb.SITE_ROLE_MIRROR else "fenced, it was the primary of an earlier epoch"
    return NotPrimary(
        f"this node is {what}, and takes no changes{where}", details={"primary": site.primary} if site.primary else {}
    )


def promote(ledger: Ledger, at_least_serial: int) -> pb.Epoch:
    """Make this mirror the primary of a new epoch. Raises InvalidTransition."""
    writer = ledger.writer
    site = site_of(writer)
    if site.role != pb.SITE_ROLE_MIRROR:
        raise InvalidTransition(f"this node is {_NAMES[site.role]}, and only a mirror can be promoted")
    if not site.complete or site.HasField("sweep") or site.HasField("catching_up"):
        raise InvalidTransition(
            "this mirror has not finished copying its primary's tables: it holds only some of them; promote another "
            "one, or wait for the copy to end"
        )
    held = position(writer)
    if held.serial < at_least_serial:
        raise InvalidTransition(
            f"this mirror holds changes up to {held.serial}, not {at_least_serial}: promote one that is further, or "
            "ask for less and lose what lies between",
            details={"held_serial": str(held.serial)},
        )
    epoch = site.epochs.add(number=epoch_of(site) + 1, start=held)
    site.role, site.to_fence, site.primary = pb.SITE_ROLE_PRIMARY, site.primary, ""
    site.announce = True
    store(writer, site)
    mirror_ahead.make_own(ledger)
    return epoch


def fence(writer: Writer, epoch: int, primary: str) -> stored.StoredSite:
    """Heed a later epoch: a primary takes no changes any more, a mirror follows elsewhere."""
    site = site_of(writer)
    if epoch <= epoch_of(site):
        return site
    if site.role == pb.SITE_ROLE_PRIMARY:
        site.role = pb.SITE_ROLE_FENCED
    site.primary = primary or site.primary
    store(writer, site)
    return site


def follow(writer: Writer, primary: str, mirror_id: str, *, is_new: bool) -> None:
    """Become, or stay, a mirror of a primary. What was a node of its own answers meanwhile from what it has."""
    site = site_of(writer)
    site.role, site.primary, site.mirror_id, site.to_fence, site.logging = (
        pb.SITE_ROLE_MIRROR,
        primary,
        mirror_id,
        "",
        True,
    )
    site.complete = site.complete or not is_new
    store(writer, site)


def needs_copy(site: stored.StoredSite) -> bool:
    """Whether a mirror has yet to begin the copy of all tables."""
    return not (site.complete or site.HasField("sweep") or site.HasField("catching_up"))


def common_serial(ours: stored.StoredSite, epoch: int, held: pb.MirrorPosition) -> tuple[bool, int]:
    """Whether a mirror's history is a beginning of ours, and the last serial both have.

    It is, when it ends before the epoch after the mirror's began: until then there was one primary.
    """
    for later in ours.epochs:
        if later.number > epoch:
            start = later.start
            agrees = held.serial <= start.serial and held.sequence <= start.sequence
            return agrees, min(int(held.serial), int(start.serial))
    return epoch == epoch_of(ours), int(held.serial)


_NAMES = {
    pb.SITE_ROLE_PRIMARY: "the primary already",
    pb.SITE_ROLE_MIRROR: "a mirror",
    pb.SITE_ROLE_FENCED: "fenced",
}
