"""Lets a node of a test ask others on loopback."""

import os
from contextlib import contextmanager

from resolver import limits
from resolver.federation.addresses import AddressPolicy
from resolver.federation.cache import ForeignCache
from resolver.federation.delegations import Delegations
from resolver.federation.search import Searcher
from resolver.federation.upstream import Upstream


def be_patient(monkeypatch):
    """Another node that answers does so in time, however slow the machine."""
    monkeypatch.setattr(limits, "UPSTREAM_ASK_SECONDS_MAX", 40.0)
    monkeypatch.setattr(limits, "UPSTREAM_SECONDS_MAX", 40.0)


def upstream_for(service, clock, *, roots=(), octets_max=64 << 10, **options):
    """What asks other nodes for a service, with a cache and connections of its own."""
    policy = AddressPolicy.from_text("127.0.0.0/8,::1/128", "1-65535")
    searcher = Searcher(service.resolution.foreign.look, ForeignCache(), Delegations(policy, roots), policy, **options)
    return Upstream(searcher, clock, os.urandom, octets_max=octets_max)


@contextmanager
def searching(node, **options):
    """A ``handle_node`` that asks others inside the block."""
    service = node.services[0]
    upstream = upstream_for(service, node.clock, **options)
    service.core.elsewhere = upstream
    try:
        yield upstream
    finally:
        service.core.elsewhere = None
        node.on_loop(upstream.close())
