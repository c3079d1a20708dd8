"""Handle values on their way into a request: the one place that turns the noun into the message.

Applications may give ``resolver.handle.value.HandleValue`` or the protobuf message. The timestamp is left out,
the node sets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.handle.value import HandleValue
from resolver.v1 import handle_pb2, registration_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable


def to_pb(value: HandleValue | handle_pb2.HandleValue) -> handle_pb2.HandleValue:
    """The message of a value; a message is returned as it is."""
    if not isinstance(value, HandleValue):
        return value
    message = handle_pb2.HandleValue(
        index=value.index,
        type=value.type,
        data=value.data,
        permissions=int(value.permissions),
        references=[handle_pb2.Reference(name=each.name, index=each.index) for each in value.references],
    )
    if value.ttl.absolute:
        message.ttl_until_s = value.ttl.seconds
    else:
        message.ttl_s = value.ttl.seconds
    return message


def new_handle(
    name: str, values: Iterable[HandleValue | handle_pb2.HandleValue], *, template_id: str = ""
) -> registration_pb2.NewHandle:
    """One row of a batch or import."""
    return registration_pb2.NewHandle(name=name, values=[to_pb(value) for value in values], template_id=template_id)
