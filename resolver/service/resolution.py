"""Resolution: answers are stored octets, joined; only filters, misses and lists build messages."""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import AnswerTooLarge, NotThisServer, PrefixNotServed, ResolverError, TooManyItems, WireError
from resolver.handle.name import PREFIX_OF_PREFIXES, Prefix, fold
from resolver.node import listing
from resolver.node.authorize import Action, require
from resolver.node.resolve import Filter, resolve
from resolver.node.resolve_plain import find_plain, keys_in, keys_of
from resolver.service.foreign import Foreign, in_stream, miss_of
from resolver.service.later import Later
from resolver.v1 import resolution_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from resolver.service.call import Call
    from resolver.service.core import Core
    from storage.engine import Reader

_READ_OCTETS_MAX = 2 * limits.ANSWER_OCTETS_MAX
"""Octets of records read for one batch, beyond which its other names are to be asked again: of a thousand names of the
largest record hardly a value may be wanted, and reading all of them took the loop three seconds."""


class Resolution:
    """Handlers of ResolutionService."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.foreign = Foreign(core)

    def resolve(self, call: Call, request: pb.ResolveRequest) -> bytes | Awaitable[bytes]:
        """One record as ResolveResponse octets, or what gives them once the disk was read, or another node asked."""
        core = self._core
        core.require_resolution(call.caller)
        if core.residency.cold and (absent := core.residency.absent(keys_of([request.name]))):
            return self._touched(absent, lambda: self._resolve(call, request))
        return self._resolve(call, request)

    async def _touched(self, keys: Sequence[bytes], answer: Callable[[], bytes | Awaitable[bytes]]) -> bytes:
        """Answer after the records of some keys were brought into memory."""
        await self._core.residency.touch(keys)
        answered = answer()
        return await answered if isawaitable(answered) else answered

    def _resolve(self, call: Call, request: pb.ResolveRequest) -> bytes | Awaitable[bytes]:
        core = self._core
        wanted = Filter.of(request.types, request.indexes, include_restricted=request.include_restricted)
        name = request.name
        if request.trace or request.follow_aliases:
            return self.foreign.searched(call, request, wanted)
        with core.reading() as reader:
            try:
                body = resolve(reader, core.served, call.caller, name, wanted)
            except ResolverError as error:
                instead = self.foreign.instead(call, request, wanted, error)
                if instead is None or not isinstance(error, NotThisServer):  # the server that has it counts it
                    self._count(name, call, 0, error)
                if instead is None:
                    raise
                return instead
        self._count(name, call, 1)
        return body

    def _count(self, name: str, call: Call, found: int, error: ResolverError | None = None) -> None:
        """Count a resolution under its prefix."""
        self._core.counting.resolved(counted_prefix(name, error), call.source, 1, found, call.door)

    def batch_resolve(self, call: Call, request: pb.BatchResolveRequest) -> bytes | Awaitable[bytes]:
        """Records and misses as BatchResolveResponse octets, or what gives them once disk or other nodes were asked."""
        names = request.names
        if len(names) > limits.BATCH_RESOLVE_MAX:
            raise TooManyItems(
                f"{len(names)} names are asked; at most {limits.BATCH_RESOLVE_MAX} are allowed: split the batch, or "
                "use StreamResolve",
                field="names",
            )
        self._core.require_resolution(call.caller)
        residency = self._core.residency
        if residency.cold and (absent := residency.absent(keys_of(names))):
            return self._touched(absent, lambda: self._batch_resolve(call, request))
        return self._batch_resolve(call, request)

    def _batch_resolve(self, call: Call, request: pb.BatchResolveRequest) -> bytes | Awaitable[bytes]:
        names = request.names
        wanted = Filter.of(request.types, request.indexes, include_restricted=request.include_restricted)
        filters = None if wanted is None else [wanted] * len(names)
        bodies, misses = self._answer_all(call, names, filters, keys_in(request.SerializeToString()))
        if not misses:
            return b"".join(bodies)  # type: ignore[arg-type]  # what has no body is a miss
        open_ = self.foreign.open_among(names, misses, wanted)
        if open_:
            return self.foreign.join(call, bodies, misses, open_, wanted)
        return b"".join(filter(None, bodies)) + pb.BatchResolveResponse(misses=misses).SerializeToString()

    def _answer_all(
        self,
        call: Call,
        names: Sequence[str],
        filters: Sequence[Filter | None] | None,
        keys: Sequence[bytes] | None = None,
        left: list[int] | None = None,
    ) -> tuple[list[bytes | None], list[pb.ResolveMiss]]:
        """The body of each record found, and a miss for each other name; ``filters`` is None when all values are asked.

        Plain names are answered together; the others, one after the other, have the room that these leave. What has
        none is a miss that says so, or goes to ``left``, where there is such a list.
        """
        core = self._core
        with core.reading() as reader:
            bodies: list[bytes | None] = [None] * len(names)
            plain: Mapping[str, int] = {}
            if filters is None:
                bodies, plain = find_plain(reader, core.served, keys or keys_of(names))
            misses, counts = self._answer_rest(reader, call, names, filters, bodies, left)
        for prefix, count in plain.items():
            core.counting.resolved(prefix, call.source, count, count, call.door)
        for prefix, (asked, answered) in counts.items():
            core.counting.resolved(prefix, call.source, asked, answered, call.door)
        return bodies, misses

    def _answer_rest(
        self,
        reader: Reader,
        call: Call,
        names: Sequence[str],
        filters: Sequence[Filter | None] | None,
        bodies: list[bytes | None],
        left: list[int] | None,
    ) -> tuple[list[pb.ResolveMiss], dict[str, list[int]]]:
        """Put bodies where there are none, as long as there is room for them; misses, and counts by prefix."""
        misses: list[pb.ResolveMiss] = []
        counts: dict[str, list[int]] = {}
        if all(bodies):
            return misses, counts
        octets = read = sum(map(len, filter(None, bodies)))
        looked: list[int] = []
        for position in [place for place, body in enumerate(bodies) if body is None]:
            name = names[position]
            try:
                if read > _READ_OCTETS_MAX:
                    raise AnswerTooLarge(
                        f"{read} octets were read for the other answers: ask for {name[:80]!r} again in another batch"
                    )
                wanted = None if filters is None else filters[position]
                body = resolve(reader, self._core.served, call.caller, name, wanted, looked.append)
                if octets and octets + len(body) > limits.ANSWER_OCTETS_MAX:
                    raise AnswerTooLarge(
                        f"the other answers fill {octets} octets: ask for {name[:80]!r} again in another batch"
                    )
            except ResolverError as error:
                if left is not None and isinstance(error, AnswerTooLarge):
                    left.append(position)
                    continue
                misses.append(miss_of(position, error))
                if isinstance(error, NotThisServer):
                    continue  # the server that has it counts it
                counts.setdefault(counted_prefix(name, error), [0, 0])[0] += 1
                continue
            finally:
                read += sum(looked)
                looked.clear()
            octets += len(body)
            bodies[position] = body
            prefix_counts = counts.setdefault(counted_prefix(name, None), [0, 0])
            prefix_counts[0] += 1
            prefix_counts[1] += 1
        return misses, counts

    def answer_stream(
        self,
        call: Call,
        requests: Sequence[pb.StreamResolveRequest],
        later: list[pb.StreamResolveRequest] | None = None,
        left: list[int] | None = None,
    ) -> bytes:
        """The answers to a burst of questions as StreamResolveResponse octets.

        Questions that other nodes have to be asked go to ``later``, for ``answer_later``; without it they are missed.
        The places of those that one answer has no room for go to ``left``; there is room for one in any case.
        """
        filters = [
            Filter.of(request.types, request.indexes, include_restricted=request.include_restricted)
            for request in requests
        ]
        names = [request.name for request in requests]
        bodies, misses = self._answer_all(call, names, filters if any(filters) else None, left=left)
        tags = [request.tag for request, body in zip(requests, bodies, strict=True) if body is not None]
        if not misses:
            return b"".join(filter(None, bodies)) + pb.StreamResolveResponse(tags=tags).SerializeToString()
        recalled = b""
        if later is not None:
            open_ = self.foreign.open_among(names, misses)
            known = self.foreign.recall_all(open_)
            recalled = b"".join([in_stream(requests[place], known[place], filters[place]) for place in known])
            misses = [miss for miss in misses if miss.position not in open_]
            later += [requests[position] for position in open_ if position not in known]
        for miss in misses:
            miss.position = requests[miss.position].tag
        rest = pb.StreamResolveResponse(tags=tags, misses=misses).SerializeToString()
        return b"".join(filter(None, bodies)) + rest + recalled  # messages one behind the other are merged

    async def answer_later(self, requests: Sequence[pb.StreamResolveRequest]) -> AsyncIterator[bytes]:
        """The answers of other nodes to questions, each when it is there."""
        async for request, answer in self.foreign.as_found(requests):
            wanted = Filter.of(request.types, request.indexes, include_restricted=False)
            yield in_stream(request, answer, wanted)

    async def stream_resolve(
        self, call: Call, requests: AsyncIterator[pb.StreamResolveRequest]
    ) -> AsyncIterator[bytes]:
        """Answers to a stream of questions, one message for each; those of other nodes when they come."""
        self._core.require_resolution(call.caller)
        later = Later(self.answer_later)
        async for request in later.between(self._core.until_drain(requests)):
            if isinstance(request, bytes):
                yield request
                continue
            if absent := self._core.residency.absent(keys_of([request.name])):
                await self._core.residency.touch(absent)
            self._core.identify_again(call)
            foreign: list[pb.StreamResolveRequest] = []
            answer = self.answer_stream(call, [request], foreign)
            later.add(foreign)
            if answer:
                yield answer

    def list_handles(self, call: Call, request: pb.ListHandlesRequest) -> pb.ListHandlesResponse:
        """A page of a prefix."""
        core = self._core
        prefix = Prefix.from_text(request.prefix)
        size = listing.page_size(request.page_size)
        thing = f"prefix {prefix.text!r}"
        with core.reading() as reader:
            owner = core.served.owner(reader, prefix.folded)
            known = owner is not None
            require(call.caller, Action.LIST_HANDLES, owner if known else call.caller.enterprise_id, thing)
            if request.include_restricted:
                require(call.caller, Action.READ_RESTRICTED, owner, thing)
            core.served.require(reader, prefix.text)
            rows = list(
                listing.handles(
                    reader,
                    prefix,
                    request.suffix_start,
                    request.page_token,
                    size=size + 1,
                    include_restricted=request.include_restricted and request.include_records,
                )
            )
        response = pb.ListHandlesResponse()
        records = [record for _, record in rows if record is not None]
        if len(records) > size or sum(record.ByteSize() for record in records) > limits.ANSWER_OCTETS_MAX // 2:
            rows, records = rows[:size], records[:size]
            response.next_page_token = listing.token_for(f"handles {prefix.folded}", rows[-1][0])
        elif len(records) < len(rows):  # it ends at one that was passed over
            response.next_page_token = listing.token_for(f"handles {prefix.folded}", rows[-1][0])
        if request.include_records:
            response.records.extend(records)
        else:
            response.names.extend(record.name for record in records)
        return response


def counted_prefix(name: str, error: ResolverError | None) -> str:
    """The folded prefix a resolution counts for; "" when it is none of this node, which whoever asks could invent."""
    if isinstance(error, (WireError, PrefixNotServed)):
        return ""
    prefix, slash, _ = name.partition("/")
    return fold(prefix) if slash else PREFIX_OF_PREFIXES
