"""Raw clients of the Handle protocol in processes of their own: requests are made before, answers only counted.

    python -m bench.hdl_load '{"kind": "udp", "port": 2641, "slots": 8, ...}'

A slot has one request in flight, so slots are the concurrency. Each is a thread with a blocking socket; what Python
spends on them is the generator's, and the figure measured is the server's CPU.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bench.machine import ROOT
from bench.workload import PREFIX, name_of
from resolver.clock import SystemClock
from resolver.federation.identity import KeyIdentity
from resolver.handle.codes import OpCode
from resolver.handle.value import HandleValue, Reference
from resolver.wire import requests, sessions
from resolver.wire.credential import mac_credential
from resolver.wire.envelope import Envelope
from resolver.wire.header import CLIENT_FLAGS, SERIAL_UNKNOWN, Header, OpFlag
from resolver.wire.keys import der_of_pem
from resolver.wire.message import Message, request_message
from resolver.wire.predefined.hs_admin import HsAdmin
from resolver.wire.private_keys import private_key_from_der
from resolver.wire.responses import Challenge, SessionAccepted
from resolver.wire.versions import OWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.processes import Process

UDP, TCP, TCP_EACH, CREATE = "udp", "tcp", "tcp-each", "create"
PREPARED = 4_096
"""Requests made before, of random names; they are sent round and round, in another order by each slot."""

PAD_OCTETS = 120
"""Octets behind the filters of a padded question, which servers ignore: the answer is not three times as large then."""

_RC = slice(24, 28)
_OK = b"\0\0\0\1"
_TIMEOUT_S = 0.5


@dataclass(frozen=True)
class Plan:
    """What one process is to do. ``key_file`` is the administrator's key, for creations."""

    kind: str
    port: int
    slots: int
    seconds: float
    warm_s: float
    records: int
    seed: int
    pad: int = 0
    key_file: str = ""
    run: str = ""


class Counts:
    """What one process found, counted in the window between warming up and the end."""

    def __init__(self) -> None:
        self.done = 0
        self.errors = 0
        self.octets = 0
        self.ends: float = 0.0
        self.starts: float = 0.0


def resolution(name: str, pad: int, request_id: int) -> bytes:
    """A plain question, as the reference client asks it."""
    envelope = Envelope(OWN, OWN, 0, 0, request_id, 0, 0)
    header = Header(OpCode.RESOLUTION, 0, CLIENT_FLAGS, SERIAL_UNKNOWN, 0, 0xFFFF_FFFF, 0)
    return request_message(envelope, header, requests.Resolution(name, identity=bytes(pad))).to_wire()


def _questions(plan: Plan) -> list[bytes]:
    source = random.Random(plan.seed)
    return [resolution(name_of(source.randrange(plan.records)), plan.pad, number + 1) for number in range(PREPARED)]


def _by_udp(plan: Plan, number: int, counts: Counts, ask: list[bytes]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_TIMEOUT_S)
        client.connect(("127.0.0.1", plan.port))
        place = number * 97
        while (now := time.monotonic()) < counts.ends:
            place += 1
            try:
                client.send(ask[place % PREPARED])
                answer = client.recv(2_048)
            except TimeoutError:
                continue  # a lost packet is neither an answer nor an error
            _count(counts, answer, now)


def _read(client: socket.socket) -> bytes:
    answer = client.recv(65_536)
    while len(answer) < 20 or len(answer) < 20 + int.from_bytes(answer[16:20], "big"):
        more = client.recv(65_536)
        if not more:
            return b""
        answer += more
    return answer


def _by_tcp(plan: Plan, number: int, counts: Counts, ask: list[bytes]) -> None:
    client = socket.create_connection(("127.0.0.1", plan.port), timeout=60)
    place = number * 97
    while (now := time.monotonic()) < counts.ends:
        place += 1
        if plan.kind == TCP_EACH:
            client.close()
            client = socket.create_connection(("127.0.0.1", plan.port), timeout=60)
        client.sendall(ask[place % PREPARED])
        _count(counts, _read(client), now)
    client.close()


def _count(counts: Counts, answer: bytes, now: float) -> None:
    if now < counts.starts:
        return
    if answer[_RC] == _OK:
        counts.done += 1
        counts.octets += len(answer)
    else:
        counts.errors += 1


class _Creator:
    """One authenticated session, its first request challenged, the others proven by their MAC."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.client = socket.create_connection(("127.0.0.1", plan.port), timeout=60)
        with open(plan.key_file, "rb") as file:  # noqa: PTH123 - a name given as text
            key = private_key_from_der(der_of_pem(file.read()))
        self._who = KeyIdentity(f"0.NA/{PREFIX.rpartition('.')[0]}", 300, key)
        self._expires = SystemClock().now_us() // 1_000_000 + 43_200
        self._start = f"{PREFIX}/{plan.run}-{os.getpid()}-{number}-"
        self._values = (
            HandleValue(1, "URL", b"https://products.example.com/item/1"),
            HandleValue(100, "HS_ADMIN", HsAdmin(Reference(self._who.handle, 300)).to_wire()),
        )
        private = int.from_bytes(os.urandom(48), "big") | 1
        ours = sessions.public_half(private, sessions.OAKLEY_2).to_wire()
        setup = requests.SessionSetup(
            requests.MODE_DIFFIE_HELLMAN, 86_400, self._who.handle, self._who.index, public_key=ours
        )
        accepted = self._ask(self._message(OpCode.SESSION_SETUP, setup, 0))
        assert isinstance(accepted.body, SessionAccepted), accepted  # noqa: S101 - a server that does not work
        cipher, theirs = sessions.exchange_data_from_wire(accepted.body.data, accepted.envelope.version)
        self._key = sessions.derive(sessions.shared_secret(private, theirs), cipher)
        self._id = accepted.envelope.session_id
        first = self.create(0)
        challenge = self._ask(first)
        assert isinstance(challenge.body, Challenge), challenge  # noqa: S101 - as above
        assert challenge.request_digest is not None  # noqa: S101 - as above
        answer = self._who.answer(challenge.body.nonce, challenge.request_digest.octets, OWN, os.urandom)
        done = self._ask(self._message(OpCode.CHALLENGE_RESPONSE, answer, self._id))
        assert done.header.response_code == 1, done  # noqa: S101 - as above

    def _message(self, op_code: int, body: requests.RequestBody, id_: int) -> Message:
        envelope = Envelope(OWN, OWN, 0, id_, random.getrandbits(31), 0, 0)
        flags = OpFlag.RECURSIVE | OpFlag.CACHE_CERTIFY
        return request_message(envelope, Header(op_code, 0, flags, SERIAL_UNKNOWN, 0, self._expires, 0), body)

    def _ask(self, message: Message) -> Message:
        self.client.sendall(message.to_wire())
        return Message.from_wire(_read(self.client))

    def create(self, number: int) -> Message:
        """A creation with the session's MAC."""
        plain = self._message(
            OpCode.CREATE_HANDLE, requests.WithValues(f"{self._start}{number}", self._values), self._id
        )
        made = mac_credential(plain.envelope, plain.header_and_body, self._key.octets, number + 1)
        return request_message(plain.envelope, plain.header, plain.body, made)


def _by_creation(plan: Plan, number: int, counts: Counts, ready: threading.Barrier, prepared: int) -> None:
    creator = _Creator(plan, number)
    made = [creator.create(each).to_wire() for each in range(1, prepared)]
    ready.wait(120)
    for message in made:
        now = time.monotonic()
        if now >= counts.ends:
            break
        creator.client.sendall(message)
        _count(counts, _read(creator.client), now)
    creator.client.close()


def main(text: str) -> None:
    """Do what a plan says and print what was found."""
    plan = Plan(**json.loads(text))
    counts = Counts()
    begun = threading.Barrier(plan.slots + 1)

    def begin() -> None:
        begun.wait(120)

    work: list[Callable[[], None]] = []
    ask = [] if plan.kind == CREATE else _questions(plan)
    counts.ends = float("inf")
    counts.starts = float("inf")

    def timed(do: Callable[[int], None], number: int) -> Callable[[], None]:
        def run() -> None:
            if plan.kind != CREATE:
                begin()
            do(number)

        return run

    prepared = int(6_000 * (plan.seconds + plan.warm_s) / plan.slots) + 50
    for number in range(plan.slots):
        if plan.kind == CREATE:
            work.append(timed(lambda each: _by_creation(plan, each, counts, begun, prepared), number))
        elif plan.kind == UDP:
            work.append(timed(lambda each: _by_udp(plan, each, counts, ask), number))
        else:
            work.append(timed(lambda each: _by_tcp(plan, each, counts, ask), number))
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    while begun.n_waiting < plan.slots:
        time.sleep(0.005)
    print("ready", flush=True)
    sys.stdin.readline()
    counts.starts = time.monotonic() + plan.warm_s
    counts.ends = counts.starts + plan.seconds
    begun.wait()
    for thread in threads:
        thread.join()
    print(json.dumps({"done": counts.done, "errors": counts.errors, "octets": counts.octets}), flush=True)


class NoAnswer(Exception):
    """Nothing was answered in the time of a plan."""


def measure(plan: Plan, server: Process, processes: int) -> dict[str, float]:
    """Run a plan in some processes against a server: rate, errors, octets of an answer, the server's CPU an operation.

    CPU and operations are both those between the end of warming up and the end. Raises NoAnswer.
    """
    share = max(1, plan.slots // processes)
    count = max(1, plan.slots // share)
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bench.hdl_load",
                json.dumps(asdict(plan) | {"slots": share, "seed": plan.seed + each}),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for each in range(count)
    ]
    try:
        for each in running:
            assert each.stdout is not None  # noqa: S101 - it is a pipe
            if each.stdout.readline().strip() != "ready":
                raise RuntimeError("the generator did not become ready")
        for each in running:
            assert each.stdin is not None  # noqa: S101 - it is a pipe
            each.stdin.write("\n")
            each.stdin.flush()
        time.sleep(plan.warm_s)
        before, started = server.cpu_s(), time.monotonic()
        time.sleep(plan.seconds)
        cpu_s, took_s = server.cpu_s() - before, time.monotonic() - started
        found = [json.loads(each.communicate(timeout=60)[0]) for each in running]
    finally:
        for each in running:
            each.kill()
            each.wait()
    done = sum(one["done"] for one in found)
    if not done:
        raise NoAnswer(f"no answer to {plan.kind}: {found}")
    return {
        "rate": done / took_s,
        "cpu_us": cpu_s * 1e6 / done,
        "answer_octets": sum(one["octets"] for one in found) / done,
        "errors": float(sum(one["errors"] for one in found)),
    }


def key_file(data_dir: Path) -> str:
    """The administrator's key that a node has made at its first start."""
    return str(data_dir / "credentials" / "admin_rsa.pem")


if __name__ == "__main__":
    main(sys.argv[1])
