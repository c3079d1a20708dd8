"""What is measured goes before whatever else a shared machine does; where that is not allowed it competes with it."""

import os
from contextlib import suppress
from pathlib import Path


def put_first(pids):
    """Let all threads of processes run before those of ordinary processes, and those they start from now on."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(PermissionError, ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(1))
