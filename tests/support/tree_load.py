"""A client of one node of a tree, as a process, because it may have to run on the node's host: registers, or asks.

    python -m tests.support.tree_load register TARGET TOKEN_FILE PREFIX COUNT TTL_S
    python -m tests.support.tree_load ask TARGET OUT FROM_S UNTIL_S RATE SEED OWN_PREFIX FAR_PREFIX

``ask`` sends open-loop questions at their due times of the monotonic clock: four in five for the node's own products,
one in ten for products of a node above and one in ten for prefixes nobody has seen. ``OUT`` gets a JSON list with due
time, kind, outcome and seconds from the due time to the answer for each.
"""

import asyncio
import gc
import json
import os
import random
import sys
import time
from pathlib import Path

import grpc

from resolver.v1 import handle_pb2, registration_pb2, resolution_pb2
from tests.support.priority import put_first

OWN, FAR = 1_000, 200
"""Products that are asked for."""

DEADLINE_S = 6.0
"""Of each question; a little more than a node spends on one."""


def register(target, token_file, prefix, count, ttl_s):
    value = handle_pb2.HandleValue(index=1, type="URL", data=b"https://example.com/", ttl_s=int(ttl_s))
    rows = [registration_pb2.NewHandle(name=f"{prefix}/P-{number}", values=[value]) for number in range(int(count))]
    with grpc.insecure_channel(target) as channel:
        create = channel.unary_unary(
            "/resolver.v1.RegistrationService/BatchCreateHandles",
            registration_pb2.BatchCreateHandlesRequest.SerializeToString,
            registration_pb2.BatchCreateHandlesResponse.FromString,
        )
        token = Path(token_file).read_text("ascii").strip()
        request = registration_pb2.BatchCreateHandlesRequest(handles=rows)
        create(request, metadata=[("authorization", f"Bearer {token}")], timeout=30)


class Load:
    """Questions at their due times."""

    def __init__(self, channel, seed, own, far):
        self._own, self._far = own, far
        self._random = random.Random(seed)
        self.seen, self._waiting = [], set()
        self._resolve = channel.unary_unary(
            "/resolver.v1.ResolutionService/Resolve",
            resolution_pb2.ResolveRequest.SerializeToString,
            resolution_pb2.ResolveResponse.FromString,
        )

    async def run(self, from_s, until_s, rate):
        for name in [f"{self._far}/P-{number}" for number in range(FAR)]:
            await self._ask(name)
        gc.collect()
        gc.freeze()
        due_s = from_s
        while due_s < until_s:
            await asyncio.sleep(max(due_s - time.monotonic(), 0))
            task = asyncio.ensure_future(self._one(due_s, *self._question()))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
            due_s += 1 / rate
        await asyncio.gather(*self._waiting)

    def _question(self):
        chance = self._random.random()
        if chance < 0.8:
            return "local", f"{self._own}/P-{self._random.randrange(OWN)}"
        if chance < 0.9:
            return "known", f"{self._far}/P-{self._random.randrange(FAR)}"
        return "unknown", f"88.{self._random.randrange(1000, 9_999)}.{self._random.randrange(10**6)}/X"

    async def _ask(self, name):
        return await self._resolve(resolution_pb2.ResolveRequest(name=name), timeout=DEADLINE_S)

    async def _one(self, due_s, kind, name):
        try:
            response = await self._ask(name)
            outcome = "stale" if response.origin.stale else "fresh"
        except grpc.aio.AioRpcError as error:
            outcome = error.code().name
        self.seen.append((due_s, kind, outcome, time.monotonic() - due_s))


async def ask(target, from_s, until_s, rate, seed, own, far):
    async with grpc.aio.insecure_channel(target) as channel:
        load = Load(channel, int(seed), own, far)
        await load.run(float(from_s), float(until_s), float(rate))
    return load.seen


if __name__ == "__main__":
    if sys.argv[1] == "register":
        register(*sys.argv[2:])
    else:
        put_first([os.getpid()])
        _, _, place, path, *words = sys.argv
        Path(path).write_text(json.dumps(asyncio.run(ask(place, *words))))
