"""The vendors of a hardware list become enterprises, each with its own prefix under the node's.

What is there is listed first, page by page, and left alone; what is missing is made with many calls in flight,
a vendor's enterprise before its prefix. A second run makes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from resolver import methods
from resolver.client import AlreadyExists
from resolver.intake import hwids
from resolver.v1 import registry_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from resolver.cli.progress import Progress
    from resolver.client import AsyncClient
    from resolver.intake.hwids import BusKind, Vendor

IN_FLIGHT = 64
"""Calls in flight: group commit joins them; the node takes 100 streams of one connection."""

NAME_OCTETS_MAX = 255
"""Octets of the name of an enterprise."""


class Made(NamedTuple):
    """What was made, and the prefixes that are missing because the run was dry."""

    enterprises: int
    prefixes: int
    existing: int
    missing_prefixes: frozenset[str]


async def make_vendors(
    client: AsyncClient, path: Path, kind: BusKind, node_prefix: str, *, dry_run: bool, progress: Progress
) -> Made:
    """Make what is missing for every vendor of a list. Raises ``CallFailed``, IntakeError."""
    listed = await asyncio.gather(
        _ids(client, methods.LIST_ENTERPRISES, "enterprises", "enterprise_id"),
        _ids(client, methods.LIST_PREFIXES, "prefixes", "prefix"),
    )
    enterprises, prefixes = listed
    todo = [
        vendor
        for vendor in hwids.vendors(path, kind)
        if not vendor.duplicate_of
        and (vendor.enterprise_id not in enterprises or vendor.enterprise_prefix(node_prefix) not in prefixes)
    ]
    lacking_enterprise = [vendor for vendor in todo if vendor.enterprise_id not in enterprises]
    lacking_prefix = [vendor for vendor in todo if vendor.enterprise_prefix(node_prefix) not in prefixes]
    if not dry_run:
        done = 0

        async def work(rest: Iterator[Vendor]) -> None:
            nonlocal done
            for vendor in rest:
                if vendor.enterprise_id not in enterprises:
                    await _make(client, methods.CREATE_ENTERPRISE, _enterprise(vendor))
                if vendor.enterprise_prefix(node_prefix) not in prefixes:
                    await _make(client, methods.CREATE_PREFIX, _prefix(vendor, node_prefix))
                done += 1
                progress.update(done, done)

        rest = iter(todo)
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work(rest))
    missing = frozenset(vendor.enterprise_prefix(node_prefix) for vendor in lacking_prefix) if dry_run else frozenset()
    return Made(len(lacking_enterprise), len(lacking_prefix), len(enterprises) + len(prefixes), missing)


async def _ids(client: AsyncClient, method: methods.Method[Any, Any], rows: str, field: str) -> set[str]:
    found: set[str] = set()
    request = method.request(page_size=1_000)
    while True:
        answer = await client.call(method, request)
        found.update(getattr(row, field) for row in getattr(answer, rows))
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def _make(client: AsyncClient, method: methods.Method[Any, Any], request: Any) -> None:
    try:
        await client.call(method, request)
    except AlreadyExists:
        return  # somebody else made it meanwhile


def _enterprise(vendor: Vendor) -> pb.CreateEnterpriseRequest:
    name = "".join(letter for letter in vendor.name if letter.isprintable()).encode()[:NAME_OCTETS_MAX]
    return pb.CreateEnterpriseRequest(
        enterprise=pb.Enterprise(
            enterprise_id=vendor.enterprise_id,
            name=name.decode("utf-8", "ignore").strip() or vendor.enterprise_id,
            description=f"{vendor.kind.upper()} vendor {vendor.id}",
        )
    )


def _prefix(vendor: Vendor, node_prefix: str) -> pb.CreatePrefixRequest:
    return pb.CreatePrefixRequest(
        prefix=pb.Prefix(
            prefix=vendor.enterprise_prefix(node_prefix),
            enterprise_id=vendor.enterprise_id,
            description=f"products of {vendor.kind.upper()} vendor {vendor.id}",
        )
    )
