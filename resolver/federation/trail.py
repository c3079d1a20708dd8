"""The steps of a search, written down while it goes when its caller asked for them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from resolver.handle.codes import ResponseCode
from resolver.v1 import resolution_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resolver.errors import ResolverError
    from resolver.federation.contacts import Contact
    from resolver.federation.steps import Reply

LOCAL, CACHE = "local", "cache"
"""How a step is called that asked nobody."""


class Trail:
    """Collects hops; one that is off collects nothing."""

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on
        self._depth = 0
        self.hops: list[pb.Hop] = []

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """What is noted inside had to be known for the step around it."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def inside(self, name: str, protocol: str, error: ResolverError | None, said: str = "") -> None:
        """This node has answered itself."""
        code = ResponseCode.SUCCESS if error is None else error.response_code
        self._note(name=name, protocol=protocol, response_code=code, said=said or ("" if error is None else str(error)))

    def remembered(self, name: str, server: str, error: ResolverError | None, ttl_s: int, *, stale: bool) -> None:
        """An answer lay in the cache; ``ttl_s`` are the seconds left."""
        code = ResponseCode.SUCCESS if error is None else error.response_code
        said = f"learnt from {server}" if server else "failed a moment ago"
        self._note(name=name, protocol=CACHE, response_code=code, said=said, ttl_s=max(ttl_s, 0), stale=stale)

    def asked(self, name: str, contact: Contact, reply: Reply, took_s: float, ttl_s: int = 0) -> None:
        """A server was asked."""
        said = reply.said.value if not reply.message else f"{reply.said.value}: {reply.message}"
        self._note(
            name=name,
            server=contact.place,
            protocol=contact.protocol,
            response_code=reply.code,
            said=said,
            ttl_s=ttl_s,
            took_us=int(took_s * 1_000_000),
        )

    def refused(self, name: str, why: str) -> None:
        """A server was not asked."""
        self._note(name=name, protocol=LOCAL, said=f"not asked: {why}")

    def _note(self, **fields: object) -> None:
        if self._is_on:
            shown = {name: _shown(each) if isinstance(each, str) else each for name, each in fields.items()}
            self.hops.append(pb.Hop(depth=self._depth, **shown))  # type: ignore[arg-type]  # fields of the message


def _shown(text: str) -> str:
    """A text of a stranger as far as it is UTF-8: a name that an alias leads to may be any octets."""
    return text.encode("utf-8", "replace").decode()
