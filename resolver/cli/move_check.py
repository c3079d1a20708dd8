"""Before a prefix is switched away: whether its new home answers for what this node has."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from resolver import methods
from resolver.cli.output import CONFLICT, Failed, one_line
from resolver.clock import SystemClock
from resolver.errors import ResolverError
from resolver.federation.client import HandleClient
from resolver.v1 import resolution_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.client.blocking import Client
    from resolver.v1 import registry_pb2 as registry

SAMPLES = 50
"""Handles of the prefix that the new home is asked for."""


def check_new_home(client: Client, row: registry.Prefix) -> str:
    """Ask the new home for some of the prefix's handles; a sentence about it. Raises Failed when it lacks one."""
    request = pb.ListHandlesRequest(prefix=row.prefix, page_size=1_000)
    names = list(client.call(methods.LIST_HANDLES, request).names)
    sample = names[:: max(len(names) // SAMPLES, 1)][:SAMPLES]
    routes = [route for route in row.move.routes if route.tcp_port]
    if not routes:
        return "the new home has no TCP port of the Handle protocol: it was not asked"
    missing = asyncio.run(_missing(routes[0], sample))
    if missing:
        shown = "; ".join(f"{one_line(name)}: {one_line(why)[:120]}" for name, why in missing[:3])
        raise Failed(
            f"the new home lacks {len(missing)} of {len(sample)} handles asked for ({shown}): fill it first, or switch "
            "all the same with --force",
            CONFLICT,
        )
    return f"the new home has all of {len(sample)} handles asked for"


async def _missing(route: registry.Route, names: Sequence[str]) -> list[tuple[str, str]]:
    """The names that a node does not answer, and what it says instead."""
    client = HandleClient(route.address, route.tcp_port, clock=SystemClock(), randomness=secrets.token_bytes)
    found = []
    try:
        for name in names:
            try:
                await client.resolve(name)
            except ResolverError as error:
                found.append((name, error.message))
    finally:
        await client.close()
    return found
