"""Names that other nodes are responsible for, as the handlers of resolution meet them.

A handler asks here when this node has refused a name in a way that leaves open whether another node has it. What is
kept is answered at once; what has to be asked is an awaitable, which every door can wait for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from resolver import limits
from resolver.errors import AnswerTooLarge, NotThisServer, ResolverError, ValuesNotFound
from resolver.handle.codes import ResponseCode
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold, split
from resolver.node import record_octets, site_record
from resolver.node.authority import NOT_OURS, Below, Here, Look, authority_for, delegation, look
from resolver.node.foreign import Found, Outcome, Question
from resolver.node.resolve import resolve
from resolver.v1 import resolution_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

    from resolver.node.resolve import Filter
    from resolver.service.call import Call
    from resolver.service.core import Core

_AT_ONE_TIME = 64
"""Names of one batch or burst that are asked for at one time: a batch must not take all there are."""

_OPEN_REASONS = frozenset(error.reason for error in NOT_OURS)


class Elsewhere(Protocol):
    """Whoever can ask other nodes: ``federation.upstream`` in a node."""

    @property
    def has_top(self) -> bool:
        """Whether a node stands above this one."""

    def plain(self, question: bytes, now_s: float) -> bytes | None:
        """The octets of a fresh ResolveResponse to those of a ResolveRequest asked before."""

    def remember_plain(self, question: bytes, name: str) -> None:
        """Answer a question by ``plain`` from now on."""

    def forget_plain(self) -> None:
        """Look again who is responsible for each name."""

    def recall(self, name: str) -> Found | None:
        """A fresh answer that is kept. Raises the reason when it is a no."""

    async def find(self, question: Question) -> Outcome:
        """Search for an answer. Raises Overloaded."""


class Foreign:
    """What handlers of one worker say of other nodes' names."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @property
    def _elsewhere(self) -> Elsewhere | None:
        """Who asks other nodes for callers; None when nobody does, or the operator does not want it."""
        return self._core.elsewhere if self._core.options.recursion else None

    def look(self, name: str) -> Look:
        """What this node itself says of a name."""
        with self._core.reading() as reader:
            return look(reader, self._core.served, name)

    def whole_name(self, name: str, error: ResolverError) -> str:
        """The name with its prefix written out when other nodes may have it; empty when this node's refusal stands."""
        elsewhere = self._elsewhere
        if elsewhere is None or not isinstance(error, NOT_OURS):
            return ""
        handle = Handle.from_text(name)
        if isinstance(error, NotThisServer):
            return handle.text
        with self._core.reading() as reader:
            authority = authority_for(reader, handle.text)
        if isinstance(authority, Here) or (not isinstance(authority, Below) and not elsewhere.has_top):
            return ""
        return handle.text

    def instead(
        self, call: Call, request: pb.ResolveRequest, wanted: Filter | None, error: ResolverError
    ) -> bytes | Awaitable[bytes] | None:
        """What is said instead of a refusal, now or after asking; None when it stands."""
        if request.local_only:
            return self._referral(request.name, error)
        if request.include_restricted and isinstance(error, NotThisServer):
            return None  # another server of this site gives these to whoever asks it with a credential
        name = self.whole_name(request.name, error)
        elsewhere = self._elsewhere
        if not name or elsewhere is None:
            return None
        known = elsewhere.recall(name)
        if known is None:
            return self._found(call, name, wanted)
        if wanted is None:
            elsewhere.remember_plain(request.SerializeToString(), name)
        return _response(known, wanted, name)

    def _referral(self, name: str, error: ResolverError) -> bytes | None:
        """Who answers in this node's place, for a node that asks itself."""
        if not isinstance(error, NOT_OURS):
            return None
        if isinstance(error, NotThisServer):
            share = self._core.served.share
            site = [] if share is None else site_record.referral(share)
            return pb.ResolveResponse(referral=pb.Referral(values=site)).SerializeToString() if site else None
        with self._core.reading() as reader:
            authority = authority_for(reader, Handle.from_text(name).text)
            if not isinstance(authority, Below):
                return None
            of_prefix = fold(split(name)[0]) == PREFIX_OF_PREFIXES
            values = delegation(reader, authority, of_prefix=of_prefix)
        return pb.ResolveResponse(referral=pb.Referral(values=values, of_prefix=of_prefix)).SerializeToString()

    async def _found(self, call: Call, name: str, wanted: Filter | None) -> bytes:
        return _response((await self.find(Question(name, timeout_s=call.timeout_s))).get(), wanted, name)

    async def find(self, question: Question) -> Outcome:
        """Search; a worker that asks nobody gives what the node itself says."""
        if self._elsewhere is not None:
            return await self._elsewhere.find(question)
        seen = self.look(question.name)
        refusal = seen.refusal
        code = ResponseCode.SUCCESS if refusal is None else refusal.response_code
        hop = pb.Hop(
            name=question.name, protocol="local", response_code=code, said="" if refusal is None else str(refusal)
        )
        return Outcome(Found(seen.body) if refusal is None else None, refusal, [hop])

    async def searched(self, call: Call, request: pb.ResolveRequest, wanted: Filter | None) -> bytes:
        """The answer to a question that wants its way told, or its aliases followed."""
        core = self._core
        handle = Handle.from_text(request.name)
        name = handle.text
        question = Question(
            name, follows_aliases=request.follow_aliases, traced=request.trace, timeout_s=call.timeout_s
        )
        outcome = await self.find(question)
        response = pb.ResolveResponse(hops=outcome.hops)
        try:
            found = outcome.get()
            if found.origin is None and wanted is not None and wanted.include_restricted:
                local = Handle.from_text(record_octets.parse(found.body).name)
                with core.reading() as reader:
                    found = Found(resolve(reader, core.served, call.caller, local.text, wanted))
            octets = _response(found, wanted, name)
        except ResolverError as error:
            core.counting.resolved("", call.source, 1, 0, call.door)
            if not request.trace:
                raise
            response.miss.CopyFrom(miss_of(0, error))
            return response.SerializeToString()
        prefix = fold(handle.prefix) if found.origin is None else ""
        core.counting.resolved(prefix, call.source, 1, 1, call.door)
        return octets + response.SerializeToString()

    # Many at once

    def open_among(
        self, names: Sequence[str], misses: Sequence[pb.ResolveMiss], wanted: Filter | None = None
    ) -> dict[int, str]:
        """The missed positions that other nodes may have, with their whole names.

        Restricted values are given by the server itself that has a handle, to whoever asks it.
        """
        public_only = wanted is None or not wanted.include_restricted
        elsewhere = self._elsewhere
        found: dict[int, str] = {}
        if elsewhere is None:
            return found
        with self._core.reading() as reader:
            for miss in misses:
                name = names[miss.position]
                if miss.reason not in _OPEN_REASONS:
                    continue
                if miss.reason == "HANDLE_NOT_FOUND" and fold(split(name)[0]) != PREFIX_OF_PREFIXES:
                    continue
                whole = Handle.from_text(name).text
                if miss.reason == NotThisServer.reason:
                    if public_only:
                        found[miss.position] = whole
                    continue
                authority = authority_for(reader, whole)
                if isinstance(authority, Below) or (elsewhere.has_top and not isinstance(authority, Here)):
                    found[miss.position] = whole
        return found

    def join(
        self,
        call: Call,
        bodies: Sequence[bytes | None],
        misses: Sequence[pb.ResolveMiss],
        open_: dict[int, str],
        wanted: Filter | None,
    ) -> bytes | Awaitable[bytes]:
        """The octets of a BatchResolveResponse, now when all answers of other nodes are kept, else once they came."""
        joined = Joined(bodies, misses)
        known = self.recall_all(open_)
        for position, answer in known.items():
            joined.add(position, open_[position], answer, wanted)
        rest = {position: name for position, name in open_.items() if position not in known}
        return self._join_later(call, joined, rest, wanted) if rest else joined.batch()

    async def _join_later(self, call: Call, joined: Joined, rest: dict[int, str], wanted: Filter | None) -> bytes:
        for position, answer in (await self.find_all(rest, call.timeout_s)).items():
            joined.add(position, rest[position], answer, wanted)
        return joined.batch()

    async def as_found(
        self, requests: Sequence[pb.StreamResolveRequest]
    ) -> AsyncIterator[tuple[pb.StreamResolveRequest, Found | ResolverError]]:
        """Questions of a stream with their answers, in the order in which these come."""
        gate = asyncio.Semaphore(_AT_ONE_TIME)

        async def one(request: pb.StreamResolveRequest) -> tuple[pb.StreamResolveRequest, Found | ResolverError]:
            async with gate:
                return request, await self.found_or_error(request.name)

        tasks = [asyncio.ensure_future(one(request)) for request in requests]
        try:
            for task in asyncio.as_completed(tasks):
                yield await task
        finally:
            for each in tasks:
                each.cancel()

    def recall_all(self, open_: dict[int, str]) -> dict[int, Found | ResolverError]:
        """Those of them that are kept."""
        elsewhere = self._elsewhere
        found: dict[int, Found | ResolverError] = {}
        for position, name in open_.items():
            try:
                known = None if elsewhere is None else elsewhere.recall(name)
            except ResolverError as error:
                found[position] = error
            else:
                if known is not None:
                    found[position] = known
        return found

    async def find_all(self, open_: dict[int, str], timeout_s: float | None) -> dict[int, Found | ResolverError]:
        """All of them, asked for side by side."""
        gate = asyncio.Semaphore(_AT_ONE_TIME)

        async def one(name: str) -> Found | ResolverError:
            async with gate:
                return await self.found_or_error(name, timeout_s)

        answers = await asyncio.gather(*(one(name) for name in open_.values()))
        return dict(zip(open_, answers, strict=True))

    async def found_or_error(self, name: str, timeout_s: float | None = None) -> Found | ResolverError:
        """The record of a name, or the reason why there is none."""
        try:
            question = Question(Handle.from_text(name).text, timeout_s=timeout_s)
            return (await self.find(question)).get()
        except ResolverError as error:
            return error


def _response(found: Found, wanted: Filter | None, name: str) -> bytes:
    """The octets of a ResolveResponse."""
    body = select(found, wanted, name)
    return body if found.origin is None else body + pb.ResolveResponse(origin=found.origin).SerializeToString()


def select(found: Found, wanted: Filter | None, name: str) -> bytes:
    """The values wanted of a record, as field 1. Raises ValuesNotFound."""
    if wanted is None or (not wanted.types and not wanted.indexes):
        return found.body
    body = wanted.pick(found.body)
    if body is None:
        raise ValuesNotFound(
            f"handle {name[:200]!r} is registered and has no public value that was asked for: ask for other types or "
            "indexes"
        )
    return body


def miss_of(position: int, error: ResolverError) -> pb.ResolveMiss:
    """Why a name has no record."""
    return pb.ResolveMiss(position=position, code=error.meaning.grpc, reason=error.reason, message=error.message)


def in_stream(request: pb.StreamResolveRequest, answer: Found | ResolverError, wanted: Filter | None) -> bytes:
    """The octets of a StreamResolveResponse to one question."""
    try:
        if isinstance(answer, ResolverError):
            raise answer.again()
        body = select(answer, wanted, request.name)
    except ResolverError as error:
        return pb.StreamResolveResponse(misses=[miss_of(request.tag, error)]).SerializeToString()
    rest = pb.StreamResolveResponse(tags=[request.tag])
    if answer.origin is not None:
        rest.origins.append(answer.origin)
        rest.origins[0].position = request.tag
    return body + rest.SerializeToString()


class Joined:
    """Records of this node and of others, put together in the order of their positions."""

    def __init__(self, bodies: Sequence[bytes | None], misses: Sequence[pb.ResolveMiss]) -> None:
        self.bodies = {position: body for position, body in enumerate(bodies) if body is not None}
        self.misses = {miss.position: miss for miss in misses}
        self.origins: dict[int, pb.Origin] = {}
        self._octets = sum(map(len, self.bodies.values()))

    def add(self, position: int, name: str, answer: Found | ResolverError, wanted: Filter | None) -> None:
        """Put an answer of another node in its place."""
        self.misses.pop(position, None)
        try:
            if isinstance(answer, ResolverError):
                raise answer.again()
            body = select(answer, wanted, name)
            if self._octets + len(body) > limits.ANSWER_OCTETS_MAX and self.bodies:
                raise AnswerTooLarge(
                    f"the other answers fill {self._octets} octets: ask for {name[:80]!r} again in another batch"
                )
        except ResolverError as error:
            self.misses[position] = miss_of(position, error)
            return
        self._octets += len(body)
        self.bodies[position] = body
        if answer.origin is not None:
            origin = self.origins[position] = pb.Origin()
            origin.CopyFrom(answer.origin)
            origin.position = position

    def batch(self) -> bytes:
        """The octets of a BatchResolveResponse."""
        rest = pb.BatchResolveResponse(
            misses=[self.misses[position] for position in sorted(self.misses)],
            origins=[self.origins[position] for position in sorted(self.origins)],
        )
        return b"".join([self.bodies[position] for position in sorted(self.bodies)]) + rest.SerializeToString()
