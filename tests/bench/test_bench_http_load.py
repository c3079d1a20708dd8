"""The HTTP load: windows without an answer, servers that are not there, and those that come late."""

import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from bench.http_load import HttpLoad, measure, request
from bench.operations import http_json
from bench.processes import free_port, is_listening
from tests.bench.test_bench_operations import TINY, judge

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Idle:
    """A process that takes no time."""

    def cpu_s(self):
        return 0.0


def load(port):
    return HttpLoad(port, (request("GET", "/"),), seconds=0.05, warm_s=0.0, connections=1)


def test_a_window_goes_on_until_it_has_an_answer():
    """On a busy machine none fell into it, and the measurement was called off for answers that were no 200."""

    def serve():
        client, _ = listener.accept()
        with client, suppress(ConnectionError):
            while client.recv(65_536):
                time.sleep(0.5)
                client.sendall(ANSWER)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        figures = measure(load(listener.getsockname()[1]), Idle())
        thread.join(60)
    assert 0 < figures["rate"] < 20


def test_a_server_that_is_not_there_is_told_at_once():
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="the load broke"):
        measure(load(free_port()), Idle())
    assert time.monotonic() - began < 50, "it was waited for, for a minute"


@pytest.mark.system
def test_the_bare_server_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(http_json, "CONSTANT", "import time\ntime.sleep(2)\n" + http_json.CONSTANT)
    report = http_json.run(replace(TINY, seconds=0.05))
    judge(json.loads(report.write(tmp_path).read_text()), "http-json")


def test_who_listens_is_seen():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert is_listening(port)
    assert not is_listening(port)
