"""Plain resolution for a door that answers whole read bursts: what ``Resolution.resolve`` does, with less on the way.

One ``PlainBurst`` serves one burst of one peer: it finds rows by the engine's fastest getter. Policy, counts and
checksums are those of every resolution; questions that are not plain are answered with None and belong to
``Resolution.resolve``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from resolver import limits
from resolver.node import record_octets
from resolver.node.resolve_plain import find_plain, resolve_plain
from resolver.v1 import resolution_pb2 as pb
from storage.errors import StorageError
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.service.call import Call
    from resolver.service.core import Core
    from resolver.service.resolution import Resolution
    from storage.engine import Reader


class PlainBurst:
    """Answers plain questions inside one read transaction."""

    __slots__ = ("_core", "_counts", "_find", "_reader", "_resolution")

    def __init__(self, core: Core, resolution: Resolution, reader: Reader) -> None:
        self._core = core
        self._resolution = resolution
        self._reader = reader
        self._find = core.engine.getter(reader, Table.RECORDS)
        self._counts: dict[str, int] = {}

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
        self._counts[prefix] = self._counts.get(prefix, 0) + 1
        return body

    def batch_resolve(self, call: Call, question: bytes) -> bytes | None:
        """The octets of a BatchResolveResponse for those of a BatchResolveRequest; None as in ``resolve``.

        Names that are not plain, misses among them, are asked of ``Resolution`` together and put in their places.
        """
        core, find, reader = self._core, self._find, self._reader
        core.require_resolution(call.caller)
        try:
            request = pb.BatchResolveRequest.FromString(question)
        except DecodeError:
            return None
        names = request.names
        if len(names) > limits.BATCH_RESOLVE_MAX or request.types or request.indexes or request.include_restricted:
            return None
        bodies: list[bytes] = []
        rest: list[int] = []
        counts: dict[str, int] = {}
        served = core.served
        try:
            for name in names:
                found = find_plain(find, reader, served, name)
                if found is None:
                    rest.append(len(bodies))
                    bodies.append(b"")
                    continue
                prefix, body = found
                counts[prefix] = counts.get(prefix, 0) + 1
                bodies.append(body)
        except StorageError:
            return None
        if sum(map(len, bodies)) > limits.ANSWER_OCTETS_MAX - limits.RECORD_OCTETS_MAX:
            return None  # what has no room is said name by name
        misses = self._fill(call, names, rest, bodies) if rest else b""
        for prefix, count in counts.items():
            self._counts[prefix] = self._counts.get(prefix, 0) + count
        return b"".join(bodies) + misses

    def _fill(self, call: Call, names: Sequence[str], rest: list[int], bodies: list[bytes]) -> bytes:
        """Ask for what is not plain and put what is found in its place; the misses, serialised."""
        asked = pb.BatchResolveRequest(names=[names[position] for position in rest])
        answer = pb.BatchResolveResponse.FromString(self._resolution.batch_resolve(call, asked))
        missed = {miss.position for miss in answer.misses}
        records = iter(answer.records)
        for place, position in enumerate(rest):
            if place not in missed:
                bodies[position] = record_octets.frame(next(records).SerializeToString(deterministic=True))
        for miss in answer.misses:
            miss.position = rest[miss.position]
        return pb.BatchResolveResponse(misses=answer.misses).SerializeToString()

    def count(self, source: str) -> None:
        """Count what was resolved, for the peer at an address: call it once, at the end of the burst."""
        for prefix, count in self._counts.items():
            self._core.counting.resolved(prefix, source, count, count)
