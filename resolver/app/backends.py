"""Which implementation of the gRPC door runs: one table, one decision, said in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from resolver.app.data_dir import StartRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from resolver.clock import Clock
    from resolver.methods import Method
    from resolver.service import Service
    from resolver.transport.tls import TlsFiles

    Observe = Callable[["Method[Message, Message]", int, float], None]


class GrpcDoor(Protocol):
    """A gRPC door, whatever carries it."""

    async def start(self, host: str, port: int, tls: TlsFiles | None) -> int:
        """Answer on the port, shared with other workers; the port bound."""

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the one state there is
        """What the health service says."""

    async def drain(self, grace_s: float) -> None:
        """Take no new connection, let calls finish for ``grace_s``, then end them."""


class Choice(NamedTuple):
    """A back end and why it was chosen."""

    name: str
    why: str


BACKENDS = ("grpcio",)
"""Back ends of this version, the fastest first."""


def choose(wish: str) -> Choice:
    """The back end for ``grpc.backend``. Raises StartRefused for one this version has not."""
    if wish == "auto":
        return Choice(BACKENDS[0], "the fastest back end of this version")
    if wish not in BACKENDS:
        raise StartRefused(
            f"this version has no gRPC back end {wish}: use --grpc-backend auto or {' or '.join(BACKENDS)}"
        )
    return Choice(wish, "asked for by grpc.backend")


def make_door(
    name: str, service: Service, observe: Observe, clock: Clock, *, reflection: bool, write_timeout_s: float
) -> GrpcDoor:
    """The door of a back end that ``choose`` named."""
    from resolver.transport.grpc_server import GrpcioDoor  # noqa: PLC0415 - only workers load gRPC

    assert name in BACKENDS, name  # noqa: S101 - choose() named it
    return GrpcioDoor(service, observe=observe, clock=clock, reflection=reflection, write_timeout_s=write_timeout_s)
