"""Another node of this kind asked over gRPC: one channel, many calls at once.

The question says ``local_only``, so that the other node does not search in its turn: there is one search for a
question, and its budget is kept by the node that was asked first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from resolver import limits
from resolver.errors import MEANINGS
from resolver.federation.steps import SAID, Reply, Said
from resolver.handle.codes import ResponseCode
from resolver.methods import RESOLVE
from resolver.v1 import resolution_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.federation.contacts import Contact
    from resolver.federation.steps import Ask, Moment

_DETAILS_KEY = "grpc-status-details-bin"
_UNREACHABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_NO_CREDENTIAL = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


class GrpcPeer:
    """A node that is asked over gRPC. ``close`` it at the end."""

    def __init__(self, contact: Contact, *, octets_max: int) -> None:
        self._place = contact.place
        self._options = (
            ("grpc.max_receive_message_length", octets_max),
            ("grpc.enable_http_proxy", 0),  # the address was checked, a proxy would resolve another one
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 1_000),
            ("grpc.use_local_subchannel_pool", 1),
        )
        self._heard = 0
        """Answers that have come since the channel was opened."""
        self._closing: set[asyncio.Task[None]] = set()
        self._open()

    def _open(self) -> None:
        self._heard = 0
        self._channel = grpc.aio.insecure_channel(self._place, options=self._options)
        self._resolve = self._channel.unary_unary(
            RESOLVE.path,
            request_serializer=pb.ResolveRequest.SerializeToString,
            response_deserializer=pb.ResolveResponse.FromString,
        )

    def _open_anew(self) -> None:
        """Go on over a new connection: the kernel repeats lost packets of the old one ever more rarely.

        After a minute of lost packets the old connection would be silent for up to half a minute more. What is under
        way over it keeps its time.
        """
        closing = asyncio.create_task(self._channel.close(limits.UPSTREAM_ASK_SECONDS_MAX))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._open()

    async def close(self) -> None:
        """End the channel."""
        await self._channel.close(None)
        for closing in tuple(self._closing):
            closing.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def ask(self, ask: Ask, moment: Callable[[], Moment]) -> Reply:
        """What the node says; a failure is a reply too."""
        channel, heard = self._channel, self._heard
        try:
            request = pb.ResolveRequest(name=ask.name, local_only=not ask.recursive)
            response = await self._resolve(request, timeout=ask.timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _UNREACHABLE:
                self._heard += 1
            elif error.code() is not grpc.StatusCode.CANCELLED and (channel, heard) == (self._channel, self._heard):
                self._open_anew()
            return _reply_to(error, moment())
        self._heard += 1
        if response.HasField("referral"):
            of_prefix = response.referral.of_prefix
            return Reply(
                moment(),
                Said.PREFIX_REFERRAL if of_prefix else Said.SERVICE_REFERRAL,
                ResponseCode.PREFIX_REFERRAL if of_prefix else ResponseCode.SERVICE_REFERRAL,
                values=tuple(response.referral.values),
            )
        if not response.record.values:
            return Reply.failed(moment(), "the answer holds no record")
        return Reply(moment(), Said.FOUND, ResponseCode.SUCCESS, response.record)


def _reply_to(error: grpc.aio.AioRpcError, moment: Moment) -> Reply:
    """What a failed call comes down to."""
    reason, _ = reason_of(error)
    code = MEANINGS[reason].handle if reason in MEANINGS else 0
    message = words_of(error)[:200]
    if error.code() in _UNREACHABLE or (not code and error.code() not in _NO_CREDENTIAL):
        return Reply.failed(moment, message)
    return Reply(
        moment, SAID.get(code, Said.REFUSED) if code != ResponseCode.SUCCESS else Said.REFUSED, code, message=message
    )


def words_of(error: grpc.aio.AioRpcError) -> str:
    """What a failed call says; of a connection that was not made the cause alone, without the layers of gRPC."""
    details = error.details() or error.code().name
    if details.startswith("failed to connect to all addresses"):
        return f"no connection: {details.rpartition(': ')[2]}"
    return details


def reason_of(error: grpc.aio.AioRpcError) -> tuple[str, dict[str, str]]:
    """The reason in the details of a status and what it says beside it; empty when there is none."""
    metadata: Any = error.trailing_metadata() or ()
    for key, octets in metadata:
        if key != _DETAILS_KEY or not isinstance(octets, bytes):
            continue
        for detail in status_pb2.Status.FromString(octets).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                return str(info.reason), dict(info.metadata)
    return "", {}
