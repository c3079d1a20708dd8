"""From messages to JSON, by protobuf's mapping: what is not set is left out, 64-bit numbers and octets are text."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    ToObject = Callable[[Message], dict[str, Any]]

    # protobuf's stubs have a class of its own for each implementation of these.
    Descriptor = Any
    FieldDescriptor = Any

ITEMS_AT_ONCE = 100
"""Items of a list that are made before others have their turn: a millisecond or two of records."""

OCTETS_AT_ONCE = 32 << 10
"""Octets of messages likewise: a record may have two thousand values."""

_ENCODE = msgspec.json.Encoder().encode

# Field types of descriptor.proto.
_LONG = {3, 4, 6, 16, 18}
_MESSAGE, _BYTES, _ENUM = 11, 12, 14


def to_json(message: Message) -> bytes:
    """The message as JSON."""
    return _ENCODE(to_object(message))


async def to_json_in_turns(message: Message) -> bytes:
    """As ``to_json``; others have their turn while a long list is made."""
    made = {}
    is_short = message.ByteSize() <= OCTETS_AT_ONCE
    for field, value in message.ListFields():
        name, convert = _fields(message.DESCRIPTOR)[field.number]
        if (
            field.type != _MESSAGE
            or not field.is_repeated
            or is_map(field)
            or (is_short and len(value) <= ITEMS_AT_ONCE)
        ):
            made[name] = convert(value)
            continue
        items: list[Any] = []
        count = octets = 0
        for item in value:
            items += convert((item,))
            count, octets = count + 1, octets + item.ByteSize()
            if count == ITEMS_AT_ONCE or octets > OCTETS_AT_ONCE:
                count = octets = 0
                await asyncio.sleep(0)
        made[name] = items
    return _ENCODE(made)


def to_object(message: Message) -> dict[str, Any]:
    """The message as what JSON is made of."""
    return object_maker(message.DESCRIPTOR)(message)


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map; its keys are text in all our messages."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry is True


def _identity(value: Any) -> Any:
    return value


def _octets(value: bytes) -> str:
    return b64encode(value).decode()


@cache
def _fields(descriptor: Descriptor) -> dict[int, tuple[str, Callable[[Any], Any]]]:
    """The fields of a kind of message by number: name, and what turns the value into JSON."""
    return {field.number: (field.json_name, _converter(field)) for field in descriptor.fields}


@cache
def object_maker(descriptor: Descriptor) -> ToObject:
    """What makes objects of a kind of message."""
    fields = _fields(descriptor)

    def make(message: Message) -> dict[str, Any]:
        made = {}
        for field, value in message.ListFields():
            name, convert = fields[field.number]
            made[name] = convert(value)
        return made

    return make


def _converter(field: FieldDescriptor) -> Callable[[Any], Any]:
    """What turns the value of a field, or all its values, into JSON."""
    if is_map(field):
        of_value = _converter(field.message_type.fields_by_name["value"])
        return lambda items: {str(key): of_value(value) for key, value in items.items()}
    one: Callable[[Any], Any]
    if field.type == _MESSAGE:
        maker: list[ToObject] = []  # made at the first value, since messages may hold each other

        def one(value: Any) -> Any:
            if not maker:
                maker.append(object_maker(field.message_type))
            return maker[0](value)

    elif field.type in _LONG:
        one = str
    elif field.type == _BYTES:
        one = _octets
    elif field.type == _ENUM:
        names = {value.number: value.name for value in field.enum_type.values}

        def one(value: Any) -> Any:
            return names.get(value, value)

    else:
        one = _identity
    if field.is_repeated:
        return lambda values: [one(value) for value in values]
    return one
