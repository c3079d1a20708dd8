"""A node for tests of the client: a real grpcio server on loopback whose methods are plain functions.

Each test says what the methods it needs do; others answer UNIMPLEMENTED. The link is a TCP relay in front of
it that can cut every connection, as a killed worker does.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from resolver.methods import Shape

MAKERS = {
    Shape.UNARY: grpc.unary_unary_rpc_method_handler,
    Shape.SERVER_STREAM: grpc.unary_stream_rpc_method_handler,
    Shape.BIDIRECTIONAL: grpc.stream_stream_rpc_method_handler,
}


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, behaviours):
        self._handlers = {
            method.path: MAKERS[method.shape](
                behaviour, method.request.FromString, lambda response: response.SerializeToString()
            )
            for method, behaviour in behaviours.items()
        }

    def service(self, handler_call_details):
        return self._handlers.get(handler_call_details.method)


@contextmanager
def running(behaviours, *, credentials=None):
    """HOST:PORT of a server with these methods: a dict of Method to function(request, context)."""
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, handlers=(_Handlers(behaviours),))
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def refuse(context, code, message, *, reason="", retry_after_s=None, fields=(), metadata=None):
    """Ends the call with rich details, as the node does."""
    details = []
    if reason:
        details.append(ErrorInfo(reason=reason, domain="idis-node", metadata=metadata or {}))
    if fields:
        violations = [BadRequest.FieldViolation(field=field, description=text) for field, text in fields]
        details.append(BadRequest(field_violations=violations))
    if retry_after_s is not None:
        delay = Duration()
        delay.FromMicroseconds(round(retry_after_s * 1e6))
        details.append(RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    context.abort_with_status(rpc_status.to_status(Status(code=code.value[0], message=message, details=packed)))


class Link:
    """A TCP relay to a target; ``cut`` breaks every open connection at once."""

    def __init__(self, target):
        self._host, _, self._port = target.rpartition(":")
        self._writers = set()
        self._tasks = set()
        self.connections = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.target = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self):
        for writer in self._writers:
            writer.transport.abort()

    async def _relay(self, reader, writer):
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        far_reader, far_writer = await asyncio.open_connection(self._host, int(self._port))
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._writers -= ends
            for each in ends:
                each.transport.abort()

    async def _pump(self, reader, writer):
        try:
            while octets := await reader.read(65_536):
                writer.write(octets)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
