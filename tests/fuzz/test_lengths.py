"""Lengths are mended where they lie, inside as well, and nothing else is touched."""

import random

import pytest

from resolver.errors import WireError
from resolver.handle.value import HandleValue, Reference
from resolver.node.site_info import site_of
from resolver.wire import requests
from resolver.wire.challenges import SecretAnswer
from resolver.wire.credential import MAC, Credential
from resolver.wire.cursor import Cursor
from resolver.wire.message import Message
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.values import value_from_wire, value_to_wire
from tests.fuzz import asked, lengths
from tests.resolver.transport.hdl_node import rsa_key


@pytest.mark.parametrize("octets", asked.SEEDS[:80:3])
def test_what_agrees_stays_as_it_is(octets):
    assert lengths.mended_message(octets) == octets


@pytest.mark.parametrize(
    "damaged",
    [
        lambda octets: octets + b"more",
        lambda octets: octets[:-2],
        lambda octets: octets[:16] + b"\xff\xff\xff\xff" + octets[20:],
        lambda octets: octets[:40] + b"\xff\xff\xff\xff" + octets[44:],
        lambda octets: octets[:60] + b"inserted" + octets[60:],
    ],
)
def test_a_message_that_lies_is_read_to_its_end(damaged):
    whole = asked.request(100, requests.WithValues("88.300.10/A", (HandleValue(1, "URL", b"x" * 40),)))
    octets = damaged(whole)
    with pytest.raises(WireError):
        Message.from_wire(octets)
    Message.from_wire(lengths.mended_message(octets))


def test_nearly_all_mutants_are_read_to_their_end():
    chance = random.Random(1)
    whole = asked.request(100, requests.WithValues("88.300.10/A", (HandleValue(1, "URL", b"x" * 40),)))
    read = {"as they came": 0, "mended": 0}
    for _ in range(400):
        place, octets = chance.randrange(16, len(whole)), chance.randbytes(chance.randint(1, 3))
        mutant = whole[:place] + octets + whole[place + chance.randint(0, 2) :]
        for way, given in (("as they came", mutant), ("mended", lengths.mended_message(mutant))):
            try:
                Message.from_wire(given)
            except WireError:
                continue
            read[way] += 1
    assert read["as they came"] < 120
    assert read["mended"] > 280


def test_lengths_inside_a_credential_are_mended():
    octets = asked.request(1, requests.Resolution("88.300.10/A"), credential=Credential(MAC, b"SHA", b"s" * 32, 1))
    place = octets.rindex(b"SHA") - 8
    lying = octets[:place] + b"\xff\xff\xff\xff" + octets[place + 4 :]  # its signature section
    with pytest.raises(WireError):
        Message.from_wire(lying)
    assert Message.from_wire(lengths.mended_message(lying)).credential.type == MAC


def test_lengths_of_a_piece_that_another_decoder_reads_are_mended():
    site = site_of("127.0.0.1", 2641, 2641, rsa_key("node").public.to_wire(), "test").to_wire()
    place = site.index(rsa_key("node").public.to_wire()) - 4
    lying = site[:place] + b"\xff\xff\xff\xff" + site[place + 4 :]
    mended = lengths.mended_octets(HsSite.from_wire, lying)
    assert next(at for at, (one, other) in enumerate(zip(lying, mended, strict=True)) if one != other) == place
    assert int.from_bytes(mended[place : place + 4], "big") <= len(site) - place


def test_what_may_not_follow_is_cut_off():
    octets = bytes([2]) + bytes(20)
    assert lengths.mended_octets(SecretAnswer.from_wire, octets + b"more") == octets


def test_counts_are_mended():
    octets = value_to_wire(HandleValue(1, "URL", b"x", references=(Reference("88.1/a", 1),)))
    place = len(octets) - 4 - 6 - 4 - 4
    lying = octets[:place] + b"\xff\xff\xff\xff" + octets[place + 4 :]
    mended = lengths.mended(value_from_wire, lying)
    assert mended[:place] == octets[:place]
    value_from_wire(Cursor(mended))


def test_decoders_read_as_before_afterwards():
    lengths.mended_message(asked.SEEDS[0] + b"x")
    assert HsSite.from_wire.__func__.__globals__["Cursor"] is Cursor
