"""Servers of one site as processes on loopback addresses of their own, and their operator's commands."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from conformance.federation import handle_client
from resolver.client import Client
from resolver.handle.value import HandleValue

ROOT = Path(__file__).resolve().parents[2]


def idis(*words):
    """What a command prints as JSON, and its exit code."""
    command = [sys.executable, "-m", "resolver", "--json", "--timeout", "60", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    text = done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1]
    return done.returncode, json.loads(text.splitlines()[0]) if text.strip() else {}


def done(*words):
    code, document = idis(*words)
    assert code == 0, document
    return document


class Server:
    """One server."""

    def __init__(self, root, number):
        self.number, self.directory = number, root / f"server-{number}"
        self.process = None
        self.endpoints = {}

    def start(self):
        """Start it, on the ports it has had before."""
        address = f"127.1.1.{self.number}:0"
        grpc, hdl = self.endpoints.get("grpc", address), self.endpoints.get("hdl_tcp", address)
        command = [sys.executable, "-m", "resolver", "serve", "--data-dir", str(self.directory), "--workers", "2"]
        command += ["--grpc", grpc, "--hdl", hdl, "--http", "", "--admin", "", "--no-banner"]
        with self.directory.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    def die(self):
        """What a power cut does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        (self.directory / "endpoints.json").unlink(missing_ok=True)

    def wait(self):
        until = time.monotonic() + 200
        while not (self.directory / "endpoints.json").exists():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)
        self.endpoints = json.loads((self.directory / "endpoints.json").read_text())

    def log(self):
        return self.directory.with_suffix(".log").read_text()[-3_000:]

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def grpc(self):
        return self.endpoints["grpc"]

    @property
    def hdl(self):
        host, _, port = self.endpoints["hdl_tcp"].rpartition(":")
        return handle_client.Server(host, {handle_client.TCP: int(port), handle_client.UDP: int(port)})


class Site:
    """The servers, and files for their operator."""

    def __init__(self, root):
        self.root = root
        self.servers = [Server(root, number) for number in (1, 2, 3)]
        self.token = self.servers[0].directory / "credentials" / "admin.token"
        self.site_token = root / "site.token"

    def at(self, number):
        return ("--target", self.servers[number - 1].grpc, "--token-file", self.token)

    def client(self, number):
        return Client(self.servers[number - 1].grpc, token_file=self.token, timeout_s=60.0)

    def metadata(self):
        return [("authorization", f"Bearer {self.token.read_text().strip()}")]

    def file(self, *numbers):
        path = self.root / f"servers-{len(numbers)}.toml"
        rows = [f'[[servers]]\nid = {number}\ngrpc = "{self.servers[number - 1].grpc}"\n' for number in numbers]
        path.write_text('hash = "all"\n' + "".join(rows))
        return path

    def join(self, *numbers):
        first = self.servers[0].grpc
        for number in numbers:
            directory = self.servers[number - 1].directory
            done(
                "site",
                "join",
                "--of",
                first,
                "--server",
                number,
                "--site-token",
                self.site_token,
                "--data-dir",
                directory,
            )
            self.servers[number - 1].start()
        for number in numbers:
            self.servers[number - 1].wait()


@contextmanager
def running(root):
    site = Site(root)
    with ExitStack() as stack:
        for server in site.servers:
            stack.callback(server.stop)
        first = site.servers[0]
        first.start()
        first.wait()
        done(*site.at(1), "principal", "create", "--id", "site", "--role", "mirror")
        done(*site.at(1), "key", "create", "site", "--out", site.site_token)
        done("site", "join", "--server", 1, "--site-token", site.site_token, "--data-dir", first.directory)
        yield site


def values(data):
    return [HandleValue(1, "URL", data.encode())]
