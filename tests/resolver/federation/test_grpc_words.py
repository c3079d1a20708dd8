"""What a failed call to another node says to whoever asked."""

import grpc
from grpc.aio import AioRpcError, Metadata

from resolver.federation.grpc_peer import words_of


def failed(details):
    return AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata(), details)


def test_a_connection_that_was_not_made_is_told_by_its_cause():
    layers = (
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: Failed to connect to remote host"
    )
    assert words_of(failed(f"{layers}: Connection refused")) == "no connection: Connection refused"
    assert words_of(failed("the node is draining")) == "the node is draining"
    assert words_of(failed("")) == "UNAVAILABLE"
