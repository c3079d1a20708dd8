"""A connection that stays silent for the whole time of a request, whoever's time that is."""

import asyncio
import time
from contextlib import suppress

from resolver.federation.connection import HandleConnection, ServerUnreachable
from resolver.handle.codes import OpCode
from resolver.wire import requests, versions
from resolver.wire.envelope import Envelope
from resolver.wire.header import SERIAL_UNKNOWN, Header
from resolver.wire.message import request_message
from tests.support.handle_servers import found, serving


def question(number):
    envelope = Envelope(versions.OWN, versions.OWN, 0, 0, number, 0, 0)
    header = Header(OpCode.RESOLUTION, 0, 0, SERIAL_UNKNOWN, 0, 0, 0)
    return request_message(envelope, header, requests.Resolution("88.300.77/A")).to_frame()


def test_times_that_end_in_the_same_moment_leave_it_as_one_does():
    """After the process had stood still, the asker's end came first: further questions waited on the same silence."""

    async def main():
        async with serving({}) as server:
            connection = HandleConnection("127.0.0.1", server.port, timeout_s=60.0)
            with suppress(TimeoutError, ServerUnreachable):
                async with asyncio.timeout(0.25):
                    asking = connection.ask(question(1), timeout_s=0.2)
                    asyncio.get_running_loop().call_later(0.15, time.sleep, 0.3)
                    await asking
            server.says[""] = found()
            assert await connection.ask(question(2))
            assert server.connections == 2
            await connection.close()

    asyncio.run(main())
