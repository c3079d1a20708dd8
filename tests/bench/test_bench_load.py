"""The load generator against a small server on nghttp2: its frames, its counts, its clock."""

import socket
import threading
import time
from contextlib import suppress
from functools import partial
from itertools import repeat

import ngh2
import pytest

from bench import h2_frames, questions
from bench.load import Generator, Load
from bench.stream_load import StreamGenerator

HEADERS = [(b":status", b"200"), (b"content-type", b"application/grpc")]
TRAILERS = [(b"grpc-status", b"0")]
REFUSED = [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"5")]


class Server:
    """Answers every request by ``answer``, one connection after the other."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        sock, _ = self.listener.accept()
        with sock, suppress(ConnectionError):  # a load that is over leaves, be there answers on the way
            connection = ngh2.Connection(ngh2.Role.SERVER, ngh2.Configuration(peer_max_concurrent_streams=1000))
            connection.initiate_connection()
            sock.sendall(connection.data_to_send())
            bodies = {}
            while data := sock.recv(65536):
                connection.receive_data(data)
                for event in connection.events():
                    if isinstance(event, ngh2.RequestReceived):
                        fields = {name: value for name, value, *_ in event.headers}
                        bodies[event.stream_id] = [fields, b""]
                        if event.end_stream:
                            self.answer(self, connection, event.stream_id, *bodies[event.stream_id])
                    elif isinstance(event, ngh2.DataReceived):
                        bodies[event.stream_id][1] += event.data
                        if event.end_stream:
                            self.answer(self, connection, event.stream_id, *bodies[event.stream_id])
                sock.sendall(connection.data_to_send())

    def close(self):
        self.listener.close()
        self.thread.join(60)


def good(server, connection, stream, fields, body):
    server.seen.append((fields, body))
    connection.send_response(stream, HEADERS)
    connection.send_data(stream, h2_frames.grpc_frame(b"x" * 100))
    connection.send_trailers(stream, TRAILERS)


def refuse_all_but_first(server, connection, stream, fields, body):
    if not server.seen:
        good(server, connection, stream, fields, body)
    else:
        server.seen.append((fields, body))
        connection.send_response(stream, REFUSED, end_stream=True)


def run(answer, *, more_than=0, message=b"question", **load):
    """The server and the figures of so short a load, or of a longer one where that has not made enough operations."""
    for seconds in (0.2, 2.0, 20.0):
        server = Server(answer)
        try:
            generator = Generator(
                Load(server.port, "/service/Method", partial(repeat, message), seconds, 0.05, 1, **load)
            )
            generator.connect()
            figures = generator.run()
        finally:
            server.close()
        if figures["operations"] > more_than:
            break
    return server, figures


def test_requests_are_what_an_independent_server_reads():
    server, figures = run(good, more_than=20, in_flight=4, fields=(("authorization", "Bearer " + "t" * 200),))
    assert figures["errors"] == 0
    assert figures["operations"] > 20
    assert figures["answer_octets"] == pytest.approx(105, abs=1)
    for fields, body in (server.seen[0], server.seen[1], server.seen[-1]):
        assert fields[b":method"] == b"POST"
        assert fields[b":path"] == b"/service/Method"
        assert fields[b"content-type"] == b"application/grpc"
        assert fields[b"te"] == b"trailers"
        assert fields[b"authorization"] == b"Bearer " + b"t" * 200
        assert body == h2_frames.grpc_frame(b"question")


def test_bodies_larger_than_frame_and_window_arrive_whole():
    message = b"m" * 40_000
    server, figures = run(good, more_than=4, in_flight=4, message=message, prepared=100)
    assert figures["errors"] == 0
    assert figures["operations"] > 4
    assert {body for _, body in server.seen} == {h2_frames.grpc_frame(message)}


def test_a_refusal_is_counted_as_an_error():
    _, figures = run(refuse_all_but_first, more_than=5, in_flight=2)
    assert figures["errors"] == figures["operations"] > 5


def test_open_loop_never_runs_ahead_and_measures_from_the_due_time():
    def slow(server, connection, stream, fields, body):
        if len(server.seen) == 10:
            time.sleep(0.1)
        good(server, connection, stream, fields, body)

    began_s = time.perf_counter()
    _, figures = run(slow, rate=400.0)
    assert figures["errors"] == 0
    # Never ahead of 400 a second, for 0.05 + 0.2 s and some more, and past the ten that came before the pause.
    assert 10 < figures["operations"] <= 1 + 400 * (time.perf_counter() - began_s)
    # Forty questions were due while the server stood still; a closed loop would have hidden all but one.
    assert figures["p99_ms"] > 60


def test_a_server_that_refuses_the_first_call_is_not_measured():
    def refuse(server, connection, stream, fields, body):
        connection.send_response(stream, REFUSED, end_stream=True)

    server = Server(refuse)
    try:
        generator = Generator(Load(server.port, "/service/Method", partial(repeat, b"question"), 0.1, 0.0, 1))
        with pytest.raises(OSError, match="answered by an error"):
            generator.connect()
    finally:
        generator.close()
        server.close()


def test_messages_of_etcd_are_valid_protobuf():
    message = next(questions.etcd_put_random(1_000, 1, "t"))
    assert message[0] == 0x0A  # field 1, key
    key_octets = message[1]
    assert message[2 + key_octets] == 0x12  # field 2, value
    assert next(questions.etcd_range(10, 1, serializable=True)).endswith(b"\x38\x01")  # field 7, true


def test_the_same_seed_asks_the_same():
    one, other, third = (questions.resolve(1_000, seed) for seed in (7, 7, 8))
    first = [next(one) for _ in range(50)]
    assert first == [next(other) for _ in range(50)]
    assert first != [next(third) for _ in range(50)]
    assert len(set(first)) > 40


def test_stream_answers_are_counted_record_by_record():
    generator = StreamGenerator(Load(1, questions.STREAM, partial(questions.stream, 10, 1), 0.1, 0.0, 1))

    class Counted:
        done = misses = messages = 0
        body = b""

    record = b"\x0a\x82\x02" + b"r" * 258
    two = h2_frames.grpc_frame(record + record + b"\x12\x02\x01\x02")
    miss = h2_frames.grpc_frame(b"\x1a\x03abc")
    generator._count(Counted, two + miss + two[:7])
    assert (Counted.done, Counted.misses, Counted.messages) == (3, 1, 2)
    generator._count(Counted, Counted.body + two[7:])
    assert (Counted.done, Counted.messages) == (5, 3)
