"""The client library: a node's gRPC services for Python applications, blocking and asyncio.

    from resolver.client import AsyncClient, Client, NotFound
    from resolver.handle.value import HandleValue

    with Client("127.0.0.1:2640", token_file="app.token") as client:
        client.create("88.300.1/A-1", [HandleValue(1, "URL", b"https://example.com/")])
        try:
            print(client.resolve("88.300.1/A-1").values[0].data)
        except NotFound as failed:
            print(failed.reason, failed.message)

    async with AsyncClient("127.0.0.1:2640", coalesce=True) as client:
        records = await asyncio.gather(*(client.resolve(name) for name in names))

Reading order: ``policy`` (when to try again), ``failures``, ``channel``, ``plans`` (what is asked), then the
thin front ends ``blocking`` and ``asynchronous``; ``bursts``, ``exchange``, ``importing`` and ``watching``
are the streams. It imports the contract and the nouns, never the node.
"""

from resolver.client.asynchronous import AsyncClient
from resolver.client.blocking import Client
from resolver.client.bursts import Resolved
from resolver.client.channel import Options, Tls
from resolver.client.failures import (
    Aborted,
    AlreadyExists,
    CallFailed,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from resolver.client.importing import ImportSession, chunks_of
from resolver.client.policy import RetryPolicy
from resolver.client.values import new_handle, to_pb

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "CallFailed",
    "Client",
    "ImportSession",
    "InvalidArgument",
    "NotFound",
    "Options",
    "PermissionDenied",
    "Resolved",
    "ResourceExhausted",
    "RetryPolicy",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "chunks_of",
    "new_handle",
    "to_pb",
]
