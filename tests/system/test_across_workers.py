"""What one worker promises the others keep: retries, versions, imports and watches over connections to all of them."""

import asyncio

import grpc
import pytest

from conformance.node_process import node
from resolver import methods
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import registration_pb2 as registration
from resolver.v1 import resolution_pb2 as resolution
from tests.support.builders import value

pytestmark = pytest.mark.system

OWN = [("grpc.use_local_subchannel_pool", 1)]
"""A connection of its own, so that the kernel gives it to any of the workers."""


class Node:
    def __init__(self, target, token):
        self._target, self.metadata = target, (("authorization", f"Bearer {token}"),)

    def channel(self):
        return grpc.aio.insecure_channel(self._target, options=OWN)

    async def ask(self, method, request):
        """The answer over a new connection, or the status code."""
        async with self.channel() as channel:
            call = channel.unary_unary(method.path, lambda each: each.SerializeToString(), method.response.FromString)
            try:
                return await call(request, timeout=60, metadata=self.metadata)
            except grpc.aio.AioRpcError as error:
                return error.code()


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("across") / "node"
    with node(data_dir, "--workers", "3") as endpoints:
        yield Node(endpoints["grpc"], (data_dir / "credentials" / "admin.token").read_text().strip())


def test_one_request_id_has_one_outcome_everywhere(serving):
    request = registration.CreateHandleRequest(name="88.300.1/ONE", values=[value()], request_id="one")

    async def main():
        answers = await asyncio.gather(*(serving.ask(methods.CREATE_HANDLE, request) for _ in range(20)))
        assert len({answer.SerializeToString() for answer in answers}) == 1
        request.name = "88.300.1/TWO"
        assert await serving.ask(methods.CREATE_HANDLE, request) is grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(main())


def test_a_version_is_changed_once(serving):
    name = "88.300.1/COUNT"

    async def main():
        await serving.ask(methods.CREATE_HANDLE, registration.CreateHandleRequest(name=name, values=[value(1, "0")]))
        wins = 0

        async def count():
            nonlocal wins
            for _ in range(8):
                record = (await serving.ask(methods.RESOLVE, resolution.ResolveRequest(name=name))).record
                after = str(int(record.values[0].data) + 1)
                request = registration.UpdateHandleRequest(
                    name=name, values=[value(1, after)], if_version=record.version
                )
                answer = await serving.ask(methods.UPDATE_HANDLE, request)
                assert isinstance(answer, registration.UpdateHandleResponse) or answer is grpc.StatusCode.ABORTED
                wins += isinstance(answer, registration.UpdateHandleResponse)

        await asyncio.gather(*(count() for _ in range(4)))
        record = (await serving.ask(methods.RESOLVE, resolution.ResolveRequest(name=name))).record
        assert (int(record.values[0].data), record.version) == (wins, wins + 1)
        assert wins >= 8

    asyncio.run(main())


def test_what_was_acknowledged_is_read_everywhere(serving):
    async def main():
        for number in range(40):
            name = f"88.300.1/READ-{number}"
            await serving.ask(methods.CREATE_HANDLE, registration.CreateHandleRequest(name=name, values=[value()]))
            assert (await serving.ask(methods.RESOLVE, resolution.ResolveRequest(name=name))).record.name == name

    asyncio.run(main())


def test_two_clients_of_one_import_register_each_chunk_once(serving):
    method = methods.IMPORT_HANDLES

    async def chunks():
        for sequence in range(1, 21):
            handles = [
                registration.NewHandle(name=f"88.300.1/IMPORT-{sequence}-{row}", values=[value()]) for row in range(5)
            ]
            yield registration.ImportHandlesRequest(import_id="twice", sequence=sequence, handles=handles)

    async def client():
        async with serving.channel() as channel:
            call = channel.stream_stream(method.path, lambda each: each.SerializeToString(), method.response.FromString)
            return [answer async for answer in call(chunks(), timeout=100, metadata=serving.metadata)]

    async def main():
        one, other = await asyncio.gather(client(), client())
        assert [answer.sequence for answer in one] == [answer.sequence for answer in other] == list(range(1, 21))
        for mine, theirs in zip(one, other, strict=True):
            assert [row.serial for row in mine.results] == [row.serial for row in theirs.results]
            assert mine.repeated_chunk != theirs.repeated_chunk, "one of them was first"

    asyncio.run(main())


def test_a_watch_sees_what_every_worker_commits_without_a_gap(serving):
    method = methods.WATCH
    serials = []

    async def main():
        async with serving.channel() as channel:
            call = channel.unary_stream(method.path, lambda each: each.SerializeToString(), method.response.FromString)
            watch = call(changes.WatchRequest(from_serial=1), timeout=100, metadata=serving.metadata)

            async def read(until):
                while not serials or serials[-1] < until:
                    serials.extend(each.change.serial for each in (await watch.read()).changes)

            answers = await asyncio.gather(
                *(
                    serving.ask(
                        methods.CREATE_HANDLE,
                        registration.CreateHandleRequest(name=f"88.300.1/WATCH-{number}", values=[value()]),
                    )
                    for number in range(60)
                )
            )
            await read(max(answer.receipt.serial for answer in answers))
            watch.cancel()
        assert serials == list(range(1, len(serials) + 1))

    asyncio.run(main())
