"""Which implementation of the gRPC door runs: one table, one decision, said in the log."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, NamedTuple, Protocol

from resolver.app.data_dir import StartRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from resolver.clock import Clock
    from resolver.methods import Method
    from resolver.service import Service
    from resolver.transport.tls import TlsFiles

    Observe = Callable[["Method[Message, Message]", int, float, int], None]


class GrpcDoor(Protocol):
    """A gRPC door, whatever carries it."""

    async def start(self, host: str, port: int, tls: TlsFiles | None) -> int:
        """Answer on the port, shared with other workers; the port bound."""

    @property
    def connection_count(self) -> int:
        """Connections open; 0 where the back end does not tell."""

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the one state there is
        """What the health service says."""

    async def drain(self, grace_s: float) -> None:
        """Take no new connection, let calls finish for ``grace_s``, then end them."""


class Choice(NamedTuple):
    """A back end and why it was chosen."""

    name: str
    why: str


BACKENDS = ("h2", "grpcio")
"""Back ends of this version, the fastest first."""

NGH2_TESTED = ("0.3.",)
"""Starts of the versions of the ngh2 wheel that the h2 back end was held to its tests with."""


def why_not_h2() -> str:
    """Why the h2 back end cannot be used here; empty when it can."""
    try:
        version = importlib.metadata.version("ngh2")
    except importlib.metadata.PackageNotFoundError:
        return "ngh2 is not installed: pip install 'idis-node[fast]'"
    if not version.startswith(NGH2_TESTED):
        return f"ngh2 {version} is not a tested version: pip install 'ngh2=={NGH2_TESTED[0]}*'"
    return ""


def choose(wish: str) -> Choice:
    """The back end for ``grpc.backend``. Raises StartRefused for one this version has not or cannot use here."""
    hindrance = why_not_h2()
    if wish == "auto":
        if hindrance:
            return Choice("grpcio", hindrance)
        return Choice("h2", "the fastest back end, in a tested version")
    if wish not in BACKENDS:
        raise StartRefused(
            f"this version has no gRPC back end {wish}: use --grpc-backend auto or {' or '.join(BACKENDS)}"
        )
    if wish == "h2" and hindrance:
        raise StartRefused(f"the gRPC back end h2 cannot be used: {hindrance}, or use --grpc-backend auto")
    return Choice(wish, "asked for by grpc.backend")


def make_door(
    name: str, service: Service, observe: Observe, clock: Clock, *, reflection: bool, write_timeout_s: float
) -> GrpcDoor:
    """The door of a back end that ``choose`` named."""
    if name == "h2":
        from resolver.transport.grpc_h2 import H2Door  # noqa: PLC0415 - its wheel may be missing

        return H2Door(service, observe=observe, clock=clock, reflection=reflection, write_timeout_s=write_timeout_s)
    from resolver.transport.grpc_server import GrpcioDoor  # noqa: PLC0415 - only its workers load grpcio's server

    return GrpcioDoor(service, observe=observe, clock=clock, reflection=reflection, write_timeout_s=write_timeout_s)
