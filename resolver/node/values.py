"""What may be stored as the values of a handle: checks, defaults, and the public and restricted halves.

Works on the protobuf messages themselves, because they are what is stored. Nothing here reads the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import InvalidValue, RecordTooLarge, TooManyItems
from resolver.handle.value import PERMISSIONS_DEFAULT, HandleValue, Permission, Reference, Ttl
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import stored_pb2 as stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from resolver.handle.name import WantedTypes

_PUBLIC_READ = int(Permission.PUBLIC_READ)
_ADMIN_READ = int(Permission.ADMIN_READ)
_PERMISSIONS_DEFAULT = int(PERMISSIONS_DEFAULT)


def complete(values: Sequence[pb.HandleValue], now_s: int, *, may_be_empty: bool = False) -> list[pb.HandleValue]:
    """Check the values of a request, fill in defaults in place and return them in their order.

    Defaults: TTL 86,400 s, permissions 1110, timestamp ``now_s``. Raises InvalidValue or TooManyItems, naming the
    value at fault. ``may_be_empty`` is for the Handle protocol, where a handle without values is one.
    """
    if not values and not may_be_empty:
        raise InvalidValue("the handle has no values: give at least one", field="values")
    check_count(values)
    last, ordered = 0, True
    for position, value in enumerate(values):
        index = value.index
        if index == 0:
            raise InvalidValue(
                f"values[{position}] has index 0: indexes go from 1 to {limits.INDEX_MAX}",
                field=f"values[{position}].index",
            )
        ordered = ordered and index > last
        last = index
        complete_one(value, position, now_s)
    if not ordered:
        _require_distinct(values)
    return list(values)


def _require_distinct(values: Sequence[pb.HandleValue]) -> None:
    seen: set[int] = set()
    for position, value in enumerate(values):
        if value.index in seen:
            raise InvalidValue(
                f"values[{position}] repeats index {value.index}: an index may occur once in a handle",
                field=f"values[{position}].index",
            )
        seen.add(value.index)


def check_count(values: Sequence[pb.HandleValue]) -> None:
    """Raise TooManyItems for more values than a record may have."""
    if len(values) > limits.VALUES_MAX:
        raise TooManyItems(
            f"the handle has {len(values)} values; at most {limits.VALUES_MAX} are allowed", field="values"
        )


def complete_one(value: pb.HandleValue, position: int, now_s: int) -> None:
    """Check one value and fill in its defaults."""
    type_ = value.type
    if not type_:
        raise InvalidValue(f"values[{position}] has no type: give one such as URL", field=f"values[{position}].type")
    if len(type_) > limits.TYPE_OCTETS_MAX or (not type_.isascii() and len(type_.encode()) > limits.TYPE_OCTETS_MAX):
        raise InvalidValue(
            f"values[{position}] has a type of more than {limits.TYPE_OCTETS_MAX} octets",
            field=f"values[{position}].type",
        )
    if not value.HasField("permissions"):
        value.permissions = _PERMISSIONS_DEFAULT
    elif value.permissions > 15:
        raise InvalidValue(
            f"values[{position}] has permissions {value.permissions}: the bits are 8, 4, 2 and 1",
            field=f"values[{position}].permissions",
        )
    if value.WhichOneof("ttl") is None:
        value.ttl_s = limits.TTL_DEFAULT_S
    elif value.ttl_s > limits.TTL_RELATIVE_MAX_S:
        raise InvalidValue(
            f"values[{position}] has a TTL above {limits.TTL_RELATIVE_MAX_S} seconds",
            field=f"values[{position}].ttl_s",
        )
    if len(value.references) > limits.REFERENCES_MAX:
        raise InvalidValue(
            f"values[{position}] has more than {limits.REFERENCES_MAX} references",
            field=f"values[{position}].references",
        )
    for reference in value.references:
        if len(reference.name.encode()) > limits.NAME_OCTETS_MAX:
            raise InvalidValue(
                f"values[{position}] has a reference to a name of more than {limits.NAME_OCTETS_MAX} octets",
                field=f"values[{position}].references",
            )
    value.timestamp_s = now_s


def split(values: Iterable[pb.HandleValue]) -> tuple[list[pb.HandleValue], stored.StoredRestricted]:
    """The values everybody may read, and the others with their places; ``joined`` puts them together again."""
    public: list[pb.HandleValue] = []
    restricted = stored.StoredRestricted()
    for place, value in enumerate(values):
        if is_public(value):
            public.append(value)
        else:
            restricted.values.append(value)
            restricted.places.append(place)
    return public, restricted


def joined(public: Iterable[pb.HandleValue], restricted: bytes | None) -> list[pb.HandleValue]:
    """All values of a record in their order, from its public ones and the body of its row of RESTRICTED."""
    found = list(public)
    if restricted:
        hidden = stored.StoredRestricted.FromString(restricted)
        for number, value in enumerate(hidden.values):
            found.insert(hidden.places[number] if number < len(hidden.places) else len(found), value)
    return found


class _Verdicts(dict[str, bool]):
    """Whether values of a type are wanted; a type that comes again is not judged again."""

    def __init__(self, types: WantedTypes) -> None:
        super().__init__()
        self._types = types

    def __missing__(self, type_: str) -> bool:
        verdict = self[type_] = type_ in self._types
        return verdict


def wanted(values: Iterable[pb.HandleValue], indexes: AbstractSet[int], types: WantedTypes) -> list[bool]:
    """For each value whether it is asked for: by a type or by an index, or because neither is given."""
    if types:
        verdicts = _Verdicts(types)
        return [verdicts[value.type] or value.index in indexes for value in values]
    if indexes:
        return [value.index in indexes for value in values]
    return [True for _ in values]


def is_public(value: pb.HandleValue) -> bool:
    """Whether everybody may read the value."""
    return bool(value.permissions & _PUBLIC_READ)


def readable_by_admin(value: pb.HandleValue) -> bool:
    """Whether an owner may read the value: with neither read bit nobody may."""
    return bool(value.permissions & (_PUBLIC_READ | _ADMIN_READ))


def check_record_octets(octets: int, most: int) -> None:
    """Raise RecordTooLarge for a record of more octets than allowed."""
    if octets > most:
        raise RecordTooLarge(
            f"the record would have {octets} octets; this node stores at most {most} for one handle", field="values"
        )


def content(value: pb.HandleValue) -> tuple[object, ...]:
    """All of a value but its timestamp: two values with the same content are the same value."""
    return (
        value.index,
        value.type,
        value.data,
        value.WhichOneof("ttl"),
        value.ttl_s,
        value.ttl_until_s,
        value.permissions,
        tuple((reference.name, reference.index) for reference in value.references),
    )


def keep_timestamps(values: Iterable[pb.HandleValue], before: Iterable[pb.HandleValue]) -> bool:
    """Give values that are the same as before their old timestamps; True when nothing differs at all."""
    old = {value.index: value for value in before}
    same, count = True, 0
    for value in values:
        count += 1
        earlier = old.get(value.index)
        if earlier is not None and content(earlier) == content(value):
            value.timestamp_s = earlier.timestamp_s
        else:
            same = False
    return same and count == len(old)


def to_pb(value: HandleValue) -> pb.HandleValue:
    """The message of a handle value."""
    message = pb.HandleValue(
        index=value.index,
        type=value.type,
        data=value.data,
        permissions=int(value.permissions),
        timestamp_s=value.timestamp_s,
        references=[pb.Reference(name=reference.name, index=reference.index) for reference in value.references],
    )
    if value.ttl.absolute:
        message.ttl_until_s = value.ttl.seconds
    else:
        message.ttl_s = value.ttl.seconds
    return message


def from_pb(message: pb.HandleValue) -> HandleValue:
    """The handle value of a message."""
    absolute = message.WhichOneof("ttl") == "ttl_until_s"
    return HandleValue(
        index=message.index,
        type=message.type,
        data=message.data,
        ttl=Ttl(message.ttl_until_s if absolute else message.ttl_s, absolute=absolute),
        permissions=Permission(message.permissions),
        timestamp_s=message.timestamp_s,
        references=tuple(Reference(reference.name, reference.index) for reference in message.references),
    )
