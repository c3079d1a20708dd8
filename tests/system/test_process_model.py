"""The real processes of a node on loopback: start, kill, roll, reload, drain, and who is refused."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from resolver.app.backends import choose
from resolver.v1 import handle_pb2, registration_pb2, registration_pb2_grpc, resolution_pb2, resolution_pb2_grpc
from tests.resolver.transport.test_tls import issue

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"IDIS_DRAIN__DELAY_S": "0.1", "IDIS_DRAIN__GRACE_S": "2"}
NAME = "88.300.1/HELLO"


def log_of(directory):
    return directory.with_name(directory.name + ".log")


def start(directory, *options, **environment):
    command = [sys.executable, "-m", "resolver", "serve", "--data-dir", str(directory), "--workers", "2"]
    command += ["--grpc", "127.0.0.1:0", "--hdl", "", "--http", "", "--admin", "127.0.0.1:0", "--no-banner", *options]
    with log_of(directory).open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | QUICK | environment, stderr=log)


def wait_for(what, timeout_s=200.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def events(directory):
    lines = log_of(directory).read_text().splitlines(keepends=True)  # the last one may be half written
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]


class Node:
    def __init__(self, directory, process):
        self.directory, self.process = directory, process

    @property
    def endpoints(self):
        return json.loads((self.directory / "endpoints.json").read_text())

    @property
    def token(self):
        return (self.directory / "credentials" / "admin.token").read_text().strip()

    def workers(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def send(self, number):
        self.process.send_signal(number)

    def get(self, page):
        try:
            with urllib.request.urlopen(f"http://{self.endpoints['admin']}{page}", timeout=120) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def events(self):
        return [event["event"] for event in events(self.directory)]

    def ready_workers(self):
        return json.loads(self.get("/readyz")[1])["workers"] == "2 of 2"


@contextmanager
def serving(directory, *options, **environment):
    log_of(directory).touch()
    starts = Node(directory, None).events().count("node ready")
    process = start(directory, *options, **environment)
    node = Node(directory, process)
    try:
        wait_for(lambda: node.events().count("node ready") > starts or process.poll() is not None)
        assert process.poll() is None, log_of(directory).read_text()
        yield node
    finally:
        if process.poll() is None:
            process.terminate()
            process.terminate()
        try:
            process.wait(200)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("node") / "data") as running:
        register(running, NAME)
        yield running


@contextmanager
def channel_to(node):
    with grpc.insecure_channel(node.endpoints["grpc"], options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel


def register(node, name):
    value = handle_pb2.HandleValue(index=1, type="URL", data=b"https://example.com/")
    with channel_to(node) as channel:
        registration_pb2_grpc.RegistrationServiceStub(channel).CreateHandle(
            registration_pb2.CreateHandleRequest(name=name, values=[value]),
            metadata=[("authorization", f"Bearer {node.token}")],
            timeout=120,
        )


def resolve(channel, name):
    stub = resolution_pb2_grpc.ResolutionServiceStub(channel)
    return stub.Resolve(resolution_pb2.ResolveRequest(name=name), timeout=120, wait_for_ready=True).record


def ended(pid):
    """Whether a process is no more; one whose new parent never asks for its end stays in the table of processes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return True


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_doors_answer_and_files_are_private(node):
    assert set(node.endpoints) == {"grpc", "admin"}
    assert mode(node.directory) == mode(node.directory / "store") == 0o700
    assert mode(node.directory / "credentials" / "admin.token") == 0o600
    assert mode(node.directory / "store" / "data.mdb") == 0o600
    with channel_to(node) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=120)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with channel_to(node) as channel:
        assert resolve(channel, NAME).values[0].data == b"https://example.com/"


def test_admin_pages(node):
    assert node.get("/livez") == (200, "ok\n")
    status, body = node.get("/readyz")
    parts = {"workers": "2 of 2", "storage": "ok", "upstream": "none"}
    assert (status, json.loads(body)) == (200, {"ready": True, **parts})
    assert json.loads(node.get("/version")[1])["prefix"] == "88.300"
    assert node.get("/elsewhere")[0] == 404
    with channel_to(node) as channel, pytest.raises(grpc.RpcError):
        resolve(channel, "88.300.1/NOBODY")

    def counted():
        text = node.get("/metrics")[1]
        call = 'grpc_method="Resolve",grpc_service="resolver.v1.ResolutionService"'
        return text if f'grpc_server_handled_total{{grpc_code="NOT_FOUND",{call}}} ' in text else ""

    text = wait_for(counted)
    for name in ("idis_build_info", "idis_store_used_bytes", "idis_store_oldest_reader_txns", "idis_records "):
        assert name in text
    assert f'backend="{choose("auto").name}"' in text


def test_second_node_on_the_directory_is_refused(node):
    second = start(node.directory)
    assert second.wait(200) == 1
    assert f"another node (process {node.process.pid}) runs on" in log_of(node.directory).read_text()
    assert node.get("/livez")[0] == 200
    assert node.endpoints


def test_second_node_on_the_port_is_refused(node, tmp_path):
    second = start(tmp_path / "other", "--grpc", node.endpoints["grpc"])
    assert second.wait(200) == 1
    assert "another process has it" in log_of(tmp_path / "other").read_text()
    second = start(tmp_path / "third", "--admin", node.endpoints["admin"])
    assert second.wait(200) == 1
    assert "the admin door cannot listen" in log_of(tmp_path / "third").read_text()
    assert node.get("/livez")[0] == 200


def test_killed_worker_is_replaced(node):
    before = node.workers()
    assert len(before) == 2
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len(node.workers() - {victim}) == 2 and node.ready_workers())
    assert len(node.workers() & before) == 1
    wait_for(lambda: "idis_worker_restarts_total 1.0" in node.get("/metrics")[1])
    with channel_to(node) as channel:
        assert resolve(channel, NAME).version


def test_rolling_restart_answers_all_the_time(node):
    before = node.workers()
    port = node.endpoints["grpc"]
    node.send(signal.SIGUSR2)
    failures = []
    calls = 0
    deadline = time.monotonic() + 100
    while "rolling restart ended" not in node.events() and time.monotonic() < deadline:
        for attempt in range(3):
            with channel_to(node) as channel:
                try:
                    resolve(channel, NAME)
                    calls += 1
                    break
                except grpc.RpcError as error:
                    if attempt == 2 or error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                        failures.append(error)
    assert "rolling restart ended" in node.events()
    assert not failures
    assert calls > 10
    assert not node.workers() & before
    assert node.endpoints["grpc"] == port
    assert node.ready_workers()


def test_a_stop_drains_a_second_one_hurries_and_the_next_start_needs_no_prefix(tmp_path):
    directory = tmp_path / "data"
    with serving(directory, "--prefix", "88.101", IDIS_DRAIN__DELAY_S="600") as node:
        assert "first start" in node.events()
        token, admin = node.token, node.endpoints["admin"]
        workers = node.workers()
        with channel_to(node) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            stub.Check(health_pb2.HealthCheckRequest(), timeout=120)
            node.send(signal.SIGTERM)
            wait_for(
                lambda: (
                    stub.Check(health_pb2.HealthCheckRequest(), timeout=120).status
                    == health_pb2.HealthCheckResponse.NOT_SERVING
                )
            )
            with pytest.raises(urllib.error.HTTPError) as unready:
                urllib.request.urlopen(f"http://{admin}/readyz", timeout=120)
            unready.value.close()
            assert unready.value.code == 503
        node.send(signal.SIGTERM)
        assert node.process.wait(200) == 0, "it waits for the ten minutes of the first signal"
        assert not (directory / "endpoints.json").exists()
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    refused = start(directory, "--prefix", "88.102")
    assert refused.wait(200) == 1
    assert "belongs to node prefix '88.101'" in log_of(directory).read_text()
    with serving(directory, "--http", "127.0.0.1:0") as node:
        assert json.loads(node.get("/version")[1])["prefix"] == "88.101"
        assert node.token == token
        assert node.events().count("first start") == 1
        assert set(node.endpoints) == {"grpc", "http", "admin"}
        node.send(signal.SIGTERM)
        assert node.process.wait(200) == 0, "one signal is enough where the delay is short"


def test_reload_says_what_changed_and_what_needs_a_restart(tmp_path):
    file = tmp_path / "node.toml"
    file.write_text('[log]\nlevel = "info"\n')
    with serving(tmp_path / "data", "--config", str(file)) as node:
        file.write_text('[log]\nlevel = "debug"\n[grpc]\nreflection = false\n[storage]\nmap_octets = 1073741824\n')
        node.send(signal.SIGHUP)
        wait_for(lambda: "configuration read again" in node.events())
        (event,) = [event for event in events(node.directory) if event["event"] == "configuration read again"]
        assert event["changed"] == ["log.level"]
        assert event["needs_rolling_restart"] == ["grpc.reflection"]
        assert event["needs_restart"] == ["storage.map_octets"]
        refused = "configuration not taken over, the old one stays"
        unusable = (
            "[log]\nlevle = 1\n",
            '[tls]\ncertificate_file = "/no"\nkey_file = "/no"\n',
            '[federation]\nallow_networks = "10.20"\n',
            '[federation]\ntop_file = "/no"\n',
            '[mirror]\nca_file = "/no"\n',
        )
        for number, text in enumerate(unusable):
            file.write_text(text)
            node.send(signal.SIGHUP)
            wait_for(lambda wanted=number + 1: node.events().count(refused) == wanted)
        assert node.get("/readyz")[0] == 200


def test_reload_finds_the_file_that_was_made_in_the_data_directory_since_the_start(tmp_path):
    with serving(tmp_path / "data") as node:
        file = tmp_path / "data" / "idis.toml"
        refused = "configuration not taken over, the old one stays"
        file.write_text("[mirror]\nconfirmatoins = 1\n")
        node.send(signal.SIGHUP)
        wait_for(lambda: node.events().count(refused) == 1)
        file.write_text("[mirror]\nconfirmations = 1\n")
        node.send(signal.SIGHUP)
        wait_for(lambda: "configuration read again" in node.events())
        (event,) = [event for event in events(node.directory) if event["event"] == "configuration read again"]
        assert event["needs_rolling_restart"] == ["mirror.confirmations"]
        file.unlink()
        node.send(signal.SIGHUP)
        wait_for(lambda: node.events().count(refused) == 2)


def test_a_certificate_is_renewed_while_nobody_comes(tmp_path):
    """With the one before expired no handshake would succeed any more, so none can be what it waits for."""
    issue(tmp_path, "first")
    pair = {"IDIS_TLS__CERTIFICATE_FILE": str(tmp_path / "node.crt"), "IDIS_TLS__KEY_FILE": str(tmp_path / "node.key")}
    with serving(tmp_path / "data", IDIS_TLS__POLL_S="1", **pair) as node:
        issue(tmp_path, "second")
        wait_for(lambda: node.events().count("certificate renewed") == 2)


def test_a_worker_that_cannot_take_a_reload_goes_on_listening(tmp_path):
    """What it does not understand, as from a supervisor of another version, must not make it deaf."""
    with serving(tmp_path / "data") as node:
        (one, *others) = node.workers()
        with Path(f"/proc/{one}/fd/0").open("wb", buffering=0) as ear:
            ear.write(b'{"type": "reload", "config": 5}\n')
        wait_for(lambda: any(event.startswith("defect while the config") for event in node.events()))
        node.send(signal.SIGKILL)
        node.process.wait()
        wait_for(lambda: all(ended(pid) for pid in (one, *others)))


def test_workers_leave_when_the_supervisor_is_killed(tmp_path):
    with serving(tmp_path / "data") as node:
        workers = node.workers()
        node.send(signal.SIGKILL)
        node.process.wait()
        wait_for(lambda: all(ended(pid) for pid in workers))
    with serving(tmp_path / "data") as again:
        assert again.ready_workers()
