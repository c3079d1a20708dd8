"""The parts of the JSON API by themselves: the mapping beside protobuf's own, and the paths."""

import asyncio
import json
import random

import pytest
from google.protobuf import json_format

from resolver import methods
from resolver.errors import InvalidField, MalformedMessage, MessageTooLarge, TooManyItems
from resolver.methods import METHODS
from resolver.transport.http.transcoding import json_in, json_out, streams
from resolver.transport.http.transcoding.paths import Paths
from resolver.v1 import registration_pb2, registry_pb2, resolution_pb2

TEXTS = ["", "a", "标识/产品", "é\u202e\x00", "x" * 300, '"\\\n', "😀"]
EDGES = {
    "uint32": [0, 1, 2**32 - 1],
    "int32": [-(2**31), 0, 7],
    "uint64": [0, 2**53 + 1, 2**64 - 1],
    "int64": [-(2**63), -1, 2**63 - 1],
}
KINDS = {3: "int64", 4: "uint64", 5: "int32", 13: "uint32"}
MESSAGES = sorted(
    {kind for method in METHODS.values() for kind in (method.request, method.response)},
    key=lambda kind: kind.DESCRIPTOR.full_name,
)


def scalar(chance, field):
    if field.type == 9:
        return chance.choice(TEXTS)
    if field.type == 12:
        return chance.randbytes(chance.randrange(6))
    if field.type == 8:
        return chance.random() < 0.5
    if field.type == 14:
        return chance.choice(field.enum_type.values).number
    return chance.choice(EDGES[KINDS[field.type]])


def filled(chance, message, depth=0):
    """A message with about half of its fields set."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.45 or (field.containing_oneof and message.WhichOneof(field.containing_oneof.name)):
            continue
        count = chance.randrange(3)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for _ in range(count):
                getattr(message, field.name)[chance.choice(TEXTS)] = chance.choice(TEXTS)
        elif field.message_type is not None:
            if depth < 3 and field.is_repeated:
                for _ in range(count):
                    filled(chance, getattr(message, field.name).add(), depth + 1)
            elif depth < 3:
                getattr(message, field.name).SetInParent()
                filled(chance, getattr(message, field.name), depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend([scalar(chance, field) for _ in range(count)])
        else:
            setattr(message, field.name, scalar(chance, field))
    return message


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.DESCRIPTOR.name)
def test_the_mapping_is_that_of_protobuf(kind):
    chance = random.Random(kind.DESCRIPTOR.name)
    for _ in range(12):
        message = filled(chance, kind())
        ours = json_out.to_json(message)
        assert json.loads(ours) == json_format.MessageToDict(message)
        for octets in (
            ours,
            json_format.MessageToJson(message, preserving_proto_field_name=True).encode(),
            json_format.MessageToJson(message, use_integers_for_enums=True).encode(),
        ):
            read = kind()
            json_in.read(read, octets)
            assert read == message


async def _turns_during(work):
    """The result of a coroutine, and how often others had their turn meanwhile."""
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    result = await work
    counting.cancel()
    return result, turns


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.DESCRIPTOR.name)
def test_in_turns_the_mapping_is_the_same(kind, monkeypatch):
    monkeypatch.setattr(json_in, "ITEMS_AT_ONCE", 1)
    monkeypatch.setattr(json_out, "ITEMS_AT_ONCE", 1)
    chance = random.Random(kind.DESCRIPTOR.name)

    async def main():
        for _ in range(12):
            message, read = filled(chance, kind()), kind()
            octets = await json_out.to_json_in_turns(message)
            assert octets == json_out.to_json(message)
            await json_in.read_in_turns(read, octets)
            assert read == message

    asyncio.run(main())


def test_others_have_their_turn_while_long_lists_are_read_and_written():
    rows, names = 2_000, registration_pb2.BatchDeleteHandlesRequest(names=[f"88.1/{each}" for each in range(2_000)])
    batch = registration_pb2.BatchCreateHandlesRequest()
    for row in range(rows):
        batch.handles.add(name=f"88.1/{row}").values.add(index=1, type="URL", data=b"x")
    for message in (batch, names):
        octets, written = asyncio.run(_turns_during(json_out.to_json_in_turns(message)))
        read = type(message)()
        _, turns = asyncio.run(_turns_during(json_in.read_in_turns(read, octets)))
        assert read == message
        assert turns >= rows // json_in.ITEMS_AT_ONCE - 1
        assert message is names or written >= rows // json_out.ITEMS_AT_ONCE - 1


def test_others_have_their_turn_while_few_large_records_are_written():
    """Forty records of two thousand values each were one piece."""
    answer = resolution_pb2.BatchResolveResponse()
    for number in range(40):
        record = answer.records.add(name=f"88.1/{number}")
        for index in range(500):
            record.values.add(index=index + 1, type="URL", data=b"x" * 80)
    octets, turns = asyncio.run(_turns_during(json_out.to_json_in_turns(answer)))
    assert octets == json_out.to_json(answer)
    assert turns >= 39


def test_what_is_wrong_in_a_long_list_is_named_and_more_is_refused(monkeypatch):
    monkeypatch.setattr(json_in, "ITEMS_AT_ONCE", 1)
    rows = [{"name": "a", "values": [{"index": 1}, {"index": 2}]}] * 5
    broken = [*rows, {"name": "a", "values": [{"index": 1}, {"index": "x"}]}]
    with pytest.raises(InvalidField) as caught:
        asyncio.run(_read_batch(broken))
    assert caught.value.field == "handles[5].values[1].index"
    monkeypatch.setattr(json_in, "ITEMS_MAX", 17)
    asyncio.run(_read_batch(rows))
    monkeypatch.setattr(json_in, "ITEMS_MAX", 16)
    with pytest.raises(TooManyItems):
        asyncio.run(_read_batch([*rows, {"values": [{}]}]))


def test_a_body_of_more_parts_than_items_have_is_not_decoded(monkeypatch):
    """Eight megabytes of texts of two octets were 1.6 million objects before anybody counted them."""
    names = b",".join([b'"ab"'] * (json_in.COMMAS_MAX + 2))
    monkeypatch.setattr(json_in, "_schema", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(TooManyItems):
        json_in.read(registration_pb2.BatchDeleteHandlesRequest(), b'{"names":[%b]}' % names)


class _Request:
    """The body of a request in some pieces."""

    def __init__(self, pieces):
        self._pieces = pieces

    async def stream(self):
        for piece in self._pieces:
            yield piece


def test_lines_are_the_same_however_they_are_cut():
    chance = random.Random(7)
    body = b'{"names":["a"]}\n\n \n{"names":["b","c"]}\r\n{"names":["\xe6\xa0\x87"]}'
    for _ in range(200):
        cuts = sorted(chance.choices(range(len(body) + 1), k=chance.randrange(12)))
        pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]

        async def read(pieces=pieces):
            return [line async for line in streams._lines(_Request(pieces), 30)]

        assert asyncio.run(read()) == [
            (1, b'{"names":["a"]}'),
            (4, b'{"names":["b","c"]}\r'),
            (5, '{"names":["标"]}'.encode()),
        ]

    async def whole():
        return [line async for line in streams._lines(_Request([b"x" * 20] * 3), 30)]

    with pytest.raises(MessageTooLarge, match="line 1 has more than 30"):
        asyncio.run(whole())


def test_others_have_their_turn_while_a_long_line_is_read():
    """A chunk of an import in one line of some megabytes held up the loop for half a second."""
    rows = 2_000
    batch = registration_pb2.ImportHandlesRequest(import_id="i", sequence=1)
    for row in range(rows):
        batch.handles.add(name=f"88.1/{row}").values.add(index=1, type="URL", data=b"x")

    async def read():
        dialogue = streams.Dialogue(methods.IMPORT_HANDLES, ())
        return [each async for each in dialogue.requests(_Request([json_out.to_json(batch) + b"\n"]))]

    found, turns = asyncio.run(_turns_during(read()))
    assert found == [batch]
    assert turns >= rows // json_in.ITEMS_AT_ONCE - 1


async def _read_batch(rows):
    octets = json.dumps({"handles": rows}).encode()
    await json_in.read_in_turns(registration_pb2.BatchCreateHandlesRequest(), octets)


def test_null_is_not_set_and_both_base64_alphabets_are_read():
    route = registry_pb2.Route(address="x", public_key=b"\xfb\xff\xfe")
    for text in ("-__-", "+//+"):
        read = registry_pb2.Route()
        json_in.read(read, json.dumps({"address": "x", "publicKey": text, "tcpPort": None}).encode())
        assert read == route


def test_parameters_fill_messages_inside():
    request = registry_pb2.UpdateEnterpriseRequest()
    json_in.read_parameters(request, [("enterprise.contact.phone", "1"), ("ifVersion", "3")], {"enterprise.name": "某"})
    assert (request.enterprise.contact.phone, request.enterprise.name, request.if_version) == ("1", "某", 3)
    for name in ("enterprise", "enterprise.contact", "enterprise.nothing", "request_id.x", "", "."):
        with pytest.raises(InvalidField):
            json_in.read_parameters(request, [(name, "1")], {})
    resolve = resolution_pb2.ResolveRequest()
    json_in.read_parameters(resolve, [("indexes", "1"), ("indexes", "2")], {})
    assert list(resolve.indexes) == [1, 2]


RULES = [
    ("GET", "/v1/handles/{name=**}", "resolve"),
    ("GET", "/v1/handles:resolve", "resolve by query"),
    ("POST", "/v1/handles", "create"),
    ("GET", "/v1/keys/{key_id}", "key"),
    ("POST", "/v1/keys/{key_id}:revoke", "revoke"),
    ("PUT", "/v1/keys/{key.key_id}", "put key"),
    ("GET", "/v1/prefixes/{prefix}/handles", "list"),
]
FOUND = {
    ("GET", b"/v1/handles/88.1/a/b"): ("resolve", {"name": "88.1/a/b"}),
    ("GET", b"/v1/handles/88.1%2Fa%3Fb%23+%25"): ("resolve", {"name": "88.1/a?b#+%"}),
    ("GET", b"/v1/handles//"): ("resolve", {"name": "/"}),
    ("GET", b"/v1/handles:resolve"): ("resolve by query", {}),
    ("POST", b"/v1/handles"): ("create", {}),
    ("GET", b"/v1/keys/a:revoke"): None,
    ("POST", b"/v1/keys/a:b:revoke"): ("revoke", {"key_id": "a:b"}),
    ("GET", b"/v1/keys/a:b"): ("key", {"key_id": "a:b"}),
    ("PUT", b"/v1/keys/%E6%A0%87"): ("put key", {"key.key_id": "标"}),
    ("GET", b"/v1/prefixes/88.1/handles"): ("list", {"prefix": "88.1"}),
    ("GET", b"/v1/prefixes/88.1"): None,
    ("GET", b"/v1/keys/"): None,
    ("DELETE", b"/v1/handles"): None,
}


@pytest.mark.parametrize("asked", FOUND)
def test_paths_lead_where_their_rules_say(asked):
    http_method, path = asked
    found = Paths(RULES).find(path)
    assert (found and found.target(http_method)) == FOUND[asked]


def test_paths_that_are_no_text_are_refused():
    with pytest.raises(MalformedMessage, match=r"GB18030 it would be .*标识"):
        Paths(RULES).find(b"/v1/handles/88.1/%B1%EA%CA%B6")
    with pytest.raises(MalformedMessage, match="UTF-8"):
        Paths(RULES).find(b"/v1/handles/88.1/%FF")


@pytest.mark.parametrize(
    "rules",
    [
        [("GET", "/a/{x}", 1), ("GET", "/a/{y}", 2)],
        [("GET", "/a/{x=**}/b", 1)],
        [("GET", "/a/{x=*}", 1)],
        [("GET", "/a/b{x}", 1)],
    ],
)
def test_rules_that_cannot_be_followed_are_refused(rules):
    with pytest.raises(ValueError, match=r"two methods|segment|behind"):
        Paths(rules)
