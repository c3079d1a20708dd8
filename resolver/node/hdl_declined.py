"""Answers that only the Handle protocol has: codes of authentication, sessions and logins (RFC 3652 section 2.2.3).

The tree of ``errors`` names what every door can say. A challenge that ran out or a message a session has seen
before means something at the Handle doors alone, so these are carried by their response code and have no reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import Meaning, Refused
from resolver.handle.codes import ResponseCode

if TYPE_CHECKING:
    from collections.abc import Sequence


class Declined(Refused):
    """A request answered with a code of the Handle protocol; ``indexes`` name the values at fault."""

    def __init__(self, code: ResponseCode, message: str = "", *, indexes: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.indexes = tuple(indexes)

    @property
    def meaning(self) -> Meaning:
        """The code, and a denial at every other door."""
        return Meaning(7, self.code, 403, -3)

    @property
    def response_code(self) -> int:
        """The response code."""
        return self.code


def not_an_administrator(message: str = "") -> Declined:
    """The identity is known and may not do this here: 400, as the reference server says for all such cases."""
    return Declined(ResponseCode.INVALID_ADMIN, message)
