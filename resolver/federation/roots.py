"""The site record of the top of the tree as a file, and keeping it up to date.

The operator names the top once: by a ``siteinfo.json`` or ``siteinfo.bin`` of a Handle server, or by the record of
``0.NA/0.NA`` as JSON, as CNRI's clients bring it along. From then on the top is asked for its site now and then, and
at once when one of its servers says that its record is newer. News is believed only when the key of the record known
so far has signed it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from resolver.errors import ResolverError, WireError
from resolver.federation.client import AnswerRefused, HandleClient
from resolver.handle.name import fold
from resolver.wire.json_members import without_mark
from resolver.wire.predefined.hs_site import QUERY, HsSite, Transport
from resolver.wire.value_json import data_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from resolver.clock import Clock
    from resolver.federation.delegations import Delegations

_log = structlog.get_logger("federation")

_LOOK_S = 1.0
"""Seconds between two looks whether a server of the top has spoken of a newer record."""

_AGAIN_S = 60.0
"""Least seconds between two questions for the record: a server that always claims news is not asked all the time."""

_SILENT_S = 10.0
"""Seconds between two questions for the record while the top is silent: so its state is known without callers."""

_SITES_MAX = 64


class SiteFileUnusable(Exception):
    """The file is no site record; the message says why and what to do."""


def sites_from_octets(octets: bytes, name: str) -> list[HsSite]:
    """The sites in a file. Raises SiteFileUnusable."""
    octets = without_mark(octets)
    is_json = octets.lstrip()[:1] in {b"{", b"["}
    try:
        sites = list(_sites_in(json.loads(octets))) if is_json else [HsSite.from_wire(octets)]
    except (WireError, ValueError, RecursionError) as error:
        what = str(error) if is_json else "it is neither JSON nor what a siteinfo.bin holds"
        raise SiteFileUnusable(
            f"{name} is no site record: {what}. Give the site.json or siteinfo.json of that node"
        ) from error
    sites = [site for site in sites if site.servers]
    if not sites or len(sites) > _SITES_MAX:
        raise SiteFileUnusable(f"{name} names {len(sites)} sites with servers: give the siteinfo.json of that node")
    return sites


def _sites_in(document: Any) -> Iterable[HsSite]:
    """The sites in JSON: a site, values of a handle, handles, or lists of these."""
    if isinstance(document, list):
        for item in document[:1_000]:
            yield from _sites_in(item)
    elif isinstance(document, dict) and "servers" in document:
        yield HsSite.from_json(document)
    elif isinstance(document, dict) and "values" in document:
        yield from _sites_in(document["values"])
    elif isinstance(document, dict) and "handles" in document:
        yield from _sites_in(document["handles"])
    elif isinstance(document, dict) and fold(str(document.get("type", ""))) in {"HS_SITE", "HS_SITE.6"}:
        data = document.get("data")
        found = data.get("value") if isinstance(data, dict) else None
        if isinstance(found, str):  # a site that the JSON of its kind cannot tell whole
            yield HsSite.from_wire(data_from_json(data))
        else:
            yield from _sites_in(found)


def sites_to_octets(sites: Iterable[HsSite]) -> bytes:
    """The file that ``sites_from_octets`` reads."""
    document = [site.to_json() for site in sites]
    try:
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # an attribute that is not UTF-8, such as a description in GB18030
        return json.dumps(document, indent=2).encode() + b"\n"


def tcp_place(site: HsSite) -> tuple[str, int] | None:
    """Where a site's first server answers over TCP; None when it does not."""
    for interface in site.servers[0].interfaces:
        if interface.transport == Transport.TCP and interface.roles & QUERY and 0 < interface.port < 65_536:
            return str(site.servers[0].ip), interface.port
    return None


async def fetch_site(
    host: str, port: int, clock: Clock, randomness: Callable[[int], bytes], key: bytes = b""
) -> HsSite:
    """What a server says its site is; with a key it must have signed that.

    Raises AnswerRefused, ServerUnreachable and MalformedMessage.
    """
    client = HandleClient(host, port, clock=clock, randomness=randomness, server_key=key)
    try:
        return await client.site_info()
    finally:
        await client.close()


class Refresh:
    """Keeps the sites of the top up to date; ``run`` it as a task."""

    def __init__(
        self,
        delegations: Delegations,
        clock: Clock,
        randomness: Callable[[int], bytes],
        *,
        interval_s: float,
        keep: Callable[[bytes], None],
    ) -> None:
        """``keep`` gets the new octets of the file."""
        self._delegations = delegations
        self._clock = clock
        self._randomness = randomness
        self._interval_s = interval_s
        self._keep = keep

    async def run(self) -> None:
        """Look for news until cancelled."""
        asked_s = self._clock.monotonic_s()
        while True:
            await asyncio.sleep(min(_LOOK_S, self._interval_s))
            since_s = self._clock.monotonic_s() - asked_s
            if since_s >= self._due_s():
                asked_s = self._clock.monotonic_s()
                try:
                    await self.once()
                except Exception:  # noqa: BLE001 - nobody would notice that the top is followed no more
                    _log.exception("defect while the top's site record was looked at, it is asked for again later")

    def _due_s(self) -> float:
        """Seconds after the last question for the record at which the next one is due."""
        if self._delegations.silent_since_us:
            return min(_SILENT_S, self._interval_s)
        return min(_AGAIN_S, self._interval_s) if self._delegations.is_outdated else self._interval_s

    async def once(self) -> bool:
        """Ask every site of the top; whether anything has changed."""
        known = self._delegations.roots().sites
        renewed = [await self._renewed(site) for site in known]
        if tuple(renewed) == known or self._delegations.roots().sites is not known:
            return False  # nothing new, or the operator has named other sites while these were asked
        self._delegations.set_roots(renewed)
        _log.info("the top has a new site record", serials=[site.serial for site in renewed])
        with suppress(OSError):  # a full disk: the next start asks again
            self._keep(sites_to_octets(renewed))
        return True

    async def _renewed(self, site: HsSite) -> HsSite:
        """The site as it is now; as it was when that cannot be known for certain."""
        place, key = tcp_place(site), site.servers[0].public_key
        if place is None or not key:
            return site
        is_news = not self._delegations.silent_since_us
        try:
            found = await fetch_site(*place, self._clock, self._randomness, key)
        except (ResolverError, OSError) as error:
            if not isinstance(error, AnswerRefused):
                self._delegations.noted(place[0], self._clock.now_us(), answered=False)
            if is_news:
                server = f"{place[0]}:{place[1]}"
                _log.warning("the top's site record cannot be looked at", server=server, why=str(error))
            return site
        self._delegations.noted(place[0], self._clock.now_us(), answered=True)
        return found if found.servers else site
