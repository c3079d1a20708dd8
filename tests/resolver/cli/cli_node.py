"""A real node in a directory, and the real command line against it: what the tests of the commands share."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOORS = ("--grpc", "127.0.0.1:0", "--hdl", "", "--admin", "127.0.0.1:0")
QUICK = {"IDIS_DRAIN__DELAY_S": "0.1", "IDIS_DRAIN__GRACE_S": "2", "PYTHONPATH": str(ROOT)}


class Ran:
    """What a command did."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]


def _heed_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class CliNode:
    """A running node; calling it runs ``idis`` against it as its administrator."""

    def __init__(self, directory, process):
        self.directory, self.process = directory, process
        self.token_file = directory / "credentials" / "admin.token"

    @property
    def target(self):
        return json.loads((self.directory / "endpoints.json").read_text())["grpc"]

    def options(self, token_file=None):
        return ["--timeout", "120", "--target", self.target, "--token-file", str(token_file or self.token_file)]

    def __call__(self, *arguments, token_file=None, **options):
        return idis(*self.options(token_file), *arguments, **options)

    def start(self, *arguments, **options):
        """Start a command that takes interrupts, even when the tests run where a shell has turned them off."""
        return subprocess.Popen(
            command(*self.options(), *arguments),
            env=environment(),
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - it only sets a signal
            **options,
        )

    def workers(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def kill_a_worker(self):
        os.kill(self.workers()[0], signal.SIGKILL)

    def kill_all_workers(self):
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)


def environment(**more):
    kept = {key: content for key, content in os.environ.items() if not key.startswith("IDIS_")}
    return kept | QUICK | more


def command(*arguments):
    return [sys.executable, "-m", "resolver", *map(str, arguments)]


def idis(*arguments, cwd=None, stdin="", **more):
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**more),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )
    return Ran(done)


def wait_for(what, timeout_s=200.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.01)
    raise AssertionError("waited in vain")


@contextmanager
def serving(directory, workers=2, grpc="127.0.0.1:0"):
    """A node on the directory until the block ends."""
    log_file = directory.with_name(directory.name + ".log")
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command(
                "serve",
                "--data-dir",
                directory,
                "--workers",
                workers,
                "--grpc",
                grpc,
                "--hdl",
                "",
                "--http",
                "",
                "--admin",
                "127.0.0.1:0",
            ),
            env=environment(),
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: (directory / "endpoints.json").exists() or process.poll() is not None)
        assert process.poll() is None, log_file.read_text()
        yield CliNode(directory, process)
    finally:
        process.terminate()
        try:
            process.wait(200)
        finally:
            process.kill()
            process.wait()
