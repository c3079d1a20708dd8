"""What every gRPC back end mounts: the node's methods, health and reflection, as path → method and handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.methods import METHODS, Method
from resolver.transport import health, reflection

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from resolver.service import Service
    from resolver.service.call import Handler


class Entry(NamedTuple):
    """A method and who answers it. ``open`` methods take no credential."""

    method: Method[Message, Message]
    handler: Handler
    open: bool = False


def table_of(service: Service, state: health.Health, *, with_reflection: bool) -> dict[str, Entry]:
    """Every method by path."""
    handlers = service.handlers()
    table = {path: Entry(method, handlers[path]) for path, method in METHODS.items()}
    table[health.CHECK.path] = Entry(health.CHECK, state.check, open=True)
    table[health.WATCH.path] = Entry(health.WATCH, state.watch, open=True)
    if with_reflection:
        answers = reflection.Reflection(service.core.until_drain)
        for method in (reflection.INFO_V1, reflection.INFO_V1ALPHA):
            table[method.path] = Entry(method, answers.info, open=True)
    return table
