"""Framing, timeouts, binary metadata and statuses as octets, whole and in pieces."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.transport import grpc_frames as frames
from resolver.transport.grpc_frames import Deframer, FrameError, MessageTooLong

IDENTITY = b"identity"


def flagged(message):
    return b"\1" + len(message).to_bytes(4, "big") + message


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 30), max_size=20))
def test_messages_are_the_same_however_they_are_cut(messages, cuts):
    octets = b"".join(map(frames.to_frame, messages))
    deframer = Deframer(100, IDENTITY, 100)
    found, at = [], 0
    for cut in [*cuts, len(octets)]:
        found += deframer.receive_data(octets[at : at + cut])
        at += cut
    assert found == messages
    assert deframer.held_octets == 0


def test_octet_by_octet():
    deframer = Deframer(100, IDENTITY, 100)
    octets = frames.to_frame(b"first") + frames.to_frame(b"") + b"\0\0"
    found = [message for octet in octets for message in deframer.receive_data(bytes([octet]))]
    assert found == [b"first", b""]
    assert deframer.held_octets == 2


def test_a_long_message_is_refused_by_its_prefix():
    deframer = Deframer(10, IDENTITY, 10)
    assert deframer.receive_data(b"\0\0\0\0") == []
    with pytest.raises(MessageTooLong) as caught:
        deframer.receive_data(b"\x0b")
    assert caught.value.octets == 11
    assert Deframer(10, IDENTITY, 10).receive_data(frames.to_frame(b"x" * 10)) == [b"x" * 10]


@pytest.mark.parametrize("flag", [2, 0x80, 0xFF])
def test_unknown_flags_are_refused(flag):
    with pytest.raises(FrameError) as caught:
        Deframer(10, IDENTITY, 10).receive_data(bytes([flag]) + b"\0\0\0\0")
    assert caught.value.code == 13


@pytest.mark.parametrize(("encoding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_compressed_messages(encoding, pack):
    deframer = Deframer(1000, encoding, 1000)
    assert deframer.receive_data(flagged(pack(b"x" * 1000)) + frames.to_frame(b"plain")) == [b"x" * 1000, b"plain"]
    assert frames.inflate(encoding, pack(b""), 10) == b""
    with pytest.raises(MessageTooLong):
        frames.inflate(encoding, pack(b"x" * 1001), 1000)
    for broken in (pack(b"x" * 100)[:-5], b"", b"garbage"):
        with pytest.raises(FrameError):
            frames.inflate(encoding, broken, 1000)


def test_a_bomb_takes_no_more_than_the_bound():
    bomb = gzip.compress(bytes(50 << 20))
    tracemalloc.start()
    with pytest.raises(MessageTooLong):
        frames.inflate(b"gzip", bomb, 1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_compression_has_to_be_announced():
    with pytest.raises(FrameError, match="grpc-encoding"):
        Deframer(10, IDENTITY, 10).receive_data(flagged(b"x"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"1S", 1), (b"99999999H", 99_999_999 * 3_600), (b"5M", 300), (b"250m", 0.25), (b"7u", 7e-6), (b"0n", 0)],
)
def test_timeouts(text, seconds):
    assert frames.to_timeout_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [b"", b"S", b"1", b"-1S", b"123456789S", b"1s", b"1.5S", b" 1S", b"1S\n"])
def test_bad_timeouts(text):
    with pytest.raises(FrameError):
        frames.to_timeout_s(text)


@given(st.binary(max_size=60))
def test_binary_metadata_with_and_without_padding(octets):
    short = frames.to_base64(octets)
    assert b"=" not in short
    assert frames.from_base64(short) == octets
    assert frames.from_base64(short + b"=" * (-len(short) % 4)) == octets
    assert frames.from_base64(short.replace(b"+", b"-").replace(b"/", b"_")) == octets


def test_binary_metadata_that_is_none():
    with pytest.raises(FrameError):
        frames.from_base64(b"a!b")


@given(st.text(max_size=40))
def test_status_messages_are_visible_ascii_and_come_back(text):
    from urllib.parse import unquote_to_bytes

    encoded = frames.to_grpc_message(text)
    assert all(0x20 <= octet <= 0x7E for octet in encoded)
    assert unquote_to_bytes(encoded) == text.encode("utf-8", "replace")


def test_status_message_vectors():
    """As in gRPC's PROTOCOL-HTTP2: space to tilde stay, percent does not."""
    assert frames.to_grpc_message("a b~%\n产") == b"a b~%25%0A%E4%BA%A7"


@pytest.mark.parametrize(
    ("content_type", "is_grpc"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"Application/gRPC;charset=x", True),
        (b"application/grpc-web", False),
        (b"application/grpcx", False),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_content_types(content_type, is_grpc):
    assert frames.read_opening(((b"content-type", content_type),)).is_grpc is is_grpc


def test_an_opening_in_full():
    headers = (
        (b":method", b"POST"),
        (b":path", b"/a/B"),
        (b"content-type", b"application/grpc"),
        (b"grpc-timeout", b"2S"),
        (b"grpc-encoding", b"gzip"),
        (b"authorization", b"Bearer x"),
        (b"trace-bin", b"AQI,Aw=="),
    )
    opening = frames.read_opening(headers)
    assert opening.path == b"/a/B"
    assert opening.timeout_s == 2
    assert opening.encoding == b"gzip"
    assert opening.metadata == (("authorization", "Bearer x"), ("trace-bin", b"\1\2"), ("trace-bin", b"\3"))
    assert opening.octets == sum(len(name) + len(field) + 32 for name, field in headers)


def test_status_fields():
    assert frames.status_fields(5, "no", b"\1") == (
        (b"grpc-status", b"5"),
        (b"grpc-message", b"no"),
        (b"grpc-status-details-bin", b"AQ"),
    )
    assert frames.status_fields(0) == ((b"grpc-status", b"0"),)


@given(st.binary(max_size=200), st.sampled_from([b"gzip", b"deflate", IDENTITY]))
def test_any_octets_give_messages_or_an_error(octets, encoding):
    deframer = Deframer(64, encoding, 64)
    try:
        messages = deframer.receive_data(octets)
    except (FrameError, MessageTooLong):
        return
    assert all(len(message) <= 64 for message in messages)
