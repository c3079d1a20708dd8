"""Commands that read a store run in a child, so that a damaged page ends that one and is told in a sentence.

A page that points nowhere makes the engine die of a signal, which leaves nobody to say anything. The process that was
called therefore starts the same command once more, hands on the signals that stop it, and gives its exit code; what
the child prints goes where it always goes. A command that was not called as a program runs in place. No child of ours
looks for modules where it was called (``-P``): a click.py that lies there would run with the rights of the operator.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resolver.cli.output import STORE, Failed, Verb, wants_json

if TYPE_CHECKING:
    from types import FrameType

    import click

ARGUMENTS = "idis.arguments"
"""Where the root context keeps the arguments the program was called with."""

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


class StoreVerb(Verb):
    """A command that reads a store."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command in a child and end as it does; crashes become ``Failed``."""
        arguments = ctx.find_root().meta.get(ARGUMENTS)
        if arguments is None:
            return super().invoke(ctx)
        code = _run(arguments)
        from storage.survey import damage, signal_that_tells  # noqa: PLC0415 - with its only use

        if signal_that_tells(code):
            failed = Failed(damage(_what(ctx), code), STORE, reason="STORE_DAMAGED")
            failed.as_json = wants_json(ctx)
            raise failed
        return ctx.exit(code if code >= 0 else 128 - code)


def _what(ctx: click.Context) -> str:
    """The store that the command reads, in words."""
    file, data_dir = ctx.params.get("file"), ctx.params.get("data_dir")
    if file is not None and ctx.command.name in {"verify", "restore"}:
        return f"the store in {file}"
    with suppress(Failed):
        return f"the store in {ctx.obj.store_dir(data_dir)}"
    return "the store"


def _run(arguments: tuple[str, ...]) -> int:
    """Run the command line in a child; its exit code, negative for a signal."""
    root = str(Path(__file__).parent.parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH", "")])]
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def hand_on(number: int, _: FrameType | None) -> None:
        early.append(number)
        for child in children:
            child.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in _STOPS}
    try:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            (sys.executable, "-P", "-m", "resolver.cli.guarded", *arguments),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        children.append(child)
        for number in tuple(early):
            child.send_signal(number)
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> None:
    """Be the child: run the command line in this process, and end with the one that waits for it."""
    from resolver.cli.main import root  # noqa: PLC0415 - it names this module
    from resolver.cli.output import speak_utf8  # noqa: PLC0415 - with its only use

    with suppress(OSError, AttributeError):  # where there is no prctl, the child goes on to its end
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    speak_utf8()
    root(prog_name="idis")


if __name__ == "__main__":
    main()
