"""The driver of searches in a worker: sockets and clock for ``search``, and many callers for one answer.

Callers of the same question share one search, and searches that ask the same of the same server share that. Both are
bounded; what is beyond the bounds is refused at once. A search goes on when its caller has left, for the next one.

An answer that has just passed its TTL is given at once and fetched anew behind it; an older one is given when its node
has not answered within the time a caller would wait (RFC 8767), and says that it is stale.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from resolver import limits
from resolver.errors import Overloaded, Refused, ResolverError, ShuttingDown, UpstreamFailed
from resolver.federation.contacts import GRPC
from resolver.federation.gate import Gate
from resolver.federation.handle_peer import HandlePeer
from resolver.federation.steps import Moment, Reply, Said
from resolver.handle.codes import ResponseCode
from resolver.handle.name import fold_prefix
from resolver.node.foreign import Found, Outcome, Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.clock import Clock
    from resolver.federation.grpc_peer import GrpcPeer
    from resolver.federation.search import Searcher
    from resolver.federation.steps import Ask, Search

    Peer = HandlePeer | GrpcPeer

_log = structlog.get_logger("federation")

_SHARE_OF_DEADLINE = 0.9
"""Part of a caller's deadline after which it hears why there is no answer, or gets an old one: it still listens."""

_PEERS_MAX = 512
"""Connections to other nodes kept open by one worker."""


class Upstream:
    """Finds answers of other nodes. ``close`` it at the end."""

    def __init__(
        self,
        searcher: Searcher,
        clock: Clock,
        randomness: Callable[[int], bytes],
        *,
        octets_max: int = limits.UPSTREAM_OCTETS_MAX,
    ) -> None:
        self.searcher = searcher
        self._cache = searcher.cache
        self._clock = clock
        self._randomness = randomness
        self._octets_max = octets_max
        self._searches: dict[tuple[object, ...], asyncio.Task[Outcome]] = {}
        self._asks: dict[tuple[object, ...], asyncio.Task[Reply]] = {}
        self._peers: dict[tuple[object, ...], Peer] = {}
        self._gates: dict[tuple[object, ...], Gate] = {}
        self._trials: dict[str, asyncio.Event] = {}
        """What becomes of servers that failed, for those who wait until they have been tried again."""
        self._waiting = 0
        self._is_closed = False
        self._closing: set[asyncio.Task[None]] = set()
        self.plain = self._cache.plain
        self._answers: Counter[str] = Counter()
        self._questions: Counter[tuple[str, str]] = Counter()
        self.messages = 0
        """Messages sent to other nodes since the start."""

    def now(self) -> Moment:
        """The moment it is."""
        return Moment(self._clock.monotonic_s(), self._clock.now_us())

    async def close(self) -> None:
        """Give up what is under way and end the connections."""
        self._is_closed = True
        tasks = [*self._searches.values(), *self._asks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(peer.close() for peer in self._peers.values()), return_exceptions=True)
        self._peers.clear()

    @property
    def has_top(self) -> bool:
        """Whether a node stands above this one."""
        return bool(self.searcher.delegations)

    # What is known already

    def recall(self, name: str) -> Found | None:
        """A fresh answer that is kept; None when it has to be asked for. Raises the reason when it is a no."""
        entry = self._cache.get(fold_prefix(name))
        if entry is None or entry.fresh_until_s <= self._clock.monotonic_s():
            return None
        if entry.error is not None:
            raise entry.error.again()
        return Found(entry.body, entry.origin)

    def remember_plain(self, question: bytes, name: str) -> None:
        """Answer the octets of a question by ``plain`` from now on, as long as the answer to its name is fresh."""
        self._cache.remember_plain(question, fold_prefix(name))

    def forget_plain(self) -> None:
        """Look again who is responsible for each name."""
        self._cache.forget_plain()

    # What has to be asked

    async def find(self, question: Question) -> Outcome:
        """Search for an answer, or share a search under way. Raises Overloaded."""
        try:
            outcome = await self._find(question)
        except Overloaded:
            self._answers["overloaded"] += 1
            raise
        if outcome.found is not None:
            is_stale = outcome.found.origin is not None and outcome.found.origin.stale
            self._answers["stale" if is_stale else "found"] += 1
        else:
            self._answers["missed" if isinstance(outcome.error, Refused) else "failed"] += 1
        return outcome

    def take_counts(self) -> tuple[Counter[str], Counter[tuple[str, str]]]:
        """What became of questions since the last time: callers by result, messages by protocol and result."""
        taken = self._answers, self._questions
        self._answers, self._questions = Counter(), Counter()
        return taken

    async def _find(self, question: Question) -> Outcome:
        if self._waiting >= limits.UPSTREAM_WAITING_MAX:
            raise Overloaded("too many callers wait for other nodes: try again", retry_after_s=1.0)
        task = self._search(question)
        old = None
        if not question.traced and not question.authoritative and not question.follows_aliases:
            old = self._old(question.name)
        if old is not None and not task.done() and old[1]:
            return Outcome(old[0], None)
        waits_s = None if old is None else limits.STALE_ANSWER_S
        if question.timeout_s is not None:
            before_s = question.timeout_s * _SHARE_OF_DEADLINE
            waits_s = before_s if waits_s is None else min(waits_s, before_s)
        self._waiting += 1
        try:
            done, _ = await asyncio.wait({task}, timeout=waits_s)
        finally:
            self._waiting -= 1
        if not done and old is not None:
            return Outcome(old[0], None)
        if not done:
            words = f"no node has answered about {question.name[:200]!r} within the caller's deadline: try again"
            return Outcome(None, UpstreamFailed(words, retry_after_s=limits.FAILURE_TTL_S))
        if task.cancelled():
            raise ShuttingDown("this worker is shutting down: try again, another one answers", retry_after_s=0.05)
        return task.result()

    def _old(self, name: str) -> tuple[Found, bool] | None:
        """A record past its TTL that may still be given, and whether nobody has to wait for news of it.

        That is when it has just passed it, and when its server is known to fail (RFC 8767 section 5: resolvers do not
        let each client wait for the same silence).
        """
        entry = self._cache.get(fold_prefix(name))
        now_s = self._clock.monotonic_s()
        if entry is None or entry.error is not None or not entry.fresh_until_s <= now_s < entry.stale_until_s:
            return None
        is_young = now_s - entry.fresh_until_s <= limits.REVALIDATE_S
        return Found(entry.body, entry.stale_origin()), is_young or self.searcher.latencies.is_failing(entry.server)

    def _search(self, question: Question) -> asyncio.Task[Outcome]:
        shared = question._replace(name=fold_prefix(question.name), timeout_s=None)
        key = (*shared, object()) if question.traced else tuple(shared)
        task = self._searches.get(key)
        if task is None:
            if len(self._searches) >= limits.UPSTREAM_SEARCHES_MAX or self._is_closed:
                raise Overloaded("too many questions to other nodes are under way: try again", retry_after_s=1.0)
            task = self._searches[key] = asyncio.create_task(self._drive(question))
            task.add_done_callback(lambda _: self._searches.pop(key, None))
        return task

    async def _drive(self, question: Question) -> Outcome:
        """Give a search the replies it asks for."""
        search = self.searcher.search(question, self.now())
        try:
            ask = next(search)
            while True:
                if ask.awaits_trial:
                    ask = search.send(await self._trial_over(ask))
                else:
                    reply = await self._shared_reply(ask)
                    self._questions[ask.contact.protocol, reply.said.name.lower()] += 1
                    ask = self._tell(search, ask, reply)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        except ResolverError as error:
            return Outcome(None, error)

    def _tell(self, search: Search, ask: Ask, reply: Reply) -> Ask:
        """Give a search a reply; those who wait for what becomes of the server go on."""
        try:
            return search.send(reply)
        finally:
            trial = self._trials.pop(ask.contact.text, None)
            if trial is not None:
                trial.set()

    async def _trial_over(self, ask: Ask) -> Reply:
        """Wait until the server has replied to anybody, or has not."""
        trial = self._trials.setdefault(ask.contact.text, asyncio.Event())
        try:
            async with asyncio.timeout(ask.timeout_s):
                await trial.wait()
        except TimeoutError:
            self._trials.pop(ask.contact.text, None)
        return Reply.failed(self.now(), "another question has tried it")

    async def _shared_reply(self, ask: Ask) -> Reply:
        """The reply to an ask, shared with others who ask the same."""
        key = (ask.contact[:3], ask.name, ask.is_certified, ask.authoritative, ask.recursive)
        task = self._asks.get(key)
        if task is None:
            place = ask.contact[:3]
            gate = self._gates.setdefault(place, Gate())
            gate.users += 1
            task = self._asks[key] = asyncio.create_task(self._reply(ask, gate))

            def end(_: asyncio.Task[Reply]) -> None:
                self._asks.pop(key, None)
                gate.users -= 1
                if not gate.users:
                    del self._gates[place]

            task.add_done_callback(end)
        return await asyncio.shield(task)

    async def _reply(self, ask: Ask, gate: Gate) -> Reply:
        """Ask a server when its turn has come; whatever goes wrong is a reply."""
        is_asked, came_s = False, self._clock.monotonic_s()
        try:
            async with gate.turn(ask.timeout_s + 0.1):
                is_asked = True
                self.messages += 1
                reply = await self._peer(ask).ask(ask, self.now)
                if reply.said is not Said.FAILED:
                    gate.heard()
                return reply
        except TimeoutError:
            waited_s = self._clock.monotonic_s() - came_s
            if not is_asked and waited_s >= ask.timeout_s:
                words = "too many questions to it wait for their turn"
                return Reply(self.now(), Said.REFUSED, ResponseCode.SERVER_BUSY, message=words)
            return Reply.failed(self.now(), f"no answer within {min(waited_s, ask.timeout_s):.1f} s")
        except OSError as error:
            return Reply.failed(self.now(), str(error))
        except Exception as error:  # noqa: BLE001 - a strange answer must not end the search
            _log.error("defect while asking another node", server=ask.contact.text, exc_info=error)
            return Reply.failed(self.now(), f"{type(error).__name__} while asking")

    def _peer(self, ask: Ask) -> Peer:
        """The connection to a server, made when it is needed; the one not used for longest goes."""
        contact = ask.contact
        key = (*contact[:3], contact.public_key, contact.version)
        peer = self._peers.pop(key, None)
        if peer is None:
            if len(self._peers) >= _PEERS_MAX:
                oldest = next(iter(self._peers))
                task = asyncio.create_task(self._peers.pop(oldest).close())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            if contact.protocol == GRPC:
                from resolver.federation.grpc_peer import GrpcPeer  # noqa: PLC0415 - needed where such a peer is

                peer = GrpcPeer(contact, octets_max=self._octets_max)
            else:
                peer = HandlePeer(contact, self._clock, self._randomness, octets_max=self._octets_max)
        self._peers[key] = peer
        return peer
