"""Messages from a TCP byte stream: ``receive_data(octets)`` gives the frames that are complete.

The stream does not know which side it is on, and never waits. It holds at most one message and what
came with it; the length in the envelope is judged as soon as its 20 octets are there, so nothing is
kept for a message that will be refused. After an error the stream is dead: on TCP there is no way to
find the start of the next message.
"""

from __future__ import annotations

from resolver.errors import MalformedMessage, MessageTooLarge
from resolver.wire import bounds
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.envelope import Envelope
from resolver.wire.message import Frame


class FrameStream:
    """The receiving half of one TCP connection.

    ``message_octets_max`` bounds a message behind its envelope: a server takes
    ``bounds.MESSAGE_OCTETS_MAX``, a client ``bounds.ANSWER_OCTETS_MAX``.
    """

    __slots__ = ("_buffer", "_envelope", "_is_dead", "_message_octets_max")

    def __init__(self, message_octets_max: int = bounds.MESSAGE_OCTETS_MAX) -> None:
        self._message_octets_max = message_octets_max
        self._buffer = bytearray()
        self._envelope: Envelope | None = None
        self._is_dead = False

    def receive_data(self, octets: bytes) -> list[Frame]:
        """The frames that these octets complete, in order; octets of the next frame are kept.

        Raises MessageTooLarge when an envelope promises too much; ``pending_envelope`` is that envelope, so that the
        door can answer it before it closes. Frames complete before it are handed out first: the call after raises.
        """
        if self._is_dead:
            raise MalformedMessage("an earlier message of this connection was refused: close it", field="envelope")
        buffer = self._buffer
        buffer += octets
        frames: list[Frame] = []
        while True:
            envelope = self._envelope
            if envelope is None:
                if len(buffer) < ENVELOPE_OCTETS:
                    return frames
                envelope = Envelope.from_wire(bytes(buffer[:ENVELOPE_OCTETS]))
                self._envelope = envelope
                if envelope.message_octets > self._message_octets_max:
                    if frames:
                        return frames
                    self._refuse(envelope)
            elif envelope.message_octets > self._message_octets_max:
                self._refuse(envelope)
            end = ENVELOPE_OCTETS + envelope.message_octets
            if len(buffer) < end:
                return frames
            frames.append(Frame(envelope, bytes(buffer[ENVELOPE_OCTETS:end])))
            del buffer[:end]
            self._envelope = None

    def _refuse(self, envelope: Envelope) -> None:
        self._is_dead = True
        self._buffer.clear()
        raise MessageTooLarge(
            f"the envelope says {envelope.message_octets} octets; a message has at most {self._message_octets_max}",
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
