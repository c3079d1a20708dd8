"""Cut the power of a node again and again under load, and count what it had promised and does not have any more.

    unshare --mount --pid --fork --kill-child --mount-proc \
        python -m tests.support.power.run DIRECTORY [--cuts N] [--seed N] [--planted DEFECT] [--until-lost]

Prints a line of JSON for each cut and one for all. Each round starts the node, lets clients write through every door
while backups and an import run beside, cuts the power at a random moment, about every second time while a backup is
being written, ends all processes, gives power back, and then: ``idis check`` finds nothing, every acknowledged change
is there with its content, nothing is there in part, no other handle is there, and what was in doubt is made once when
asked for again. With --first-start the cuts fall into the first start of ever new nodes, which must come up after it
and know the token that lies there.

It runs as the first process of a namespace of its own, so that killing it in whatever way leaves no process, no mount
and no loop device behind; it also ends when its standard input does.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from conformance.handle.client import Peer, Who
from resolver.client import AsyncClient, CallFailed, RetryPolicy
from resolver.v1.handle_pb2 import HandleRecord
from storage.backup import verify
from storage.errors import StorageError
from tests.support.power import commands, writers
from tests.support.power.disk import CUTS, Disk
from tests.support.power.promises import Promises

ROOT = Path(__file__).resolve().parents[3]
PLANTED = Path(__file__).parent / "planted"
SAMPLE = 2_000
"""Handles not touched since the last cut that are looked at again all the same."""

PASSWORD = "staple battery"
PRINCIPAL = "power-erp"
ONCE = RetryPolicy(attempts_max=1)
START_S = 60.0
LOAD_S = (0.3, 4.0)
KINDS = (
    *[writers.Single] * 3,
    *[writers.Minted] * 2,
    *[writers.Batch] * 2,
    writers.Import,
    *[writers.Handles] * 2,
    writers.Uploads,
    writers.Keys,
)


class Node:
    """The node on the disk, and its commands."""

    def __init__(self, data_dir, log, planted):
        self.data_dir, self.log = data_dir, log
        self.environment = os.environ | {"IDIS_STATISTICS__FLUSH_S": "0.1", "IDIS_TEST_PLANTED": planted}
        if planted:
            self.environment["PYTHONPATH"] = str(PLANTED)

    @property
    def _endpoints(self):
        return self.data_dir / "endpoints.json"

    def start(self):
        """Start its process."""
        self._endpoints.unlink(missing_ok=True)
        command = [sys.executable, "-m", "resolver", "serve", "--data-dir", str(self.data_dir), "--workers", "2"]
        command += ["--no-banner", "--admin", ""]
        command += [word for door in ("grpc", "hdl", "http") for word in (f"--{door}", "127.0.0.1:0")]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def serve(self):
        """Start it and wait until it answers. Raises RuntimeError when it does not come up."""
        process = self.start()
        until = time.monotonic() + START_S
        while not self._endpoints.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the node does not start: {self.log.read_text()[-1_500:]}")
            time.sleep(0.02)
        return json.loads(self._endpoints.read_text())

    def idis(self, *words, text=None):
        """Run a command to its end: exit code and what it printed."""
        command = [sys.executable, "-m", "resolver", "--data-dir", str(self.data_dir), *map(str, words)]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, input=text, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr


class Run:
    """One run: a disk, a node, its clients and the book of what was promised."""

    def __init__(self, directory, options):
        self.chance = random.Random(options.seed)
        self.disk = Disk(directory, flushes=options.planted != "no-barrier")
        planted = "" if options.planted == "no-barrier" else options.planted
        self.node = Node(self.disk.path / "data", directory / "node.log", planted)
        self.book = Promises()
        self.writers = [
            kind(f"{kind.__name__}{number}", random.Random(f"{options.seed}-{number}"), self.book)
            for number, kind in enumerate(KINDS)
        ]
        self.commands = commands.Commands(self.node, self.disk.path, directory, self.book)
        self.begun_s = time.monotonic()
        self.is_cut, self.is_planted = False, bool(options.planted)
        self.kinds = [options.kind] if options.kind else CUTS
        self.cuts = dict.fromkeys(CUTS, 0)

    def report(self):
        """The findings."""
        book = self.book
        figures = {"promise": "P2", "cuts": sum(self.cuts.values()), **self.cuts}
        figures |= {"acknowledged": book.acknowledged, "in_doubt": book.in_doubt, "found_done": book.found_done}
        figures |= {"handles": len(book.names()), **self.commands.figures(), "lost": len(book.lost)}
        return figures | {"faults": len(book.faults), "first_lost": book.lost[:5], "first_faults": book.faults[:5]}

    async def first_start(self):
        """Make the node and what its clients need."""
        await asyncio.to_thread(self.node.serve)
        for words, text in (
            (("enterprise", "create", "--id", "e", "--name", "停电有限公司"), None),
            (("principal", "create", "--id", PRINCIPAL, "--role", "enterprise-user", "--enterprise", "e"), None),
            (("login", "set", "administrator", "--user", "admin", "--password-file", "-"), PASSWORD + "\n"),
        ):
            code, said = await asyncio.to_thread(self.node.idis, *words, text=text)
            if code:
                raise RuntimeError(f"{words}: {said}")
        if self.is_planted:  # a defect is to lose what clients are promised, not what the node made for itself
            self.disk.sync()
        return json.loads((self.node.data_dir / "endpoints.json").read_text())

    def doors(self, endpoints):
        """Clients of the doors of the node as it runs now."""
        credentials = self.node.data_dir / "credentials"
        token = (credentials / "admin.token").read_text().strip()
        key = load_pem_private_key((credentials / "admin_rsa.pem").read_bytes(), None)
        host, _, port = endpoints["hdl_tcp"].rpartition(":")
        client = AsyncClient(endpoints["grpc"], token=token, retry=ONCE, timeout_s=10.0)
        peer = Peer(host, int(port), writers.PREFIX, Who("0.NA/88.300", 300, key))
        return SimpleNamespace(
            client=client, handle=peer, http="http://" + endpoints["http"], password=PASSWORD, principal=PRINCIPAL
        )

    async def round(self, endpoints):
        """Load, a cut, power again, and the reckoning."""
        doors = self.doors(endpoints)
        self.is_cut = False
        tasks = [asyncio.create_task(self._guarded(writer.run(doors), writer.name)) for writer in self.writers]
        tasks += [asyncio.create_task(self._guarded(work, "command")) for work in self.commands.loops()]
        await self._moment()
        self.is_cut = True
        kind = self.kinds[sum(self.cuts.values()) % len(self.kinds)]
        await asyncio.to_thread(self._cut, kind)
        self.cuts[kind] += 1
        await asyncio.sleep(0.05)  # answers that had left before the cut arrive
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await doors.client.close()
        await asyncio.to_thread(self._power)
        await self.reckon()
        told = {"cut": sum(self.cuts.values()), "kind": kind, "at_s": round(time.monotonic() - self.begun_s)}
        print(json.dumps(told | {"acknowledged": self.book.acknowledged, "lost": len(self.book.lost)}), flush=True)

    async def _moment(self):
        """Wait for the moment of the cut."""
        await asyncio.sleep(self.chance.uniform(*LOAD_S))
        if self.chance.random() < 0.5:
            until = time.monotonic() + 4
            while not self.commands.is_backing_up() and time.monotonic() < until:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.002)
            await asyncio.sleep(self.chance.uniform(0, 0.15))

    async def _guarded(self, work, name):
        """A failure before the cut is a fault."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            await asyncio.sleep(0.5)  # the cut may be what it was and not be told yet
            if not self.is_cut:
                self.book.faults.append(f"{name} before the cut: {error!r:.300}")

    def _cut(self, kind):
        """Take the power away and end everybody. At half of the cuts the processes see a dead disk for a moment."""
        stops_at_once = self.chance.random() < 0.5
        if stops_at_once:
            _signal_others(signal.SIGSTOP)
        self.disk.cut(kind, self.chance)
        if not stops_at_once:
            time.sleep(self.chance.uniform(0, 0.05))
        _signal_others(signal.SIGKILL)
        self.disk.unmount()

    def _power(self):
        """Mount, and hold everything that needs no node against the book."""
        self.disk.mount()
        code, said = self.node.idis("check")
        if code:
            self.book.faults.append(f"idis check: {said[-500:]}")
        for path in sorted(self.commands.backups.glob("*.idisbak")):
            try:
                if not verify(path, walk_pages=False).report.ok:
                    self.book.faults.append(f"backup {path.name} has findings")
            except StorageError as error:
                self.book.faults.append(f"backup {path.name}: {error}")
        self.commands.check()
        for writer in self.writers:
            if isinstance(writer, writers.Uploads):
                writer.check(self.node.data_dir)

    async def reckon(self):
        """Start the node and ask it for everything that was promised; then ask again for what was in doubt."""
        endpoints = await asyncio.to_thread(self.node.serve)
        doors = self.doors(endpoints)
        old = sorted(self.book.states.keys() - self.book.touched)
        names = {name for doubt in self.book.doubts.values() for name in doubt.after} | self.book.touched
        names |= set(self.chance.sample(old, min(SAMPLE, len(old))))
        self.book.compare(await _observed(doors.client, sorted(names)))
        for writer in self.writers:
            await self._guarded(writer.again(doors), f"{writer.name} again")
            if not isinstance(writer, writers.Import):
                self.book.doubts.pop(writer.name, None)
            if isinstance(writer, writers.Keys):
                await writer.check(lambda token: AsyncClient(endpoints["grpc"], token=token))
        listed = {name async for name in doors.client.list_handles(writers.PREFIX)}
        listed = {name for name in listed if not name.startswith(commands.START)}
        self.book.lost += [f"{name}: is not listed" for name in sorted(self.book.names() - listed)]
        self.book.faults += [f"{name}: nobody asked for it" for name in sorted(listed - self.book.names())]
        await doors.client.close()

    async def first_start_round(self, whole_s):
        """A new node, cut within its first start; then it must come up and take its token. How long that took."""
        kind = self.kinds[sum(self.cuts.values()) % len(self.kinds)]
        self.node.start()
        await asyncio.sleep(self.chance.uniform(0, whole_s))
        await asyncio.to_thread(self._cut, kind)
        self.cuts[kind] += 1
        self.disk.mount()
        begun_s = time.monotonic()
        endpoints = await asyncio.to_thread(self.node.serve)
        whole_s = time.monotonic() - begun_s
        doors = self.doors(endpoints)
        try:
            await doors.client.create(f"{writers.PREFIX}/first", writers.values("x"))
            self.book.settle({})
        except CallFailed as failed:
            self.book.lost.append(f"the first token: {failed}")
        await doors.client.close()
        _signal_others(signal.SIGKILL)
        shutil.rmtree(self.node.data_dir)
        self.disk.sync()
        return whole_s

    async def last_look(self):
        """Everything that was ever promised."""
        endpoints = json.loads((self.node.data_dir / "endpoints.json").read_text())
        client = self.doors(endpoints).client
        self.book.compare(await _observed(client, sorted(self.book.states)))
        await client.close()


async def _observed(client, names):
    """The state of each handle as the node tells it."""
    answers = [answer async for answer in client.resolve_many(names)]
    return {
        name: writers.state(answer.version, answer.values) if isinstance(answer, HandleRecord) else None
        for name, answer in zip(names, answers, strict=True)
    }


def _signal_others(number):
    """Signal every other process of the namespace; after SIGKILL, once all are dead."""
    while True:
        others = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                is_dead = (entry / "stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
            except OSError:
                continue
            if int(entry.name) != os.getpid() and not is_dead:
                others.append(int(entry.name))
        for pid in others:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        if number != signal.SIGKILL or not others:
            return
        time.sleep(0.01)


async def _main(options):
    run = Run(options.directory, options)
    try:
        if options.first_start:
            whole_s = 3.0
            while sum(run.cuts.values()) < options.cuts:
                whole_s = await run.first_start_round(whole_s)
            print(json.dumps(run.report()), flush=True)
            return
        endpoints = await run.first_start()
        while sum(run.cuts.values()) < options.cuts and not (options.until_lost and run.book.lost):
            try:
                await run.round(endpoints)
            except RuntimeError as error:  # it does not come up any more: nothing is there
                run.book.lost.append(str(error))
                break
            endpoints = json.loads((run.node.data_dir / "endpoints.json").read_text())
        else:
            await run.last_look()
        print(json.dumps(run.report(), ensure_ascii=False), flush=True)
    finally:
        _signal_others(signal.SIGKILL)
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
    options = parser.parse_args()
    if os.getpid() != 1:
        parser.error("run it in a namespace of its own, as the module says: it kills every other process it sees")
    threading.Thread(target=_end_with_input, daemon=True).start()
    asyncio.run(_main(options))


if __name__ == "__main__":
    main()
