"""A network namespace in which every forbidden address is this very host, and whoever connects to one is counted.

    python -m tests.support.forbidden_places NETWORKS_ALLOWED

A Handle server that plays the top of the tree names sites at all of ``ADDRESSES``, for each way of asking. What asks
other nodes in a worker is asked for a name of each. Prints as JSON what became of each question, and the connections
and datagrams that arrived, by protocol and address: counted by who got them, below every library.

Everything runs in one process, and a question has seconds: while that process stands still nobody answers. So the loop
notes how late it was at most, and asks everything anew as long as that is too much.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack

from resolver.clock import SystemClock
from resolver.federation.addresses import AddressPolicy
from resolver.federation.cache import ForeignCache
from resolver.federation.delegations import Delegations
from resolver.federation.search import Searcher
from resolver.federation.upstream import Upstream
from resolver.handle.value import HandleValue
from resolver.node.foreign import Question
from resolver.wire.predefined.hs_site import Transport
from tests.support.foreign import above, site
from tests.support.handle_servers import found, missing, serving

TOP, OWN = "198.51.100.1", "198.51.100.2"
ADDRESSES = (
    "127.0.0.1",
    "127.8.8.8",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "::1",
    "fc00::1",
    "::ffff:10.1.2.3",
    "64:ff9b::a01:203",
    "2002:a01:203::1",
    OWN,
)
PORT, GRPC_PORT = 2641, 2640
LATE_S, ROUNDS_MAX = 0.3, 5
WAYS = {
    "tcp": {"port": PORT},
    "udp": {"port": PORT, "transport": Transport.UDP},
    "grpc": {"port": PORT, "attributes": (("idis.grpc", str(GRPC_PORT)),)},
}


def make_addresses():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (TOP, *ADDRESSES):
        if address not in {"127.0.0.1", "127.8.8.8", "::1"} and not address.startswith("::ffff:"):
            length = 128 if ":" in address else 32
            # Until nobody else is known to have it, which the kernel finds out beside, no socket may be bound to it.
            at_once = ["nodad"] if ":" in address else []
            subprocess.run(["ip", "addr", "add", f"{address}/{length}", "dev", "lo", *at_once], check=True)


class Arrivals(asyncio.DatagramProtocol):
    """Takes whatever comes to one address, and counts it."""

    def __init__(self, address):
        self.address, self.count = address, Counter()

    async def _connected(self, port, _, writer):
        self.count["grpc" if port == GRPC_PORT else "tcp"] += 1
        writer.close()

    def datagram_received(self, data, addr):
        self.count["udp"] += 1

    async def listen(self, stack):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        for port in (PORT, GRPC_PORT):

            async def connected(reader, writer, port=port):
                await self._connected(port, reader, writer)

            await stack.enter_async_context(await asyncio.start_server(connected, self.address, port, family=family))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(self.address, PORT), family=family
        )
        stack.callback(transport.close)


async def main(allowed):
    make_addresses()
    says, names = {"": missing()}, {}
    for way, options in WAYS.items():
        for address in ADDRESSES:
            name = f"88.{len(says)}"
            names[f"{name}/X"] = (way, address)
            says[f"0.NA/{name}"] = found(HandleValue(1, "HS_SITE", site(address, **options).to_wire()))
    async with AsyncExitStack() as stack:
        arrivals = {address: Arrivals(address) for address in ADDRESSES if not address.startswith("::ffff:")}
        for each in arrivals.values():
            await each.listen(stack)
        server = await stack.enter_async_context(serving(says, host=TOP))
        for _ in range(ROUNDS_MAX):
            outcomes, late_s = await ask_all(allowed, server.port, names)
            if late_s < LATE_S:
                break
        counted = {address: dict(each.count) for address, each in arrivals.items() if each.count}
    print(json.dumps({"outcomes": outcomes, "late_s": late_s, "arrived": counted}))


async def ask_all(allowed, top_port, names):
    """What became of a question for each name, asked by somebody who knows nothing yet; how late the loop was."""
    policy = AddressPolicy.from_text(allowed, "2640-2645", [(OWN, PORT), (OWN, GRPC_PORT)])
    delegations = Delegations(policy, [site(TOP, port=top_port)])
    searcher = Searcher(above, ForeignCache(), delegations, policy)
    upstream = Upstream(searcher, SystemClock(), os.urandom)
    loop = asyncio.get_running_loop()

    async def ask(name):
        began_s = loop.time()
        outcome = await upstream.find(Question(name))
        return *names[name], str(outcome.error or ""), outcome.messages, loop.time() - began_s

    late_s = [0.0]

    async def look():
        while True:
            due_s = loop.time() + 0.02
            await asyncio.sleep(0.02)
            late_s.append(loop.time() - due_s)

    looking = asyncio.create_task(look())
    outcomes = await asyncio.gather(*map(ask, names))
    looking.cancel()
    await asyncio.sleep(0.3)
    await upstream.close()
    return outcomes, max(late_s)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
