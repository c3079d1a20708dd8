"""Public keys of administrators whose handles live in other nodes, fetched while their answer waits (section 5.1).

Strangers can cause these searches, so few run at one time and each has its seconds; a key that cannot be had is 406. A
secret never leaves its server, so answers by secret keys of other nodes are 406 as well.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from resolver.errors import HandleNotFound, InvalidName, ResolverError, ValuesNotFound
from resolver.handle.codes import ResponseCode
from resolver.handle.name import Handle, fold
from resolver.node import handle_admin, record_octets
from resolver.node.authority import Below, Here, authority_for
from resolver.node.foreign import Question
from resolver.node.hdl_declined import Declined
from resolver.wire.challenges import SECRET_KEY

if TYPE_CHECKING:
    from resolver.service.core import Core
    from resolver.v1 import handle_pb2 as pb

SEARCHES_AT_ONCE = 8
"""Keys searched at one time in a worker."""

SEARCHES_WAITING_MAX = 64
"""Answers that wait for a search before further ones are told to come again."""

TIMEOUT_S = 5.0
"""Seconds of a search: what the reference client waits for an answer."""


class ForeignKeys:
    """Looks up keys for one worker. Make it on the worker's loop."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._searching = asyncio.Semaphore(SEARCHES_AT_ONCE)
        self._waiting = 0

    def is_elsewhere(self, handle: str) -> bool:
        """Whether another node has a handle, as far as this one knows."""
        elsewhere = self._core.elsewhere
        if elsewhere is None:
            return False
        try:
            name = Handle.from_text(handle).text
        except InvalidName:
            return False
        with self._core.reading() as reader:
            if handle_admin.is_registered(reader, name):
                return False
            authority = authority_for(reader, name)
        return isinstance(authority, Below) or (elsewhere.has_top and not isinstance(authority, Here))

    async def values_of(self, handle: str, auth_type: str) -> list[pb.HandleValue]:
        """The public values of a handle of another node. Raises Declined: 406, or 403 for one that does not exist."""
        elsewhere = self._core.elsewhere
        if elsewhere is None or fold(auth_type) == SECRET_KEY:
            raise _unreachable(handle, "a secret can be checked by its own server only")
        if self._waiting >= SEARCHES_WAITING_MAX:
            raise Declined(ResponseCode.SERVER_BUSY, "too many keys are being looked up: try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(TIMEOUT_S), self._searching:
                outcome = await elsewhere.find(Question(Handle.from_text(handle).text))
            return list(record_octets.parse(outcome.get().body).values)
        except (HandleNotFound, ValuesNotFound):
            raise Declined(ResponseCode.AUTHENTICATION_FAILED) from None
        except (ResolverError, TimeoutError) as error:
            raise _unreachable(handle, str(error) or f"no answer within {TIMEOUT_S:g} s") from error
        finally:
            self._waiting -= 1


def _unreachable(handle: str, why: str) -> Declined:
    return Declined(
        ResponseCode.UNABLE_TO_AUTHENTICATE, f"the key of {handle[:200]!r} is in another node and not to be had: {why}"
    )
