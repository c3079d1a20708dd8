"""Messages from a TCP byte stream: ``receive_data(octets)`` gives the frames that are complete.

The stream does not know which side it is on, and never waits. It holds at most one message and what
came with it; the length in the envelope is judged as soon as its 20 octets are there, so nothing is
kept for a message that will be refused. After an error the stream is dead: on TCP there is no way to
find the start of the next message.
"""

from __future__ import annotations

from resolver.errors import MalformedMessage, MessageTooLarge
from resolver.wire import bounds
from resolver.wire.cursor import U32
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.envelope import Envelope
from resolver.wire.message import Frame

_LENGTH_AT = 16
_read_length = U32.unpack_from


class FrameStream:
    """The receiving half of one TCP connection.

    ``message_octets_max`` bounds a message behind its envelope: a server takes
    ``bounds.MESSAGE_OCTETS_MAX``, a client ``bounds.ANSWER_OCTETS_MAX``.
    """

    __slots__ = ("_buffer", "_envelope", "_is_dead", "_whole_octets_max")

    def __init__(self, message_octets_max: int = bounds.MESSAGE_OCTETS_MAX) -> None:
        self._whole_octets_max = ENVELOPE_OCTETS + message_octets_max
        self._buffer = bytearray()
        self._envelope: Envelope | None = None
        self._is_dead = False

    def receive_data(self, octets: bytes) -> list[Frame]:
        """The frames that these octets complete, in order; octets of the next frame are kept.

        Raises MessageTooLarge when an envelope promises too much; ``pending_envelope`` is that envelope, so that the
        door can answer it before it closes. Frames complete before it are handed out first: the call after raises.
        """
        return [Frame(Envelope.from_wire(whole), whole[ENVELOPE_OCTETS:]) for whole in self.receive_octets(octets)]

    def receive_octets(self, octets: bytes) -> list[bytes]:
        """The same as ``receive_data`` with each message as its octets, for ``parse_resolution``."""
        buffer = self._buffer
        if not buffer and self._envelope is None and len(octets) >= ENVELOPE_OCTETS:
            whole_octets = ENVELOPE_OCTETS + _read_length(octets, _LENGTH_AT)[0]
            if whole_octets == len(octets) and whole_octets <= self._whole_octets_max:
                return [octets]  # What came is one message: nothing to copy.
        if self._is_dead:
            raise MalformedMessage("an earlier message of this connection was refused: close it", field="envelope")
        buffer += octets
        messages: list[bytes] = []
        start = 0
        held = len(buffer)
        while held - start >= ENVELOPE_OCTETS:
            whole_octets = ENVELOPE_OCTETS + _read_length(buffer, start + _LENGTH_AT)[0]
            if whole_octets > self._whole_octets_max or held - start < whole_octets:
                self._envelope = Envelope.from_wire(bytes(buffer[start : start + ENVELOPE_OCTETS]))
                if whole_octets > self._whole_octets_max and not messages:
                    self._refuse(self._envelope)
                break
            messages.append(bytes(buffer[start : start + whole_octets]))
            start += whole_octets
            self._envelope = None
        del buffer[:start]
        return messages

    def _refuse(self, envelope: Envelope) -> None:
        self._is_dead = True
        self._buffer.clear()
        raise MessageTooLarge(
            f"the envelope says {envelope.message_octets} octets; a message has at most "
            f"{self._whole_octets_max - ENVELOPE_OCTETS}",
            field="envelope",
        )

    @property
    def pending_octets(self) -> int:
        """Octets kept for a message that is not complete."""
        return len(self._buffer)

    @property
    def pending_envelope(self) -> Envelope | None:
        """The envelope of the message under way, once its 20 octets are there."""
        return self._envelope

    def end(self) -> None:
        """The peer has closed. Raises MalformedMessage when that cuts a message short."""
        if self._buffer:
            pending = len(self._buffer)
            self._is_dead = True
            self._buffer.clear()
            raise MalformedMessage(f"the connection ended inside a message of which {pending} octets had come")
