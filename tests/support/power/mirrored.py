"""A mirror on the disk whose power is cut, and a primary elsewhere that acknowledges what one mirror has confirmed.

At the cut both are gone. The mirror then has to have, alone, everything that the primary acknowledged: it may confirm
only what is durable. After the reckoning the primary comes back and the mirror goes on from where it is.
"""

import asyncio
import socket
import time

from tests.support.power import writers
from tests.support.power.run import Node, Run, observed

CONFIRMED_S = 60.0
KINDS = (*[writers.Single] * 3, *[writers.Minted] * 2, *[writers.Batch] * 2)


class Mirrored(Run):
    """``node`` is the mirror."""

    kinds_of_writers = KINDS

    def __init__(self, directory, options):
        super().__init__(directory, options)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.place = f"127.0.0.1:{free.getsockname()[1]}"
        self.primary = Node(directory / "primary", directory / "primary.log", "", "--grpc", self.place)
        self.primary.environment |= {"IDIS_MIRROR__CONFIRMATIONS": "1", "IDIS_MIRROR__CONFIRM_TIMEOUT_S": "30"}
        self.token = directory / "mirror.token"

    def background(self):
        return ()

    async def first_start(self):
        """A primary, and a mirror of it on the disk."""
        endpoints = await asyncio.to_thread(self.primary.serve)
        for node, words in (
            (self.primary, ("principal", "create", "--id", "mirror", "--role", "mirror")),
            (self.primary, ("key", "create", "mirror", "--out", self.token)),
            (self.node, ("mirror", "init", "--of", self.place, "--mirror-token", self.token, "--id", "m")),
        ):
            target = () if node is self.node else ("--target", self.place, "--token-file", self.admin_token)
            last = ("--data-dir", node.data_dir) if node is self.node else ()
            code, said = await asyncio.to_thread(node.idis, *target, *words, *last)
            if code:
                raise RuntimeError(f"{words}: {said}")
        if self.is_planted:
            self.disk.sync()
        await asyncio.to_thread(self.node.serve)
        await self.following()
        return endpoints

    @property
    def admin_token(self):
        return self.primary.data_dir / "credentials" / "admin.token"

    def doors(self, endpoints):
        return super().doors(endpoints, self.primary.data_dir / "credentials")

    async def following(self):
        """Wait until the primary hears its mirror."""
        until = time.monotonic() + CONFIRMED_S
        words = ("--target", self.place, "--token-file", self.admin_token, "mirror", "status", "--json")
        while True:
            _, said = await asyncio.to_thread(self.primary.idis, *words)
            if '"mirrors"' in said:
                return
            if time.monotonic() > until:
                raise RuntimeError(f"the mirror does not follow: {said}")

    async def reckon(self):
        """Ask the mirror alone; then both together for what was in doubt."""
        endpoints = await asyncio.to_thread(self.node.serve)
        client = super().doors(endpoints, self.primary.data_dir / "credentials").client
        self.book.compare(await observed(client, sorted(self.names())))
        await client.close()
        self.endpoints = await asyncio.to_thread(self.primary.serve)
        await self.following()
        doors = self.doors(self.endpoints)
        for writer in self.writers:
            await self.guarded(writer.again(doors), f"{writer.name} again")
            self.book.doubts.pop(writer.name, None)
        await doors.client.close()

    async def last_look(self):
        client = self.doors(self.endpoints).client
        self.book.compare(await observed(client, sorted(self.book.states)))
        await client.close()
