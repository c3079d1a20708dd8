"""Who is asked for prefix handles: the top of the tree, and the sites that it refers prefixes to.

The top's sites are named by the operator. A prefix referral for ``0.NA/a.b.c`` is remembered for all that is derived
from ``a.b``: the referring site is responsible for that and more, so nothing wider is believed than it may say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.federation.cache import ttl_of
from resolver.federation.contacts import Sites
from resolver.handle.name import PREFIX_OF_PREFIXES, fold, split
from resolver.wire.header import SERIAL_UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.federation.addresses import AddressPolicy
    from resolver.federation.contacts import Contact
    from resolver.federation.steps import Moment
    from resolver.v1 import handle_pb2 as pb
    from resolver.wire.predefined.hs_site import HsSite

_ZONES_MAX = 10_000
"""Referrals remembered: secondary nodes in the country number some hundreds."""

_HALF = 0x8000


class _Zone(NamedTuple):
    sites: Sites
    until_s: float


class Delegations:
    """The top and the referrals. False while there is no top: then nobody stands above this node."""

    def __init__(self, policy: AddressPolicy, roots: Iterable[HsSite] = ()) -> None:
        """Take the sites of the top; their addresses are allowed in ``policy``, because the operator has named them."""
        self._policy = policy
        self._roots = Sites()
        self.hosts: frozenset[str] = frozenset()
        """Addresses of the top's servers."""
        self._zones: dict[str, _Zone] = {}
        self.is_outdated = False
        """Whether a server of the top has said that its site record has changed."""
        self._silent_us: dict[str, int] = {}
        """When each server of the top that was asked fell silent; 0 for one that has answered."""
        self.set_roots(roots)

    def __bool__(self) -> bool:
        return bool(self._roots)

    def roots(self) -> Sites:
        """The sites of the top."""
        return self._roots

    def set_roots(self, sites: Iterable[HsSite]) -> None:
        """Use other sites of the top."""
        self._roots = Sites(tuple(sites))
        self._policy.named = frozenset(server.ip for site in self._roots.sites for server in site.servers)
        self.hosts = frozenset(map(str, self._policy.named))
        self.is_outdated = False
        self._silent_us = {host: since for host, since in self._silent_us.items() if host in self.hosts}

    def replace_roots(self, sites: Iterable[HsSite]) -> None:
        """Use what the operator has named instead; referrals of the tree before are forgotten."""
        self.set_roots(sites)
        self._zones.clear()

    def noted(self, host: str, time_us: int, *, answered: bool) -> None:
        """A server has answered, or has not; those of the top are remembered."""
        if host in self.hosts:
            self._silent_us[host] = 0 if answered else self._silent_us.get(host) or time_us

    @property
    def is_asked(self) -> bool:
        """Whether a server of the top was asked yet."""
        return bool(self._silent_us)

    @property
    def silent_since_us(self) -> int:
        """When the last server of the top fell silent, microseconds since 1970; 0 while one answers."""
        moments = self._silent_us.values()
        return max(moments) if moments and all(moments) else 0

    def nearest(self, name: str, now_s: float) -> Sites:
        """Whom to ask for a handle of the system: who serves its nearest known ancestor, else the top."""
        head, suffix = split(name)
        zone = fold(suffix).rpartition(".")[0] if fold(head) == PREFIX_OF_PREFIXES else ""
        while zone:
            known = self._zones.get(zone)
            if known is not None:
                if known.until_s > now_s:
                    return known.sites
                del self._zones[zone]
            zone = zone.rpartition(".")[0]
        return self._roots

    def learn(self, name: str, sites: Sites, values: Iterable[pb.HandleValue], now: Moment) -> None:
        """Remember a prefix referral that came for a prefix handle."""
        zone = fold(split(name)[1]).rpartition(".")[0]
        ttl_s = ttl_of(values, now)
        if zone and sites and ttl_s > 0:
            self._zones.pop(zone, None)
            if len(self._zones) >= _ZONES_MAX:
                del self._zones[next(iter(self._zones))]
            self._zones[zone] = _Zone(sites, now.monotonic_s + ttl_s)

    def heard(self, contact: Contact, serial: int) -> None:
        """A server has told the serial of its site: a higher one at the top means that its record has changed."""
        if serial in {SERIAL_UNKNOWN, contact.serial}:
            return
        for site in self._roots.sites:
            is_it = any(str(server.ip) == contact.host for server in site.servers) and site.serial == contact.serial
            if is_it and 0 < (serial - site.serial) % (2 * _HALF) < _HALF:
                self.is_outdated = True
