"""A node whose power is cut again and again under load, and the reckoning of what it had promised.

Each round lets clients write through every door while backups and an import run beside, cuts the power at a random
moment, about every second time while a backup is being written, ends all processes, gives power back, and then:
``idis check`` finds nothing, every acknowledged change is there with its content, nothing is there in part, no other
handle is there, and what was in doubt is made once when asked for again. In a round of first starts the cut falls into
that of a new node, which must come up after it and know the token that lies there.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
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
from tests.support.power.disk import CUTS, Disk, octets_for
from tests.support.power.promises import Promises

ROOT = Path(__file__).resolve().parents[3]
PLANTED = Path(__file__).parents[1] / "planted"
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

    def __init__(self, data_dir, log, planted, *options):
        self.data_dir, self.log, self.options = data_dir, log, options
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
        command += self.options
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

    kinds_of_writers = KINDS

    def __init__(self, directory, options):
        self.chance = random.Random(options.seed)
        self.disk = Disk(directory, octets_for(options.cuts), flushes=options.planted != "no-barrier")
        planted = "" if options.planted == "no-barrier" else options.planted
        self.node = Node(self.disk.path / "data", directory / "node.log", planted)
        self.book = Promises()
        self.writers = [
            kind(f"{kind.__name__}{number}", random.Random(f"{options.seed}-{number}"), self.book)
            for number, kind in enumerate(self.kinds_of_writers)
        ]
        self.commands = commands.Commands(self.node, self.disk.path, directory, self.book)
        self.endpoints = {}
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

    def background(self):
        """What runs beside the writers."""
        return self.commands.loops()

    async def first_start(self):
        """Make the node and what its clients need; its endpoints."""
        endpoints = await asyncio.to_thread(self.node.serve)
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
        return endpoints

    def doors(self, endpoints, credentials=None):
        """Clients of the doors of the node as it runs now."""
        credentials = credentials or self.node.data_dir / "credentials"
        token = (credentials / "admin.token").read_text().strip()
        key = load_pem_private_key((credentials / "admin_rsa.pem").read_bytes(), None)
        host, _, port = endpoints["hdl_tcp"].rpartition(":")
        client = AsyncClient(endpoints["grpc"], token=token, retry=ONCE, timeout_s=30.0)
        peer = Peer(host, int(port), writers.PREFIX, Who("0.NA/88.300", 300, key))
        return SimpleNamespace(
            client=client, handle=peer, http="http://" + endpoints["http"], password=PASSWORD, principal=PRINCIPAL
        )

    async def round(self):
        """Load, a cut, power again, and the reckoning."""
        doors = self.doors(self.endpoints)
        self.is_cut = False
        tasks = [asyncio.create_task(self.guarded(writer.run(doors), writer.name)) for writer in self.writers]
        tasks += [asyncio.create_task(self.guarded(work, "command")) for work in self.background()]
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
        self.is_cut = False
        await self.reckon()
        self.tell(kind)

    def tell(self, kind):
        """How far the run is."""
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

    async def guarded(self, work, name):
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
            signal_others(signal.SIGSTOP)
        self.disk.cut(kind, self.chance)
        if not stops_at_once:
            time.sleep(self.chance.uniform(0, 0.05))
        signal_others(signal.SIGKILL)
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

    def names(self):
        """Handles to look at after a cut: all that changed since the last, and some others."""
        old = sorted(self.book.states.keys() - self.book.touched)
        names = {name for doubt in self.book.doubts.values() for name in doubt.after} | self.book.touched
        return names | set(self.chance.sample(old, min(SAMPLE, len(old))))

    async def reckon(self):
        """Start the node and ask it for everything that was promised; then ask again for what was in doubt."""
        self.endpoints = await asyncio.to_thread(self.node.serve)
        doors = self.doors(self.endpoints)
        self.book.compare(await observed(doors.client, sorted(self.names())))
        for writer in self.writers:
            await self.guarded(writer.again(doors), f"{writer.name} again")
            if not isinstance(writer, writers.Import):
                self.book.doubts.pop(writer.name, None)
            if isinstance(writer, writers.Keys):
                await writer.check(lambda token: AsyncClient(self.endpoints["grpc"], token=token))
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
        signal_others(signal.SIGKILL)
        shutil.rmtree(self.node.data_dir)
        self.disk.sync()
        self.tell(kind)
        return whole_s

    async def last_look(self):
        """Everything that was ever promised."""
        client = self.doors(self.endpoints).client
        self.book.compare(await observed(client, sorted(self.book.states)))
        await client.close()


async def observed(client, names):
    """The state of each handle as the node tells it."""
    answers = [answer async for answer in client.resolve_many(names)]
    return {
        name: writers.state(answer.version, answer.values) if isinstance(answer, HandleRecord) else None
        for name, answer in zip(names, answers, strict=True)
    }


def signal_others(number):
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
