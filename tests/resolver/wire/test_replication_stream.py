"""The streams of replication, octet by octet, whole, cut short, forged, and with lies in their counts."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.errors import MalformedMessage, WireError
from resolver.handle.value import HandleValue
from resolver.wire import replication_records as records
from resolver.wire.replication_stream import SIGNED, TLS, UNSIGNED, Contents, StreamReader, StreamWriter
from resolver.wire.values import value_to_wire

VALUES = tuple(value_to_wire(HandleValue(index, "URL", f"标识 {index}".encode())) for index in (1, 2, 300))
TRANSACTIONS = [
    records.Transaction(1, "88.300.1/甲", records.Action.CREATE, 1_700_000_000_000, VALUES),
    records.Transaction(2, "88.300.1/A", records.Action.UPDATE, 1_700_000_000_001, ()),
    records.Transaction(3, "88.300.1/A", records.Action.DELETE, 1_700_000_000_002),
    records.Transaction(4, "0.NA/88.300.2", records.Action.HOME, 1_700_000_000_003),
    records.Transaction(5, "0.NA/88.300.2", records.Action.UNHOME, 1_700_000_000_004),
    records.Transaction(6, "", records.Action.DELETE_ALL, 1_700_000_000_005),
    records.Transaction(2**40, "88.300.1/B", records.Action.PLACEHOLDER, 0),
]
FORMAT_1 = [records.TransactionsBegin(1, 2), *TRANSACTIONS, records.TransactionsEnd(1_700_000_000_009)]
FORMAT_2 = [
    records.TransactionsBegin(2, 2),
    records.QueueBegins("0:1:0.NA/88.300"),
    *TRANSACTIONS,
    records.QueueEnds(1_700_000_000_009),
    records.TransactionsEnd(),
]
REDUMP = [records.TransactionsBegin(1, 1), records.TransactionsEnd(7)]
DUMP = [
    records.DumpBegins(),
    records.OtherPositions('{"a":1}'),
    records.Position(1_700_000_000_000, 77),
    records.HandleDate("88.300.1/A", 1_700_000_000_000, 1),
    records.PrefixDate("0.NA/88.300.1", 1_700_000_000_000, 1),
    records.DumpedHandle("88.300.1/A", VALUES),
    records.DumpedHandle("88.300.1/EMPTY", ()),
    records.HomedPrefix("0.NA/88.300.1"),
    records.DumpEnds(),
]
STREAMS = [
    (Contents.TRANSACTIONS, FORMAT_1),
    (Contents.TRANSACTIONS, FORMAT_2),
    (Contents.TRANSACTIONS, REDUMP),
    (Contents.DUMP, DUMP),
]
IDS = ["format 1", "format 2", "must redump", "dump"]


def sign(octets):
    return hashlib.sha256(b"key" + octets).digest()


def verify(algorithm, signature, octets):
    return algorithm == b"SHA1" and signature == sign(octets)


def written(found, *, signed=True):
    writer = StreamWriter(b"SHA1", sign if signed else None)
    return writer.head() + writer.blocks(found)


def read(contents, octets, step=None, **options):
    reader = StreamReader(contents, options.pop("verify", verify), **options)
    step = step or len(octets) or 1
    found = []
    for start in range(0, len(octets), step):
        found += reader.receive_data(octets[start : start + step])
    return reader, found


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, None])
@pytest.mark.parametrize(("contents", "sent"), STREAMS, ids=IDS)
@pytest.mark.parametrize("signed", [True, False])
def test_pieces_of_any_size_give_the_same_records(contents, sent, signed, step):
    octets = written(sent, signed=signed)
    reader, found = read(contents, octets, step, takes_unsigned=not signed)
    assert found == sent
    assert reader.is_done
    reader.end()


@pytest.mark.parametrize(("contents", "sent"), STREAMS, ids=IDS)
def test_what_follows_the_end_is_left(contents, sent):
    reader, found = read(contents, written(sent) + b"beyond")
    assert found == sent
    assert reader.unread == b"beyond"


@pytest.mark.parametrize(("contents", "sent"), STREAMS, ids=IDS)
def test_a_stream_cut_short_is_told(contents, sent):
    octets = written(sent)
    for end in range(len(octets)):
        reader, found = read(contents, octets[:end])
        assert found == sent[: len(found)]
        with pytest.raises(MalformedMessage, match="in the middle"):
            reader.end()


def test_the_octets_are_those_of_the_protocol():
    writer = StreamWriter(b"SHA1", lambda _: b"\xaa\xbb")
    assert writer.head() == bytes.fromhex("00000000 00000004 53484131")
    assert writer.block(records.TransactionsBegin(2, 2)) == bytes.fromhex("00000002 00000002 00000002 aabb")
    deleted = records.Transaction(7, "a/b", records.Action.DELETE, 9)
    assert writer.block(deleted) == bytes.fromhex(
        "01 0000000000000007 00000003 612f62 02 0000000000000009 00000002 aabb"
    )
    dumped = records.DumpedHandle("a/b", (VALUES[0],))
    octets = bytes.fromhex("01 00000003 612f62 00000001") + len(VALUES[0]).to_bytes(4, "big") + VALUES[0]
    assert StreamWriter().block(dumped) == octets
    assert StreamWriter().head() == UNSIGNED == bytes.fromhex("ffffffff")
    assert bytes.fromhex("544c5300") == TLS
    assert writer.block(records.DumpEnds()) == b"\xff", "the end of a dump has no signature"


@pytest.mark.parametrize(("contents", "sent"), STREAMS, ids=IDS)
def test_no_octet_of_a_signed_stream_can_be_changed_unseen(contents, sent):
    octets = written(sent)
    last = len(octets) - (contents is Contents.DUMP)
    for place in range(last):
        forged = bytearray(octets)
        forged[place] ^= 0x01
        try:
            reader, found = read(contents, bytes(forged))
        except MalformedMessage:
            continue
        assert not reader.is_done, place
        assert found == sent[: len(found)]


@pytest.mark.parametrize("step", [1, None])
def test_a_dump_of_an_old_server_ends_with_its_position(step):
    sent = [records.DumpBegins(1), DUMP[5], DUMP[7], records.Position(1_700_000_000_000, 77)]
    reader, found = read(Contents.DUMP, written(sent), step)
    assert found == [*sent, records.DumpEnds()]
    assert reader.is_done


def test_a_first_signature_may_cover_the_head():
    head = SIGNED + b"\0\0\0\4SHA1"
    begin = records.TransactionsBegin(1, 1).to_wire()
    signature = sign(head + begin)
    octets = head + begin + len(signature).to_bytes(4, "big") + signature
    assert read(Contents.TRANSACTIONS, octets, 1)[1] == REDUMP[:1]


def test_an_unsigned_stream_is_taken_only_where_the_channel_proves_the_server():
    with pytest.raises(MalformedMessage, match="neither signed nor inside TLS"):
        read(Contents.DUMP, written(DUMP, signed=False))


def test_a_signed_stream_without_a_key_to_check_it_is_refused():
    with pytest.raises(MalformedMessage, match="key of the server is not known"):
        read(Contents.DUMP, written(DUMP), verify=None)


@pytest.mark.parametrize("step", [1, None])
def test_tls_is_recognised_and_the_decrypted_octets_go_on(step):
    inside = written(DUMP, signed=False)[4:]
    reader, found = read(Contents.DUMP, TLS + b"\x16\x03\x01hello", step)
    assert reader.wants_tls
    assert found == []
    assert reader.unread == b"\x16\x03\x01hello"
    reader.tls_began()
    assert reader.receive_data(inside) == DUMP
    assert reader.is_done


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        ("00000007", "kind 00000007"),
        ("00000000 7fffffff", "digest algorithm says"),
        ("00000000 00000004 4e4f5045", "no known digest"),
        ("ffffffff 00000003", "format 3"),
        ("ffffffff 00000001 00000003", "status 3"),
        ("ffffffff 00000002 00000002 09", "kind 9"),
        ("ffffffff 00000002 00000002 01 0000000000000001 7fffffff", "handle says"),
        ("ffffffff 00000002 00000002 01 0000000000000001 00000001 61 07", "action 7"),
        ("ffffffff 00000002 00000002 01 0000000000000001 00000001 61 01 0000000000000001 ffffffff", "values says"),
        (
            "ffffffff 00000002 00000002 01 0000000000000001 00000001 61 01 0000000000000001 00000001 ffffffff",
            "value says",
        ),
        (
            "ffffffff 00000002 00000002 01 0000000000000001 00000001 61 01 0000000000000001 00000001 00000001 61",
            "too short",
        ),
        ("ffffffff 00000002 00000002 02 ffffffff", "queue name says"),
    ],
)
def test_a_lie_is_told_before_anything_is_kept_for_it(octets, words):
    with pytest.raises(MalformedMessage, match=words):
        read(Contents.TRANSACTIONS, bytes.fromhex(octets), 1, takes_unsigned=True)


@pytest.mark.parametrize(("octets", "words"), [("ffffffff 00000003", "version 3"), ("ffffffff 00000002 06", "kind 6")])
def test_lies_in_a_dump_too(octets, words):
    with pytest.raises(MalformedMessage, match=words):
        read(Contents.DUMP, bytes.fromhex(octets), takes_unsigned=True)


@pytest.mark.parametrize("seed", range(200))
def test_noise_never_does_more_than_raise(seed):
    source = random.Random(seed)
    contents, sent = source.choice(STREAMS)
    octets = bytearray(written(sent, signed=False))
    for _ in range(source.randrange(1, 6)):
        octets[source.randrange(4, len(octets))] = source.randrange(256)
    try:
        _, found = read(contents, bytes(octets), source.choice([1, 5, None]), takes_unsigned=True)
    except WireError:
        return
    assert len(found) <= len(sent) + len(octets)


def test_numbers_and_dates_are_signed_as_in_java():
    sent = [records.DumpBegins(), records.Position(-1, -1), records.HandleDate("a/b", -(2**63), 2**32 - 1), DUMP[-1]]
    assert written(sent, signed=False)[8:25] == b"\0" + b"\xff" * 16
    assert read(Contents.DUMP, written(sent))[1] == sent
    sent = [
        records.TransactionsBegin(2, 2),
        records.Transaction(-1, "a/b", records.Action.DELETE, -1),
        records.QueueEnds(2**63 - 1),
        records.TransactionsEnd(),
    ]
    assert read(Contents.TRANSACTIONS, written(sent))[1] == sent


def test_a_broken_stream_stays_broken():
    reader = StreamReader(Contents.DUMP, None, takes_unsigned=True)
    for more in (UNSIGNED + b"\0\0\0\2\x09", b"more", b""):
        with pytest.raises(MalformedMessage, match="kind 9"):
            reader.receive_data(more)
    assert not reader.is_done
    with pytest.raises(MalformedMessage, match="in the middle"):
        reader.end()


VALUE_OCTETS = st.binary(min_size=26, max_size=40)
NAMES = st.text(max_size=8)
LONGS = st.integers(-(2**63), 2**63 - 1)
CHANGES = st.lists(
    st.builds(records.QueueBegins, NAMES)
    | st.builds(records.QueueEnds, LONGS)
    | st.builds(records.Transaction, LONGS, NAMES, st.sampled_from([0, 2, 4, 5, 6]), LONGS)
    | st.builds(records.Transaction, LONGS, NAMES, st.sampled_from([1, 3]), LONGS, st.lists(VALUE_OCTETS).map(tuple)),
    max_size=5,
)
DUMPED = st.lists(
    st.builds(records.Position, LONGS, LONGS)
    | st.builds(records.OtherPositions, NAMES)
    | st.builds(records.HandleDate, NAMES, LONGS, st.integers(0, 2**32 - 1))
    | st.builds(records.PrefixDate, NAMES, LONGS, st.integers(0, 2**32 - 1))
    | st.builds(records.DumpedHandle, NAMES, st.lists(VALUE_OCTETS).map(tuple))
    | st.builds(records.HomedPrefix, NAMES),
    max_size=5,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(CHANGES, DUMPED, st.sampled_from([1, 2]), LONGS, st.booleans())
def test_every_record_comes_back_as_it_was(changes, dumped, format_, date_ms, signed):
    end = records.TransactionsEnd(date_ms if format_ == 1 else None)
    sent = [records.TransactionsBegin(format_, 2), *changes, end]
    assert read(Contents.TRANSACTIONS, written(sent, signed=signed), takes_unsigned=True)[1] == sent
    sent = [records.DumpBegins(), *dumped, records.DumpEnds()]
    assert read(Contents.DUMP, written(sent, signed=signed), takes_unsigned=True)[1] == sent


def test_values_are_decoded_one_by_one_and_nothing_may_follow_them():
    assert [value.data for value in records.values_of(VALUES)] == [
        "标识 1".encode(),
        "标识 2".encode(),
        "标识 300".encode(),
    ]
    with pytest.raises(MalformedMessage, match="follow the end"):
        records.values_of((VALUES[0] + b"\0",))
