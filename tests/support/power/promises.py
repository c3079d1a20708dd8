"""What a node has promised its clients, and what is in doubt because no answer came before the power went.

A handle's state is its version and its values. A change in doubt names the states it leads to: after the cut every
handle is either as it was last acknowledged or as the change in doubt makes it, and a change of several handles is
there whole or not at all. Nothing here knows how changes are made.
"""

from typing import NamedTuple


class State(NamedTuple):
    """A record: its version, and (index, type, data) of each value."""

    version: int
    values: frozenset


class Doubt(NamedTuple):
    """A change without an answer: the states it leads to, None being no handle."""

    after: dict
    what: str


class Promises:
    """The book of one run. ``lost`` and ``faults`` are its findings, as sentences."""

    def __init__(self):
        self.states = {}
        """State of each handle as acknowledged, None for one that was deleted."""
        self.doubts = {}
        """What is in doubt, by the one who asked for it."""
        self.touched = set()
        """Handles changed since the last cut."""
        self.acknowledged = 0
        self.in_doubt = 0
        """Changes that were in doubt at a cut, and of those the ones that were found done."""
        self.found_done = 0
        self.lost, self.faults = [], []

    def settle(self, after):
        """A change is acknowledged."""
        self.states.update(after)
        self.touched.update(after)
        self.acknowledged += max(1, len(after))

    def compare(self, observed):
        """Hold handles as they are found against what was promised; the book then says what is there."""
        in_doubt = {name: doubt for doubt in self.doubts.values() for name in doubt.after}
        for name, found in observed.items():
            promised = self.states.get(name)
            if found == promised:
                continue
            if name in in_doubt and found == in_doubt[name].after[name]:
                continue
            if promised is not None and (found is None or found.version < promised.version):
                self.lost.append(f"{name}: version {promised.version} was acknowledged, found {_shown(found)}")
            elif promised is None and name in self.states:
                self.lost.append(f"{name}: its deletion was acknowledged, found {_shown(found)}")
            else:
                self.faults.append(f"{name}: should be {_shown(promised)}, found {_shown(found)}")
        for doubt in self.doubts.values():
            done = {observed[name] == after for name, after in doubt.after.items() if self.states.get(name) != after}
            self.in_doubt += 1
            self.found_done += done == {True}
            if len(done) > 1:
                self.faults.append(f"{doubt.what}: one part of it is there and another is not")
        for name, found in observed.items():
            self.states[name] = found
        self.touched.clear()

    def names(self):
        """Handles that must be there, no other."""
        return {name for name, state in self.states.items() if state is not None}


def _shown(state):
    return "none" if state is None else f"version {state.version} with {sorted(state.values)!r:.80}"
