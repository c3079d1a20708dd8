"""Moving a prefix online: every step, every wrong step, and what is answered in each state."""

import pytest

from resolver import methods
from resolver.errors import InvalidField, InvalidTransition, PermissionDenied, PrefixElsewhere, VersionMismatch
from resolver.node.authority import Below, Here, authority_for, delegation, look
from resolver.node.ledger import Ledger
from resolver.node.prefixes import ServedPrefixes
from resolver.registry import moves, prefix_handles
from resolver.v1 import registry_pb2 as pb
from resolver.wire.predefined.hs_site import HsSite
from tests.support.builders import ADMIN, USER_A, register, value
from tests.support.node import Failed

PREFIX, NAME = "88.300.44", "88.300.44/P"
OLD, NEW = pb.Route(address="185.1.1.1", tcp_port=2641), pb.Route(address="185.1.1.2", tcp_port=2641)
BEGIN, SWITCH, FINISH, CANCEL = pb.MOVE_STEP_BEGIN, pb.MOVE_STEP_SWITCH, pb.MOVE_STEP_FINISH, pb.MOVE_STEP_CANCEL


class Mover:
    def __init__(self, world, hosting=pb.HOSTING_HERE):
        self.world = world
        row = pb.Prefix(prefix=PREFIX, hosting=hosting, routes=[OLD] if hosting == pb.HOSTING_ELSEWHERE else [])
        with world.engine.write() as writer:
            ledger = Ledger(writer, 1)
            prefix_handles.create(ledger, ADMIN, row)
            ledger.close()

    def step(self, step, caller=ADMIN, **fields):
        with self.world.engine.write() as writer:
            ledger = Ledger(writer, 1)
            response = moves.step(ledger, caller, pb.MovePrefixRequest(prefix=PREFIX, step=step, **fields))
            ledger.close()
            return response

    def plan(self, **fields):
        with self.world.engine.read() as reader:
            return moves.plan(reader, ADMIN, pb.MovePrefixRequest(prefix=PREFIX, **fields))

    def seen(self, name=NAME):
        """Whether a name is answered from here, and whom else one would ask."""
        with self.world.engine.read() as reader:
            found = look(reader, ServedPrefixes(), name)
            if not isinstance(found.authority, Below):
                return bool(found.body), None
            (site,) = [HsSite.from_wire(each.data) for each in found.sites]
            return bool(found.body), str(site.servers[0].ip)

    def named(self):
        """The address that the prefix handle names; None for no site."""
        with self.world.engine.read() as reader:
            body = look(reader, ServedPrefixes(), f"0.NA/{PREFIX}")
            from resolver.node.record_octets import parse

            sites = [HsSite.from_wire(each.data) for each in parse(body.get()).values if each.type == "HS_SITE"]
            return str(sites[0].servers[0].ip) if sites else None

    def serial(self):
        from resolver.node.ledger import last_serial

        with self.world.engine.read() as reader:
            return last_serial(reader)


def test_away_from_here(memory_world):
    mover = Mover(memory_world)
    register(memory_world.engine, memory_world.clock, NAME)
    assert mover.seen() == (True, None)
    plan = mover.plan(to=pb.HOSTING_ELSEWHERE, routes=[NEW])
    assert len(plan.plan) == 4
    assert "has 1 of its handles" in plan.plan[0]
    assert not plan.prefix.HasField("move"), "a plan changes nothing"

    begun = mover.step(BEGIN, to=pb.HOSTING_ELSEWHERE, routes=[NEW])
    assert (begun.prefix.move.stage, begun.prefix.hosting) == (pb.MOVE_STAGE_PREPARED, pb.HOSTING_HERE)
    assert "idis export" in begun.plan[1]
    assert mover.seen() == (True, None)
    register(memory_world.engine, memory_world.clock, "88.300.44/STILL-WRITTEN-HERE")

    before = mover.serial()
    mover.step(SWITCH)
    assert mover.serial() == before + 1, "the switch stands in the journal, as a change of the prefix handle"
    assert mover.named() == "185.1.1.2"
    assert mover.seen() == (True, None), "who still asks here is answered from here"
    assert mover.seen("88.300.44/NEW-OVER-THERE") == (False, "185.1.1.2")
    with pytest.raises(PrefixElsewhere):
        register(memory_world.engine, memory_world.clock, "88.300.44/TOO-LATE")

    finished = mover.step(FINISH)
    assert not finished.prefix.HasField("move")
    assert mover.seen() == (False, "185.1.1.2")


def test_to_here(memory_world):
    mover = Mover(memory_world, pb.HOSTING_ELSEWHERE)
    assert mover.named() == "185.1.1.1"
    with pytest.raises(PrefixElsewhere):
        register(memory_world.engine, memory_world.clock, NAME)
    mover.step(BEGIN, to=pb.HOSTING_HERE)
    register(memory_world.engine, memory_world.clock, NAME, [value(1, "copied")])
    assert mover.seen() == (False, "185.1.1.1"), "the old home answers until the switch"
    mover.step(SWITCH)
    assert mover.named() in {None, "127.0.0.1"}
    assert mover.seen() == (True, None)
    assert mover.seen("88.300.44/NOT-COPIED-YET") == (False, "185.1.1.1")
    mover.step(FINISH)
    assert mover.seen() == (True, None)
    assert mover.seen("88.300.44/NOT-COPIED-YET") == (False, None)


@pytest.mark.parametrize("hosting", [pb.HOSTING_HERE, pb.HOSTING_ELSEWHERE])
@pytest.mark.parametrize("steps", [[BEGIN], [BEGIN, SWITCH]])
def test_cancelling_leads_back(memory_world, hosting, steps):
    mover = Mover(memory_world, hosting)
    before = mover.plan(**there(hosting)).prefix
    for step in steps:
        mover.step(step, **(there(hosting) if step == BEGIN else {}))
    after = mover.step(CANCEL).prefix
    after.version = before.version
    assert after == before
    assert mover.named() == ("185.1.1.1" if hosting == pb.HOSTING_ELSEWHERE else None)


def there(hosting):
    """Where a prefix that lives somewhere would move to."""
    if hosting == pb.HOSTING_ELSEWHERE:
        return {"to": pb.HOSTING_HERE}
    return {"to": pb.HOSTING_ELSEWHERE, "routes": [NEW]}


def test_steps_that_are_not_possible(memory_world):
    mover = Mover(memory_world)
    for step in (SWITCH, FINISH, CANCEL):
        with pytest.raises(InvalidTransition, match="possible are begin"):
            mover.step(step)
    for fields, words in (
        ({}, "say where"),
        ({"to": pb.HOSTING_ELSEWHERE}, "routes belong"),
        ({"to": pb.HOSTING_ELSEWHERE, "routes": [pb.Route(address="185.1.1.1")]}, "at least one port"),
        ({"to": pb.HOSTING_ELSEWHERE, "routes": [pb.Route(address="x", tcp_port=1)]}, "is not an IPv4"),
        ({"to": 9}, "give one of"),
    ):
        with pytest.raises(InvalidField, match=words):
            mover.step(BEGIN, **fields)
        with pytest.raises(InvalidField, match=words):
            mover.plan(**fields)
    with pytest.raises(InvalidTransition, match="live here already"):
        mover.step(BEGIN, to=pb.HOSTING_HERE)
    with pytest.raises(PermissionDenied):
        mover.step(BEGIN, USER_A, **there(pb.HOSTING_HERE))
    with pytest.raises(VersionMismatch):
        mover.step(BEGIN, if_version=7, **there(pb.HOSTING_HERE))
    mover.step(BEGIN, **there(pb.HOSTING_HERE))
    with pytest.raises(InvalidTransition, match="possible are switch, cancel"):
        mover.step(BEGIN, **there(pb.HOSTING_HERE))
    with memory_world.engine.write() as writer:
        ledger = Ledger(writer, 1)
        with pytest.raises(InvalidTransition, match="is moving"):
            prefix_handles.update(ledger, ADMIN, pb.UpdatePrefixRequest(prefix=PREFIX, hosting=1))


def test_over_grpc(world):
    import asyncio

    async def main():
        async with world.door() as client:
            with world.engine.write() as writer:
                ledger = Ledger(writer, 1)
                prefix_handles.create(ledger, ADMIN, pb.Prefix(prefix=PREFIX))
                ledger.close()
            request = pb.MovePrefixRequest(prefix=PREFIX, to=pb.HOSTING_ELSEWHERE, routes=[NEW])
            (plan,) = await client.ask("administrator", methods.MOVE_PREFIX, request)
            assert len(plan.plan) == 4
            request.step, request.request_id = BEGIN, "once"
            (first,) = await client.ask("administrator", methods.MOVE_PREFIX, request)
            (again,) = await client.ask("administrator", methods.MOVE_PREFIX, request)
            assert first == again
            with pytest.raises(Failed) as failed:
                await client.ask("user_a", methods.MOVE_PREFIX, request)
            assert failed.value.reason == "PERMISSION_DENIED"

    asyncio.run(main())


def test_a_derived_prefix_of_a_moving_one_stays_where_it_is(memory_world):
    mover = Mover(memory_world, pb.HOSTING_ELSEWHERE)
    mover.step(BEGIN, to=pb.HOSTING_HERE)
    mover.step(SWITCH)
    with memory_world.engine.read() as reader:
        assert isinstance(authority_for(reader, "88.300.44.5/X"), Here)
        below = authority_for(reader, NAME)
        assert [each.type for each in delegation(reader, below, of_prefix=False)] == ["HS_SITE"]
