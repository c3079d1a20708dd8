"""One node of the simulated tree: the real decisions on a real store, with simulated disk, lane and door.

What is real: the store's engine (its memory twin), ledger, policy, authority, search, cache, mirror source and copy.
What stands for sockets, threads and ``fdatasync``: events. A crash loses what was not committed and all that a process
remembers; the store stays.
"""

from itertools import count

from resolver.errors import HandleNotFound, NotPrimary, ResolverError, StorageFull, ValuesNotFound
from resolver.federation.addresses import AddressPolicy
from resolver.federation.cache import ForeignCache
from resolver.federation.delegations import Delegations
from resolver.federation.search import Searcher
from resolver.federation.steps import Moment, Said
from resolver.handle.name import PREFIX_OF_PREFIXES, fold, split
from resolver.lanes import FULL_MESSAGE
from resolver.node import administer, authority, row_log, site_role
from resolver.node.administer import Target
from resolver.node.ledger import Ledger, last_serial
from resolver.node.prefixes import ServedPrefixes
from resolver.node.record_octets import parse
from resolver.v1 import registration_pb2
from storage.recording import RecordingWriter
from tests.sim.events import Clock
from tests.support.builders import ADMIN, value

COMMIT_S = 0.004


class ForeverCache(ForeignCache):
    """Planted: a cache that does not look at the time."""

    def put(self, key, record, server, now, **options):
        entry = super().put(key, record, server, now, **options)
        entry.fresh_until_s += 1e9
        return entry


class SimNode:
    """A node. ``roots`` are the sites of the top, none for the top itself."""

    def __init__(self, loop, network, name, ip, engine, roots=()):
        self.loop, self.network, self.name, self.ip, self.engine = loop, network, name, ip, engine
        self.clock = Clock(loop)
        self._roots = roots
        self._policy = AddressPolicy.from_text("10.0.0.0/8", "1-65535", ())
        self.is_up, self.disk_is_full, self.acknowledges_early = True, False, False
        self.confirmed_by = None
        """The mirror that must hold a change before it is acknowledged."""
        self.on_commit = lambda node, name, payload: None
        self.keeps_for_ever = False
        self._life = count(1)
        self.begin()

    def begin(self):
        """Begin a process: what the one before knew is gone."""
        self.life = next(self._life)
        self.served = ServedPrefixes()
        cache = ForeverCache() if self.keeps_for_ever else ForeignCache()
        self.searcher = Searcher(self.look, cache, Delegations(self._policy, self._roots), self._policy)
        self._queue, self._is_committing, self._unconfirmed = [], False, []

    def moment(self):
        return Moment(self.clock.monotonic_s(), self.clock.now_us())

    # Failures

    def crash(self):
        self.loop.tell(self.name, "crashes")
        self.is_up = False
        self.network.down.add(self.name)
        self.begin()

    def start(self):
        self.loop.tell(self.name, "starts")
        self.is_up = True
        self.network.down.discard(self.name)

    # Questions

    def look(self, name):
        with self.engine.read() as reader:
            return authority.look(reader, self.served, name)

    def answer(self, name):
        """What the node's door says to another node: fields of a Reply."""
        look = self.look(name)
        if look.refusal is None:
            return {"said": Said.FOUND, "code": 1, "record": parse(look.body)}
        if isinstance(look.authority, authority.Below):
            with self.engine.read() as reader:
                of_prefix = fold(split(name)[0]) == PREFIX_OF_PREFIXES
                values = authority.delegation(reader, look.authority, of_prefix=of_prefix)
            said = Said.PREFIX_REFERRAL if of_prefix else Said.SERVICE_REFERRAL
            return {"said": said, "code": 303 if of_prefix else 302, "values": tuple(values)}
        if isinstance(look.authority, authority.Here) or not self._roots:
            if isinstance(look.refusal, ValuesNotFound):
                return {"said": Said.NO_VALUES, "code": 200}
            if isinstance(look.refusal, HandleNotFound) or not self._roots:
                return {"said": Said.NOT_FOUND, "code": 100}
        return {"said": Said.REFUSED, "code": look.refusal.response_code}

    # Changes

    def commit(self, change, *, everywhere=False):
        """One transaction, as the write lane makes it. Raises ResolverError."""
        with self.engine.write() as writer:
            site = site_role.site_of(writer)
            refusal = site_role.refusal(site)
            if refusal is not None and not everywhere:
                raise refusal
            watched = RecordingWriter(writer, row_log.TABLES) if site.logging and refusal is None else None
            ledger = Ledger(watched or writer, self.clock.now_us())
            result = change(ledger)
            ledger.close()
            if watched is not None:
                row_log.append(writer, watched.touched, ledger.serial)
        return result

    def write(self, name, payload, acknowledge):
        """Queue a change; ``acknowledge`` is called with None, or the error, when it may be told."""
        if self.acknowledges_early:
            acknowledge(None)
        self._queue.append((name, payload, acknowledge))
        self._commit_soon()

    def _commit_soon(self):
        if self._queue and not self._is_committing:
            self._is_committing = True
            self.loop.after(COMMIT_S * (0.5 + self.loop.chance.random()), self._commit_group, self.life)

    def _commit_group(self, life):
        """Commit what is queued: all of it is on disk at this moment."""
        if life != self.life:
            return
        group, self._queue, self._is_committing = self._queue, [], False
        for name, payload, acknowledge in group:
            error = None
            try:
                if self.disk_is_full and payload is not None:
                    raise StorageFull(FULL_MESSAGE)
                self.commit(lambda ledger, name=name, payload=payload: _change(ledger, name, payload))
                self.on_commit(self, name, payload)
            except ResolverError as refusal:
                error = refusal
            with self.engine.read() as reader:
                serial = last_serial(reader)
            if self.acknowledges_early:
                continue
            if error is None and self.confirmed_by is not None:
                self._unconfirmed.append((serial, acknowledge))
            else:
                acknowledge(error)
        self._commit_soon()

    def confirmed(self, serial):
        """A mirror holds everything up to a serial."""
        waiting, self._unconfirmed = self._unconfirmed, []
        for needed, acknowledge in waiting:
            if needed <= serial:
                acknowledge(None)
            else:
                self._unconfirmed.append((needed, acknowledge))

    def payload_of(self, name):
        """What the node itself holds of a handle."""
        with self.engine.read() as reader:
            seen = authority.look(reader, ServedPrefixes(), name)
        return payload_in(parse(seen.body)) if seen.refusal is None else None

    def is_primary(self):
        with self.engine.read() as reader:
            return not isinstance(site_role.refusal(site_role.site_of(reader)), NotPrimary)


def _change(ledger, name, payload):
    if payload is None:
        return administer.delete(ledger, ADMIN, Target.of(name, None))
    draft = administer.prepare(name, [value(1, str(payload), ttl_s=3)], "", ledger.now_us // 1_000_000, 1 << 20)
    return administer.create(ledger, ADMIN, draft, registration_pb2.ON_EXISTING_REPLACE)


def payload_in(record):
    """The number that a writer put into a record."""
    return int(record.values[0].data)
