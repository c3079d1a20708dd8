"""A change of the registry that is refused half way leaves nothing behind, neither rows nor handles."""

import asyncio

import pytest

from resolver import methods
from resolver.errors import RecordCorrupt, RecordTooLarge
from resolver.node.site_info import site_of
from resolver.registry import passwords
from resolver.v1 import handle_pb2, registry_pb2
from resolver.wire.predefined.hs_site import HsSite
from storage.tables import Table
from tests.resolver.transport.http.test_snms_enterprises import JPEG, application
from tests.support.builders import PREFIX_A, PREFIX_B
from tests.support.damage import damage


def wide_route():
    """A route by a site of some sixty kilobytes."""
    server = site_of("192.0.2.1", 2641, 2641, b"k" * 60_000, "").servers[0]
    return registry_pb2.Route(site=HsSite((server,)).to_wire())


def prefix_row(world, prefix):
    with world.engine.read() as reader:
        return registry_pb2.Prefix.FromString(reader.get(Table.PREFIXES, prefix.encode()))


async def register(asker, name):
    values = [handle_pb2.HandleValue(index=1, type="URL", data=b"x")]
    return await asker.ask("administrator", methods.CREATE_HANDLE, name=name, values=values)


@pytest.mark.parametrize("request_id", ["", "an-id"])
def test_a_prefix_whose_handle_is_refused_stays_as_it_was(world, request_id):
    """Its neighbours in the transaction are written, and the refusal is told."""

    async def main():
        async with world.serving() as asker:
            before = prefix_row(world, PREFIX_A)
            change = asker.ask(
                "administrator",
                methods.UPDATE_PREFIX,
                prefix=PREFIX_A,
                hosting=registry_pb2.HOSTING_ELSEWHERE,
                routes=[wide_route()] * 10,
                request_id=request_id,
            )
            told = await asyncio.gather(
                register(asker, f"{PREFIX_B}/1"), change, register(asker, f"{PREFIX_B}/2"), return_exceptions=True
            )
            assert type(told[1]) is RecordTooLarge
            assert prefix_row(world, PREFIX_A) == before
            assert [told[number].receipt.version for number in (0, 2)] == [1, 1]

    asyncio.run(main())


def test_what_is_only_validated_is_refused_alike(world):
    async def main():
        async with world.serving() as asker:
            with pytest.raises(RecordTooLarge):
                await asker.ask(
                    "administrator",
                    methods.UPDATE_PREFIX,
                    prefix=PREFIX_A,
                    hosting=registry_pb2.HOSTING_ELSEWHERE,
                    routes=[wide_route()] * 10,
                    validate_only=True,
                )

    asyncio.run(main())


def test_an_application_whose_prefix_is_refused_half_way_leaves_nothing(world, tmp_path, monkeypatch):
    """The mark of the change was put back with the rest, and the prefix of an enterprise that is not there stayed."""
    monkeypatch.setattr(passwords, "LOG2_N", 4)

    async def main():
        async with world.serving(files_dir=tmp_path) as asker:
            applications, admin = asker.service.applications, asker.call("administrator")
            document = application((await applications.upload(admin, JPEG, ""))[0])
            prefix = document["entBasicInfo"]["entPrefix"]
            place = f"0.NA/{prefix}".encode()
            with world.engine.write() as writer:  # left by another installation, and damaged
                writer.put(Table.RECORDS, place, b"\x0a\x00")
            damage(world.engine, Table.RECORDS, place)
            with pytest.raises(RecordCorrupt):
                await applications.apply(admin, document, "")
            with world.engine.read() as reader:
                assert reader.get(Table.PREFIXES, prefix.encode()) is None
                assert reader.count(Table.ENTERPRISE_RECORDS) == 0

    asyncio.run(main())
