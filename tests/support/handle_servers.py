"""Handle servers on loopback that do what a test tells them, well or badly."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace

from resolver.handle.codes import ResponseCode
from resolver.handle.value import HandleValue
from resolver.wire import answers, signatures
from resolver.wire.credential import SIGNED, Credential, signed_octets
from resolver.wire.datagrams import split
from resolver.wire.header import OpFlag
from resolver.wire.message import Frame, Message, request_message
from resolver.wire.responses import Failure, Resolved
from resolver.wire.stream import FrameStream


def found(*values):
    return ResponseCode.SUCCESS, lambda name: Resolved(name, values or (HandleValue(1, "URL", b"u"),))


def missing():
    return ResponseCode.HANDLE_NOT_FOUND, lambda _: Failure()


def answer_to(request, code, body, *, key=None, to_another=False):
    """An answer to a request, signed when there is a key; one ``to_another`` was signed for who asks for no digest."""
    if to_another:
        header = request.header._replace(flags=request.header.flags & ~OpFlag.REQUEST_DIGEST.value)
        request = request_message(request.envelope, header, request.body)
    message = answers.answer(
        request, code, body(request.body.handle), site_serial=1, expiration_s=int(time.time()) + 60
    )
    if key is None:
        return message
    algorithm = signatures.preferred_hash(message.envelope.version, key.kind)
    covered = signed_octets(message.envelope, message.header_and_body, 0)
    return replace(message, credential=Credential(SIGNED, algorithm, signatures.sign(key, algorithm, covered)))


class Server:
    """``says`` maps names to what is answered, "" to what is said of all others; None is silence."""

    def __init__(
        self, says, *, key=None, closes=False, mangle=lambda octets: octets, delay_s=0.0, gate=None, to_another=False
    ):
        self.says, self.key, self.closes, self.mangle, self.delay_s = says, key, closes, mangle, delay_s
        self.gate, self.to_another = gate, to_another
        """The event that answers over TCP wait for, if any."""
        self.asked, self.connections, self.writers = [], 0, []
        self.deaf_until = 0
        """Connections up to this one are heard no longer, as after packets were lost for a long time."""
        self.port = 0

    def octets_for(self, frame):
        request = Message.from_frame(frame)
        self.asked.append(request.body.handle)
        said = self.says.get(request.body.handle, self.says.get(""))
        return (
            None
            if said is None
            else self.mangle(answer_to(request, *said, key=self.key, to_another=self.to_another).to_wire())
        )

    async def serve(self, reader, writer):
        self.connections += 1
        number = self.connections
        self.writers.append(writer)
        stream = FrameStream(1 << 20)
        try:
            while octets := await reader.read(65_536):
                if number <= self.deaf_until:
                    continue
                for frame in stream.receive_data(octets):
                    answer = self.octets_for(frame)
                    if answer is None:
                        continue
                    await asyncio.sleep(self.delay_s)
                    if self.gate is not None:
                        await self.gate.wait()
                    writer.write(answer)
                    if self.closes:
                        await writer.drain()
                        return
        except ConnectionError:
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server):
        self.server = server

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        answer = self.server.octets_for(Frame.from_wire(data))
        if answer is not None:
            for part in split(Frame.from_wire(answer), is_request=False):
                self.transport.sendto(part, addr)


@asynccontextmanager
async def serving(says, *, udp=False, host="127.0.0.1", **options):
    """A server that answers inside the block."""
    server = Server(says, **options)
    if udp:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=("127.0.0.1", 0))
        server.port = transport.get_extra_info("sockname")[1]
        try:
            yield server
        finally:
            transport.close()
        return
    listening = await asyncio.start_server(server.serve, host, 0)
    server.port = listening.sockets[0].getsockname()[1]
    server.listening = listening
    try:
        yield server
    finally:
        listening.close()
        for writer in server.writers:
            writer.close()
