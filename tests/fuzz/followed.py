"""The lengths and kinds inside a stream to a mirror, made to agree with what follows as ``lengths`` does for messages.

A reader of the product's own goes through the stream; before it reads a length, a count or a kind, this writes one that
can be into its place. A signature is right to these targets when it ends as what it covers.
"""

from contextlib import suppress

from resolver import limits
from resolver.errors import WireError
from resolver.wire.replication_stream import SIGNED, TLS, UNSIGNED, Contents, StreamReader

_HEAD_OCTETS = 4
_ALGORITHM_OCTETS_MAX, _SIGNATURE_OCTETS_MAX = 64, 256
_VALUE_OCTETS_MIN = 30
_KINDS = {Contents.TRANSACTIONS: (0, 1, 2, 3), Contents.DUMP: (0, 1, 2, 3, 4, 5, 0xFF)}


def signature_of(octets):
    """The signature of a block."""
    return len(octets).to_bytes(2, "big") + octets[-1:]


def is_signature_of(made, octets):
    """Whether a signature is right."""
    return bool(made) and made[-1:] == octets[-1:]


def reader_of(contents, class_=StreamReader):
    """A reader that takes signatures of this kind, and none."""
    return class_(contents, lambda _, made, octets: is_signature_of(made, octets), takes_unsigned=True)


def mended(contents, octets):
    """The octets of a stream with lengths and kinds that can be, as far as they go."""
    reader = reader_of(contents, _Mender)
    with suppress(WireError):
        reader.mend(bytearray(octets))
    return bytes(reader.stream)


class _Mender(StreamReader):
    """A reader that knows where in the stream it is."""

    def mend(self, stream):
        """Read the stream, whose octets are put right in front of the reader."""
        self.stream, self.place = stream, 0
        self._begin()
        while self.place + self._wanted <= len(stream):
            part = bytes(stream[self.place : self.place + self._wanted])
            self.place += self._wanted
            try:
                self._wanted = self._parsing.send(part)
            except StopIteration:
                return

    def _begin(self):
        kind = bytes(self.stream[:_HEAD_OCTETS])
        if kind not in {SIGNED, TLS, UNSIGNED}:
            self.stream[:_HEAD_OCTETS] = UNSIGNED
        place = _HEAD_OCTETS
        if kind == SIGNED:
            self._put_length(place, _ALGORITHM_OCTETS_MAX)
            place += _HEAD_OCTETS + int.from_bytes(self.stream[place : place + _HEAD_OCTETS], "big")
        numbers = (place, place + _HEAD_OCTETS) if self._contents is Contents.TRANSACTIONS else (place,)
        for at in numbers:  # format and status, or version: each is 1 or 2
            if at + _HEAD_OCTETS <= len(self.stream) and self.stream[at : at + 3] != bytes(3):
                self.stream[at : at + _HEAD_OCTETS] = (1 + self.stream[at] % 2).to_bytes(4, "big")

    def _put_length(self, place, most):
        """A length, or a count, that is at most so much and fits what follows."""
        says = int.from_bytes(self.stream[place : place + _HEAD_OCTETS], "big")
        most = max(0, min(most, len(self.stream) - place - _HEAD_OCTETS))
        if says > most and place + _HEAD_OCTETS <= len(self.stream):
            self.stream[place : place + _HEAD_OCTETS] = (says % (most + 1)).to_bytes(4, "big")

    def _sized(self, octets_max, field):
        self._put_length(self.place, octets_max)
        return (yield from super()._sized(octets_max, field))

    def _values(self):
        rest = max(0, len(self.stream) - self.place - _HEAD_OCTETS)
        self._put_length(self.place, min(limits.VALUES_MAX, rest // _VALUE_OCTETS_MIN))
        return (yield from super()._values())

    def _settle(self, record):
        if self._algorithm is not None:
            self._put_length(self.place, _SIGNATURE_OCTETS_MAX)
            says = int.from_bytes(self.stream[self.place : self.place + _HEAD_OCTETS], "big")
            end = self.place + _HEAD_OCTETS + says
            if says and end <= len(self.stream):
                self.stream[end - 1] = self._block[-1]
        yield from super()._settle(record)
        kinds = _KINDS[self._contents]
        if self.place < len(self.stream) and self.stream[self.place] not in kinds:
            self.stream[self.place] = kinds[self.stream[self.place] % len(kinds)]
