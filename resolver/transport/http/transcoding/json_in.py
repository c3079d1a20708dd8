"""From JSON and query parameters to messages, with errors that name the field.

Each kind of message has a schema for msgspec, made from its descriptor: it refuses unknown names, wrong kinds and deep
nesting while it parses, before anything large exists. Names are accepted in both spellings of protobuf's JSON mapping,
``ttlS`` and ``ttl_s``; numbers also as text; octets in both base64 alphabets; null means not set.
"""

from __future__ import annotations

import asyncio
import binascii
import re
from base64 import b64decode
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from resolver.errors import InvalidField, MalformedMessage, TooManyItems
from resolver.transport.http.transcoding.json_out import is_map
from resolver.wire.json_members import without_mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from google.protobuf.message import Message

    # protobuf's stubs have a class of its own for each implementation of these.
    Descriptor = Any
    EnumDescriptor = Any
    FieldDescriptor = Any

ITEMS_MAX = 100_000
"""Items of all lists in one body together: what fills the largest gRPC message with values of 40 octets."""

COMMAS_MAX = 8 * ITEMS_MAX
"""Commas of one body: so many items have few more, and what is between two may become an object of fifty octets."""

ITEMS_AT_ONCE = 200
"""Items that are put into a message before others have their turn: about a millisecond."""

# Field types of descriptor.proto.
_BOOL, _STRING, _MESSAGE, _BYTES, _ENUM = 8, 9, 11, 12, 14
_RANGES = {
    **dict.fromkeys((3, 16, 18), (-(2**63), 2**63 - 1)),
    **dict.fromkeys((4, 6), (0, 2**64 - 1)),
    **dict.fromkeys((5, 15, 17), (-(2**31), 2**31 - 1)),
    **dict.fromkeys((7, 13), (0, 2**32 - 1)),
}
_WHERE = re.compile(r" - at `\$\.?(.*?)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_PLACES = re.compile(r"\[[0-9.]*\]")
_DIGITS = re.compile(r"-?[0-9]{1,20}")
_SHOWN = 60


class _Spec(NamedTuple):
    field: FieldDescriptor
    name: str
    attributes: tuple[str, ...]
    """Of the schema: one for each spelling."""


class _Schema(NamedTuple):
    struct: type[msgspec.Struct]
    decoder: msgspec.json.Decoder[Any]
    specs: tuple[_Spec, ...]


@cache
def _schema(descriptor: Descriptor) -> _Schema:
    """The schema of a kind of message."""
    specs: list[_Spec] = []
    fields: list[tuple[str, Any, None]] = []
    rename: dict[str, str] = {}
    for field in descriptor.fields:
        kind = _python_type(field)
        names = dict.fromkeys((field.json_name, field.name))
        attributes = tuple(f"f{field.number}_{number}" for number in range(len(names)))
        rename |= dict(zip(attributes, names, strict=True))
        fields += [(attribute, kind | None, None) for attribute in attributes]
        specs.append(_Spec(field, field.name, attributes))
    struct = msgspec.defstruct(descriptor.name, fields, rename=rename, forbid_unknown_fields=True, gc=False)
    return _Schema(struct, msgspec.json.Decoder(struct), tuple(specs))


def _python_type(field: FieldDescriptor) -> Any:
    if is_map(field):
        return dict[str, _python_type(field.message_type.fields_by_name["value"])]  # type: ignore[misc]  # made here
    if field.type == _MESSAGE:
        kind: Any = _schema(field.message_type).struct
    elif field.type == _BOOL:
        kind = bool
    elif field.type in {_STRING, _BYTES}:
        kind = str
    elif field.type == _ENUM or field.type in _RANGES:
        kind = int | str
    else:
        raise TypeError(f"{field.full_name} is of a type none of our messages has: teach json_in and json_out")
    return list[kind] if field.is_repeated else kind


def read(message: Message, octets: bytes) -> None:
    """Fill a message from JSON. Raises MalformedMessage for what is no JSON, InvalidField for what does not fit."""
    _Filling().fill(message, _parsed(message, octets), "")


async def read_in_turns(message: Message, octets: bytes) -> None:
    """As ``read``; others have their turn while a long list is put into the message."""
    for _ in _Filling().steps(message, _parsed(message, octets)):
        await asyncio.sleep(0)


def _parsed(message: Message, octets: bytes) -> msgspec.Struct:
    """JSON as its schema has it. Raises MalformedMessage and InvalidField."""
    if len(octets) > ITEMS_MAX and (octets.count(b"{") > ITEMS_MAX or octets.count(b",") > COMMAS_MAX):
        raise _too_many("")
    try:
        values: msgspec.Struct = _schema(message.DESCRIPTOR).decoder.decode(without_mark(octets) or b"{}")
    except msgspec.ValidationError as error:
        raise _misfit(message.DESCRIPTOR, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise MalformedMessage("the body is nested too deeply") from None
    return values


def _misfit(descriptor: Descriptor, words: str) -> InvalidField:
    """The error for JSON that does not fit the schema."""
    where = _WHERE.search(words)
    place = where.group(1) if where else ""
    what = words[: where.start()] if where else words
    unknown = _UNKNOWN.match(what)
    if unknown is None:
        return InvalidField(f"{place or 'the body'}: {what}", field=place)
    found = _message_at(descriptor, place)
    return unknown_field(found or descriptor, unknown.group(1), place)


def _message_at(descriptor: Descriptor, place: str) -> Descriptor | None:
    """The kind of message at a place such as ``handles[...].values[...]``."""
    current: Descriptor | None = descriptor
    for part in filter(None, _PLACES.sub("", place).split(".")):
        if current is None:
            return None
        field = _field_named(current, part)
        current = None if field is None else field.message_type
    return current


def _field_named(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    return _names(descriptor).get(name)


@cache
def _names(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    """The fields of a message by either spelling."""
    return {name: field for field in descriptor.fields for name in (field.name, field.json_name)}


def unknown_field(descriptor: Descriptor, name: str, place: str = "") -> InvalidField:
    """The error for a name that a message has not."""
    shown = name[:_SHOWN]
    near = get_close_matches(name[:_SHOWN], list(_names(descriptor)), 1)
    known = ", ".join(field.json_name for field in descriptor.fields) or "none"
    help_ = f"did you mean {near[0]!r}?" if near else f"the fields are {known}"
    return InvalidField(f"{shown!r} is no field of {descriptor.full_name}: {help_}", field=_joined(place, shown))


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _too_many(where: str) -> TooManyItems:
    return TooManyItems(
        f"{where or 'the body'} brings it to more than {ITEMS_MAX} items: send fewer at a time", field=where
    )


def _given(message: Message, values: msgspec.Struct, place: str) -> Iterator[tuple[FieldDescriptor, Any, str]]:
    """The fields of a message that JSON gives, with their values and what they are called. Raises InvalidField."""
    for spec in _schema(message.DESCRIPTOR).specs:
        given = [value for each in spec.attributes if (value := getattr(values, each)) is not None]
        if not given:
            continue
        where = _joined(place, spec.name)
        if len(given) > 1:
            raise InvalidField(f"{where} is given in both spellings: give it once", field=where)
        yield spec.field, given[0], where


class _Filling:
    """Puts parsed values into a message, so many and no more: a worker has others to serve meanwhile."""

    def __init__(self) -> None:
        self._items = 0

    def fill(self, message: Message, values: msgspec.Struct, place: str) -> None:
        """Fill a message. Raises InvalidField and TooManyItems."""
        for field, value, where in _given(message, values, place):
            self._set(message, field, value, where)

    def steps(self, message: Message, values: msgspec.Struct) -> Iterator[None]:
        """Fill a message as ``fill`` does, stopping after every few items of its lists."""
        for field, value, where in _given(message, values, ""):
            if not field.is_repeated or is_map(field) or len(value) <= ITEMS_AT_ONCE:
                self._set(message, field, value, where)
                continue
            self._count(value, where)
            target = getattr(message, field.name)
            due = self._items
            for number, item in enumerate(value):
                if field.type == _MESSAGE:
                    self.fill(target.add(), item, f"{where}[{number}]")
                else:
                    target.append(scalar(field, item, f"{where}[{number}]"))
                if self._items + number >= due + ITEMS_AT_ONCE:  # what items hold themselves is counted as well
                    due = self._items + number
                    yield

    def _count(self, items: Any, where: str) -> None:
        self._items += len(items)
        if self._items > ITEMS_MAX:
            raise _too_many(where)

    def _set(self, message: Message, field: FieldDescriptor, value: Any, where: str) -> None:
        oneof = field.containing_oneof
        if oneof is not None and (other := message.WhichOneof(oneof.name)) is not None:
            raise InvalidField(f"{where} and {other} exclude each other: give one", field=where)
        if field.is_repeated:
            self._count(value, where)
        target = getattr(message, field.name)
        if is_map(field):
            of_value = field.message_type.fields_by_name["value"]
            for key, item in value.items():
                target[_text(key, where)] = scalar(of_value, item, f"{where}.{key[:_SHOWN]}")
        elif field.is_repeated and field.type == _MESSAGE:
            for number, item in enumerate(value):
                self.fill(target.add(), item, f"{where}[{number}]")
        elif field.is_repeated:
            target.extend([scalar(field, item, f"{where}[{number}]") for number, item in enumerate(value)])
        elif field.type == _MESSAGE:
            target.SetInParent()
            self.fill(target, value, where)
        else:
            setattr(message, field.name, scalar(field, value, where))


def scalar(field: FieldDescriptor, value: Any, where: str) -> Any:
    """A single value in protobuf's form; text also as it stands in paths and queries. Raises InvalidField."""
    if field.type == _STRING:
        return _text(value, where)
    if field.type == _BYTES:
        return _octets(value, where)
    if field.type == _BOOL:
        if isinstance(value, str):
            if value not in {"true", "false"}:
                raise InvalidField(f"{where} is {value[:_SHOWN]!r}: say true or false", field=where)
            return value == "true"
        return value
    if field.type == _ENUM:
        return _enum(field.enum_type, value, where)
    return _number(value, *_RANGES[field.type], where)


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidField(f"{where} has half of a surrogate pair, which is no character", field=where) from None
    return value


def _octets(value: str, where: str) -> bytes:
    try:
        text = value.replace("-", "+").replace("_", "/").rstrip("=")
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidField(f"{where} is {value[:_SHOWN]!r}, which is not base64", field=where) from None


def _enum(kind: EnumDescriptor, value: int | str, where: str) -> int:
    if isinstance(value, str):
        known = kind.values_by_name.get(value)
        if known is not None:
            number: int = known.number
            return number
        if not _DIGITS.fullmatch(value):
            near = get_close_matches(value[:_SHOWN].upper(), list(kind.values_by_name), 1, 0.3)
            help_ = f"did you mean {near[0]}?" if near else "one of " + ", ".join(kind.values_by_name)
            raise InvalidField(f"{where} is {value[:_SHOWN]!r}: {help_}", field=where)
    return _number(value, -(2**31), 2**31 - 1, where)


def _number(value: int | str, least: int, most: int, where: str) -> int:
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise InvalidField(f"{where} is {value[:_SHOWN]!r}, which is no whole number", field=where)
        value = int(value)
    if not least <= value <= most:
        raise InvalidField(f"{where} is {value}: it lies between {least} and {most}", field=where)
    return value


def read_parameters(message: Message, parameters: Iterable[tuple[str, str]], besides: Mapping[str, str]) -> None:
    """Fill a message from query parameters and the fields of a path (``besides``). Raises InvalidField.

    A parameter names a field, with dots into messages; repeated fields are given by repetition.
    """
    seen: set[str] = set()
    for name, value in parameters:
        where = _set_parameter(message, name, value)
        if where in seen:
            raise InvalidField(f"{where} is given twice, and takes one value", field=where)
        if where:
            seen.add(where)
    for name, value in besides.items():
        _set_parameter(message, name, value, wins=True)


def _set_parameter(message: Message, name: str, value: str, *, wins: bool = False) -> str:
    """Set one field; its name when it takes one value only, else ""."""
    target, descriptor = message, message.DESCRIPTOR
    *outer, last = name.split(".")
    for part in outer:
        field = _field_named(descriptor, part)
        if field is None or field.message_type is None or field.is_repeated:
            raise unknown_field(message.DESCRIPTOR, name)
        target, descriptor = getattr(target, field.name), field.message_type
    field = _field_named(descriptor, last)
    if field is None:
        raise unknown_field(descriptor, name)
    if field.message_type is not None:
        raise InvalidField(f"{name} is a message: name its fields, such as {name}.x, or send a body", field=name)
    where = ".".join([*outer, field.name])
    converted = scalar(field, value, where)
    if field.is_repeated:
        getattr(target, field.name).append(converted)
        return ""
    if wins:
        before = getattr(target, field.name)
        if before not in {field.default_value, converted}:
            raise InvalidField(f"{where} is {before!r} in the body or query and {converted!r} in the path", field=where)
    elif field.containing_oneof is not None and target.WhichOneof(field.containing_oneof.name):
        raise InvalidField(f"{where} is given twice, or with one that it excludes", field=where)
    setattr(target, field.name, converted)
    return where
