"""What the Handle doors need in a store: the handles of all prefixes with the node's site, and an administrator's key.

Run before the doors open. Prefix handles that are missing are made; when the node's address or ports have changed, its
site changes in every handle that has it. All else in them is the operator's.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from resolver import limits
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold
from resolver.handle.value import HandleValue
from resolver.node import administer, handle_admin, site_info
from resolver.node.administer import Target
from resolver.node.authority import ROOT_HANDLE
from resolver.node.authorize import Caller, Role
from resolver.node.ledger import Ledger
from resolver.node.site_info import GRPC_ATTRIBUTE
from resolver.node.values import to_pb
from resolver.registry import prefix_handles
from resolver.registry.first_start import ADMINISTRATOR_ID, OWN_SEGMENT
from resolver.v1 import registration_pb2 as registration
from resolver.v1 import registry_pb2 as pb
from storage.errors import RowCorrupt
from storage.tables import Table, unseal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resolver.v1 import handle_pb2
    from resolver.wire.predefined.hs_site import HsSite
    from storage.engine import Engine, Reader

_CALLER = Caller(ADMINISTRATOR_ID, Role.NODE_ADMINISTRATOR)
_ROWS_PER_COMMIT = 1_000


def prepare_handle_service(
    engine: Engine,
    node_prefix: str,
    site: HsSite,
    admin_key: bytes,
    now_us: int,
    *,
    take_over: bool = False,
    is_layout: bool = False,
) -> None:
    """Make or update the prefix handles of the node.

    ``admin_key`` is the data of the HS_PUBKEY of an administrator, for the handles of the node's prefix and of its
    own enterprise prefix when they are new. With ``take_over`` this node's site replaces that of the primary before;
    with ``is_layout`` it is the record of several servers, and told as it is.
    """
    with engine.read() as reader:
        known = site_info.stored_site(reader, node_prefix)
        if is_layout:
            moved = known != site
        else:
            site, moved = _taken_over(known, site) if take_over and known is not None else _settled(known, site)
        stale = [row for row in _prefix_rows(reader) if moved or not _has_handle(reader, row)]
    with_key = {fold(node_prefix), fold(f"{node_prefix}.{OWN_SEGMENT}")}
    stale.sort(key=lambda row: fold(row.prefix) == fold(node_prefix))  # the handle that says what is done comes last
    for start in range(0, len(stale), _ROWS_PER_COMMIT):
        with engine.write() as writer:
            ledger = Ledger(writer, now_us)
            for row in stale[start : start + _ROWS_PER_COMMIT]:
                _bring_up_to_date(
                    ledger, row, node_prefix, known, site, admin_key if fold(row.prefix) in with_key else b""
                )
            ledger.close()


def _prefix_rows(reader: Reader) -> Iterator[pb.Prefix]:
    """Every prefix; one whose row is damaged keeps its handle as it is, and no other from being served."""
    for key, row in reader.scan_rows(Table.PREFIXES):
        with suppress(RowCorrupt):
            yield pb.Prefix.FromString(unseal(Table.PREFIXES, key, row))


def prepare_root_handle(engine: Engine, site: HsSite, now_us: int) -> None:
    """Let 0.NA/0.NA name the node's site: where clients of the Handle System begin, for whom it is the top."""
    with engine.read() as reader:
        known = site_info.stored_site(reader, PREFIX_OF_PREFIXES)
    site, moved = _settled(known, site)
    if not moved:
        return
    with engine.write() as writer:
        ledger = Ledger(writer, now_us)
        ledger.prefixes[PREFIX_OF_PREFIXES] = pb.Prefix(
            prefix=PREFIX_OF_PREFIXES, status=pb.PREFIX_STATUS_ENABLED, homed=True, hosting=pb.HOSTING_HERE
        )
        value = to_pb(HandleValue(site_info.SITE_INDEX, "HS_SITE", site.to_wire()))
        draft = administer.prepare(ROOT_HANDLE, [value], "", now_us // 1_000_000, limits.RECORD_OCTETS_MAX)
        administer.create(ledger, _CALLER, draft, registration.ON_EXISTING_REPLACE)
        ledger.close()


def _settled(known: HsSite | None, site: HsSite) -> tuple[HsSite, bool]:
    """The site to be stored, and whether that is news: what an operator has set in a stored one stays."""
    if known is None:
        return site, True
    if not _is_ours(known, site):
        return known, False
    ours = {GRPC_ATTRIBUTE}
    attributes = (
        *(pair for pair in known.attributes if pair[0] not in ours),
        *(pair for pair in site.attributes if pair[0] in ours),
    )
    if (known.servers, known.attributes) == (site.servers, attributes):
        return known, False
    return replace(known, servers=site.servers, attributes=attributes, serial=known.serial % 0xFFFE + 1), True


def _taken_over(known: HsSite, site: HsSite) -> tuple[HsSite, bool]:
    """The site of a new primary in place of the old one's."""
    if (known.servers, known.attributes) == (site.servers, site.attributes):
        return known, False
    return replace(site, serial=known.serial % 0xFFFE + 1), True


def _is_ours(known: HsSite, site: HsSite) -> bool:
    """Whether a stored site is this node's and not one that an operator has put in its place."""
    return len(known.servers) == 1 and known.servers[0].public_key == site.servers[0].public_key


def _has_handle(reader: Reader, row: pb.Prefix) -> bool:
    """Whether the handle of a prefix is there, or need not be."""
    if row.status not in prefix_handles.WITH_HANDLE:
        return True
    return reader.get(Table.RECORDS, Handle.from_text(f"{PREFIX_OF_PREFIXES}/{row.prefix}").key) is not None


def _bring_up_to_date(
    ledger: Ledger, row: pb.Prefix, node_prefix: str, known: HsSite | None, site: HsSite, admin_key: bytes
) -> None:
    """Make the handle of a prefix, or put the node's new site in place of the one it has."""
    facts = prefix_handles.facts_of(ledger.writer, row, node_prefix)
    is_new = not handle_admin.values_in(ledger, facts.name)
    before = None if is_new or known is None else facts._replace(site=known)
    prefix_handles.follow(ledger, ADMINISTRATOR_ID, before, facts._replace(site=site))
    if is_new and admin_key:
        target = Target.of(facts.name, None)
        key: handle_pb2.HandleValue = to_pb(HandleValue(site_info.KEY_INDEX, "HS_PUBKEY", admin_key))
        key.timestamp_s = ledger.now_us // 1_000_000
        mode = registration.PUT_MODE_UNSPECIFIED
        administer.put_values(ledger, _CALLER, target, [key], mode, limits.RECORD_OCTETS_MAX)
