"""What of a message is under way on a Handle connection, and the time it has: measured absolutely, never by octets."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from resolver.transport.hdl_lobby import HEADER_TIMEOUT_S

if TYPE_CHECKING:
    from resolver.wire.stream import FrameStream

BODY_TIMEOUT_S = 10.0
"""Seconds for the rest of a message once its envelope is there, however its octets trickle in."""

LOGIN_IDLE_S = 86_400.0
"""Seconds of silence that a connection survives on which somebody has logged in: the ID-SDK neither logs in again by
itself nor notices that its connection was closed."""


class Part(Enum):
    """What of a message is under way."""

    NOTHING = "nothing"
    HEADER = "header"
    BODY = "body"

    @classmethod
    def of(cls, stream: FrameStream) -> Part:
        """What of a message is under way in a stream."""
        if not stream.pending_octets:
            return cls.NOTHING
        return cls.HEADER if stream.pending_envelope is None else cls.BODY


TIMEOUTS_S = {Part.HEADER: HEADER_TIMEOUT_S, Part.BODY: BODY_TIMEOUT_S}
"""Seconds for the part under way; silence between messages has the time of the connection."""
