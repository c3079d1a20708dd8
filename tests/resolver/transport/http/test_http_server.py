"""The HTTP port itself: doors by prefix, failures in each door's words, and clients that ask too much of it."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import httpx
import pytest
import uvloop
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from resolver.errors import HandleNotFound, Overloaded
from resolver.transport.http import bounds
from resolver.transport.http.calls import HttpOptions
from resolver.transport.http.door import Door
from resolver.transport.http.server import HttpDoor


def run(main):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def routes(service, options):
    async def echo(request):
        body = await request.body()
        return Response(body, headers={"x-path": request.scope["raw_path"].decode()})

    async def missing(request):
        raise HandleNotFound("no such handle: register it first")

    async def busy(request):
        raise Overloaded("too many writes wait: try again", retry_after_s=2.0)

    async def defect(request):
        raise RuntimeError("a secret of ours")

    async def late(request):
        service.begun.set()
        await asyncio.sleep(0.8)
        return PlainTextResponse("late")

    async def hold(request):
        body = await request.body()
        await service.let_go.wait()
        return PlainTextResponse(str(len(body)))

    async def early(request):
        return PlainTextResponse("not read")

    return [
        Route("/api/echo/{rest:path}", echo, methods=["GET", "POST"]),
        Route("/api/missing", missing),
        Route("/api/busy", busy),
        Route("/api/defect", defect),
        Route("/api/late", late),
        Route("/api/early", early, methods=["POST"]),
        Route("/api/hold", hold, methods=["POST"]),
    ]


def failed(request, failure):
    return JSONResponse({"reason": failure.error.reason, "message": failure.error.message}, failure.status)


DOOR = Door("demo", ("/api/",), routes, failed, octets_max=100_000)
INNER = Door("inner", ("/api/echo/inner",), lambda s, o: [], failed)


@asynccontextmanager
async def serving(*doors, idle_s=60.0, options=None):
    observed = []
    service = SimpleNamespace(begun=asyncio.Event(), let_go=asyncio.Event())
    door = HttpDoor(
        service,
        options or HttpOptions("88.300"),
        lambda *answer: observed.append(answer),
        idle_s=idle_s,
        doors=doors or (DOOR, INNER),
    )
    port = await door.start("127.0.0.1", 0, None)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield SimpleNamespace(door=door, port=port, client=client, observed=observed, service=service)
    finally:
        await door.drain(0.0)


async def talk(port, *octets, pause_s=0.0):
    """Everything the server says to some octets before it closes or, having said something, falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in octets:
        with suppress(ConnectionError, RuntimeError):
            writer.write(part)
            await writer.drain()
        await asyncio.sleep(pause_s)
    said, silent_turns = b"", 0
    try:
        async with asyncio.timeout(60):
            while not said or silent_turns < 5:  # in turns: however long this process is stopped, that is one of them
                try:
                    part = await asyncio.wait_for(reader.read(65_536), 0.2)
                except TimeoutError:
                    silent_turns += 1
                    continue
                if not part:
                    break
                said, silent_turns = said + part, 0
    except ConnectionError:
        pass
    writer.close()
    return said


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the door tells nobody
            await asyncio.sleep(0.005)


def test_failures_are_told_in_the_words_of_the_door():
    async def main():
        async with serving() as place:
            get = place.client.get
            answer = await get("/api/missing")
            assert (answer.status_code, answer.json()["reason"]) == (404, "HANDLE_NOT_FOUND")
            answer = await get("/api/busy")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            answer = await get("/api/nowhere")
            assert (answer.status_code, answer.json()["reason"]) == (404, "NOT_FOUND")
            answer = await place.client.delete("/api/missing")
            assert answer.status_code == 405
            assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
            answer = await get("/elsewhere")
            assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
            assert ("404", "demo") in {(entry[1], entry[4]) for entry in place.observed}

    run(main())


def test_a_defect_keeps_its_trace_to_itself():
    async def main():
        async with serving() as place:
            answer = await place.client.get("/api/defect")
            assert (answer.status_code, answer.json()["reason"]) == (500, "INTERNAL")
            assert "secret" not in answer.text

    run(main())


def test_a_path_belongs_to_the_door_that_claims_most_of_it():
    async def main():
        async with serving() as place:
            assert (await place.client.get("/api/echo/other")).status_code == 200
            assert (await place.client.get("/api/echo/inner/x")).status_code == 404
            assert [entry[4] for entry in place.observed] == ["demo", "inner"]

    run(main())


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"/api/echo/88.1%2Fa+b?x=1", b"/api/echo/88.1%2Fa+b"),
        ("/api/echo/产品".encode(), b"/api/echo/%E4%BA%A7%E5%93%81"),
        ("/api/echo/产品".encode("gb18030"), b"/api/echo/%B2%FA%C6%B7"),
        (b"http://host.example/api/echo/a//b/../c", b"/api/echo/a//b/../c"),
    ],
)
def test_a_path_reaches_the_door_as_it_came(sent, seen):
    async def main():
        async with serving() as place:
            said = await talk(place.port, b"GET " + sent + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 200"), said
            assert b"x-path: " + seen + b"\r\n" in said

    run(main())


def test_a_defect_in_what_answers_at_once_is_told_as_one():
    def broken(service, options):
        def at_once(target, headers, source, date):
            raise RuntimeError("a secret of ours")

        return at_once

    async def main():
        async with serving(DOOR._replace(at_once=broken)) as place:
            answer = await place.client.get("/api/echo/x")
            assert answer.status_code == 500
            assert "secret" not in answer.text
            assert (await place.client.post("/api/echo/x", content=b"z")).text == "z"

    run(main())


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_refused_however_it_comes(told):
    async def pieces():
        for _ in range(200):
            yield b"x" * 1_000

    async def main():
        async with serving() as place:
            answer = await place.client.post("/api/echo/x", content=b"y" * 100_000)
            assert answer.status_code == 200
            answer = await place.client.post("/api/echo/x", content=b"y" * 100_001 if told else pieces())
            assert (answer.status_code, answer.json()["reason"]) == (413, "MESSAGE_TOO_LARGE")
            assert (await place.client.post("/api/echo/x", content=b"z")).text == "z"

    run(main())


def test_bodies_together_have_a_bound_too(monkeypatch):
    monkeypatch.setattr(bounds, "BODIES_OCTETS_MAX", 150_000)

    async def main():
        async with serving() as place:
            body = b"y" * 90_000
            asked = [asyncio.create_task(place.client.post("/api/hold", content=body)) for _ in range(4)]
            await until(lambda: sum(each.done() for each in asked) == 3)
            place.service.let_go.set()
            codes = sorted([(await each).status_code for each in asked])
            assert codes == [200, 503, 503, 503]
            assert (await place.client.post("/api/hold", content=body)).status_code == 200

    run(main())


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET /api/echo/x HTTP/1.1\r\n" + b"x-a: " + b"y" * 40_000, b"431"),
        (b"GET /api/echo/x HTTP/1.1\r\n" + b"x-a: " + b"y" * 40_000 + b"\r\n\r\n", b"431"),
        (b"GET /api/echo/x HTTP/1.1\r\n" + b"x-a: y\r\n" * 101 + b"\r\n", b"431"),
        (b"GET /api/echo/" + b"x" * 40_000, b"431"),
        (b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
        (b"GET /api/echo/x HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n folded\r\n\x00\r\n\r\n", b"400"),
        (b"POST /api/echo/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", b"400"),
        (b"POST /api/echo/x HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", b"400"),
        (
            b"POST /api/echo/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"400",
        ),
    ],
)
def test_what_is_no_request_or_too_large_a_header_is_refused_and_closed(octets, status):
    async def main():
        async with serving() as place:
            said = await talk(place.port, octets)
            assert said.startswith(b"HTTP/1.1 " + status), said
            assert b"connection: close" in said.lower()
            await until(lambda: place.door.connection_count == 0)

    run(main())


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"GET /api/echo/x HTTP/1.1\r\n" + b"x-a: " + b"y" * 40_000, "MESSAGE_TOO_LARGE"),
        (b"GET /api/echo/x HTTP/1.1\r\n" + b"x-a: y\r\n" * 101 + b"\r\n", "MESSAGE_TOO_LARGE"),
        (b"GET /api/echo/x?y=" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", "MESSAGE_TOO_LARGE"),
        (b"GET http://x/%61pi/echo/" + b"x" * 300_000 + b" HTTP/1.1\r\n\r\n", "MESSAGE_TOO_LARGE"),
        (b"POST /api/echo/x HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "MALFORMED_MESSAGE"),
        (b"GET /elsewhere?y=" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", None),
        (b"\x16\x03\x01\x02\x00\x01\x00", None),
    ],
)
def test_what_is_refused_before_it_is_a_request_is_told_in_the_words_of_the_door_it_began_to_ask(octets, told):
    async def main():
        async with serving() as place:
            header, _, body = (await talk(place.port, octets)).partition(b"\r\n\r\n")
            assert int(header.lower().partition(b"content-length: ")[2].split()[0]) == len(body) > 0
            assert b"\r\ndate: " in header
            status = header.split()[1].decode()
            if told is None:
                assert b"content-type: text/plain; charset=utf-8" in header
            else:
                assert b"content-type: application/json" in header
                assert json.loads(body)["reason"] == told
            assert [entry[1:] for entry in place.observed] == [(status, 0.0, 1, "demo" if told else "none")]

    run(main())


def test_a_refused_question_for_headers_alone_has_no_body():
    async def main():
        async with serving() as place:
            said = await talk(place.port, b"HEAD /api/echo/x?y=" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 431")
            assert said.endswith(b"\r\n\r\n")

    run(main())


def test_a_request_that_trickles_in_is_closed(monkeypatch):
    monkeypatch.setattr(bounds, "HEADER_TIMEOUT_S", 1.0)
    monkeypatch.setattr(bounds, "BODY_TIMEOUT_S", 1.0)
    monkeypatch.setattr(bounds, "SWEEP_S", 0.05)

    async def main():
        async with serving() as place:
            silent, header, body = await asyncio.gather(
                talk(place.port),
                talk(place.port, *[b"GET /api/echo/x HTTP/1.1\r\n", b"x-a: b\r\n"], pause_s=0.05),
                talk(
                    place.port,
                    b"POST /api/echo/x HTTP/1.1\r\ncontent-length: 100\r\n\r\n",
                    *[b"x"] * 5,
                    pause_s=0.1,
                ),
            )
            assert silent == b""
            assert header.startswith(b"HTTP/1.1 408")
            assert body == b"" or body.startswith(b"HTTP/1.1 408")
            await until(lambda: place.door.connection_count == 0)

    run(main())


def test_an_idle_connection_is_closed_and_a_slow_answer_is_not(monkeypatch):
    monkeypatch.setattr(bounds, "SWEEP_S", 0.02)
    monkeypatch.setattr(bounds, "BODY_TIMEOUT_S", 0.1)

    async def main():
        async with serving(idle_s=0.5) as place:
            said = await talk(place.port, b"GET /api/late HTTP/1.1\r\nhost: x\r\n\r\n")
            assert said.endswith(b"late")
            await until(lambda: place.door.connection_count == 0)

    run(main())


def test_requests_behind_one_another_are_answered_in_order_and_a_flood_of_them_is_not():
    async def main():
        async with serving() as place:
            one = b"GET /api/echo/%d HTTP/1.1\r\nhost: x\r\n\r\n"
            said = await talk(place.port, b"".join(one % number for number in range(20)))
            assert [b"x-path: /api/echo/%d\r\n" % number in said for number in range(20)] == [True] * 20
            assert said.index(b"echo/3\r") < said.index(b"echo/4\r")
            flood = b"GET /api/late HTTP/1.1\r\nhost: x\r\n\r\n" + b"".join(one % number for number in range(200))
            assert (await talk(place.port, flood)).count(b"HTTP/1.1 200") < 100

    run(main())


def test_an_offer_of_http_2_is_passed_over_and_the_connection_goes_on():
    async def main():
        async with serving() as place:
            offer = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
            said = await talk(
                place.port,
                b"GET /api/echo/1 HTTP/1.1\r\nhost: x\r\n" + offer + b"\r\n",
                b"GET /api/echo/2 HTTP/1.1\r\nhost: x\r\n\r\n",
                pause_s=0.1,
            )
            assert said.count(b"HTTP/1.1 200") == 2, said

    run(main())


def test_an_answer_before_the_body_was_read_ends_the_connection(monkeypatch):
    monkeypatch.setattr(bounds, "DISCARD_TIMEOUT_S", 0.1)

    async def main():
        async with serving() as place:
            said = await talk(
                place.port, b"POST /api/early HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nGET /api/echo/x HTTP/1.1"
            )
            assert said.startswith(b"HTTP/1.1 200")
            assert said.count(b"HTTP/1.1") == 1
            await until(lambda: place.door.connection_count == 0)

    run(main())


def test_too_many_connections_are_closed_at_once(monkeypatch):
    monkeypatch.setattr(bounds, "CONNECTIONS_MAX", 3)

    async def main():
        async with serving() as place:
            kept = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(3)]
            await until(lambda: place.door.connection_count == 3)
            assert await talk(place.port, b"GET /api/echo/x HTTP/1.1\r\nhost: x\r\n\r\n") == b""
            for _, writer in kept:
                writer.close()
            await until(lambda: place.door.connection_count == 0)
            assert (await place.client.get("/api/echo/x")).status_code == 200

    run(main())


def test_a_client_that_vanished_is_asked_for():
    async def main():
        async with serving() as place:
            _, writer = await asyncio.open_connection("127.0.0.1", place.port)
            await until(lambda: place.door.newcomers)
            (newcomer,) = place.door.newcomers
            client = newcomer.transport.get_extra_info("socket")
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 300
            writer.close()

    run(main())


def test_a_drain_lets_the_answer_under_way_finish():
    async def main():
        async with serving() as place:
            asked = asyncio.create_task(place.client.get("/api/late"))
            await place.service.begun.wait()
            await place.door.drain(60.0)
            answer = await asked
            assert (answer.status_code, answer.text) == (200, "late")
            with pytest.raises(httpx.ConnectError):
                await place.client.get("/api/echo/x")

    run(main())
