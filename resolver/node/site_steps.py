"""The steps by which the shares of a site's servers change, as a server takes each of them.

    serving ─PREPARE─> pulling ─FENCE─> fenced ─HOLD─> held ─SWITCH─> switched ─STRICT─> strict ─SERVE─> serving
                          └─────────────────┴───CANCEL───┴──> serving as before

While a server is pulling it goes on as before and copies what it is to have, once none of its workers takes a handle
that is there for its own. A fence lapses by itself, so that nobody
is locked out when whoever leads the change is gone; it is held only where the journal still ends where everybody has
copied it up to. From then on all servers have all they are to have, and a switch can be taken server by server: whoever
is asked answers what is on its disk, until all have switched. Then each answers only what is its own, and only then
may a handle change again. What a server has that is another's goes afterwards. Each step may be taken again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import InvalidField, InvalidTransition, WireError
from resolver.node import shares
from resolver.node.ledger import last_serial
from resolver.v1 import site_pb2 as pb
from resolver.wire.predefined.hs_site import HsSite
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.node.ledger import Ledger
    from resolver.v1 import stored_pb2 as stored
    from storage.engine import Reader

SERVERS_MAX = 1_000
"""Servers of a site: more than any site of the Handle System has."""

LEASE_MAX_MS = shares.WAIT_MAX_MS
"""Milliseconds that a fence may stand by itself."""

_NONE = pb.SITE_STAGE_UNSPECIFIED
_PULLING, _FENCED, _HELD = pb.SITE_STAGE_PULLING, pb.SITE_STAGE_FENCED, pb.SITE_STAGE_HELD
_SWITCHED, _STRICT = pb.SITE_STAGE_SWITCHED, pb.SITE_STAGE_STRICT


def take(ledger: Ledger, request: pb.ChangeSiteRequest, now_us: int, settle_us: int) -> None:
    """Take a step; all workers notice it within ``settle_us``. Raises InvalidField and InvalidTransition."""
    row = shares.server_row(ledger.writer)
    layout = shares.layout_of(ledger.writer)
    check_layout(request.next)
    step = request.step
    if step == pb.SITE_STEP_PREPARE:
        _prepare(ledger, row, layout, request)
        row.copy_from_us = row.copy_from_us or now_us + settle_us
    elif step == pb.SITE_STEP_FENCE:
        _fence(row, request, now_us)
    elif step == pb.SITE_STEP_HOLD:
        _hold(ledger, row, request, now_us)
    elif step == pb.SITE_STEP_SWITCH:
        _require(row, request, _HELD, _SWITCHED)
        row.stage = _SWITCHED
        for pull in row.pulls:
            if pull.registry:
                pull.grpc = next(each.grpc for each in request.next.servers if each.id == request.next.registry_server)
        ledger.writer.put(Table.META, shares.LAYOUT_KEY, request.next.SerializeToString(deterministic=True))
    elif step == pb.SITE_STEP_STRICT:
        _require(row, request, _SWITCHED, _STRICT)
        row.stage = _STRICT
    elif step == pb.SITE_STEP_SERVE:
        if row.stage == _NONE and layout == request.next:
            return
        _require(row, request, _STRICT)
        _end(row)
    elif step == pb.SITE_STEP_CANCEL:
        if row.stage == _NONE:
            return
        _require(row, request, _PULLING, _FENCED, _HELD)
        _end(row)
    else:
        raise InvalidField(f"step is {step}: give one of {', '.join(pb.SiteStep.keys()[1:])}", field="step")
    shares.store_server(ledger.writer, row)


def state_of(reader: Reader) -> pb.GetSiteResponse:
    """Where a server stands."""
    row = shares.server_row(reader)
    return pb.GetSiteResponse(
        layout=shares.layout_of(reader),
        server=row.id,
        stage=row.stage,
        next=row.next if row.HasField("next") else None,
        previous=row.previous if row.HasField("previous") else None,
        pulls=row.pulls,
        fence_until_us=row.fence_until_us,
        leftovers=row.leftovers,
        serial=last_serial(reader),
        handle_count=reader.count(Table.RECORDS),
    )


def check_layout(layout: pb.SiteLayout) -> None:
    """Raise InvalidField for a layout that no site can have."""
    ids = [server.id for server in layout.servers]
    if not 0 < len(ids) <= SERVERS_MAX or 0 in ids or len(set(ids)) < len(ids):
        raise InvalidField(f"a site has 1 to {SERVERS_MAX} servers, each with an id of its own above 0", field="next")
    if layout.hash not in {pb.SITE_HASH_PREFIX, pb.SITE_HASH_SUFFIX, pb.SITE_HASH_ALL}:
        raise InvalidField("say what is hashed: the prefix, the suffix or the whole handle", field="next.hash")
    if layout.registry_server not in ids:
        raise InvalidField(
            f"server {layout.registry_server} takes changes of the registry and is not among the servers",
            field="next.registry_server",
        )
    if not 0 < layout.serial <= 0xFFFF:
        raise InvalidField("the serial of a site goes from 1 to 65,535", field="next.serial")
    for server in layout.servers:
        try:
            known = len(HsSite.from_wire(server.site).servers)
        except WireError:
            known = 0
        if known != 1 or not server.grpc:
            raise InvalidField(
                f"server {server.id} needs its own site record, of one server, and where its gRPC door is",
                field="next.servers",
            )


def _require(row: stored.StoredServer, request: pb.ChangeSiteRequest, *stages: pb.SiteStage) -> None:
    """Raise InvalidTransition unless the server is at one of some stages of this very change."""
    if row.stage not in stages:
        step = pb.SiteStep.Name(request.step).rpartition("_")[2].lower()
        raise InvalidTransition(
            f"server {row.id} is {_stage_word(row.stage)} and cannot {step}: ask where each server of the site stands",
            details={"stage": _stage_word(row.stage)},
        )
    if row.next != request.next:
        raise InvalidTransition(
            f"server {row.id} is {_stage_word(row.stage)} for another layout: go on with that one, or cancel it first",
            details={"stage": _stage_word(row.stage)},
        )


def _stage_word(stage: pb.SiteStage) -> str:
    return "serving" if stage == _NONE else pb.SiteStage.Name(stage).rpartition("_")[2].lower()


def _prepare(ledger: Ledger, row: stored.StoredServer, layout: pb.SiteLayout, request: pb.ChangeSiteRequest) -> None:
    if not request.server or row.id not in {0, request.server}:
        raise InvalidTransition(f"this is server {row.id or 'of no number yet'}, not {request.server}", field="server")
    if row.stage != _NONE:
        _require(row, request, _PULLING, _FENCED, _HELD)
        return
    current = request.current
    check_layout(current)
    if layout.servers and current != layout:
        raise InvalidTransition(
            f"the layout that holds at this server has serial {layout.serial}, not {current.serial}: wait until it has "
            "followed the registry, then give the command again",
            field="current",
        )
    if not layout.servers and len(current.servers) != 1:
        raise InvalidTransition(
            "this server knows no servers of the site yet: wait until it has followed the registry, then give the "
            "command again",
            field="current",
        )
    if current.registry_server != request.next.registry_server:
        raise InvalidField("the server that takes changes of the registry stays the same", field="next.registry_server")
    if row.follows_registry == (request.server == current.registry_server):
        what = "follows the registry" if row.follows_registry else "takes changes of the registry itself"
        raise InvalidTransition(
            f"this server {what}, and server {current.registry_server} is to take them: make new servers with "
            "idis site join",
            field="next.registry_server",
        )
    row.id, row.stage = request.server, _PULLING
    row.next.CopyFrom(request.next)
    row.previous.CopyFrom(current)
    if shares.place_of(request.next, row.id) >= 0 and not shares.same_shares(current, request.next):
        places = {other.id: other.grpc for layout in (current, request.next) for other in layout.servers}
        for other in current.servers:  # asked where it is to answer, which may be another place already
            if other.id != row.id:
                row.pulls.add(server=other.id, grpc=places[other.id])
    ledger.forget_registry()


def _fence(row: stored.StoredServer, request: pb.ChangeSiteRequest, now_us: int) -> None:
    if not 0 < request.lease_ms <= LEASE_MAX_MS:
        raise InvalidField(f"a fence stands for 1 to {LEASE_MAX_MS} ms: say for how long", field="lease_ms")
    if row.stage == _HELD and row.next == request.next:
        return
    _require(row, request, _PULLING, _FENCED)
    row.stage, row.fence_until_us = _FENCED, now_us + request.lease_ms * 1_000


def _hold(ledger: Ledger, row: stored.StoredServer, request: pb.ChangeSiteRequest, now_us: int) -> None:
    _require(row, request, _FENCED, _HELD)
    if row.stage == _HELD:
        return
    if not shares.is_to_come(row.fence_until_us, now_us):
        raise InvalidTransition("the fence has lapsed, and handles may have changed since: fence again")
    if ledger.serial != request.expected_serial:
        raise InvalidTransition(
            f"the journal ends at {ledger.serial}, not {request.expected_serial}: see that all servers have copied it "
            "and hold again",
            field="expected_serial",
        )
    row.stage = _HELD


def _end(row: stored.StoredServer) -> None:
    """Serve; what is another server's is looked for from the start."""
    registry = [pull for pull in row.pulls if pull.registry]
    del row.pulls[:]
    row.pulls.extend(registry)
    row.stage, row.fence_until_us, row.copy_from_us = _NONE, 0, 0
    row.ClearField("next")
    row.ClearField("previous")
    row.leftovers, row.leftovers_after = True, b""
