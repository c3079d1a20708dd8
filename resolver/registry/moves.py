"""Moving a prefix between this node and the enterprise's own, online: begin, switch, finish, or cancel.

    here ──begin──> here, away prepared ──switch──> away, both answer ──finish──> away
    away ──begin──> away, here prepared ──switch──> here, both answer ──finish──> here

While a move is prepared, the old home answers and the new one is filled. The switch changes the prefix handle, in one
transaction with the row, and so stands in the journal. Clients may have kept the old prefix handle for as long as its
TTL: until the move is finished this node answers them from its own records (a move away), or asks the old home for
what it has not got yet (a move here). The state is in the row; cancelling leads back from either state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import InvalidField, InvalidTransition
from resolver.handle.name import Prefix
from resolver.node import statistics
from resolver.node.authorize import Action, Caller, require
from resolver.registry import prefix_handles, prefixes, rows
from resolver.v1 import registry_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.node.ledger import Ledger
    from storage.engine import Reader

_HERE, _ELSEWHERE = pb.HOSTING_HERE, pb.HOSTING_ELSEWHERE
_NONE, _PREPARED, _SWITCHED = pb.MOVE_STAGE_UNSPECIFIED, pb.MOVE_STAGE_PREPARED, pb.MOVE_STAGE_SWITCHED

STEPS: dict[tuple[pb.MoveStage, pb.MoveStep], pb.MoveStage] = {
    (_NONE, pb.MOVE_STEP_BEGIN): _PREPARED,
    (_PREPARED, pb.MOVE_STEP_SWITCH): _SWITCHED,
    (_SWITCHED, pb.MOVE_STEP_FINISH): _NONE,
    (_PREPARED, pb.MOVE_STEP_CANCEL): _NONE,
    (_SWITCHED, pb.MOVE_STEP_CANCEL): _NONE,
}
"""The stage that a step leads to from another; no other step is possible."""


def plan(reader: Reader, caller: Caller, request: pb.MovePrefixRequest) -> pb.MovePrefixResponse:
    """What a move would do, or where the one under way stands."""
    row = _find(reader, caller, request)
    if not row.HasField("move"):
        _begun(row, request, 0)  # raises what the beginning would
    return pb.MovePrefixResponse(prefix=row, plan=_sentences(reader, row, request))


def step(ledger: Ledger, caller: Caller, request: pb.MovePrefixRequest) -> pb.MovePrefixResponse:
    """Take a step."""
    before = _find(ledger.writer, caller, request)
    rows.check_enum(pb.MoveStep, request.step, "step")
    thing = f"prefix {before.prefix!r}"
    rows.check_version(before, request.if_version if request.HasField("if_version") else None, thing)
    stage = STEPS.get((before.move.stage, request.step))
    if stage is None:
        possible = [_word(pb.MoveStep, number) for (from_, number) in STEPS if from_ == before.move.stage]
        raise InvalidTransition(
            f"{thing} {_standing(before)} and its move cannot {_word(pb.MoveStep, request.step)}: possible are "
            f"{', '.join(possible)}",
            field="step",
        )
    row = _after(before, request, ledger.now_us)
    prefixes.check_fields(row)
    own = prefixes.node_prefix(ledger.writer).text
    facts = prefix_handles.facts_of(ledger.writer, before, own)
    rows.replace(ledger.writer, Table.PREFIXES, Prefix(row.prefix).key, row, before)
    prefix_handles.follow(ledger, caller.principal_id, facts, prefix_handles.facts_of(ledger.writer, row, own))
    return pb.MovePrefixResponse(prefix=row, plan=_sentences(ledger.writer, row, request))


def _find(reader: Reader, caller: Caller, request: pb.MovePrefixRequest) -> pb.Prefix:
    require(caller, Action.ADMINISTER, "", f"prefix {request.prefix[:80]!r}")
    prefix = Prefix.from_text(request.prefix)
    return rows.find(reader, Table.PREFIXES, prefix.key, pb.Prefix.FromString, f"prefix {prefix.text!r}")


def _after(before: pb.Prefix, request: pb.MovePrefixRequest, now_us: int) -> pb.Prefix:
    """The row after a step that is possible."""
    if request.step == pb.MOVE_STEP_BEGIN:
        return _begun(before, request, now_us)
    row = pb.Prefix()
    row.CopyFrom(before)
    move = before.move
    if request.step == pb.MOVE_STEP_SWITCH:
        row.move.stage, row.move.step_time_us = _SWITCHED, now_us
        _settle(row, move.to, move.routes)
    elif request.step == pb.MOVE_STEP_FINISH:
        row.ClearField("move")
    else:
        row.ClearField("move")
        if move.stage == _SWITCHED:
            _settle(row, _HERE if move.to == _ELSEWHERE else _ELSEWHERE, move.routes)
    return row


def _settle(row: pb.Prefix, hosting: pb.Hosting, routes: object) -> None:
    """Let the handles of a prefix live here or elsewhere."""
    row.hosting, row.homed = hosting, hosting == _HERE
    del row.routes[:]
    if hosting == _ELSEWHERE:
        row.routes.extend(routes)  # type: ignore[arg-type]  # a repeated field


def _begun(before: pb.Prefix, request: pb.MovePrefixRequest, now_us: int) -> pb.Prefix:
    """The row with a move that has begun. Raises what speaks against it."""
    rows.check_enum(pb.Hosting, request.to, "to")
    if before.status != pb.PREFIX_STATUS_ENABLED:
        raise InvalidTransition(
            f"prefix {before.prefix!r} is not in service: enable it before it moves", field="prefix"
        )
    if request.to not in {_HERE, _ELSEWHERE}:
        raise InvalidField("the prefix is not being moved: say where it goes, here or to another node", field="to")
    if request.to == before.hosting:
        word = "here" if request.to == _HERE else "elsewhere"
        raise InvalidTransition(f"the handles of prefix {before.prefix!r} live {word} already", field="to")
    if (request.to == _ELSEWHERE) != bool(request.routes):
        raise InvalidField(
            "routes belong to a move elsewhere: name those of the new home, and no others", field="routes"
        )
    row = pb.Prefix()
    row.CopyFrom(before)
    routes = request.routes if request.to == _ELSEWHERE else before.routes
    row.move.CopyFrom(pb.PrefixMove(stage=_PREPARED, to=request.to, routes=routes, step_time_us=now_us))
    check = pb.Prefix()
    check.CopyFrom(row)
    _settle(check, _ELSEWHERE, routes)
    prefixes.check_fields(check)
    return row


def _word(kind: object, number: int) -> str:
    name: str = kind.Name(number)  # type: ignore[attr-defined]  # an enum wrapper
    return name.rpartition("_")[2].lower()


def _standing(row: pb.Prefix) -> str:
    """Where a prefix stands, in words."""
    if not row.HasField("move"):
        return "lives here" if row.hosting == _HERE else "lives elsewhere"
    to = "here" if row.move.to == _HERE else "elsewhere"
    return f"is {_word(pb.MoveStage, row.move.stage)} for its move {to}"


def _sentences(reader: Reader, row: pb.Prefix, request: pb.MovePrefixRequest) -> list[str]:
    """What is the case now, and what comes next."""
    prefix = Prefix(row.prefix)
    count = statistics.totals(prefix.folded, reader.get(Table.TALLIES, prefix.key) or b"").handle_count
    to = row.move.to or request.to
    found = [f"prefix {row.prefix} {_standing(row)}; this node has {count} of its handles"]
    if not row.HasField("move"):
        if request.step in {pb.MOVE_STEP_FINISH, pb.MOVE_STEP_CANCEL}:
            return found
        found.append("1. begin: nothing changes for those who resolve; the new home is filled")
        found.append("2. switch: the prefix handle names the new home; whoever still asks the old one is answered too")
        found.append("3. finish, once the prefix handle's TTL has run out everywhere: only the new home answers")
    elif row.move.stage == _PREPARED and to == _ELSEWHERE:
        found.append("next: copy the handles to the new home (idis export here, idis import there), then switch")
    elif row.move.stage == _PREPARED:
        found.append(
            "next: import the handles here; they are taken already, and resolved at the old home until the switch"
        )
    elif to == _ELSEWHERE:
        found.append(
            "next: finish when the prefix handle's TTL has run out; until then what is here is answered from here"
        )
    else:
        found.append("next: finish when everything is here; until then what is missing here is asked at the old home")
    return found
