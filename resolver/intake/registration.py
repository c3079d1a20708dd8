"""Checks that every format shares, and the making of ``NewHandle`` messages from checked parts.

The node checks again; here the same rules give a row its error before anything is sent, and keep
the protobuf library from refusing a number or a text with an error of its own. Limits come from
``resolver.limits``; whether a prefix exists or a template is followed only the node knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import InvalidName, InvalidValue
from resolver.handle.name import Handle
from resolver.handle.value import Permission, Ttl
from resolver.v1 import handle_pb2, registration_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PERMISSIONS = {f"{bits:04b}": bits for bits in range(16)}
_PERMISSION_TEXTS = {bits: text for text, bits in _PERMISSIONS.items()}


def check_name(text: str) -> None:
    """Raise InvalidName unless the text can be registered: UTF-8, prefix, ``/`` and suffix, within the limits."""
    handle = Handle.from_text(text)
    if "/" not in text:
        raise InvalidName(
            f"{text[:80]!r} has no '/': a handle is prefix, '/', suffix, such as 88.300.1/ABC", field="name"
        )
    if not text.isprintable():
        handle.check_registrable()


def permissions_from_text(text: str) -> int:
    """The permission bits of four digits such as 1110. Raises InvalidValue."""
    bits = _PERMISSIONS.get(text)
    return Permission.from_text(text).value if bits is None else bits


def permissions_to_text(bits: int) -> str:
    """Four digits: admin read, admin write, public read, public write."""
    return _PERMISSION_TEXTS[bits & 15]


def check_value(index: int, type_: str) -> None:
    """Raise InvalidValue unless a value may have this index and type."""
    if not 1 <= index <= limits.INDEX_MAX:
        raise InvalidValue(f"index {index} is outside 1 to {limits.INDEX_MAX}: give another number", field="index")
    if not type_:
        raise InvalidValue(f"the value with index {index} has no type: give one such as URL", field="type")
    if not type_.isprintable():
        raise InvalidValue(
            f"type {type_[:40]!r} of index {index} holds a character that cannot be printed: remove it", field="type"
        )
    # A character has at most four octets, so most types need no encoding to be counted.
    if len(type_) * 4 > limits.TYPE_OCTETS_MAX and len(type_.encode()) > limits.TYPE_OCTETS_MAX:
        raise InvalidValue(
            f"the type of index {index} has {len(type_.encode())} octets; at most {limits.TYPE_OCTETS_MAX} are allowed",
            field="type",
        )


def new_value(
    index: int,
    type_: str,
    data: bytes,
    *,
    ttl: Ttl | None = None,
    permissions: int | None = None,
    references: Iterable[tuple[str, int]] = (),
) -> handle_pb2.HandleValue:
    """A checked value; what is None is left to the node's default. Raises InvalidValue."""
    check_value(index, type_)
    value = handle_pb2.HandleValue(index=index, type=type_, data=data, permissions=permissions)
    if ttl is not None:
        if ttl.absolute:
            value.ttl_until_s = ttl.seconds
        else:
            value.ttl_s = ttl.seconds
    for name, reference_index in references:
        if not 0 <= reference_index <= limits.INDEX_MAX:
            raise InvalidValue(
                f"reference index {reference_index} of index {index} is outside 0 to {limits.INDEX_MAX}",
                field="references",
            )
        value.references.add(name=name, index=reference_index)
    if len(value.references) > limits.REFERENCES_MAX:
        raise InvalidValue(
            f"index {index} has {len(value.references)} references; at most {limits.REFERENCES_MAX} are allowed",
            field="references",
        )
    return value


def new_handle(
    name: str, values: Sequence[handle_pb2.HandleValue], template_id: str = ""
) -> registration_pb2.NewHandle:
    """A registration of checked values under a name. Raises InvalidName and InvalidValue."""
    check_name(name)
    if len(values) > 1:
        check_indexes([value.index for value in values])
    return registration_pb2.NewHandle(name=name, values=values, template_id=template_id)


def check_indexes(indexes: Sequence[int]) -> None:
    """Raise InvalidValue when an index stands twice or there are more than a record may have."""
    if len(indexes) > limits.VALUES_MAX:
        raise InvalidValue(
            f"the handle has {len(indexes)} values; at most {limits.VALUES_MAX} are allowed", field="values"
        )
    if len(set(indexes)) != len(indexes):
        twice = next(index for index in indexes if indexes.count(index) > 1)
        raise InvalidValue(f"index {twice} stands twice: each value needs an index of its own", field="values")
