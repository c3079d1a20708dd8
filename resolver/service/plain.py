"""Plain resolution for a door that answers whole read bursts: what ``Resolution`` does, with less on the way.

Questions go in as the octets that came and answers come out as the octets to send; nothing is parsed that need not be.
Policy is the door's to ask beforehand (``Core.require_resolution``), once for a caller. Counts and checksums are those
of every resolution. A question that is not plain is answered with None and belongs to ``Resolution``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.node.record_octets import FIELD_1, varint
from resolver.node.resolve_plain import NO_KEY, find_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resolver.service.core import Core
    from resolver.service.foreign import Elsewhere

_NAME_TAG = FIELD_1[0]
_ONE_OCTET_MAX = 127
"""Largest length that protobuf writes in one octet."""
_QUESTION = re.compile(rb"\x08([\x80-\xff]{0,8}[\x00-\x7f])\x12([\x01-\x7f])(.+)", re.DOTALL)
"""A StreamResolveRequest with a tag and a short name and nothing else; whether the name has that length is not seen."""

_TAGS = b"\x12"
"""Tag and wire type of field 2 of StreamResolveResponse: the tags, packed."""

STREAM_ANSWER_OCTETS_MAX = limits.ANSWER_OCTETS_MAX // 2
"""Octets of rows that are read for one message of a stream; questions for more are not plain together."""


class Streamed(NamedTuple):
    """The answer to the plain questions of a burst, empty when there are none, and the places of the others."""

    answer: bytes
    rest: list[int]


class Plain:
    """Answers the plain questions of a burst inside its read transaction."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def resolve(self, source: str, questions: Sequence[bytes], octets_max: int) -> list[bytes | None] | None:
        """The octets of a ResolveResponse for those of each ResolveRequest; None when one is longer than the bound.

        Counts what it answers, for the peer at an address.
        """
        keys = [self.key_of(question) or NO_KEY for question in questions]
        core = self._core
        with core.reading() as reader:
            bodies, counts = find_plain(reader, core.served, keys, None)
        recalled = 0
        if core.elsewhere is not None and None in bodies:
            recalled = self._recall(core.elsewhere, questions, bodies)
        if max(map(len, filter(None, bodies)), default=0) > octets_max:
            return None
        if recalled:
            core.counting.resolved("", source, recalled, recalled)
        for prefix, count in counts.items():
            core.counting.resolved(prefix, source, count, count)
        return bodies

    def _recall(self, elsewhere: Elsewhere, questions: Sequence[bytes], bodies: list[bytes | None]) -> int:
        """Answer what other nodes have answered before; how many questions that were."""
        now_s = self._core.clock.monotonic_s()
        recalled = 0
        for place, body in enumerate(bodies):
            if body is None:
                kept = elsewhere.plain(questions[place], now_s)
                if kept is not None:
                    bodies[place] = kept
                    recalled += 1
        return recalled

    def answer_stream(self, source: str, questions: Sequence[bytes]) -> Streamed | None:
        """The octets of a StreamResolveResponse for those of StreamResolveRequests; None when one cannot be read.

        Counts what it answers, for the peer at an address. Tags go back as the octets they came in.
        """
        tags: list[bytes] = []
        names: list[bytes] = []
        for question in questions:
            found = _QUESTION.fullmatch(question)
            if found is None:
                return None
            tag, size, name = found.groups()
            if size[0] != len(name):
                return None
            tags.append(tag)
            names.append(name)
        joined = b"\n".join(names)
        try:
            joined.isascii() or joined.decode()
        except UnicodeDecodeError:
            return None
        keys = joined.upper().split(b"\n")
        if len(keys) != len(names):
            keys = [name.upper() for name in names]
        core = self._core
        with core.reading() as reader:
            bodies, counts = find_plain(reader, core.served, keys, STREAM_ANSWER_OCTETS_MAX)
        rest: list[int] = []
        if not all(bodies):
            rest = [place for place, body in enumerate(bodies) if body is None]
            tags = [tag for tag, body in zip(tags, bodies, strict=True) if body is not None]
        records = b"".join(filter(None, bodies))
        for prefix, count in counts.items():
            core.counting.resolved(prefix, source, count, count)
        if not records:
            return Streamed(b"", rest)
        packed = b"".join(tags)
        return Streamed(records + _TAGS + varint(len(packed)) + packed, rest)

    @staticmethod
    def key_of(question: bytes) -> bytes | None:
        """The key of a ResolveRequest that is nothing but a short name; None for any other."""
        if len(question) > 2 and question[0] == _NAME_TAG and question[1] == len(question) - 2 <= _ONE_OCTET_MAX:
            return question[2:].upper()
        return None

    def keys_of_stream(self, questions: Iterable[bytes]) -> list[bytes]:
        """The keys of the plain questions among some StreamResolveRequests."""
        return [found[3].upper() for found in map(_QUESTION.fullmatch, questions) if found is not None]
