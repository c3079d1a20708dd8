"""Plain resolution for a door that answers whole read bursts: what ``Resolution.resolve`` does, with less on the way.

One ``PlainBurst`` serves one burst: it finds rows by the engine's fastest getter. Policy, counts and checksums are
those of every resolution; questions that are not plain are answered with None and belong to ``Resolution.resolve``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node.resolve_plain import resolve_plain
from storage.errors import StorageError
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.service.call import Call
    from resolver.service.core import Core
    from storage.engine import Reader


class PlainBurst:
    """Answers plain questions inside one read transaction."""

    __slots__ = ("_core", "_find", "_reader")

    def __init__(self, core: Core, reader: Reader) -> None:
        self._core = core
        self._reader = reader
        self._find = core.engine.getter(reader, Table.RECORDS)

    def resolve(self, call: Call, question: bytes) -> bytes | None:
        """The octets of a ResolveResponse for those of a ResolveRequest; None when ``Resolution`` has to answer.

        Raises what the policy refuses.
        """
        core = self._core
        core.require_resolution(call.caller)
        try:
            found = resolve_plain(self._find, self._reader, core.served, question)
        except StorageError:
            return None  # the usual way meets it again and has the words for it
        if found is None:
            return None
        prefix, body = found
        core.counting.resolved(prefix, call.source, 1, 1)
        return body
