"""The shortest way from the octets of a registration to a draft: values are copied, not taken apart.

Nearly every registration has the fields of its values in protobuf's canonical order and public values only, and the
values of one enterprise differ in their data alone: what stands before the data (index and type) and behind it
(TTL, permissions, timestamp) comes again and again. Each of these is judged once, by the code that judges every value,
and remembered. Whatever is not of this kind is answered with None and goes by ``draft.prepare``, which says what is
wrong: so there is one place only that knows what to refuse. The tests hold both ways to the same octets.
"""

from __future__ import annotations

from itertools import pairwise
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from resolver import limits
from resolver.errors import WireError
from resolver.handle.name import key_of_octets
from resolver.handle.value import Permission
from resolver.node import values
from resolver.node.draft import TEMPLATE_ID_OCTETS_MAX, Draft
from resolver.node.record_octets import varint
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import registration_pb2 as registration

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.node.mint import Mint

_SHORT_MAX = 0x7F
"""The largest number in one octet of a varint."""
_new = tuple.__new__  # spares what NamedTuple does about arguments, for every request
_NAME_STARTS = [bytes((0x0A, octets)) for octets in range(_SHORT_MAX + 1)]
_LEARNT_MAX = 4_096
"""Beginnings and ends of values that are remembered, and shapes of requests, each."""
_PUBLIC_READ = int(Permission.PUBLIC_READ)
_ON_EXISTING = frozenset(registration.OnExisting.values())


class Options(NamedTuple):
    """What a registration says beside name and values."""

    template_id: str = ""
    mint_suffix: bool = False
    request_id: str = ""
    on_existing: registration.OnExisting = registration.ON_EXISTING_UNSPECIFIED


_NO_OPTIONS = Options()
_MINT = Options(mint_suffix=True)


class _Shape(NamedTuple):
    """Where the parts of a plain request are whose like differ in nothing but name, data and what follows the values.

    The requests of an application mostly do: parts of equal length between octets that are the same in all.
    """

    cut: Callable[[bytes], tuple[bytes, ...]]
    """Cuts a request of this length into what is the same and what differs, in turns."""
    same: tuple[bytes, ...]
    """What is the same, when a request has this shape."""
    body: bytes
    """The values, completed, with a %b for the data of each."""


class _Value(NamedTuple):
    """A value of a request: where its data is, and the whole and its end as completed."""

    data_start: int
    data_end: int
    done: bytes
    end: bytes


class _Era:
    """What is remembered of the requests of one second."""

    __slots__ = ("ends", "now_s", "shapes")

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s
        self.ends: dict[bytes, bytes] = {}
        """What follows the data of values, completed, by what was sent; b"" when not plain."""
        self.shapes: dict[int, _Shape | None] = {}
        """By the length of requests; None for one that came once."""


class PlainDrafts:
    """Makes drafts, and remembers of values what comes again."""

    def __init__(self, record_octets_max: int, mint: Mint) -> None:
        self._record_octets_max = record_octets_max
        self._mint = mint
        self._indexes: dict[bytes, int] = {}
        """Index by index and type, serialised; 0 for those that are not plain."""
        self._era = _Era(0)
        """In one piece, because loop and lane both make drafts."""

    def of_request(self, request: bytes, now_s: int) -> tuple[Draft, Options] | None:
        """The draft in a CreateHandleRequest, a suffix minted where it asks for one; None when it is not plain."""
        parts = self._parts(request, now_s)
        if parts is None:
            return None
        name, body, rest = parts
        options = _NO_OPTIONS if not rest else _MINT if rest == b"\x20\x01" else _options(rest)
        if options is None:
            return None
        if options.mint_suffix:
            if b"/" not in name:
                return None
            if self._mint.share is None:
                name += self._mint.suffix().encode()
            else:
                name = self._mint.name(name.decode()).encode()
        draft = self._draft(name, body, options.template_id)
        return None if draft is None else (draft, options)

    def of_row(self, row: bytes, now_s: int) -> Draft | None:
        """The draft in a NewHandle; None when it is not plain. Its fields have the numbers they have in a request."""
        parts = self._parts(row, now_s)
        if parts is None:
            return None
        name, body, rest = parts
        if not rest:
            return self._draft(name, body, "")
        options = _options(rest) if rest[0] == 0x1A else None
        return None if options is None else self._draft(name, body, options.template_id)

    def _draft(self, name: bytes, body: bytes, template_id: str) -> Draft | None:
        """The draft of a name and its values, serialised."""
        octets = len(name)
        if octets > _SHORT_MAX:
            return None
        try:
            text = name.decode()
        except UnicodeDecodeError:
            return None
        key = key_of_octets(name)
        prefix_key, _, suffix = key.partition(b"/")
        head = b"%b%b%b" % (_NAME_STARTS[octets], name, body)
        if not prefix_key or not suffix or not text.isprintable() or len(head) > self._record_octets_max:
            return None
        return _new(Draft, (text, key, prefix_key, head, b"", template_id))

    def _parts(self, request: bytes, now_s: int) -> tuple[bytes, bytes, bytes] | None:
        """Name, completed values, and what follows them; None when they are not plain."""
        era = self._era
        if era.now_s != now_s:
            era = self._era = _Era(now_s)
        size = len(request)
        shape = era.shapes.get(size)
        if shape is not None:
            cut, same, body = shape
            parts = cut(request)
            if parts[::2] == same:
                different = parts[1::2]
                return different[0], body % different[1:-1], different[-1]
            return self._read(request, era, None)
        if size not in era.shapes:
            if len(era.shapes) >= _LEARNT_MAX:
                era.shapes.clear()
            era.shapes[size] = None
            return self._read(request, era, None)
        values_read: list[_Value] = []
        read = self._read(request, era, values_read)
        if read is not None:
            era.shapes[size] = _shape_of(request, values_read, size - len(read[2]))
        return read

    def _read(  # noqa: PLR0911, PLR0912 - one pass over the octets, and one line for each way not to be plain
        self, request: bytes, era: _Era, values_read: list[_Value] | None
    ) -> tuple[bytes, bytes, bytes] | None:
        """As ``_parts``, octet by octet; each value goes to ``values_read`` too."""
        indexes, ends, now_s = self._indexes, era.ends, era.now_s
        size = len(request)
        seen: set[int] = set()
        done: list[bytes] = []
        try:
            if request[0] != 0x0A or not 0 < request[1] <= _SHORT_MAX:
                return None
            at = name_end = 2 + request[1]
            while at < size and request[at] == 0x12:
                start, octets = at + 2, request[at + 1]
                if octets > _SHORT_MAX:
                    high = request[start]
                    if not 0 < high <= _SHORT_MAX:
                        return None
                    octets += (high << 7) - 0x80
                    start += 1
                at = start + octets
                type_at = start + 2 if request[start + 1] <= _SHORT_MAX else start + 3
                data_at = type_at + 2 + request[type_at + 1]
                index = indexes.get(request[start:data_at])
                if index is None:
                    index = self._learn_index(request[start:data_at])
                if not index or index in seen or request[data_at] != 0x1A:
                    return None
                seen.add(index)
                octets = request[data_at + 1]
                data_end = data_at + 2 + octets
                if octets > _SHORT_MAX:
                    high = request[data_at + 2]
                    if not 0 < high <= _SHORT_MAX:
                        return None
                    data_end += (high << 7) - 0x7F
                elif not octets:
                    return None
                if not data_end <= at <= size:
                    return None
                end = ends.get(request[data_end:at])
                if end is None:
                    end = _learn_end(request[data_end:at], now_s, ends)
                if not end:
                    return None
                done.append(b"\x12%b%b%b" % (varint(data_end - start + len(end)), request[start:data_end], end))
                if values_read is not None:
                    data_start = data_at + 2 + (octets > _SHORT_MAX)
                    values_read.append(_Value(data_start, data_end, done[-1], end))
        except IndexError:
            return None  # it ends in the middle of something
        if not 0 < len(done) <= limits.VALUES_MAX:
            return None
        return request[2:name_end], b"".join(done), request[at:]

    def _learn_index(self, octets: bytes) -> int:
        """The index in the serialised index and type of a value; 0 when there is anything else in it or wrong."""
        if len(self._indexes) >= _LEARNT_MAX:
            self._indexes.clear()
        index = 0
        try:
            value = pb.HandleValue.FromString(octets)
            canonical = pb.HandleValue(index=value.index, type=value.type).SerializeToString(deterministic=True)
            index = value.index
            values.complete_one(value, 0, 0)
            if canonical != octets:
                index = 0
        except (DecodeError, WireError):
            index = 0
        self._indexes[octets] = index
        return index


def _shape_of(request: bytes, values_read: list[_Value], values_end: int) -> _Shape:
    """The shape of a plain request."""
    edges = [0, 2, 2 + request[1]]
    body = b""
    for data_start, data_end, done, end in values_read:
        edges += (data_start, data_end)
        before = done[: data_start - data_end - len(end)]
        body += b"%b%%b%b" % (before.replace(b"%", b"%%"), end.replace(b"%", b"%%"))
    edges += (values_end, len(request))
    cut = Struct("".join(f"{end - start}s" for start, end in pairwise(edges))).unpack
    return _Shape(cut, cut(request)[::2], body)


def _learn_end(octets: bytes, now_s: int, ends: dict[bytes, bytes]) -> bytes:
    """What follows the data of a value, completed; b"" when it is not plain."""
    if len(ends) >= _LEARNT_MAX:
        ends.clear()
    end = b""
    try:
        value = pb.HandleValue.FromString(octets)
        value.DiscardUnknownFields()
        is_end = not (value.index or value.type or value.data or value.references)
        if is_end and value.SerializeToString(deterministic=True) == octets:
            value.type = "x"
            values.complete_one(value, 0, now_s)
            value.ClearField("type")
            if value.permissions & _PUBLIC_READ:
                end = value.SerializeToString(deterministic=True)
    except (DecodeError, WireError):
        end = b""
    ends[octets] = end
    return end


def _options(rest: bytes) -> Options | None:
    """The fields behind the values of a CreateHandleRequest; None when they are not plain."""
    try:
        request = registration.CreateHandleRequest.FromString(rest)
    except DecodeError:
        return None
    request.DiscardUnknownFields()
    if (
        request.name
        or request.values
        or request.validate_only
        or request.on_existing not in _ON_EXISTING
        or len(request.template_id.encode()) > TEMPLATE_ID_OCTETS_MAX
        or request.SerializeToString(deterministic=True) != rest
    ):
        return None
    return Options(request.template_id, request.mint_suffix, request.request_id, request.on_existing)
