"""The peers: etcd, redis and nginx from Debian, on loopback, with the same keys and values, in a directory of the run.

A peer that is not installed is left out and said so. Each is started by the run and ended by it; none that was
already there is touched.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from bench import questions
from bench.processes import Process, free_port, is_listening
from bench.workload import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ETCD_TXN_PUTS = 100
"""Puts of one transaction while filling; etcd takes 128."""
REDIS_CONNECTIONS = 50


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer."""

    process: Process
    port: int


def absent(program: str, package: str) -> str | None:
    """Why a peer is left out; None when it is installed."""
    if shutil.which(program) or shutil.which(f"/usr/sbin/{program}"):
        return None
    return f"{program} is not installed and is left out: apt-get install {package}"


@contextmanager
def etcd(directory: Path, records: int) -> Iterator[Peer]:
    """Etcd with one member and its own defaults of durability, holding every record."""
    port, peer_port = free_port(), free_port()
    url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    command = ["etcd", "--data-dir", str(directory / "etcd"), "--log-level", "error", "--quota-backend-bytes"]
    command += [str(8 << 30), "--listen-client-urls", url, "--advertise-client-urls", url, "--name", "bench"]
    command += ["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url]
    command += ["--initial-cluster", f"bench={peer_url}"]
    if records:
        # Filled by a process of its own: etcd 3.4 copies its write buffer for every read, and a bulk load leaves a
        # large one behind that no client of a running etcd would see.
        with Process(command, directory / "etcd.log") as process:
            process.wait_until(lambda: _healthy(url))
            _fill_etcd(port, records)
    with Process(command, directory / "etcd.log") as process:
        process.wait_until(lambda: _healthy(url))
        _check_etcd(port, records)
        yield Peer(process, port)


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:  # noqa: S310 - our own loopback
            return json.load(answer)["health"] == "true"
    except OSError:
        return False


def _fill_etcd(port: int, records: int) -> None:
    """Put every record, several transactions in flight."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        txn = channel.unary_unary(questions.ETCD_TXN)
        flying: list[grpc.Future] = []
        for message in questions.etcd_fill(records, ETCD_TXN_PUTS):
            flying.append(txn.future(message, timeout=60))
            if len(flying) >= 64:
                for call in flying:
                    call.result()
                flying.clear()
        for call in flying:
            call.result()


def _check_etcd(port: int, records: int) -> None:
    """Read one record back with the official gRPC client."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        if records:
            ask = channel.unary_unary(questions.ETCD_RANGE)
            answer = ask(questions.field(1, name_of(records // 2).encode()), timeout=60)
            if questions.value_of(records // 2) not in answer:
                raise AssertionError("etcd did not return what was put")


@contextmanager
def redis(directory: Path, records: int) -> Iterator[Peer]:
    """Redis with one thread, nothing saved, holding every record under ``key:`` and twelve digits."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    command += ["--dir", str(directory), "--loglevel", "warning"]
    with Process(command, directory / "redis.log") as process:
        process.wait_until(lambda: is_listening(port))
        _fill_redis(port, records)
        yield Peer(process, port)


def _fill_redis(port: int, records: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as sock, sock.makefile("rb") as answers:
        for start in range(0, records, 1_000):
            numbers = range(start, min(start + 1_000, records))
            lines = []
            for number in numbers:
                key, value = b"key:%012d" % number, questions.value_of(number)
                lines.append(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value))
            sock.sendall(b"".join(lines))
            for _ in numbers:
                answers.readline()
        sock.sendall(b"GET key:%012d\r\n" % (records // 2))
        expected = questions.value_of(records // 2)
        if answers.readline() != b"$%d\r\n" % len(expected) or answers.read(len(expected)) != expected:
            raise AssertionError("redis did not return what was set")


def redis_get(peer: Peer, records: int, pipeline: int, seconds: float, guess: float) -> dict[str, float]:
    """GET of random keys by redis-benchmark; ``guess`` is the rate that sizes the run."""
    requests = max(10_000, int(guess * seconds))
    command = [
        "redis-benchmark",
        "-p",
        str(peer.port),
        "-c",
        str(REDIS_CONNECTIONS),
        "-n",
        str(requests),
        "-q",
        "--csv",
    ]
    command += ["-P", str(pipeline), "-r", str(records), "GET", "key:__rand_int__"]
    before = peer.process.cpu_s()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    cpu_us = (peer.process.cpu_s() - before) * 1e6 / requests
    line = next(line for line in done.stdout.splitlines() if "GET" in line)
    return {"rate": float(line.split('","')[1]), "cpu_us": cpu_us}


@contextmanager
def nginx(directory: Path, octets: int) -> Iterator[Peer]:
    """Nginx with one worker, HTTP/2 without TLS, and one static file of a record's size."""
    port, root = free_port(), directory / "nginx"
    root.mkdir()
    root.chmod(0o755)
    (root / "record").write_bytes(b"x" * octets)
    config = root / "nginx.conf"
    config.write_text(
        f"""daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; open_file_cache max=100; keepalive_requests 100000000;
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  server {{ listen 127.0.0.1:{port} http2; root {root}; http2_max_concurrent_streams 1000; }}
}}
user root;
""",
        encoding="utf-8",
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with Process([program, "-c", str(config), "-p", str(root)], directory / "nginx.log") as process:
        process.wait_until(lambda: is_listening(port))
        yield Peer(process, port)


def h2load(port: int, path: str, body: Path, seconds: float, connections: int, in_flight: int) -> dict[str, float]:
    """Cross-check of our generator: h2load with one body. Raises RuntimeError when it fails."""
    command = ["h2load", "-D", f"{max(1, round(seconds))}", "--warm-up-time", "1", "-c", str(connections), "-t", "1"]
    command += ["-m", str(in_flight), "-w", "24", "-W", "24", "-d", str(body), "-H", "content-type: application/grpc"]
    command += ["-H", "te: trailers", f"http://127.0.0.1:{port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    for line in done.stdout.splitlines():
        if line.startswith("finished in"):
            return {"rate": float(line.split(", ")[1].split()[0])}
    raise RuntimeError(f"h2load said nothing of a rate: {done.stdout[-400:]}")
