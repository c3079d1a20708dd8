"""One run: the tree, its clients, and everything that may go wrong, for some simulated seconds; and what must hold.

The invariants, checked as soon as they can be:

* an answer was true at its authority at some moment it could have been asked there, and an old one says that it is;
* "not registered" is said only of what was not registered at some such moment;
* no acknowledged change is lost, whatever crashed (with a mirror that confirms: also when the primary is replaced);
* every search ends within its budget of messages and seconds;
* a mirror is never ahead of, or beside, its primary's history, and all nodes of a site are equal at the end;
* when everything is well again, every name is answered rightly from every node.
"""

from collections import defaultdict
from functools import partial

from resolver import limits
from resolver.errors import HandleNotFound, Unavailable
from resolver.federation.steps import Reply
from resolver.node.audit import audit
from resolver.node.foreign import Question
from resolver.node.record_octets import parse
from resolver.node.site_role import fence
from storage.check import CheckReport
from storage.memory_engine import MemoryEngine
from tests.sim import tree
from tests.sim.events import START_US, Loop, Network
from tests.sim.mirrors import SimMirror
from tests.sim.nodes import SimNode, payload_in

LENGTH_S, HEAL_S, SETTLE_S = 16.0, 16.0, 8.0
SEARCH_S_MAX = limits.UPSTREAM_SECONDS_MAX + 0.5
WRITE_TIMEOUT_S = 2.0
LOOK_S = 0.05
"""Seconds between two looks whether a server that failed has been tried by another search."""

PLANTS = ("early", "stale", "unconfirmed")
"""Defects that can be planted: acknowledging before the commit, giving old answers as if they were fresh, acknowledging
what the mirror does not hold yet."""


class Violated(Exception):
    """An invariant does not hold."""


class World:
    """The simulation of one seed; ``run`` it."""

    def __init__(self, seed, *, plant="", traces=False):
        self.loop = Loop(seed)
        self.loop.traces = traces
        self.network = Network(self.loop)
        roots = (tree.site("top"),)
        self.nodes = {
            name: SimNode(self.loop, self.network, name, tree.PLACES[name][0], engine, () if name == "top" else roots)
            for name, engine in tree.stores().items()
        }
        self.mirror = SimMirror(self.loop, self.network, "mir-0", "10.0.1.100", MemoryEngine(), roots)
        self._by_ip = {node.ip: node for node in self.nodes.values()}
        self.home = {name: self.nodes[node] for name, node in tree.NAMES.items()}
        """Where each product lives now."""
        self.history = defaultdict(list)
        """(time, payload) of each product at its home, from the beginning."""
        for name in tree.NAMES:
            self.history[name].append((-1e9, 0))
        self.acknowledged = {}
        """Greatest number acknowledged for each product."""
        self._writing, self._numbers = set(), defaultdict(int)
        for node in (*self.nodes.values(), self.mirror):
            node.on_commit = self._committed
        self.searches = self.answers = self.stale = self.failures = self.writes = 0
        self.mirror.join(self.nodes["sec-0"])
        self.nodes["sec-0"].confirmed_by = None if plant == "unconfirmed" else self.mirror
        for node in self.nodes.values():
            node.acknowledges_early = plant == "early"
            node.keeps_for_ever = plant == "stale"
            node.begin()

    # The course of a run

    def run(self):
        """Let everything happen, then check what must hold at the end. Raises Violated."""
        loop, chance = self.loop, self.loop.chance
        for _ in range(45):
            loop.after(chance.uniform(0, LENGTH_S), self._resolve_somewhere)
        for _ in range(35):
            loop.after(chance.uniform(0, LENGTH_S), self._write_somewhere)
        for action in (self._partition, self._partition, self._crash, self._crash, self._fill_disk, self._jump):
            loop.after(chance.uniform(0, LENGTH_S * 0.8), action)
        if chance.random() < 0.3:
            loop.after(chance.uniform(LENGTH_S * 0.3, LENGTH_S * 0.8), self._replace_primary)
        loop.run(HEAL_S)
        self._heal()
        loop.run(HEAL_S + SETTLE_S)
        self._check_durability()
        self._check_mirror()
        self._check_everywhere()

    def _heal(self):
        self.network.cut.clear()
        self.network.loss = 0.0
        for node in (*self.nodes.values(), self.mirror):
            node.disk_is_full = False
            node.clock.wrong_us = max(0, node.clock.wrong_us)
            if not node.is_up:
                node.start()

    # What goes wrong

    def _partition(self):
        """Some hosts do not hear some others for a while."""
        chance = self.loop.chance
        hosts = [*self.nodes, "mir-0"]
        some = set(chance.sample(hosts, chance.randrange(1, len(hosts) // 2)))
        pairs = {frozenset((one, other)) for one in some for other in hosts if other not in some}
        self.loop.tell("partition of", sorted(some))
        self.network.cut |= pairs
        self.loop.after(chance.uniform(0.5, 6.0), self.network.cut.difference_update, pairs)

    def _crash(self):
        node = self.loop.chance.choice([*self.nodes.values(), self.mirror])
        if node.is_up:
            node.crash()
            self.loop.after(self.loop.chance.uniform(0.1, 4.0), self._restart, node)

    @staticmethod
    def _restart(node):
        if not node.is_up:
            node.start()

    def _fill_disk(self):
        node = self.loop.chance.choice(list(self.nodes.values()))
        self.loop.tell(node.name, "has a full disk")
        node.disk_is_full = True
        self.loop.after(self.loop.chance.uniform(0.5, 5.0), setattr, node, "disk_is_full", False)

    def _jump(self):
        node = self.loop.chance.choice(list(self.nodes.values()))
        node.clock.wrong_us = int(self.loop.chance.uniform(-3_600, 3_600) * 1e6)
        self.loop.tell(node.name, "has a clock that is wrong by", node.clock.wrong_us / 1e6)

    def _replace_primary(self):
        """The primary of sec-0 dies and its mirror is promoted; clients go to that one."""
        old = self.nodes["sec-0"]
        if old.is_up:
            old.crash()
        epoch = self.mirror.promote() if self.mirror.is_up else None
        if epoch is None:
            old.start()
            return
        for name, node in self.home.items():
            if node is old:
                self.home[name] = self.mirror
        self.mirror.ip, old.ip = old.ip, "10.0.1.200"  # the address moves with the role
        self._by_ip = {node.ip: node for node in (*self.nodes.values(), self.mirror)}
        # What the mirror holds ahead of any acknowledgement has become true now, and what it lacks is no longer.
        for name, node in self.home.items():
            if node is self.mirror:
                self.history[name].append((self.loop.now_s, self.mirror.payload_of(name)))
        self.nodes["sec-0"], self.gone = self.mirror, old
        old.commit(lambda ledger: fence(ledger.writer, epoch.number, self.mirror.name), everywhere=True)

    # Clients

    def _write_somewhere(self):
        """Change a product; one change of each is under way at a time, so that their order is known."""
        chance = self.loop.chance
        name = chance.choice(sorted(set(tree.NAMES) - self._writing))
        node = self.home[name]
        self._writing.add(name)
        self._numbers[name] += 1
        number = self._numbers[name]
        state = {"open": True}
        self.loop.after(WRITE_TIMEOUT_S, self._written, name, number, state, TimeoutError())
        life = node.life
        self.network.send("client", node.name, self._arrived, node, life, name, number, state)

    def _arrived(self, node, life, name, number, state):
        """At the node: a request that comes twice is applied once, as request ids see to."""
        if life != node.life or state.get("seen") == life:
            return
        state["seen"] = life

        def acknowledge(error):
            self.network.send(node.name, "client", self._written, name, number, state, error)

        node.write(name, number, acknowledge)

    def _written(self, name, number, state, error):
        if not state["open"]:
            return
        state["open"] = False
        self._writing.discard(name)
        if error is None:
            self.writes += 1
            self.acknowledged[name] = max(number, self.acknowledged.get(name, 0))

    def _committed(self, node, name, payload):
        if node is self.home[name]:
            self.history[name].append((self.loop.now_s, payload))
            self.loop.tell(node.name, "commits", name, payload)

    def _resolve_somewhere(self):
        node = self.loop.chance.choice([node for node in self.nodes.values() if node.is_up] or [self.mirror])
        self.resolve(node, self.loop.chance.choice(list(tree.NAMES)))

    def resolve(self, node, name, then=None):
        """A search at a node, with messages on the network."""
        self.searches += 1
        search = node.searcher.search(Question(name), node.moment())
        started_s, life = self.loop.now_s, node.life

        def go_on(reply):
            if node.life != life:
                return  # the process has died and the search with it
            try:
                ask = next(search) if reply is None else search.send(reply)
            except StopIteration as stop:
                self._resolved(node, name, started_s, stop.value)
                if then is not None:
                    then(stop.value)
                return
            self._send(node, ask, go_on)

        go_on(None)

    def _send(self, node, ask, go_on):
        """Ask a server; after the time allowed the answer is that there was none."""
        state = {"open": True}

        def reply(fields):
            if state["open"]:
                state["open"] = False
                self.loop.cancel(timeout)
                go_on(Reply(node.moment(), **fields))

        def give_up():
            if state["open"]:
                state["open"] = False
                go_on(Reply.failed(node.moment(), "no answer in time"))

        if ask.awaits_trial:  # a look now and then is enough here
            self.loop.after(min(ask.timeout_s, LOOK_S), give_up)
            return
        timeout = self.loop.after(ask.timeout_s, give_up)
        server = self._by_ip.get(ask.contact.host)
        if server is not None:
            self.network.send(node.name, server.name, self._asked, node, server, ask.name, reply)

    def _asked(self, node, server, name, reply):
        self.network.send(server.name, node.name, reply, server.answer(name))

    # What must hold

    def _resolved(self, node, name, started_s, outcome):
        """An answer, as soon as it is there."""
        now_s = self.loop.now_s
        if now_s - started_s > SEARCH_S_MAX or outcome.messages > limits.UPSTREAM_MESSAGES_MAX:
            raise Violated(f"{node.name} spent {outcome.messages} messages and {now_s - started_s:.1f} s on {name}")
        if outcome.error is not None:
            self.failures += 1
            if isinstance(outcome.error, HandleNotFound):
                raise Violated(f"{node.name} denies {name}, which is always there")
            if not isinstance(outcome.error, Unavailable) and self.loop.now_s > HEAL_S:
                raise Violated(f"{node.name} says of {name}: {outcome.error}")
            return
        self.answers += 1
        payload = payload_in(parse(outcome.found.body))
        origin = outcome.found.origin
        self.loop.tell(node.name, "answers", name, payload, "stale" if origin is not None and origin.stale else "")
        begin_s, end_s = started_s, now_s
        if origin is not None:
            wrong_s = (node.clock.now_us() - START_US) / 1e6 - now_s
            fetched_s = (origin.fetch_time_us - START_US) / 1e6 - wrong_s
            if not origin.stale and fetched_s < now_s:
                age_s = now_s - fetched_s
                if age_s > 3.0 + 0.1 and self._clock_is_true(node):
                    raise Violated(f"{node.name} gives {name} {age_s:.1f} s after it was fetched, as if it were fresh")
            self.stale += origin.stale
            begin_s, end_s = min(fetched_s, started_s) - SEARCH_S_MAX, now_s
            if not self._clock_is_true(node):
                begin_s = -1.0
        if not self._was_true(name, payload, begin_s, end_s):
            raise Violated(f"{node.name} says {payload} of {name}, never true between {begin_s:.3f} and {end_s:.3f}")

    @staticmethod
    def _clock_is_true(node):
        return node.clock.wrong_us == 0

    def _was_true(self, name, payload, begin_s, end_s):
        """Whether a product had a payload at some moment of a time."""
        history = self.history[name]
        for place, (since_s, held) in enumerate(history):
            until_s = history[place + 1][0] if place + 1 < len(history) else float("inf")
            if held == payload and since_s <= end_s and until_s >= begin_s:
                return True
        return False

    def _check_durability(self):
        for name, number in self.acknowledged.items():
            held = self.home[name].payload_of(name)
            if held is None or held < number:
                raise Violated(
                    f"change {number} of {name} was acknowledged and is lost: {self.home[name].name} holds {held}"
                )

    def _check_mirror(self):
        """The nodes of the site are equal, and what they hold fits together."""
        if self.home[next(iter(tree.NAMES))] is not self.mirror:
            primary = self.nodes["sec-0"]
            for name, node in self.home.items():
                if node is primary and self.mirror.payload_of(name) != primary.payload_of(name):
                    raise Violated(f"the mirror does not hold what its primary holds of {name}")
        for node in (self.mirror, self.nodes["sec-0"]):
            report = CheckReport()
            audit(node.engine, report)
            if not report.ok:
                raise Violated(f"{node.name}: {report.findings[0]}")

    def _check_everywhere(self):
        """Every name from every node, now that all is well."""
        names = list(tree.NAMES)[:: tree.NAMES_EACH]
        wrong = []

        def then(node, name, outcome):
            if outcome.error is not None:
                wrong.append(f"{node.name} cannot answer {name} after everything is well: {outcome.error}")

        for name in names:  # servers that failed a moment ago are left alone for a while
            for node in self.nodes.values():
                self.resolve(node, name)
            self.loop.run(self.loop.now_s + 0.5)
        self.loop.run(self.loop.now_s + SEARCH_S_MAX)
        for node in self.nodes.values():
            for name in names:
                self.resolve(node, name, partial(then, node, name))
        self.loop.run(self.loop.now_s + SEARCH_S_MAX)
        if wrong:
            raise Violated(wrong[0])
