"""Bodies of SNMS requests by themselves: what is said of other shapes, and turns for others while a batch is read."""

import asyncio
import json

import pytest

from resolver import limits
from resolver.errors import TooManyItems
from resolver.transport.http.snms import bodies, identifiers


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("[]", bodies.Identifier, "请求体的类型应为对象"),
        ("5", dict, "请求体的类型应为对象"),
        ('{"handle":5}', bodies.Identifier, "handle 的类型应为字符串"),
        ('{"value":{}}', bodies.Identifier, "value 的类型应为数组"),
        ('{"value":[{"index":2000.5}]}', bodies.Identifier, "value[0].index 的类型应为整数"),
        ('{"items":[{"metadata":{"minLength":"x"}}]}', bodies.Template, "items[0].metadata.minLength 的类型应为整数"),
        ('{"items":[{"required":"maybe"}]}', bodies.Template, "items[0].required 的类型应为布尔值"),
    ],
)
def test_another_shape_is_named_in_chinese(body, kind, words):
    with pytest.raises(bodies.Said) as caught:
        bodies.decode(body.encode(), kind)
    assert caught.value.message == f"参数格式不正确: {words}"


@pytest.mark.parametrize("kind", [bodies.Identifier, str])
@pytest.mark.parametrize("item", ["1", "{}", '""', "[]"])
@pytest.mark.parametrize("at_once", [True, False])
def test_more_items_than_a_batch_has_are_not_looked_at_one_by_one(monkeypatch, kind, item, at_once):
    monkeypatch.setattr(bodies, "AT_ONCE_OCTETS_MAX", (1 << 20) * at_once)
    made = []
    monkeypatch.setattr(bodies, "Said", lambda words: made.append(words) or ValueError(words))
    body = b"[" + b",".join([item.encode()] * (limits.BATCH_CREATE_MAX + 1)) + b"]"
    with pytest.raises(TooManyItems, match="2001 items"):
        asyncio.run(bodies.decode_each(body, kind))
    assert not made


def test_a_body_that_is_made_of_commas_is_not_decoded():
    parts = b'{"value":[' + b",".join([b"{}"] * (bodies.COMMAS_MAX + 2)) + b"]}"
    for kind in (bodies.Identifier, dict):
        with pytest.raises(TooManyItems, match="more parts"):
            bodies.decode(parts, kind)
    with pytest.raises(TooManyItems, match="more parts"):
        asyncio.run(bodies.decode_each(b"[" + parts + b"]", bodies.Identifier))


def test_what_is_about_one_thing_has_fewer_parts():
    parts = b'{"value":[' + b",".join([b"{}"] * (bodies.COMMAS_OF_ONE_MAX + 2)) + b"]}"
    for kind in (bodies.Identifier, bodies.Template, dict):
        with pytest.raises(TooManyItems, match="more parts"):
            bodies.decode(parts, kind)
    many = b"[" + b",".join([b'{"handle":"%b"}' % (b"," * 200)] * 1_000) + b"]"
    assert len(asyncio.run(bodies.decode_each(many, bodies.Identifier))) == 1_000


def test_others_have_their_turn_while_a_batch_is_read(monkeypatch):
    monkeypatch.setattr(bodies, "AT_ONCE_OCTETS_MAX", 0)
    monkeypatch.setattr(bodies, "SLICE_OCTETS", 1)
    turns = 0

    async def main():
        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        names = await bodies.decode_each(json.dumps(["name"] * 500).encode(), str)
        decoded, good = turns, []
        await identifiers._Rows.read(names, str, good)
        counting.cancel()
        return decoded, good

    decoded, good = asyncio.run(main())
    assert good == ["name"] * 500
    assert decoded >= 499
    assert turns - decoded >= 500 // identifiers.SLICE_ROWS - 1
