"""The JSON API over a real socket: every method by its rule, errors that name the field, streams that flow."""

import asyncio
import json
from base64 import b64encode
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import httpx
import pytest
import uvloop

from resolver.methods import METHODS, Shape
from resolver.transport.http.calls import HttpOptions
from resolver.transport.http.server import HttpDoor
from resolver.transport.http.transcoding import bindings, openapi, streams
from tests.support.builders import PREFIX_A, PREFIX_B, register, value
from tests.support.node import no_second_ends


def run(main):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@asynccontextmanager
async def serving(world, who="user_a"):
    async with world.serving() as asker:
        core = asker.service.core
        door = HttpDoor(asker.service, HttpOptions("88.300"), core.calls.observe, idle_s=60.0)
        port = await door.start("127.0.0.1", 0, None)
        headers = {"authorization": f"Bearer {world.tokens[who]}"} if who else {}
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, headers=headers) as client:
                yield SimpleNamespace(client=client, port=port, core=core, door=door)
        finally:
            await door.drain(0.0)


async def until_gone(before):
    """Wait until all tasks begun since have ended; the core's timer of the seconds begins a new one each time."""
    async with asyncio.timeout(60):
        while [each for each in asyncio.all_tasks() - before if "Event.wait" not in repr(each)]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def encoded(text):
    return b64encode(text.encode()).decode()


def reason(answer):
    return answer.json()["details"][0]["reason"]


def violation(answer):
    return next(each["fieldViolations"][0]["field"] for each in answer.json()["details"] if "fieldViolations" in each)


def test_a_handle_from_birth_to_death(world):
    async def main():
        async with serving(world) as place:
            client = place.client
            body = {
                "name": f"{PREFIX_A}/轴承 A+?#%/1",
                "values": [
                    {"index": 1, "type": "URL", "data": encoded("https://a.example/"), "ttlS": 60},
                    {"index": 2000, "type": "产品名称", "data": encoded("轴承"), "permissions": 12},
                ],
            }
            made = await client.post("/v1/handles", json=body)
            assert made.status_code == 200, made.text
            assert made.json()["receipt"]["version"] == "1"
            path = f"/v1/handles/{PREFIX_A}/%E8%BD%B4%E6%89%BF%20A+%3F%23%25/1"
            found = (await client.get(path)).json()["record"]
            assert found["name"] == body["name"]
            assert [each["index"] for each in found["values"]] == [1]
            assert found["values"][0] | body["values"][0] == found["values"][0]
            slashes_encoded = await client.get(path.replace("/1", "%2F1"))
            assert slashes_encoded.json()["record"] == found
            everything = await client.get(path, params={"includeRestricted": "true"})
            assert [each["index"] for each in everything.json()["record"]["values"]] == [1, 2000]
            asked = await client.get("/v1/handles:resolve", params={"name": body["name"], "indexes": [1, 7]})
            assert asked.json()["record"]["values"] == found["values"]
            put = {"name": body["name"], "values": [{"index": 3, "type": "EMAIL", "data": ""}], "mode": "PUT_MODE_ADD"}
            assert (await client.post("/v1/handles:putValues", json=put)).json()["receipt"]["version"] == "2"
            again = await client.post("/v1/handles:putValues", json=put)
            assert (again.status_code, reason(again)) == (409, "VALUE_ALREADY_EXISTS")
            gone = {"name": body["name"], "indexes": [3], "if_version": "2"}
            assert (await client.post("/v1/handles:removeValues", json=gone)).status_code == 200
            stale = await client.put(path, json={"values": [value_of(1)], "ifVersion": 1})
            assert (stale.status_code, reason(stale)) == (412, "VERSION_MISMATCH")
            assert (await client.put(path, json={"values": [value_of(9)]})).status_code == 200
            listed = await client.get(f"/v1/prefixes/{PREFIX_A}/handles", params={"include_records": "true"})
            assert [each["values"][0]["index"] for each in listed.json()["records"]] == [9]
            removed = await client.delete(path, params={"requestId": "r-1"})
            assert removed.json()["receipt"]["version"] == "5"
            assert (await client.delete(path, params={"requestId": "r-1"})).json() == removed.json()
            missed = await client.get(path)
            assert (missed.status_code, reason(missed), missed.json()["code"]) == (404, "HANDLE_NOT_FOUND", 5)

    run(main())


def value_of(index):
    return {"index": index, "type": "URL", "data": encoded("x")}


def test_an_idempotency_key_is_a_request_id(world):
    async def main():
        async with serving(world) as place:
            client, headers = place.client, {"idempotency-key": "order-7"}
            body = {"name": f"{PREFIX_A}/i", "values": [value_of(1)]}
            first = await client.post("/v1/handles", json=body, headers=headers)
            second = await client.post("/v1/handles", json=body, headers=headers)
            assert first.json() == second.json()
            assert first.status_code == 200
            same = await client.post("/v1/handles", json=body | {"requestId": "order-7"}, headers=headers)
            assert same.json() == first.json()
            quoted = await client.post("/v1/handles", json=body, headers={"idempotency-key": '"order-7"'})
            assert quoted.json() == first.json()
            long = await client.post("/v1/handles", json=body, headers={"idempotency-key": "%41" * 30})
            assert (long.status_code, violation(long)) == (400, "request_id")
            other = await client.post("/v1/handles", json=body | {"requestId": "order-8"}, headers=headers)
            assert (other.status_code, violation(other)) == (400, "request_id")
            reused = await client.post("/v1/handles", json=body | {"name": f"{PREFIX_A}/j"}, headers=headers)
            assert (reused.status_code, reason(reused)) == (422, "REQUEST_ID_REUSED")

    run(main())


BAD = {
    "no JSON": ("/v1/handles", "{", 400, None, "not JSON"),
    "no UTF-8": ("/v1/handles", b'{"name": "\xb1\xea"}', 400, None, ""),
    "a list": ("/v1/handles", "[]", 400, None, "Expected"),
    "a name that is near": ("/v1/handles", '{"valeus": []}', 400, "valeus", "did you mean 'values'?"),
    "a name deep inside": ("/v1/handles", '{"values": [{"idx": 1}]}', 400, "values[0].idx", "index"),
    "the wrong kind": ("/v1/handles", '{"values": [{"index": {}}]}', 400, "values[0].index", "Expected"),
    "too large a number": ("/v1/handles", '{"values": [{"index": 4294967296}]}', 400, "values[0].index", "between 0"),
    "a number that is none": ("/v1/handles", '{"values": [{}, {"index": "1x"}]}', 400, "values[1].index", "whole"),
    "no base64": ("/v1/handles", '{"values": [{"data": "***"}]}', 400, "values[0].data", "base64"),
    "an unknown choice": ("/v1/handles", '{"onExisting": "ON_EXISTING_REPLAEC"}', 400, "on_existing", "REPLACE?"),
    "both of two": (
        "/v1/handles",
        '{"values": [{"ttlS": 1, "ttlUntilS": 2}]}',
        400,
        "values[0].ttl_until_s",
        "exclude",
    ),
    "both spellings": ("/v1/handles", '{"requestId": "a", "request_id": "b"}', 400, "request_id", "both spellings"),
    "half a character": ("/v1/handles", '{"name": "\\ud800"}', 400, None, ""),
    "too many objects": (
        "/v1/handles:batchCreate",
        '{"handles":[' + "{}," * 120_000 + "{}]}",
        400,
        None,
        "items",
    ),
    "too many numbers": ("/v1/handles:batchResolve", '{"indexes":[' + "1," * 120_000 + "1]}", 400, "indexes", "items"),
    "deep nesting": ("/v1/handles", '{"values":' + "[" * 20_000, 400, None, ""),
    "too large a body": ("/v1/enterprises", '{"requestId": "' + "x" * 200_000 + '"}', 413, None, "octets"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_bodies_are_told_what_is_wrong(world, case):
    path, body, status, field, words = BAD[case]

    async def main():
        async with serving(world) as place:
            answer = await place.client.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == status, answer.text
            told = answer.json()
            assert words in told["message"]
            if field is not None:
                assert violation(answer) == field

    run(main())


def test_a_byte_order_mark_before_json_is_passed_over(world):
    """Windows editors and .NET put one there; RFC 8259 lets a parser ignore it."""
    mark = "\ufeff".encode()

    async def main():
        async with serving(world, "user_a") as place:
            body = json.dumps({"name": f"{PREFIX_A}/marked", "values": [value_of(1)]}).encode()
            headers = {"content-type": "application/json"}
            made = await place.client.post("/v1/handles", content=mark + body, headers=headers)
            assert made.status_code == 200, made.text
            line = json.dumps({"name": f"{PREFIX_A}/line", "values": [value_of(1)]}).encode()
            answer = await place.client.post("/v1/handles:import?importId=m", content=mark + line + b"\n")
            assert answer.status_code == 200, answer.text
            assert b"error" not in answer.content
            assert (await place.client.get(f"/v1/handles/{PREFIX_A}/line")).status_code == 200
            twice = await place.client.post("/v1/handles", content=mark * 2 + body, headers=headers)
            assert twice.status_code == 400

    run(main())


QUERIES = {
    "?nmae=x": (400, "nmae"),
    "?name=a&name=b": (400, "name"),
    "?include_restricted=yes": (400, "include_restricted"),
    "?indexes=-1": (400, "indexes"),
    "?name=%B1%EA": (400, None),
    "?name=88.300.10/none&types=URL&types=EMAIL": (404, None),
}


@pytest.mark.parametrize("query", QUERIES)
def test_bad_queries_are_told_what_is_wrong(world, query):
    status, field = QUERIES[query]

    async def main():
        async with serving(world) as place:
            answer = await place.client.get("/v1/handles:resolve" + query)
            assert answer.status_code == status, answer.text
            if field:
                assert violation(answer) == field
            if "%B1" in query:
                assert "in GB18030 it would be '标'" in answer.json()["message"]

    run(main())


def test_head_answers_as_get_without_the_body(world):
    async def main():
        async with serving(world, "") as place:
            for path, status in (("/v1/node", 200), ("/v1/openapi.json", 200), ("/v1/handles/88.999.1/X", 404)):
                asked, looked = await place.client.get(path), await place.client.head(path)
                assert (looked.status_code, looked.content) == (asked.status_code, b"") == (status, b"")
                assert looked.headers["content-type"] == asked.headers["content-type"]

    run(main())


def test_requests_that_fit_no_rule(world):
    async def main():
        async with serving(world, "") as place:
            client = place.client
            for path in ("/v1/", "/v1/nothing", "/v1/prefixes/a/b/c"):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["code"]) == (404, 5)
            wrong = await client.patch("/v1/handles")
            assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
            assert (await client.request("TRACE", "/v1/node")).status_code == 405
            assert (await client.head("/v1/changes:watch")).status_code == 405
            typed = await client.post("/v1/handles:batchResolve", content="<a/>", headers={"content-type": "text/xml"})
            assert typed.status_code == 415
            with_body = await client.request("GET", "/v1/node", content=b"{}")
            assert with_body.status_code == 400
            anonymous = await client.post("/v1/handles", json={"name": f"{PREFIX_A}/x"})
            assert (anonymous.status_code, reason(anonymous)) == (401, "CREDENTIAL_MISSING")
            assert anonymous.headers["www-authenticate"].startswith("Bearer")
            basic = await client.get("/v1/node", headers={"authorization": "Basic eDp5"})
            assert (basic.status_code, reason(basic)) == (401, "CREDENTIAL_INVALID")
            foreign = await client.get(
                "/v1/keys",
                params={"principalId": "user-a"},
                headers={"authorization": f"Bearer {world.tokens['app_b']}"},
            )
            assert foreign.status_code == 403
            headers = {"authorization": f"Bearer {world.tokens['administrator']}"}
            clash = await client.put("/v1/logins/a", json={"userName": "b"}, headers=headers)
            assert (clash.status_code, violation(clash)) == (400, "user_name")

    run(main())


def test_batches_answer_in_place(world):
    register(world.engine, world.clock, f"{PREFIX_A}/x")

    async def main():
        async with serving(world) as place:
            rows = [{"name": f"{PREFIX_A}/{n}", "values": [value_of(1)]} for n in ("x", "y", "z")]
            made = (await place.client.post("/v1/handles:batchCreate", json={"handles": rows})).json()["results"]
            assert [row.get("reason") for row in made] == ["HANDLE_ALREADY_EXISTS", "CREATED", "CREATED"]
            asked = {"names": [f"{PREFIX_A}/{n}" for n in ("z", "none", "y")]}
            answer = (await place.client.post("/v1/handles:batchResolve", json=asked)).json()
            assert [each["name"][-1] for each in answer["records"]] == ["z", "y"]
            assert [(miss["position"], miss["reason"]) for miss in answer["misses"]] == [("1", "HANDLE_NOT_FOUND")]

    run(main())


async def lines_of(response):
    return [json.loads(line) async for line in response.aiter_lines() if line]


def test_an_import_of_a_stranger_is_refused_before_its_first_line(world):
    async def main():
        async with serving(world, who=None) as place:
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            head = b"POST /v1/handles:import?importId=a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head + b"4\r\n{...\r\n")  # a line that does not end
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            assert answer.startswith(b"HTTP/1.1 401 ")
            writer.close()

    run(main())


def test_lines_are_imported_acknowledged_and_exported(world):
    def rows(count):
        for number in range(count):
            yield json.dumps({"name": f"{PREFIX_A}/{number:05}", "values": [value_of(1)]}).encode() + b"\n"
        yield b'{"name": "elsewhere/1", "values": []}'

    async def body(count):
        for row in rows(count):
            yield row

    async def main():
        async with serving(world) as place:
            client, path = place.client, "/v1/handles:import?importId=erp-1&results=failed"
            async with client.stream("POST", path, content=body(1_200)) as response:
                assert response.headers["content-type"] == "application/x-ndjson"
                answers = await lines_of(response)
            assert [answer["sequence"] for answer in answers] == ["1", "2", "3"]
            assert [len(answer.get("results", [])) for answer in answers] == [0, 0, 1]
            async with client.stream("POST", path, content=body(1_200)) as response:
                assert all(answer["repeatedChunk"] for answer in await lines_of(response))
            async with client.stream("GET", f"/v1/prefixes/{PREFIX_A}/handles:export?suffixStart=0") as response:
                records = await lines_of(response)
            assert [record["name"] for record in records] == [f"{PREFIX_A}/{n:05}" for n in range(1_200)]
            chunk = {
                "importId": "erp-2",
                "sequence": "1",
                "handles": [{"name": f"{PREFIX_A}/c", "values": [value_of(1)]}],
            }
            answer = await client.post("/v1/handles:import", content=json.dumps(chunk))
            assert json.loads(answer.text)["results"][0]["reason"] == "CREATED"
            late = json.dumps(chunk | {"sequence": 2}) + "\n" + '{"sequense": 3}\n'
            answer = await client.post("/v1/handles:import", content=late)
            first, last = map(json.loads, answer.text.splitlines())
            assert (answer.status_code, first["sequence"]) == (200, "2")
            assert last["error"]["message"].startswith("line 2: 'sequense' is no field")

    run(main())


def test_a_stream_that_is_refused_at_once_has_a_status(world):
    async def main():
        async with serving(world) as place:
            client = place.client
            for path, content, status in (
                ("/v1/handles:import", '{"importId": ""}', 400),
                ("/v1/handles:import", "nonsense", 400),
                ("/v1/handles:import?importId=a&sequence=4", "", 400),
                ("/v1/handles:import?results=some", "", 400),
                ("/v1/handles:streamResolve?x=1", "", 400),
                ("/v1/handles:streamResolve", '{"name": "' + "x" * 300_000, 413),
            ):
                answer = await client.post(path, content=content)
                assert answer.status_code == status, answer.text
                assert answer.json()["message"]
            assert (await client.get(f"/v1/prefixes/{PREFIX_B}/handles:export")).status_code == 403
            refused = await client.get(f"/v1/prefixes/{PREFIX_A}/handles:export?pageSize=4")
            assert (refused.status_code, violation(refused)) == (400, "page_size")

    run(main())


def test_questions_and_answers_flow_in_both_directions(world):
    register(world.engine, world.clock, f"{PREFIX_A}/x")

    async def main():
        async with serving(world, "") as place:
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            head = b"POST /v1/handles:streamResolve HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head)

            async def ask(tag):
                line = json.dumps({"tag": tag, "name": f"{PREFIX_A}/x"}).encode() + b"\n"
                writer.write(b"%x\r\n%b\r\n" % (len(line), line))
                while not (line := await asyncio.wait_for(reader.readline(), 60)).startswith(b"{"):
                    pass
                return json.loads(line)

            for tag in (5, 6):
                answer = await ask(tag)
                assert (answer["tags"], answer["records"][0]["name"]) == ([str(tag)], f"{PREFIX_A}/x")
            writer.write(b"0\r\n\r\n")
            rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 60)
            assert b"error" not in rest
            writer.close()

    run(main())


def test_changes_come_as_lines_and_as_events(world):
    register(world.engine, world.clock, f"{PREFIX_A}/x")
    register(world.engine, world.clock, f"{PREFIX_A}/y")

    async def main():
        async with serving(world, "administrator") as place:
            client = place.client
            asked = {"fromSerial": 1, "stopAtEnd": "true", "includeRecords": "true"}
            answer = await client.get("/v1/changes:watch", params=asked)
            names = [
                each["change"]["name"] for line in answer.text.splitlines() for each in json.loads(line)["changes"]
            ]
            assert names == [f"{PREFIX_A}/x", f"{PREFIX_A}/y"]
            headers = {"accept": "text/event-stream", "last-event-id": "1"}
            async with client.stream("GET", "/v1/changes:watch", headers=headers) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                lines = response.aiter_lines()
                assert await anext(lines) == "id: 2"
                assert f"{PREFIX_A}/y" in await anext(lines)
                made = await client.post("/v1/handles", json={"name": f"{PREFIX_A}/z", "values": [value_of(1)]})
                assert made.status_code == 200
                place.core.poll()
                assert [await anext(lines) for _ in range(2)] == ["", "id: 3"]
            bad = await client.get("/v1/changes:watch", headers=headers | {"last-event-id": "x"})
            assert (bad.status_code, violation(bad)) == (400, "from_serial")

    run(main())


def test_a_silent_stream_says_that_it_is_alive(world, monkeypatch):
    """What is never sent anything is never missed either: a client that vanished was, at the next change."""
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.02)

    async def main():
        async with serving(world, "administrator") as place:
            for accept, said in {streams.LINES: "\n", streams.EVENTS: ": alive\n\n"}.items():
                headers = {"accept": accept}
                async with place.client.stream("GET", "/v1/changes:watch", headers=headers) as response:
                    assert await anext(response.aiter_text()) == said

    run(main())


def test_a_client_of_http_1_0_gets_a_stream_without_chunks(world):
    register(world.engine, world.clock, f"{PREFIX_A}/x")

    async def main():
        async with serving(world, "administrator") as place:
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            token = place.client.headers["authorization"]
            head = f"GET /v1/changes:watch?fromSerial=1&stopAtEnd=true HTTP/1.0\r\nauthorization: {token}\r\n"
            writer.write(f"{head}connection: keep-alive\r\n\r\n".encode())
            head, _, body = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
            assert b"transfer-encoding" not in head
            assert b"content-length" not in head
            assert b"connection: close" in head
            (line,) = body.splitlines()
            assert [each["change"]["name"] for each in json.loads(line)["changes"]] == [f"{PREFIX_A}/x"]
            writer.close()

    run(main())


def test_a_reader_who_leaves_ends_the_stream(world):
    async def main():
        async with serving(world, "administrator") as place:
            before = asyncio.all_tasks()
            async with place.client.stream("GET", "/v1/changes:watch"):
                pass
            await until_gone(before)

    run(main())


def test_a_drain_ends_streams_with_a_word(world):
    async def main():
        stack = AsyncExitStack()
        place = await stack.enter_async_context(serving(world, "administrator"))
        async with stack, place.client.stream("GET", "/v1/changes:watch") as response:
            place.core.begin_drain()
            *_, last = await lines_of(response)
            assert last["error"]["details"][0]["reason"] == "SHUTTING_DOWN"

    run(main())


def test_a_hurried_drain_leaves_nothing_running(world):
    async def main():
        async with serving(world, "administrator") as place:
            before = asyncio.all_tasks()
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            token = world.tokens["administrator"].encode()
            writer.write(b"GET /v1/changes:watch HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n\r\n" % token)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await place.door.drain(0.0)
            writer.close()
            await until_gone(before)

    run(main())


def test_what_is_asked_is_counted(world):
    register(world.engine, world.clock, f"{PREFIX_A}/x")

    async def main():
        async with serving(world) as place:
            with no_second_ends(place.core):
                place.core.calls.take()
                await place.client.get(f"/v1/handles/{PREFIX_A}/x")
                await place.client.get(f"/v1/handles/{PREFIX_A}/none")
                await place.client.post("/v1/handles", json={"name": f"{PREFIX_A}/z", "values": [value_of(1)]})
                seen = place.core.calls.take()
            counted = {(door, method.name, code): count for (door, method, code), count in seen.calls.items()}
            assert counted == {
                ("http", "Resolve", "200"): 1,
                ("http", "Resolve", "404"): 1,
                ("http", "CreateHandle", "200"): 1,
            }
            headers = {"authorization": f"Bearer {world.tokens['administrator']}"}
            asked = {"fromDay": 20260101, "includeActivity": "true"}
            answer = (await place.client.get("/v1/statistics", params=asked, headers=headers)).json()
            rows = {(row["kind"], row.get("protocol", "")): row for row in answer["activity"]}
            assert rows["resolution", "http"]["items"] == "2"
            assert rows["resolution", "http"]["itemsOk"] == "1"
            assert rows["registration", "http"]["itemsOk"] == "1"
            sources = (await place.client.get("/v1/statistics/sources", headers=headers)).json()["sources"]
            assert sources == [{"address": "127.0.0.1", "resolutions": "2"}]

    run(main())


def test_every_method_is_reached_by_its_rule(world):
    """No method is left out, and none answers with a defect, whatever is missing in the request."""

    async def main():
        async with serving(world, "administrator") as place:
            for binding in bindings.bindings():
                path = binding.template.replace("=**", "")
                for field in binding.path_fields:
                    path = path.replace("{" + field + "}", "0.0")
                if binding.method.shape is Shape.SERVER_STREAM:
                    path += "?stopAtEnd=true&fromSerial=1"
                content = "" if binding.is_dialogue or not binding.has_body else "{}"
                answer = await place.client.request(binding.http_method, path, content=content or None)
                assert answer.status_code < 500 or answer.status_code == 501, (path, answer.text)
                assert answer.status_code not in {404, 405} or reason(answer) != "NOT_IMPLEMENTED"
        reached = {binding.method.path for binding in bindings.bindings()}
        assert reached == set(METHODS)

    run(main())


def test_the_document_describes_every_rule(world):
    async def main():
        async with serving(world, "") as place:
            answer = await place.client.get("/v1/openapi.json")
            return answer.json()

    document = run(main())
    assert document == json.loads(openapi.document())
    told = {(path, verb) for path, place in document["paths"].items() for verb in place}
    rules = {(each.shown, each.http_method.lower()) for each in bindings.bindings()}
    assert told == rules | {("/v1/prefixes/{prefix}/handles:export", "get")}
    operations = [operation for place in document["paths"].values() for operation in place.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["description"] for operation in operations)
    text = json.dumps(document)
    wanted = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= set(document["components"]["schemas"])
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, kind in schema.get("properties", {}).items():
            assert kind.get("description") or name == "Status", f"{name}.{field}"


def test_plain_reads_have_the_answer_of_the_long_way(world):
    """What is answered at once and what goes through the transcoder are the same, counts and headers included."""
    names = ["x", "标识", "a/b c", "hidden", "none"]
    for name in names[:3]:
        register(world.engine, world.clock, f"{PREFIX_A}/{name}")
    register(world.engine, world.clock, f"{PREFIX_A}/hidden", [value(1, "secret", permissions=12)])

    async def main():
        async with serving(world, "") as place:
            with no_second_ends(place.core) as roll:
                for name in names:
                    roll()
                    place.core.counting.take()
                    found = []
                    for headers in ({}, {"x-forwarded-for": "192.0.2.1"}):
                        answer = await place.client.get(f"/v1/handles/{PREFIX_A}/{name}", headers=headers)
                        seen = place.core.calls.take()
                        roll()
                        waiting = place.core.counting.take().waiting
                        told = {key: text for key, text in answer.headers.items() if key != "date"}
                        found.append((answer.status_code, told, answer.content, seen.calls, waiting.prefixes))
                    assert found[0] == found[1]
                    assert found[0][0] == (200 if name in names[:3] else 404)
            assert "secret" not in answer.text

    run(main())


@pytest.mark.parametrize(
    "long", [{"url": f"/v1/handles/{PREFIX_A}/X?x=" + "y" * 40_000}, {"headers": {"x": "y" * 40_000}}]
)
def test_a_request_with_too_long_a_header_is_refused_as_the_document_says(world, long):
    async def main():
        async with serving(world) as at:
            answer = await at.client.get(**({"url": f"/v1/handles/{PREFIX_A}/X"} | long))
            assert (answer.status_code, answer.headers["content-type"]) == (431, "application/json")
            assert set(answer.json()) == {"code", "message", "details"}
            assert (answer.json()["code"], reason(answer)) == (8, "MESSAGE_TOO_LARGE")

    run(main())
