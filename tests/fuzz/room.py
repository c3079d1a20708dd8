"""What every target is held to: no exception but those it expects, a bound on time, and memory that stays flat.

A target is a module in ``targets/`` with three names: ``INSTRUMENT``, the modules whose branches guide the search;
``SEEDS``, good inputs to begin with; and ``feed(octets)``, which hands one input to the code and raises only when it
has found something. ``feed`` swallows exactly the errors that the code documents for bad input, asserts what must hold
for good input (a decoded message encodes to the same octets, a bound is kept), and keeps nothing between two inputs.
A fourth name, ``OCTETS_MAX``, may bound its inputs to fewer octets than usual.

Most mutants say a wrong length somewhere and would be refused there. ``lengths`` and ``followed`` make those of Handle
messages and streams agree, and ``documents`` makes JSON of any octets, so that targets look at what stands behind too.

Inputs found earlier stand in ``corpus/<target>.hex``, one a line; ``make test`` feeds them all again.
"""

import gc
import importlib
import pkgutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
INPUT_OCTETS_MAX = 4_096
KEPT_OCTETS_MAX = 24_576
"""Octets of the inputs that are kept for one target."""

INPUT_S_MAX = 0.050
"""CPU seconds of one input: more is an invitation to those who would keep a worker busy."""

BLOCKS_GROWTH_MAX = 20_000
"""Blocks of Python memory by which the last three quarters of a run may grow: caches fill, leaks do not end."""

RSS_GROWTH_OCTETS_MAX = 64 << 20
"""The same for the process as a whole, the fuzzer's own collection of inputs included."""


class Finding(AssertionError):
    """An input that takes too long, or a run that keeps memory."""


def names():
    """The targets there are."""
    return sorted(found.name for found in pkgutil.iter_modules([str(HERE / "targets")]))


def load(name):
    """The module of a target."""
    return importlib.import_module(f"tests.fuzz.targets.{name}")


def kept(name):
    """The inputs of earlier runs that reached something new."""
    path = CORPUS / f"{name}.hex"
    return [bytes.fromhex(line) for line in path.read_text().split()] if path.exists() else []


def keep(name, inputs):
    """Write the inputs to be fed from now on, short ones first, as long as they are few."""
    CORPUS.mkdir(exist_ok=True)
    lines, octets_left = [], KEPT_OCTETS_MAX
    for octets in sorted(set(inputs), key=lambda each: (len(each), each)):
        octets_left -= len(octets)
        if octets and octets_left >= 0:
            lines.append(octets.hex())
    (CORPUS / f"{name}.hex").write_text("\n".join(lines) + "\n")


def timed(feed, octets):
    """CPU seconds of one input, those of the threads that work for it included."""
    before = time.process_time()
    feed(octets)
    return time.process_time() - before


class Watch:
    """Feeds a target, and looks at the time of each input and at memory from a quarter of the run to its end."""

    def __init__(self, feed, inputs):
        self._feed, self._inputs, self._fed = feed, inputs, 0
        self._blocks = self._rss = 0
        self.slowest_s = 0.0

    def __call__(self, octets):
        octets = bytes(octets)
        took_s = timed(self._feed, octets)
        if took_s > self.slowest_s:
            if took_s > INPUT_S_MAX:  # unless the machine was busy with something else, such as collecting garbage
                took_s = min(took_s, *(timed(self._feed, octets) for _ in range(3)))
            if took_s > INPUT_S_MAX:
                raise Finding(f"one input of {len(octets)} octets takes {took_s * 1e3:.0f} ms of CPU time")
            self.slowest_s = max(self.slowest_s, took_s)
        self._fed += 1
        if self._fed == self._inputs // 4:
            self._blocks, self._rss = _memory()
        elif self._fed == self._inputs:
            self._report()

    def _report(self):
        blocks, rss = (now - then for now, then in zip(_memory(), (self._blocks, self._rss), strict=True))
        print(
            f"{self._fed} inputs, slowest {self.slowest_s * 1e3:.1f} ms of CPU, "
            f"memory {rss / 2**20:+.1f} MiB and {blocks:+d} blocks since the first quarter",
            file=sys.stderr,
            flush=True,
        )
        if blocks > BLOCKS_GROWTH_MAX or rss > RSS_GROWTH_OCTETS_MAX:
            raise Finding(f"memory grows: {blocks:+d} blocks, {rss / 2**20:+.1f} MiB")


def _memory():
    """Blocks of Python memory and octets of the process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return sys.getallocatedblocks(), pages * 4096
