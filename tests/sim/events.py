"""Time, chance and the network of a simulation: a queue of events, and messages that are late, lost, twice or cut off.

Nothing here sleeps. The same seed gives the same order of events, so a run that fails can be had again.
"""

import heapq
import random

EVENTS_MAX = 200_000

START_US = 1_780_000_000_000_000


class Loop:
    """Events in order of time."""

    def __init__(self, seed):
        self.now_s = 0.0
        self.chance = random.Random(seed)
        self.trace = []
        """What happened, for whoever looks for the reason of a failure; filled when ``traces`` is set."""
        self.traces = False
        self.happened = 0
        self._events = []
        self._number = 0

    def after(self, seconds, action, *args):
        """Do something later; the event can be taken back by ``cancel``."""
        self._number += 1
        event = [self.now_s + seconds, self._number, action, args]
        heapq.heappush(self._events, event)
        return event

    @staticmethod
    def cancel(event):
        event[2] = None

    def run(self, until_s):
        """Let time pass up to a moment."""
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, action, args = heapq.heappop(self._events)
            self.happened += 1
            if self.happened > EVENTS_MAX:
                raise RuntimeError(f"{EVENTS_MAX} events and no end: something goes round in a circle")
            if action is not None:
                action(*args)
        self.now_s = until_s

    def tell(self, *what):
        if self.traces:
            self.trace.append(f"{self.now_s:8.3f} " + " ".join(map(str, what)))


class Clock:
    """The clock of one node: it may be wrong, and jump; its monotonic side only goes on."""

    def __init__(self, loop):
        self._loop = loop
        self.wrong_us = 0

    def now_us(self):
        return START_US + int(self._loop.now_s * 1e6) + self.wrong_us

    def monotonic_s(self):
        return self._loop.now_s + 1_000.0


class Network:
    """Lines between hosts, by name. A host that is down hears nothing."""

    def __init__(self, loop, *, loss=0.02, twice=0.02):
        self._loop = loop
        self.loss, self.twice = loss, twice
        self.down = set()
        self.cut = set()
        """Unordered pairs of hosts that do not hear each other."""

    def send(self, source, target, deliver, *args):
        """Deliver a message, perhaps."""
        chance = self._loop.chance
        copies = 0 if chance.random() < self.loss else 2 if chance.random() < self.twice else 1
        for _ in range(copies):
            delay_s = 0.002 + chance.expovariate(1 / 0.01)  # late ones are overtaken by later ones
            self._loop.after(delay_s, self._arrive, source, target, deliver, args)

    def _arrive(self, source, target, deliver, args):
        if target not in self.down and source not in self.down and frozenset((source, target)) not in self.cut:
            deliver(*args)
