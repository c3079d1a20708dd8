"""One connection of the HTTP port: octets cut anywhere, what is no request among what is, and clients that go or stall.

Times are given to ``check`` by hand where a client is to be slow: no test waits for them, and none depends on them.
"""

import asyncio
import json
import socket
import time

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from resolver.transport.deadlines import WRITE_PROGRESS_OCTETS
from resolver.transport.http import bounds
from resolver.transport.http.door import Door
from tests.resolver.transport.http.test_http_server import failed, run, serving, talk, until

LARGE = 2 << 20
WHOLE = b"GET /api/late HTTP/1.1\r\nhost: x\r\n\r\n"


def routes(service, options):
    async def echo(request):
        body = await request.body()
        return PlainTextResponse(f"{len(body)} {request.headers.get('x-late', '-')} {request.url.query}")

    async def late(request):
        service.begun.set()
        await service.let_go.wait()
        return PlainTextResponse("late")

    async def listen(request):
        service.begun.set()
        while (await request.receive())["type"] != "http.disconnect":
            pass
        service.let_go.set()
        return PlainTextResponse("nobody")

    async def delete(request):
        service.begun.set()
        return PlainTextResponse("deleted")

    async def large(request):
        return Response(b"x" * LARGE)

    async def some(request):
        return Response(b"x" * 10_000)

    return [
        Route("/api/echo", echo, methods=["GET", "POST"]),
        Route("/api/late", late),
        Route("/api/listen", listen),
        Route("/api/delete", delete, methods=["POST"]),
        Route("/api/large", large),
        Route("/api/some", some),
    ]


DOOR = Door("demo", ("/api/",), routes, failed, octets_max=100_000)
ROOT = Door("root", ("/",), lambda *_: [Route("/", lambda _: PlainTextResponse("home"))], failed)


def statuses(said):
    return [part[:3].decode() for part in said.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]


def connection_of(place):
    (connection,) = place.door.state.connections
    return connection


def test_a_header_may_come_in_pieces_and_counts_once():
    header = b"GET /api/echo HTTP/1.1\r\nhost: x\r\n" + b"x-a: %b\r\n" % (b"y" * 1_000) * 20
    assert bounds.HEADER_OCTETS_MAX / 2 < len(header) < bounds.HEADER_OCTETS_MAX

    async def main():
        async with serving(DOOR) as place:
            pieces = [header[start : start + 1_400] for start in range(0, len(header), 1_400)]
            assert statuses(await talk(place.port, *pieces, b"\r\n", pause_s=0.005)) == ["200"]

    run(main())


def test_the_end_of_a_body_does_not_count_as_header_of_the_next_request():
    async def main():
        async with serving(DOOR) as place:
            begins = b"POST /api/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n"
            goes_on = b"x" * 60_000 + b"GET /api/echo?next HTTP/1.1\r\nho"
            said = await talk(place.port, begins, goes_on, b"st: x\r\n\r\n", pause_s=0.1)
            assert statuses(said) == ["200", "200"]
            assert b"60000 - " in said
            assert said.endswith(b"0 - next")

    run(main())


def test_what_stands_in_a_trailer_is_no_header():
    async def main():
        async with serving(DOOR) as place:
            head = b"POST /api/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
            said = await talk(place.port, head + b"x-late: yes\r\n\r\n" + b"GET /api/echo HTTP/1.1\r\n\r\n")
            assert statuses(said) == ["200", "200"]
            assert b"2 - " in said

    run(main())


@pytest.mark.parametrize(
    ("target", "body"),
    [(b"http://example.com", b"home"), (b"http://example.com/api/echo?a=b", b"0 - a=b"), (b"http://x?a", b"home")],
)
def test_a_target_may_name_the_scheme_and_host(target, body):
    async def main():
        async with serving(DOOR, ROOT) as place:
            said = await talk(place.port, b"GET " + target + b" HTTP/1.1\r\nhost: x\r\n\r\n")
            assert statuses(said) == ["200"]
            assert said.endswith(body)

    run(main())


@pytest.mark.parametrize(
    ("octets", "status"),
    [(b"\x16\x03\x01\x02\x00", "400"), (b"GET http://[::1 HTTP/1.1\r\n\r\n", "400"), (b"x" * 40_000, "400")],
)
def test_what_came_before_something_that_is_no_request_is_answered_first(octets, status):
    async def main():
        async with serving(DOOR) as place:
            asking = asyncio.create_task(talk(place.port, WHOLE + b"GET /api/echo HTTP/1.1\r\n\r\n" + octets, b"more"))
            await place.service.begun.wait()
            place.service.let_go.set()
            said = await asking
            assert statuses(said) == ["200", "200", status]
            assert said.count(b"connection: close") == 1
            await until(lambda: place.door.connection_count == 0)

    run(main())


def test_requests_beyond_the_pipeline_are_refused_after_those_in_it():
    async def main():
        async with serving(DOOR) as place:
            asking = asyncio.create_task(talk(place.port, WHOLE + b"GET /api/echo HTTP/1.1\r\n\r\n" * 100))
            await place.service.begun.wait()
            place.service.let_go.set()
            assert statuses(await asking) == ["200"] * (1 + bounds.PIPELINE_MAX) + ["429"]

    run(main())


def test_a_body_that_is_none_is_told_so_and_nothing_comes_of_it():
    async def main():
        async with serving(DOOR) as place:
            octets = b"POST /api/delete HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nno chunk\r\n"
            header, _, body = (await talk(place.port, octets)).partition(b"\r\n\r\n")
            assert header.startswith(b"HTTP/1.1 400")
            assert json.loads(body)["reason"] == "MALFORMED_MESSAGE"
            assert not place.service.begun.is_set()
            await until(lambda: place.door.connection_count == 0)
            assert [entry[1] for entry in place.observed] == ["400"]

    run(main())


def test_a_body_that_does_not_come_is_told_so(monkeypatch):
    monkeypatch.setattr(bounds, "SWEEP_S", 3_600.0)

    async def main():
        async with serving(DOOR) as place:
            octets = b"POST /api/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nsome"
            asking = asyncio.create_task(talk(place.port, octets))
            await until(lambda: len(place.door.state.connections) == 1 and connection_of(place).cycle is not None)
            connection = connection_of(place)
            connection.check(time.monotonic() + bounds.BODY_TIMEOUT_S / 2)
            assert not connection.transport.is_closing()
            connection.check(time.monotonic() + bounds.BODY_TIMEOUT_S + 1)
            header, _, body = (await asking).partition(b"\r\n\r\n")
            assert header.startswith(b"HTTP/1.1 408")
            assert json.loads(body)["reason"] == "MALFORMED_MESSAGE"
            assert [entry[1] for entry in place.observed] == ["408"]

    run(main())


def test_a_request_that_trickles_in_behind_another_does_not_end_its_answer(monkeypatch):
    monkeypatch.setattr(bounds, "SWEEP_S", 3_600.0)

    async def main():
        async with serving(DOOR) as place:
            asking = asyncio.create_task(talk(place.port, WHOLE + b"GET /api/ec"))
            await place.service.begun.wait()
            connection_of(place).check(time.monotonic() + bounds.HEADER_TIMEOUT_S + 1)
            place.service.let_go.set()
            said = await asking
            assert statuses(said) == ["200", "408"]
            assert b"\r\n\r\nlate" in said

    run(main())


def test_a_handler_hears_that_its_client_has_gone_also_when_another_request_waits():
    async def main():
        async with serving(DOOR) as place:
            _, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(b"GET /api/listen HTTP/1.1\r\n\r\nGET /api/echo HTTP/1.1\r\n\r\n")
            await place.service.begun.wait()
            writer.transport.abort()
            async with asyncio.timeout(60):
                await place.service.let_go.wait()
            await until(lambda: not place.door.state.tasks)

    run(main())


async def open_narrow(place):
    """A client that takes little before it reads, and the connection of the door that has as little room."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", place.port))
    await asyncio.get_running_loop().sock_sendall(client, b"GET /api/echo HTTP/1.1\r\n\r\n")
    await asyncio.get_running_loop().sock_recv(client, 65_536)
    connection = connection_of(place)
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    return client, connection


async def take(client, octets):
    """Take so many octets or some more; how many."""
    took = 0
    while took < octets:
        part = await asyncio.get_running_loop().sock_recv(client, 65_536)
        assert part, "the answer was cut off"
        took += len(part)
    return took


def test_a_client_that_takes_no_refusal_is_closed(monkeypatch):
    monkeypatch.setattr(bounds, "SWEEP_S", 3_600.0)

    async def main():
        async with serving(DOOR) as place:
            client, connection = await open_narrow(place)
            while not connection.transport.get_write_buffer_size():
                await asyncio.get_running_loop().sock_sendall(client, b"GET /api/some HTTP/1.1\r\n\r\n")
                await asyncio.sleep(0.02)
            await asyncio.get_running_loop().sock_sendall(client, b"GET /api/so")
            await asyncio.sleep(0.05)
            assert not connection.flow.write_paused
            connection.check(time.monotonic() + 11)  # the header is late
            assert connection.transport.is_closing()
            assert [entry[1] for entry in place.observed][-1] == "408"
            connection.check(time.monotonic() + 12)
            assert place.door.connection_count == 1
            connection.check(time.monotonic() + 50)
            await until(lambda: place.door.connection_count == 0)
            assert [entry[1] for entry in place.observed].count("408") == 1
            client.close()

    run(main())


def test_a_client_that_takes_its_answer_slowly_gets_the_whole_of_it(monkeypatch):
    monkeypatch.setattr(bounds, "SWEEP_S", 3_600.0)

    async def main():
        async with serving(DOOR, idle_s=20.0) as place:
            client, connection = await open_narrow(place)
            await asyncio.get_running_loop().sock_sendall(client, b"GET /api/large HTTP/1.1\r\n\r\n")
            now_s, took = time.monotonic(), 0
            await until(lambda: connection.flow.write_paused)
            while connection.flow.write_paused:
                took += await take(client, 8 * WRITE_PROGRESS_OCTETS)
                now_s += bounds.WRITE_TIMEOUT_S + 1
                if connection.flow.write_paused:  # else its time is that of the clock again
                    connection.check(now_s)
            took += await take(client, LARGE - took)
            assert LARGE < took < LARGE + 1_000
            assert connection_of(place) is connection
            client.close()

    run(main())


def test_a_request_behind_an_answer_that_is_not_taken_is_begun_when_it_is():
    """Its answer would wait in the memory beside the first. However it comes, and though the door is drained."""

    async def main(together):
        async with serving(DOOR) as place:
            client, connection = await open_narrow(place)
            octets = [b"GET /api/large HTTP/1.1\r\nhost: x\r\n\r\n", b"POST /api/delete HTTP/1.1\r\nhost: x\r\n\r\n"]
            send = asyncio.get_running_loop().sock_sendall
            for part in [b"".join(octets)] if together else octets:
                await send(client, part)
                await until(lambda: connection.flow.write_paused)
            await until(lambda: len(connection.pipeline) == 1 and not place.door.state.tasks)
            assert not place.service.begun.is_set()
            draining = asyncio.create_task(place.door.drain(60.0))
            await asyncio.sleep(0.05)
            await take(client, LARGE)
            await until(place.service.begun.is_set)
            said = b""
            while part := await asyncio.get_running_loop().sock_recv(client, 65_536):
                said += part
            assert said.endswith(b"deleted")
            await draining
            client.close()

    run(main(together=True))
    run(main(together=False))


def test_a_door_that_is_drained_lets_answers_be_taken():
    async def main():
        async with serving(DOOR) as place:
            client, connection = await open_narrow(place)
            await asyncio.get_running_loop().sock_sendall(client, b"GET /api/large HTTP/1.1\r\n\r\n")
            await until(lambda: connection.flow.write_paused and not place.door.state.tasks)
            draining = asyncio.create_task(place.door.drain(60.0))
            await asyncio.sleep(0.05)
            assert await take(client, LARGE) >= LARGE
            await draining
            client.close()

    run(main())


def test_a_request_that_is_not_answered_before_the_door_closes_is_counted_as_that():
    async def main():
        async with serving(DOOR) as place:
            asking = asyncio.create_task(talk(place.port, WHOLE))
            await place.service.begun.wait()
            await place.door.drain(0.01)
            assert await asking == b""
            await until(lambda: place.observed)
            assert [entry[1] for entry in place.observed] == ["499"]

    run(main())


def test_a_client_that_takes_next_to_nothing_of_its_answer_is_closed(monkeypatch):
    monkeypatch.setattr(bounds, "SWEEP_S", 3_600.0)

    async def main():
        async with serving(DOOR) as place:
            client, connection = await open_narrow(place)
            await asyncio.get_running_loop().sock_sendall(client, b"GET /api/large HTTP/1.1\r\n\r\n")
            await until(lambda: connection.flow.write_paused)
            await asyncio.get_running_loop().sock_recv(client, 1_000)
            connection.check(time.monotonic() + bounds.WRITE_TIMEOUT_S / 2)
            assert not connection.transport.is_closing()
            connection.check(time.monotonic() + bounds.WRITE_TIMEOUT_S + 1)
            await until(lambda: place.door.connection_count == 0)
            client.close()

    run(main())


def test_a_request_that_is_not_read_meanwhile_is_not_late(monkeypatch):
    """Ten seconds after half of it had come it was refused, though nobody read the other half."""
    monkeypatch.setattr(bounds, "SWEEP_S", 3_600.0)

    async def main():
        async with serving(DOOR) as place:
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(WHOLE + b"GET /api/echo HTTP/1.1\r\n\r\nGET /api/echo?last HTTP/1.1\r\nho")
            await place.service.begun.wait()
            connection = connection_of(place)
            assert connection.flow.read_paused
            writer.write(b"st: x\r\n\r\n")
            late_s = time.monotonic() + bounds.HEADER_TIMEOUT_S + 1
            connection.check(late_s)
            place.service.let_go.set()
            said = await reader.readuntil(b"0 - ")
            connection.check(late_s)
            said += await reader.readuntil(b"last")
            assert statuses(said) == ["200", "200", "200"]
            writer.close()

    run(main())


def test_a_door_that_is_drained_answers_what_waits_behind_an_answer():
    """Only what was being answered when the drain began was waited for: the rest of a pipeline was cut off."""

    async def main():
        async with serving(DOOR) as place:
            asking = asyncio.create_task(talk(place.port, WHOLE + b"GET /api/echo HTTP/1.1\r\n\r\n" * 9))
            await place.service.begun.wait()
            draining = asyncio.create_task(place.door.drain(60.0))
            await asyncio.sleep(0.05)
            place.service.let_go.set()
            assert statuses(await asking) == ["200"] * 10
            await draining

    run(main())


@pytest.mark.parametrize("line", [b"x-a: ", b""])
def test_a_trailer_that_does_not_end_is_refused(line):
    """Its octets were kept until its time was over, however many came."""

    async def main():
        async with serving(DOOR) as place:
            head = b"POST /api/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
            said = await talk(place.port, head + line, *[b"y" * 8_192] * 5, pause_s=0.02)
            assert statuses(said) == ["431"]

    run(main())


def test_the_end_of_an_answer_may_be_taken_after_a_long_wait_for_it(monkeypatch):
    """Its client had asked so long ago that the connection was over with the next look at it."""
    monkeypatch.setattr(bounds, "SWEEP_S", 3_600.0)
    monkeypatch.setattr(bounds, "BODY_TIMEOUT_S", 0.0)

    async def main():
        async with serving(DOOR) as place:
            client, connection = await open_narrow(place)
            connection.transport.set_write_buffer_limits(high=2 * LARGE)
            asked = b"GET /api/large HTTP/1.1\r\nconnection: close\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(client, asked)
            await until(connection.transport.is_closing)
            assert connection.transport.get_write_buffer_size()
            assert not connection.flow.write_paused
            connection.check(time.monotonic() + 1)
            assert await take(client, LARGE) >= LARGE
            client.close()

    run(main())
