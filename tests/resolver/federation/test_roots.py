"""News of the top's site record: believed when the key known so far has signed it, and only then."""

import asyncio
import json
from dataclasses import replace

import pytest

from resolver.clock import SystemClock
from resolver.federation import roots
from resolver.federation.addresses import AddressPolicy
from resolver.federation.delegations import Delegations
from resolver.federation.roots import Refresh, SiteFileUnusable, sites_from_octets, sites_to_octets
from resolver.handle.value import HandleValue
from resolver.node.site_info import site_of
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.value_json import value_to_json
from tests.resolver.transport.hdl_node import handle_node, rsa_key


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("top")) as node:
        yield node


def refresh(node, key):
    """What is known of the top after one look, when it was known with a key before."""
    known = site_of("127.0.0.1", node.port, node.port, key, "as it was")
    delegations = Delegations(AddressPolicy(), [replace(known, serial=7)])
    kept = []

    async def main():
        looking = Refresh(delegations, SystemClock(), node.randomness, interval_s=3_600.0, keep=kept.append)
        return await looking.once()

    return asyncio.run(main()), delegations.roots().sites, kept


def test_signed_news_is_taken_and_kept(node):
    changed, sites, kept = refresh(node, rsa_key("node").public.to_wire())
    assert changed
    assert sites == (node.site,)
    assert sites_from_octets(kept[0], "top.json") == [node.site]


def test_news_of_a_top_that_was_replaced_meanwhile_is_not(node, monkeypatch):
    """An operator names another tree while the one before is asked: its news overwrote what had been named."""
    known = replace(site_of("127.0.0.1", node.port, node.port, rsa_key("node").public.to_wire(), "before"), serial=7)
    named = replace(known, serial=1, attributes=(("desc", "named by the operator"),))
    delegations = Delegations(AddressPolicy(), [known])
    kept, fetch = [], roots.fetch_site

    async def fetch_late(*arguments):
        found = await fetch(*arguments)
        delegations.replace_roots([named])
        return found

    monkeypatch.setattr(roots, "fetch_site", fetch_late)
    looking = Refresh(delegations, SystemClock(), node.randomness, interval_s=3_600.0, keep=kept.append)
    assert not asyncio.run(looking.once())
    assert delegations.roots().sites == (named,)
    assert kept == []


@pytest.mark.parametrize("key", [b"", rsa_key("admin").public.to_wire()])
def test_unsigned_or_wrongly_signed_news_is_not(node, key):
    changed, sites, kept = refresh(node, key)
    assert not changed
    assert sites[0].serial == 7
    assert kept == []


def test_a_site_described_in_another_encoding_is_kept():
    site = replace(site_of("192.0.2.1", 2641, 2641, b"key", "desc"), attributes=(("desc", "\udcb1\udcea"),))
    assert sites_from_octets(sites_to_octets([site]), "top.json") == [site]
    assert HsSite.from_wire(site.to_wire()) == site


def test_a_record_of_the_top_may_show_a_site_as_its_octets():
    """As this node's own JSON does for one whose JSON form would say less."""
    site = replace(site_of("192.0.2.1", 2641, 2641, b"key", "top"), roles=0xA0)
    values = [value_to_json(HandleValue(index, "HS_SITE", site.to_wire())) for index in (1, 2)]
    assert values[0]["data"]["format"] == "base64"
    values[1]["data"] = {"format": "hex", "value": site.to_wire().hex()}
    document = b"\xef\xbb\xbf" + json.dumps({"values": values}).encode()
    assert sites_from_octets(document, "top.json") == [site, site]
    with pytest.raises(SiteFileUnusable, match="is no site record"):
        sites_from_octets(document.replace(b'"0001', b'"00'), "top.json")


def test_the_top_is_looked_at_again_after_a_defect(monkeypatch):
    known = site_of("127.0.0.1", 1, 1, rsa_key("node").public.to_wire(), "top")
    looks = []

    async def main():
        refresh = Refresh(
            Delegations(AddressPolicy(), [known]), SystemClock(), bytes, interval_s=0.01, keep=lambda _: None
        )

        async def look():
            looks.append(1)
            if len(looks) == 1:
                raise KeyError("nobody thought of this")

        monkeypatch.setattr(refresh, "once", look)
        task = asyncio.create_task(refresh.run())
        async with asyncio.timeout(30):
            while len(looks) < 2:  # noqa: ASYNC110 - looks from outside
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(main())


def test_a_top_that_is_gone_stays_known():
    known = site_of("127.0.0.1", 1, 1, rsa_key("node").public.to_wire(), "gone")
    delegations = Delegations(AddressPolicy(), [known])

    async def main():
        return await Refresh(delegations, SystemClock(), bytes, interval_s=1.0, keep=lambda _: None).once()

    assert not asyncio.run(main())
    assert delegations.roots().sites == (known,)
    assert delegations.silent_since_us > 0


def test_a_top_that_was_silent_is_found_to_answer_without_callers(node):
    known = site_of("127.0.0.1", node.port, node.port, rsa_key("node").public.to_wire(), "as it was")
    delegations = Delegations(AddressPolicy(), [known, replace(known, serial=9)])
    assert (delegations.is_asked, delegations.silent_since_us) == (False, 0)
    delegations.noted("127.0.0.1", 5, answered=False)
    delegations.noted("127.0.0.1", 7, answered=False)
    delegations.noted("192.0.2.1", 9, answered=True)
    assert (delegations.is_asked, delegations.silent_since_us) == (True, 5), "others say nothing of the top"

    async def main():
        looking = Refresh(delegations, SystemClock(), node.randomness, interval_s=3_600.0, keep=lambda _: None)
        assert looking._due_s() < 60
        await looking.once()
        assert looking._due_s() == 3_600.0

    asyncio.run(main())
    assert (delegations.is_asked, delegations.silent_since_us) == (True, 0)


def test_a_file_of_something_else_is_told_without_words_of_the_codec():
    with pytest.raises(SiteFileUnusable, match="neither JSON nor") as told:
        sites_from_octets(b"no vendors here\n", "u.ids")
    assert "octets" not in str(told.value)
