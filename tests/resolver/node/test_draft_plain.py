"""The short way makes the very drafts that the long way makes, and leaves to it whatever is refused."""

import random

import pytest

from resolver.errors import ResolverError
from resolver.node import draft
from resolver.node.draft_plain import PlainDrafts
from resolver.node.mint import Mint
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import registration_pb2 as registration
from tests.support.clock import FakeClock

MOST = 4_000
NOW_S = 1_790_000_000


@pytest.fixture
def plain():
    return PlainDrafts(MOST, Mint(FakeClock(), random.Random(1).randbytes))


def long_way(request):
    """The draft that the usual way makes of a request; None when it refuses."""
    message = registration.CreateHandleRequest.FromString(request)
    message.DiscardUnknownFields()
    try:
        return draft.prepare(message.name, message.values, message.template_id, NOW_S, MOST)
    except ResolverError:
        return None


def some_value(chance, index):
    value = pb.HandleValue(
        index=index,
        type=chance.choice([*["URL", "EMAIL", "T", "产品", "x" * 127] * 8, "", "x" * 128, "x" * 255]),
        data=chance.randbytes(chance.choice([*[1, 5, 40, 127, 128, 129, 300] * 8, 0])),
        timestamp_s=chance.choice([0, 0, 1, NOW_S]),
    )
    if chance.random() < 0.3:
        value.permissions = chance.choice([*[14, 15, 2] * 8, 12, 8, 0, 16])
    if chance.random() < 0.3:
        value.ttl_s = chance.choice([*[0, 60, 86_400, 2**31 - 1] * 8, 2**31])
    elif chance.random() < 0.1:
        value.ttl_until_s = 1_800_000_000
    if chance.random() < 0.02:
        value.references.add(name="88.300.1/other", index=1)
    return value


def some_request(chance):
    indexes = sorted({chance.choice([1, 2, 3, 100, 127, 128, 300, 2_000, 16_383, 16_384]) for _ in range(4)})
    if chance.random() < 0.1:
        indexes.reverse()
    return registration.CreateHandleRequest(
        name=chance.choice([*["88.300.1/", "88.300.1/零件", "0.na/", "x/"] * 5, "/", "88.300.1/a\n"])
        + "b" * chance.choice([*[1, 9, 100, 118] * 5, 0, 119, 200]),
        values=[some_value(chance, index) for index in indexes],
        template_id=chance.choice(["", "", "tpl", "模" * 43]),
        request_id=chance.choice(["", "", "r-1"]),
        on_existing=chance.choice([0, 1, 2, 3]),
    )


def test_both_ways_make_the_same_drafts(plain):
    chance = random.Random(11)
    short = 0
    for _ in range(4_000):
        request = some_request(chance)
        octets = request.SerializeToString(deterministic=True)
        found = plain.of_request(octets, NOW_S)
        if found is None:
            continue
        short += 1
        made, options = found
        assert made == long_way(octets)
        assert options == (request.template_id, False, request.request_id, request.on_existing)
        assert made.values() == list(pb.HandleRecord.FromString(made.head).values)
        row = registration.NewHandle(name=request.name, values=request.values, template_id=request.template_id)
        assert plain.of_row(row.SerializeToString(deterministic=True), NOW_S) == made
    assert short > 400


def test_damaged_octets_never_make_another_draft(plain):
    """Octets changed at random, cut short, or with parts repeated: the same draft as by the long way, or none."""
    chance = random.Random(12)
    same = 0
    for _ in range(6_000):
        octets = bytearray(some_request(chance).SerializeToString(deterministic=True))
        for _ in range(chance.choice([1, 1, 2, 5])):
            at = chance.randrange(len(octets))
            kind = chance.randrange(4)
            if kind == 0:
                octets[at] = chance.randrange(256)
            elif kind == 1:
                octets[at] ^= 1 << chance.randrange(8)
            elif kind == 2:
                octets[at:at] = octets[at : at + chance.randrange(40)]
            else:
                del octets[at : at + chance.choice([1, 2, len(octets)])]
            if not octets:
                octets = bytearray(b"\x0a")
        found = plain.of_request(bytes(octets), NOW_S)
        if found is not None and not found[1].mint_suffix:
            same += 1
            assert found[0] == long_way(bytes(octets))
            message = registration.CreateHandleRequest.FromString(bytes(octets))
            assert message.SerializeToString(deterministic=True) == octets, "its fingerprint is that of the long way"
    assert same > 100


@pytest.mark.parametrize(
    "more",
    [
        b"\x30\x01",  # validate_only
        b"\x38\x09",  # a number of on_existing that does not exist
        b"\x0a\x01x",  # the name again
        b"\x20\x00",  # a field with its default, which no serialiser writes
        b"\x98\x06\x01",  # a field unknown to this version
        b"\x2a\x01a\x1a\x01b",  # not in order
        b"\x12\x03\x08\x09\x12",  # a value cut short
    ],
)
def test_what_is_not_plain_is_left_to_the_long_way(plain, more):
    request = registration.CreateHandleRequest(name="88.300.1/a", values=[pb.HandleValue(index=1, type="T", data=b"x")])
    octets = request.SerializeToString()
    assert plain.of_request(octets, NOW_S) is not None
    assert plain.of_request(octets + more, NOW_S) is None


def test_values_in_any_order_are_plain_and_keep_it(plain):
    given = [pb.HandleValue(index=index, type="T", data=b"x") for index in (100, 1, 2)]
    octets = registration.CreateHandleRequest(name="88.300.1/a", values=given).SerializeToString()
    draft, _ = plain.of_request(octets, NOW_S)
    assert [value.index for value in draft.values()] == [100, 1, 2]
    assert plain.of_request(octets + b"\x12\x08\x08\x01\x12\x01T\x1a\x01y", NOW_S) is None, "an index again"


def test_a_value_in_another_order_or_with_more_in_it_is_not_plain(plain):
    name = b"\x0a\x0a88.300.1/a"
    head, data = b"\x08\x01\x12\x01T", b"\x1a\x01x"
    for value in (
        head + data + b"\x1a\x00",  # the data again, empty: the last one counts
        data + head,
        head + b"\x1a\x00",
        head + data + b"\x08\x02",
        head + data + b"\x98\x06\x01",
        b"\x08\x00\x12\x01T" + data,
        b"\x08\x81\x00\x12\x01T" + data,  # a longer form of the same number
        b"\x08\x01\x12\x01\xff" + data,
    ):
        assert plain.of_request(name + b"\x12" + bytes([len(value)]) + value, NOW_S) is None
    good = head + data
    assert plain.of_request(name + b"\x12" + bytes([len(good)]) + good, NOW_S) is not None
    assert plain.of_request(name, NOW_S) is None, "a handle without values"


def test_the_time_of_the_node_is_in_every_value(plain):
    octets = registration.CreateHandleRequest(
        name="88.300.1/a", values=[pb.HandleValue(index=1, type="T", data=b"x", timestamp_s=7)]
    ).SerializeToString()
    for now_s in (NOW_S, NOW_S + 1, NOW_S):
        assert [value.timestamp_s for value in plain.of_request(octets, now_s)[0].values()] == [now_s]


def test_minted_suffixes_go_by_the_short_way_too(plain):
    request = registration.CreateHandleRequest(
        name="88.300.1/LOT-", values=[pb.HandleValue(index=1, type="T", data=b"x")], mint_suffix=True
    )
    made, options = plain.of_request(request.SerializeToString(), NOW_S)
    assert options.mint_suffix
    assert made.name.startswith("88.300.1/LOT-0")
    assert len(made.name) == len("88.300.1/LOT-") + 26
    request.name = made.name
    assert made == long_way(request.SerializeToString())
    request.name = "88.300.1"
    assert plain.of_request(request.SerializeToString(), NOW_S) is None


def test_what_is_remembered_has_bounds(plain, monkeypatch):
    monkeypatch.setattr("resolver.node.draft_plain._LEARNT_MAX", 10)
    for number in range(1, 200):
        value = pb.HandleValue(index=number, type=f"T{number}", data=b"x", ttl_s=number)
        request = registration.CreateHandleRequest(name="88.300.1/a", values=[value])
        assert plain.of_request(request.SerializeToString(), NOW_S) is not None
        assert len(plain._era.shapes) <= 10
    assert len(plain._indexes) <= 10
    assert len(plain._era.ends) <= 10


def alike(chance, request):
    """A request of the same shape: names, data and request id differ, and have the same lengths."""
    other = registration.CreateHandleRequest()
    other.CopyFrom(request)
    other.name = request.name[:-1] + chance.choice("abc")
    other.request_id = "".join(chance.choice("xyz%") for _ in request.request_id)
    for value in other.values:
        value.data = chance.randbytes(len(value.data))
    return other.SerializeToString(deterministic=True)


def test_requests_of_one_shape_are_read_as_the_first_was(plain):
    """The first of a length is read octet by octet, the second learnt from, the others cut."""
    chance = random.Random(13)
    cut = 0
    for _ in range(600):
        first = some_request(chance)
        for _ in range(4):
            octets = alike(chance, first)
            shape = plain._era.shapes.get(len(octets))
            found = plain.of_request(octets, NOW_S)
            careful = PlainDrafts(MOST, Mint(FakeClock(), random.Random(1).randbytes)).of_request(octets, NOW_S)
            assert found == careful
            if found is not None:
                assert found[0] == long_way(octets)
                cut += shape is not None and shape.cut(octets)[::2] == shape.same
    assert cut > 150


def test_one_octet_off_the_shape_is_read_anew(plain):
    """Every octet of a request whose shape is known, changed: the same draft as by the long way, or none."""
    chance = random.Random(14)
    values = [
        pb.HandleValue(index=1, type="URL", data=b"100% " * 30, timestamp_s=1),
        pb.HandleValue(index=300, type="%b", data=b"%b%d%%", ttl_s=60),
    ]
    request = registration.CreateHandleRequest(name="88.300.1/a%b", values=values, template_id="t", request_id="r%-1")
    whole = request.SerializeToString(deterministic=True)
    for _ in range(3):
        assert plain.of_request(whole, NOW_S)[0] == long_way(whole)
    assert plain._era.shapes[len(whole)] is not None
    same = 0
    for at in range(len(whole)):
        for octet in {whole[at] ^ 1 << chance.randrange(8), chance.randrange(256), 0, 0x7F, 0x80}:
            octets = whole[:at] + bytes([octet]) + whole[at + 1 :]
            found = plain.of_request(octets, NOW_S)
            careful = PlainDrafts(MOST, Mint(FakeClock(), random.Random(1).randbytes)).of_request(octets, NOW_S)
            assert found == careful
            if found is not None and not found[1].mint_suffix:
                same += 1
                assert found[0] == long_way(octets)
    assert same > 300
