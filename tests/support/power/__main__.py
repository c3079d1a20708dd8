"""Cut the power of a node again and again, and count what it had promised and does not have any more: see ``run``.

    unshare --mount --pid --fork --kill-child --mount-proc \
        python -m tests.support.power DIRECTORY [--cuts N] [--seed N] [--mirrored] [--planted DEFECT] ...

Prints a line of JSON for each cut and one for all. It runs as the first process of a namespace of its own, so that
killing it in whatever way leaves no process, no mount and no loop device behind; it also ends when its standard input
does.
"""

import argparse
import asyncio
import json
import os
import signal
import threading
from pathlib import Path

from tests.support.power.disk import CUTS
from tests.support.power.mirrored import Mirrored
from tests.support.power.run import Run, signal_others


async def _main(options):
    run = (Mirrored if options.mirrored else Run)(options.directory, options)
    try:
        if options.first_start:
            whole_s = 3.0
            while sum(run.cuts.values()) < options.cuts:
                whole_s = await run.first_start_round(whole_s)
            print(json.dumps(run.report()), flush=True)
            return
        run.endpoints = await run.first_start()
        while sum(run.cuts.values()) < options.cuts and not (options.until_lost and run.book.lost):
            try:
                await run.round()
            except RuntimeError as error:  # it does not come up any more: nothing is there
                run.book.lost.append(str(error))
                break
        else:
            await run.last_look()
        print(json.dumps(run.report(), ensure_ascii=False), flush=True)
    finally:
        signal_others(signal.SIGKILL)
        run.disk.close()


def _end_with_input():
    """End when whoever started this has: its end of standard input is closed then."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def main():
    """Run by the command line; see the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--cuts", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=CUTS)
    parser.add_argument("--planted", default="", choices=("", "no-sync", "no-metasync", "no-fsync", "no-barrier"))
    parser.add_argument("--until-lost", action="store_true", help="stop at the first loss")
    parser.add_argument("--first-start", action="store_true", help="cut new nodes in their first start")
    parser.add_argument("--mirrored", action="store_true", help="cut a mirror whose confirmations are waited for")
    options = parser.parse_args()
    if os.getpid() != 1:
        parser.error("run it in a namespace of its own, as the module says: it kills every other process it sees")
    threading.Thread(target=_end_with_input, daemon=True).start()
    asyncio.run(_main(options))


if __name__ == "__main__":
    main()
