"""Run many seeds: ``python -m tests.sim --seeds 10000``; one again with all that happened: ``--seed 4711 --trace``."""

import argparse
import multiprocessing
import sys
import time

from tests.sim.runs import run_one, run_sharded
from tests.sim.world import PLANTS


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="print what happened in it")
    parser.add_argument("--plant", choices=PLANTS, default="", help="plant a defect, which must be found")
    parser.add_argument("--sharded", action="store_true", help="servers of one site that share handles, not the tree")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    began = time.monotonic()
    totals, failed = [0] * 5, []
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        jobs = ((seed, options.plant, options.trace) for seed in seeds)
        play = run_sharded if options.sharded else run_one
        for seed, failure, counts, trace in pool.imap_unordered(play, jobs, chunksize=8):
            totals = [one + other for one, other in zip(totals, counts, strict=True)]
            if options.trace:
                print("\n".join(trace))
            if failure:
                failed.append(seed)
                print(f"seed {seed}: {failure.strip().splitlines()[-1]}", flush=True)
                if options.seed is not None:
                    print(failure)
    minutes = (time.monotonic() - began) / 60
    words = ("searches", "answers", "stale", "failures", "changes acknowledged")
    print(", ".join(f"{count} {word}" for count, word in zip(totals, words, strict=True)))
    print(f"{len(seeds)} seeds, {len(failed)} failed, {len(seeds) / minutes:.0f} a minute")
    if failed:
        plant = f" --plant {options.plant}" if options.plant else ""
        which = " --sharded" if options.sharded else ""
        print(f"again: python -m tests.sim --seed {min(failed)} --trace{plant}{which}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
