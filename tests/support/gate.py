"""A TCP relay that stands still after so many octets: what a test does in the middle of a stream is then in its middle.

Octets count towards the client, over all connections together; the other way everything passes.
"""

import math
import socketserver
import threading
from contextlib import contextmanager, suppress
from socket import SHUT_WR, create_connection

READ_OCTETS = 4_096


class Gate(socketserver.ThreadingTCPServer):
    """The way to ``target``, shut after ``limit`` octets until ``open`` or ``pass_on`` is called."""

    daemon_threads = True

    def __init__(self, target, limit):
        super().__init__(("127.0.0.1", 0), _Way)
        host, _, port = target.rpartition(":")
        self.target, self.limit, self.passed = (host, int(port)), limit, 0
        self.is_reached, self.moved = threading.Event(), threading.Condition()

    @property
    def address(self):
        return f"127.0.0.1:{self.server_address[1]}"

    def open(self):
        self.pass_on(math.inf)

    def pass_on(self, octets):
        """Let so many more through, and shut again."""
        with self.moved:
            self.limit = self.passed + octets
            self.is_reached.clear()
            self.moved.notify_all()

    def count(self, octets):
        with self.moved:
            self.passed += octets
            while self.passed > self.limit:
                self.is_reached.set()
                self.moved.wait()


class _Way(socketserver.BaseRequestHandler):
    def handle(self):
        with suppress(OSError), create_connection(self.server.target) as far:
            threading.Thread(target=self._ask, args=(far,), daemon=True).start()
            while octets := far.recv(READ_OCTETS):
                self.server.count(len(octets))
                self.request.sendall(octets)

    def _ask(self, far):
        with suppress(OSError):
            while octets := self.request.recv(READ_OCTETS):
                far.sendall(octets)
            far.shutdown(SHUT_WR)


@contextmanager
def gate(target, limit):
    """A gate in front of HOST:PORT."""
    with Gate(target, limit) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.open()
            server.shutdown()
