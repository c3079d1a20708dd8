"""The lengths that octets say of themselves, made to agree with what follows, so that mutants are read to their end.

A mutant that has an octet more is refused at its first length, however good the rest is: the fuzzer would look at
little else. So a decoder is run once on a cursor that forgives. It takes a length or a count that is too large modulo
one more than what would do, and writes what it took where it found it; what comes out is read anew by the real one.
"""

import functools
import sys
from contextlib import contextmanager, suppress

from resolver.errors import ResolverError
from resolver.wire import bounds
from resolver.wire import envelope as envelopes
from resolver.wire import header as headers
from resolver.wire.cursor import Cursor, pack_u32
from resolver.wire.envelope import Envelope
from resolver.wire.message import NO_CREDENTIAL, Frame, Message

_ENVELOPE_LENGTH = slice(16, 20)
_BODY_LENGTH = slice(20, 24)
_SECTIONS = {"signature section"}
"""Fields of four octets that say a length, and are held against the rest by the decoder itself."""


class _Octets:
    """The octets under way: what has been written into them, and where the pieces that were handed out stand."""

    def __init__(self, octets):
        self.mended = bytearray(octets)
        self._places = {id(octets): (octets, 0)}  # what is held keeps its id

    def hand_out(self, octets, place):
        """A piece that begins at a place; None for one that is a copy. CPython has each single octet only once."""
        if place is not None and len(octets) > 1:
            self._places[id(octets)] = octets, place
        return octets

    def place_of(self, octets):
        """Where a piece stands, None for one that was not cut from these octets."""
        held = self._places.get(id(octets))
        return None if held is None else held[1]

    def write(self, place, number):
        self.mended[place : place + 4] = pack_u32(number)

    def cut(self, place):
        del self.mended[place:]


class _Forgiving(Cursor):
    """A cursor that takes a length modulo what is possible. ``octets_under_way`` is set by ``_forgiving``."""

    __slots__ = ("start",)
    octets_under_way: _Octets

    def __init__(self, octets, position=0, end=None):
        super().__init__(octets, position, end)
        self.start = self.octets_under_way.place_of(octets)

    def _at_most(self, says, most):
        """A number of four octets that was just read, or what is taken in its place."""
        if says <= most:
            return says
        if self.start is not None:
            self.octets_under_way.write(self.start + self.position - 4, says % (most + 1))
        return says % (most + 1)

    def _handed_out(self, octets):
        place = None if self.start is None else self.start + self.position - len(octets)
        return self.octets_under_way.hand_out(octets, place)

    def take_u32(self, field):
        says = super().take_u32(field)
        return self._at_most(says, self.remaining) if field in _SECTIONS else says

    def take_count(self, field, item_octets_min, items_max):
        says = super().take_u32(field)
        return self._at_most(says, min(items_max, self.remaining // item_octets_min))

    def take_sized(self, field, octets_max=bounds.FIELD_OCTETS_MAX):
        says = super().take_u32(field)
        return self.take(self._at_most(says, min(octets_max, self.remaining)), field)

    def take(self, octets, field):
        return self._handed_out(super().take(octets, field))

    def take_rest(self):
        return self._handed_out(super().take_rest())

    def finish(self, field):
        """What follows is cut off where nothing else follows it."""
        under_way = self.octets_under_way
        if self.start is not None and self.start + self.end == len(under_way.mended):
            under_way.cut(self.start + self.position)
            return
        super().finish(field)


@functools.cache
def _decoders(_):
    """The modules that read by a cursor; the argument tells when there may be more of them."""
    return [
        module
        for name, module in sys.modules.items()
        if name.startswith("resolver.wire.") and vars(module).get("Cursor") is Cursor
    ]


@contextmanager
def _forgiving(octets):
    """All decoders of the protocol read by a forgiving cursor inside the block."""
    modules = _decoders(len(sys.modules))
    _Forgiving.octets_under_way = under_way = _Octets(octets)
    for module in modules:
        module.Cursor = _Forgiving
    try:
        yield under_way
    finally:
        for module in modules:
            module.Cursor = Cursor
        del _Forgiving.octets_under_way


def mended(decode, octets):
    """The octets with lengths that agree as far as ``decode`` reads them, to which a cursor is given."""
    with _forgiving(octets) as under_way:
        with suppress(ResolverError):
            decode(_Forgiving(octets))
        return bytes(under_way.mended)


def mended_octets(decode, octets):
    """The same for a decoder that takes octets."""
    return mended(lambda cursor: decode(cursor.octets), octets)


def mended_message(octets):
    """A whole message of which envelope, header, body and credential agree; what is too short for a header stays."""
    if len(octets) < envelopes.OCTETS:
        return octets
    payload = octets[envelopes.OCTETS :]
    if len(payload) >= headers.OCTETS:
        payload = _mended_payload(octets[: envelopes.OCTETS], _with_body_length(payload))
    return octets[: _ENVELOPE_LENGTH.start] + pack_u32(len(payload)) + payload


def _with_body_length(payload):
    """Header, body and credential: where none follows the body, the body is all there is before the end."""
    says, left = int.from_bytes(payload[_BODY_LENGTH], "big"), len(payload) - headers.OCTETS
    if says != left and says + len(NO_CREDENTIAL) > left:
        says, payload = left, payload + NO_CREDENTIAL
    elif says != left and payload.endswith(NO_CREDENTIAL):
        says = left - len(NO_CREDENTIAL)
    return payload[: _BODY_LENGTH.start] + pack_u32(says) + payload[headers.OCTETS :]


def _mended_payload(envelope, payload):
    """The lengths inside body and credential, as the operation has them."""
    envelope = Envelope.from_wire(envelope)
    if envelope.is_encrypted:
        return payload
    return mended_octets(lambda octets: Message.from_frame(Frame(envelope, octets)), payload)
