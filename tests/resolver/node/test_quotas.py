"""Quotas of enterprises: what is counted, when it is refused and for whom, at the gRPC and the Handle doors."""

import asyncio

import pytest
from google.rpc import error_details_pb2, status_pb2

from resolver import methods
from resolver.errors import DailyLimitReached, PrefixLimitReached, QuotaExhausted, RateExceeded
from resolver.node.quotas import Quota
from resolver.transport.outcome import failure_of
from resolver.v1 import registration_pb2 as pb
from resolver.v1 import registry_pb2
from resolver.wire import requests
from tests.resolver.transport.hdl_node import handle_node, rsa_key
from tests.resolver.transport.hdl_node import value as hdl_value
from tests.support.builders import PREFIX_A, PREFIX_B, value


def run(world, main, **quota):
    async def body():
        async with world.serving(quota=Quota(**quota)) as asker:
            return await main(asker)

    return asyncio.run(body())


async def create(asker, name, who="user_a", prefix=PREFIX_A):
    return await asker.ask(who, methods.CREATE_HANDLE, name=f"{prefix}/{name}", values=[value()])


async def put(asker, name):
    return await asker.ask("user_a", methods.PUT_VALUES, name=f"{PREFIX_A}/{name}", values=[value(2)])


def test_handles_are_counted_over_all_prefixes_and_given_back(memory_world):
    async def main(asker):
        row = registry_pb2.Prefix(prefix="88.300.11", enterprise_id="ent-a")
        await asker.ask("administrator", methods.CREATE_PREFIX, prefix=row)
        await create(asker, "1")
        await create(asker, "2", prefix="88.300.11")
        with pytest.raises(QuotaExhausted, match="has 2 handles, its quota"):
            await create(asker, "3")
        await put(asker, "1")
        await create(asker, "1", "user_b", PREFIX_B)
        await create(asker, "by-administrator", "administrator")
        for name in ("1", "by-administrator"):
            await asker.ask("user_a", methods.DELETE_HANDLE, name=f"{PREFIX_A}/{name}")
        await create(asker, "3")

    run(memory_world, main, handles_max=2)


def test_rows_of_a_batch_are_counted_one_by_one(memory_world):
    async def main(asker):
        rows = [pb.NewHandle(name=f"{PREFIX_A}/{number}", values=[value()]) for number in range(5)]
        answer = await asker.ask("user_a", methods.BATCH_CREATE_HANDLES, handles=rows)
        return [result.reason for result in answer.results]

    reasons = run(memory_world, main, handles_max=3)
    assert reasons == ["CREATED"] * 3 + ["QUOTA_EXHAUSTED"] * 2


def test_the_own_quota_of_an_enterprise_goes_before_the_node_s(memory_world):
    async def main(asker):
        row = registry_pb2.Enterprise(enterprise_id="ent-a", name="A", quota=registry_pb2.Quota(handles_max=3))
        await asker.ask("administrator", methods.UPDATE_ENTERPRISE, enterprise=row)
        for number in range(3):
            await create(asker, str(number))
        with pytest.raises(QuotaExhausted):
            await create(asker, "3")

    run(memory_world, main, handles_max=1)


def test_changes_of_a_day_end_with_the_day(memory_world):
    async def main(asker):
        await create(asker, "1")
        await put(asker, "1")
        with pytest.raises(DailyLimitReached) as refusal:
            await create(asker, "2")
        wait_s = refusal.value.retry_after_s
        assert 0 < wait_s <= 86_400
        memory_world.clock.advance(wait_s + 1)
        await create(asker, "2")

    run(memory_world, main, writes_per_day=2)


def test_changes_of_a_second_are_counted_over_workers(memory_world):
    async def main(asker):
        for name in ("1", "2"):
            await create(asker, name)
        async with memory_world.serving(quota=Quota(writes_per_s=2)) as other:
            with pytest.raises(RateExceeded):
                await create(other, "3")
        await create(asker, "3", "user_b", PREFIX_B)
        memory_world.clock.advance(1.0)
        await create(asker, "3")

    run(memory_world, main, writes_per_s=2)


def test_prefixes(memory_world):
    async def main(asker):
        for number in (40, 41):
            row = registry_pb2.Prefix(prefix=f"88.300.{number}", enterprise_id="ent-a")
            if number == 41:
                with pytest.raises(PrefixLimitReached, match="has 2 prefixes"):
                    await asker.ask("user_a", methods.CREATE_PREFIX, prefix=row)
            else:
                await asker.ask("user_a", methods.CREATE_PREFIX, prefix=row)

    run(memory_world, main, prefixes_max=2)


def test_grpc_tells_whose_quota_and_when_to_try_again():
    error = RateExceeded("wait", retry_after_s=1.0, details={"subject": "enterprise:acme"})
    status = status_pb2.Status.FromString(failure_of(error, "x").details)
    assert status.code == 8
    found = {}
    for detail in status.details:
        for kind in (error_details_pb2.QuotaFailure, error_details_pb2.RetryInfo, error_details_pb2.ErrorInfo):
            if detail.Is(kind.DESCRIPTOR):
                found[kind.__name__] = kind.FromString(detail.value)
    assert found["QuotaFailure"].violations[0].subject == "enterprise:acme"
    assert found["RetryInfo"].retry_delay.seconds == 1
    assert found["ErrorInfo"].reason == "RATE_EXCEEDED"


@pytest.mark.parametrize(("quota", "code"), [({"writes_per_day": 1}, 603), ({"handles_max": 1}, 604)])
def test_codes_at_the_handle_doors(tmp_path, quota, code):
    with handle_node(tmp_path, quota=Quota(**quota)) as node:
        node.add_enterprise("ent-a", "88.300.20")
        node.store("0.NA/88.300.20", hdl_value(300, "HS_PUBKEY", rsa_key("a").public.to_wire()))
        found = []
        for number in range(2):
            body = requests.WithValues(f"88.300.20/{number}", (hdl_value(1, "URL", "x"),))
            found.append(node.client().do(100, body, "300:0.NA/88.300.20", rsa_key("a")))
        assert [answer.header.response_code for answer in found] == [1, code]
        assert "quota" in found[1].body.message
