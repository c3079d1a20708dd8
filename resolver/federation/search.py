"""The search for an answer that other nodes have, as one object that asks nobody itself (RFC 3652 section 3.1).

``Searcher.search`` makes a generator. It yields an ``Ask``, wants the ``Reply`` to it, and returns an ``Outcome``;
whoever drives it owns sockets and clock. So a whole federation can be run in one thread from one seed.

The way: this node's own answer; else the cache; else the sites of the name's prefix, learnt from its prefix handle
``0.NA/<prefix>``, which is asked at the nearest delegation known and at the top otherwise; then the server that the
hash of the name chooses in a site; referrals and HS_SERV lead to other sites. Each question has a budget of messages,
referrals, aliases and seconds, and no server is asked the same twice, so every search ends.

What is kept was asked of a server that the chain of delegations led to, under the very name that was asked: a site
can say nothing about names it is not responsible for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import (
    HandleNotFound,
    PrefixNotEnabled,
    PrefixNotServed,
    RecursionLimit,
    ResolverError,
    Unavailable,
    UpstreamFailed,
    ValuesNotFound,
    WireError,
)
from resolver.federation.budget import Budget
from resolver.federation.contacts import Choice, Contact, Sites, contacts_for, sites_in
from resolver.federation.latency import Latencies, Standing, trial_seconds
from resolver.federation.steps import Ask, Reply, Said
from resolver.federation.trail import LOCAL, Trail
from resolver.handle.codes import ResponseCode
from resolver.handle.name import PREFIX_OF_PREFIXES, fold, fold_prefix, is_prefix_handle, split, whole_name
from resolver.node.authority import ROOT_HANDLE, Below, Beside, Here
from resolver.node.foreign import Found, Outcome
from resolver.node.record_octets import parse
from resolver.wire.predefined.hs_alias import HsAlias
from resolver.wire.predefined.hs_namespace import HsNamespace

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from resolver.federation.addresses import AddressPolicy
    from resolver.federation.cache import Entry, ForeignCache
    from resolver.federation.delegations import Delegations
    from resolver.federation.steps import Moment, Search
    from resolver.node.authority import Look
    from resolver.node.foreign import Question
    from resolver.v1 import handle_pb2 as pb

    Steps = Generator[Ask, Reply, Found]
    SitesSteps = Generator[Ask, Reply, Sites]


class Searcher:
    """Everything searches share: what is known of other nodes, and the rules for asking them."""

    def __init__(
        self,
        look: Callable[[str], Look],
        cache: ForeignCache,
        delegations: Delegations,
        policy: AddressPolicy,
        *,
        certifies: str = "prefixes",
        speaks_grpc: bool = True,
        forwards: bool = False,
    ) -> None:
        """``look`` tells what this node itself says of a name.

        With ``forwards`` the top is asked to search in this node's place, for a node that can reach nobody else.
        """
        self.look = look
        self.cache = cache
        self.delegations = delegations
        self.policy = policy
        self.latencies = Latencies()
        self.certifies = certifies
        self.speaks_grpc = speaks_grpc
        self.forwards = forwards

    def search(self, question: Question, now: Moment) -> Search:
        """The search for a question, to be driven. It ends within its budget whatever the replies are."""
        walk = _Walk(self, question, now)
        try:
            found = yield from walk.answer(question.name)
        except ResolverError as error:
            return Outcome(None, error.again(), walk.trail.hops, walk.budget.messages)
        return Outcome(found, None, walk.trail.hops, walk.budget.messages)


class _Walk:
    """One search under way."""

    def __init__(self, searcher: Searcher, question: Question, now: Moment) -> None:
        self._all = searcher
        self._question = question
        self.now = now
        self.budget = Budget(now.monotonic_s)
        self.trail = Trail(is_on=question.traced)
        self._asked: set[tuple[str, str, int, str]] = set()
        self._under_way: set[str] = set()
        self._unkept: set[str] = set()

    def answer(self, name: str) -> Steps:
        """The record of a name, or the one that its aliases lead to."""
        seen = set()
        while True:
            found = yield from self.record(name)
            target = _alias_of(found) if self._question.follows_aliases else ""
            if not target:
                return found
            seen.add(fold_prefix(name))
            if fold_prefix(target) in seen:
                raise RecursionLimit(f"the aliases of {self._question.name[:200]!r} lead back to {target[:200]!r}")
            self.budget.spend_alias(self._question.name)
            name = target

    def record(self, name: str) -> Steps:
        """The record of one name, from here, from the cache or from where it lives."""
        key = fold_prefix(name)
        if key in self._under_way:
            raise RecursionLimit(f"to know where {name[:200]!r} is, one has to know where it is: its records go round")
        look = self._all.look(name)
        if isinstance(look.authority, Beside):
            return (yield from self._beside(name, look))
        if isinstance(look.authority, Here) or (not isinstance(look.authority, Below) and not self._all.delegations):
            self.trail.inside(name, LOCAL, look.refusal)
            return Found(look.get())
        entry = None if self._question.authoritative else self._all.cache.get(key)
        if entry is not None and entry.fresh_until_s > self.now.monotonic_s:
            return self._remembered(name, entry, is_stale=False)
        self._under_way.add(key)
        try:
            return (yield from self._fetch(name, look))
        except Unavailable as error:
            if entry is not None and entry.error is None and entry.stale_until_s > self.now.monotonic_s:
                return self._remembered(name, entry, is_stale=True)
            if not self._question.authoritative:
                self._all.cache.put_failure(key, error, self.now)
            raise
        finally:
            self._under_way.discard(key)

    def _beside(self, name: str, look: Look) -> Steps:
        """Ask the server of this site that has a name. Nothing is kept: a site gives one answer, whoever is asked."""
        sites = sites_in(look.sites, of_prefix=False)
        if not sites or self._question.recursions >= limits.RECURSIONS_MAX:
            look.get()  # raises why it is not here
        self._unkept.add(fold_prefix(name))
        return (yield from self._ask_sites(name, sites))

    def _remembered(self, name: str, entry: Entry, *, is_stale: bool) -> Found:
        """An entry of the cache. Raises the reason when it is a no."""
        left_s = int(entry.fresh_until_s - self.now.monotonic_s)
        self.trail.remembered(name, entry.server, entry.error, left_s, stale=is_stale)
        if entry.error is not None:
            raise entry.error.again()
        return Found(entry.body, entry.stale_origin() if is_stale else entry.origin)

    def _fetch(self, name: str, look: Look) -> Steps:
        """Ask those who are responsible for a name; when they fail, whether others have become responsible."""
        sites = yield from self._sites_for(name, look)
        if not sites:
            raise PrefixNotServed(
                f"nobody says where handles of prefix {split(name)[0][:80]!r} live: its prefix handle names no site",
                details={"prefix": split(name)[0][:80]},
            )
        try:
            return (yield from self._ask_sites(name, sites))
        except UpstreamFailed:
            renewed = yield from self._sites_anew(name, look)
            if not renewed or renewed.sites == sites.sites:
                raise
        return (yield from self._ask_sites(name, renewed))

    def _sites_for(self, name: str, look: Look) -> SitesSteps:
        """Where a name is answered, as far as it is known already."""
        prefix = fold(split(name)[0])
        describes = _describes(prefix)
        if isinstance(look.authority, Below) and (describes or look.authority.is_exact):
            return (yield from self._with_services(sites_in(look.sites, of_prefix=describes)))
        if self._all.forwards:
            return self._all.delegations.roots()
        if describes:
            return (yield from self._with_services(self._all.delegations.nearest(name, self.now.monotonic_s)))
        with self.trail.deeper():
            try:
                found = yield from self.record(f"{PREFIX_OF_PREFIXES}/{prefix}")
            except (HandleNotFound, ValuesNotFound) as error:
                raise PrefixNotServed(
                    f"prefix {prefix[:80]!r} is not known: its prefix handle is not registered",
                    details={"prefix": prefix[:80]},
                ) from error
            return (yield from self._sites_of_prefix(found, prefix))

    def _sites_of_prefix(self, found: Found, prefix: str) -> SitesSteps:
        """The sites that a prefix handle names. Raises PrefixNotEnabled when it says that the prefix is inactive."""
        values = parse(found.body).values
        _check_namespace(values, prefix)
        return (yield from self._with_services(sites_in(values, of_prefix=False)))

    def _sites_anew(self, name: str, look: Look) -> SitesSteps:
        """Where a name is answered when what was known of it failed: the node may have moved since."""
        prefix = fold(split(name)[0])
        if isinstance(look.authority, Below) or self._all.forwards:
            return Sites()
        if _describes(prefix):
            return self._all.delegations.roots()
        handle = f"{PREFIX_OF_PREFIXES}/{prefix}"
        entry = self._all.cache.get(handle)
        if entry is None or entry.origin is None:
            return Sites()
        fetched_s = entry.fresh_until_s - entry.ttl_s
        if self.now.monotonic_s - fetched_s < limits.REVALIDATE_S:
            return Sites()  # it was as new as can be
        with self.trail.deeper():
            found = yield from self._fetch(handle, self._all.look(handle))
            return (yield from self._sites_of_prefix(found, prefix))

    def _with_services(self, sites: Sites) -> SitesSteps:
        """Sites together with those of the service handles among them."""
        found = list(sites.sites)
        for service in sites.services:
            self.budget.spend_referral(service)
            if fold(service) == ROOT_HANDLE and not self._all.look(service).body:
                found += self._all.delegations.roots().sites
                continue
            record = yield from self.record(service)
            inner = yield from self._with_services(sites_in(parse(record.body).values, of_prefix=False))
            found += inner.sites
        return Sites(tuple(found[: limits.SITES_MAX]))

    def _ask_sites(self, name: str, sites: Sites) -> Steps:
        """Ask one site after the other until one answers, and those that are referred to."""
        while True:
            choice = self._choice(name, sites)
            for why in choice.refusals:
                self.trail.refused(name, why)
            referral: Reply | None = None
            failures = list(choice.refusals)
            for contact in choice.contacts:
                reply = yield from self._ask(name, contact)
                if reply.code == ResponseCode.SERVER_NOT_RESPONSIBLE and contact.is_one_of_several:
                    # Its site has changed since its record was kept, and this server knows which other one has it.
                    reply = yield from self._ask(name, contact, recursive=True)
                if reply.said in {Said.PREFIX_REFERRAL, Said.SERVICE_REFERRAL}:
                    referral = reply
                    break
                if reply.said not in {Said.REFUSED, Said.FAILED}:
                    return self._kept(name, contact, reply)
                failures.append(f"{contact.place}: {reply.message or reply.said.value}")
            if referral is None:
                raise UpstreamFailed(
                    f"none of the servers that are responsible for {name[:200]!r} has answered: "
                    f"{'; '.join(failures)[:400] or 'they failed a moment ago, or have been asked already'}",
                    retry_after_s=limits.FAILURE_TTL_S,
                )
            self.budget.spend_referral(name)
            sites = yield from self._referred(name, referral)

    def _choice(self, name: str, sites: Sites) -> Choice:
        """The servers to ask, the best first, without those that failed just now or were asked already."""
        shared = self._all
        contacts, refusals = contacts_for(
            name,
            sites,
            shared.policy,
            authoritative=self._question.authoritative,
            speaks_grpc=shared.speaks_grpc,
            certifies=self._certifies(name),
        )
        key = fold_prefix(name)
        fresh = [contact for contact in contacts if (*contact[:3], key) not in self._asked]
        if len(fresh) < len(contacts):
            refusals.append("servers that were asked already refer to each other")
        return Choice(shared.latencies.order(fresh), refusals)

    def _certifies(self, name: str) -> bool:
        """Whether answers about a name are to be signed by sites with a key."""
        certifies = self._all.certifies
        return certifies == "all" or (certifies == "prefixes" and _describes(fold(name)))

    def _ask(self, name: str, contact: Contact, *, recursive: bool = False) -> Generator[Ask, Reply, Reply]:
        """Ask one server, unless it failed just now; ``recursive`` to have it ask others."""
        shared = self._all
        if not (yield from self._may_be_asked(name, contact)):
            self.trail.refused(name, f"{contact.place} failed a moment ago")
            return Reply.failed(self.now, "failed a moment ago")
        started_s = self.now.monotonic_s
        self._asked.add((*contact[:3], fold_prefix(name)))
        timeout_s = self.budget.spend_message(name, started_s)
        certified = bool(contact.public_key) and self._certifies(name)
        question = self._question
        recursive = recursive or (shared.forwards and contact.host in shared.delegations.hosts)
        reply = yield Ask(
            contact, name, timeout_s, certified, question.authoritative, question.recursions + 1, recursive
        )
        self.now = reply.moment
        took_s = self.now.monotonic_s - started_s
        if reply.record is not None and fold(reply.record.name) != fold(name):
            reply = Reply.failed(self.now, f"it answers about {reply.record.name[:80]!r}")
        shared.delegations.noted(contact.host, self.now.time_us, answered=reply.said is not Said.FAILED)
        if reply.said is Said.FAILED:
            shared.latencies.failed(contact, self.now.monotonic_s)
        else:
            shared.latencies.answered(contact, took_s)
        self.trail.asked(name, contact, reply, took_s)
        shared.delegations.heard(contact, reply.serial)
        return reply

    def _may_be_asked(self, name: str, contact: Contact) -> Generator[Ask, Reply, bool]:
        """Whether a server may be asked now, or after the question that tries it. Raises UpstreamFailed."""
        latencies = self._all.latencies
        while True:
            standing = latencies.standing(contact, self.now.monotonic_s)
            if standing is not Standing.TRIED or not latencies.join():
                return standing is Standing.READY
            try:
                timeout_s = min(self.budget.left_s(name, self.now.monotonic_s), trial_seconds())
                reply = yield Ask(contact, name, timeout_s, is_certified=False, awaits_trial=True)
            finally:
                latencies.leave()
            self.now = reply.moment

    def _kept(self, name: str, contact: Contact, reply: Reply) -> Found:
        """Keep what a server has said. Raises when that is a no."""
        key = fold_prefix(name)
        if reply.record is not None:
            keeps = key not in self._unkept
            entry = self._all.cache.put(key, reply.record, contact.text, self.now, keeps=keeps)
            return Found(entry.body, entry.origin)
        error: ResolverError
        details = {"name": name[:200], "server": contact.text}
        if reply.said is Said.NO_VALUES:
            error = ValuesNotFound(f"handle {name[:200]!r} is registered and has no public values", details=details)
        else:
            error = HandleNotFound(
                f"handle {name[:200]!r} is not registered: {contact.place}, which is responsible, does not know it",
                details=details,
            )
        if key not in self._unkept:
            self._all.cache.put_miss(key, error, contact.text, self.now)
        raise error

    def _referred(self, name: str, reply: Reply) -> SitesSteps:
        """The sites that a server refers to."""
        of_prefix = reply.said is Said.PREFIX_REFERRAL
        if of_prefix and not is_prefix_handle(name):
            raise UpstreamFailed(f"a server refers {name[:200]!r} as if it were a prefix: it is not believed")
        if reply.values:
            sites = sites_in(reply.values, of_prefix=of_prefix)
            if of_prefix:
                self._all.delegations.learn(name, sites, reply.values, self.now)
            return (yield from self._with_services(sites))
        if not reply.referral_handle:
            return Sites()
        with self.trail.deeper():
            found = yield from self.record(reply.referral_handle)
            return (yield from self._with_services(sites_in(parse(found.body).values, of_prefix=of_prefix)))


def _describes(folded: str) -> bool:
    """Whether handles of the prefix are the system's own, so that no prefix handle says where they live."""
    return folded.startswith("0.") or folded == "0"


def _alias_of(found: Found) -> str:
    """The handle that a record is an alias of; empty when it is none."""
    for value in parse(found.body).values:
        if fold(value.type) == "HS_ALIAS":
            try:
                return whole_name(HsAlias.from_wire(value.data).text)
            except WireError:
                return ""
    return ""


def _check_namespace(values: Sequence[pb.HandleValue], prefix: str) -> None:
    """Raise PrefixNotEnabled for a prefix whose HS_NAMESPACE says that it is inactive."""
    for value in values:
        if fold(value.type) != "HS_NAMESPACE":
            continue
        try:
            status = HsNamespace.from_wire(value.data).status
        except WireError:
            continue
        if not status.is_active:
            raise PrefixNotEnabled(
                f"prefix {prefix[:80]!r} is out of service, says its node: {status.message[:200] or 'no reason given'}",
                details={"prefix": prefix[:80], "status": "inactive"},
            )
