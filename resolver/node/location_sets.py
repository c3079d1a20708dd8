"""Which locations a handle has: those of its 10320/loc values, those that its prefix has for all its handles, its URLs.

What documents say of all their locations is taken from the first that says it, the handle's own before the prefix's. A
handle with neither kind of document leads to its first URL, which is a simple handle's whole story; beside documents a
URL weighs nothing unless they say so (``urlWeight``), and none of them counts with ``no_legacy``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from resolver.errors import ResolverError, WireError
from resolver.handle.name import Handle, fold, has_type
from resolver.node import handle_admin
from resolver.node.locations import filled
from resolver.wire.predefined.hs_namespace import HsNamespace
from resolver.wire.predefined.loc_10320 import Loc10320, Location, location_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

LOCATIONS = "10320/loc"
TTL_MAX_S = 172_800
"""Seconds that an answer may be kept at most, whatever values say: as in the reference proxy."""

_NAMESPACE = "HS_NAMESPACE"
_URL_TYPES = ("URL", "0.TYPE/URL")
_PUBLIC_READ = 2
_HANDLES_MAX = 8
"""Handles with locations for a prefix that are looked at."""

_UNPRINTABLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF), "\ufffd")


class LocationSet(NamedTuple):
    """The locations of a handle, what is said of all of them, and the values that this is from."""

    locations: tuple[Location, ...]
    settings: Mapping[str, str]
    values: tuple[pb.HandleValue, ...]
    is_plain: bool
    """Whether they are URLs only: the first is led to, without a choice."""


def of_values(values: Sequence[pb.HandleValue], shared: Sequence[pb.HandleValue]) -> LocationSet:
    """The locations in the values of a handle; ``shared`` are those of its prefix, see ``shared_of``."""
    own = [value for value in values if has_type(value.type, LOCATIONS)]
    urls = _urls(values)
    documents = _documents(own)
    settings = _merged(documents)
    more = [] if _is_set(settings, "no_nslocs") else _documents(shared)
    if not documents and not any(found for _, found in more):
        plain = tuple(_legacy(url, "1.0" if number == 0 else "0.0") for number, url in enumerate(urls))
        return LocationSet(plain, {}, tuple(urls), is_plain=True)
    settings = _merged([*documents, *more])
    legacy = [] if _is_set(settings, "no_legacy") else urls
    weight = settings.get("urlWeight", "0.0")
    dotted = settings.get("urlSubtypeWeight", "0.0") if legacy and _is_url(legacy[0]) else weight
    locations = [
        *(location for _, found in documents for location in found),
        *(_legacy(url, weight if _is_url(url) else dotted) for url in legacy),
        *(location for _, found in more for location in found),
    ]
    return LocationSet(tuple(locations), settings, (*own, *legacy, *(shared if more else ())), is_plain=False)


def shared_of(reader: Reader, name: str) -> list[pb.HandleValue]:
    """The public 10320/loc values that a handle's prefix has for all its handles.

    They stand at the prefix handle itself, and at the handles that its HS_NAMESPACE names as ``locs``.
    """
    try:
        prefix_handle = Handle.from_text(name).prefix_handle
        found = _public(reader, prefix_handle)
        places = [place for value in found if has_type(value.type, _NAMESPACE) for place in _places(value)]
        for place in places[:_HANDLES_MAX]:
            found += _public(reader, place)
    except ResolverError:
        return []
    return [value for value in found if has_type(value.type, LOCATIONS)]


def _public(reader: Reader, name: str) -> list[pb.HandleValue]:
    return [value for value in handle_admin.values_of(reader, name) if value.permissions & _PUBLIC_READ]


def _places(value: pb.HandleValue) -> tuple[str, ...]:
    try:
        return HsNamespace.from_wire(value.data).locations_at
    except WireError:
        return ()


def expires_s(values: Sequence[pb.HandleValue], now_s: float) -> float:
    """Until when an answer made from values may be kept, in epoch seconds."""
    times = (value.ttl_until_s if value.WhichOneof("ttl") == "ttl_until_s" else now_s + value.ttl_s for value in values)
    return min((now_s + TTL_MAX_S, *times))


def to_xml(found: LocationSet, name: str) -> bytes:
    """All locations as one document, with addresses in the place of templates."""
    root = ET.Element("locations")
    for location in found.locations:
        attributes = location.attributes | {"href": filled(location, name)}
        ET.SubElement(root, "location", {key: text.translate(_UNPRINTABLE) for key, text in attributes.items()})
    return ET.tostring(root, encoding="unicode").encode("utf-8", "replace")


def _documents(values: Sequence[pb.HandleValue]) -> list[tuple[dict[str, str], tuple[Location, ...]]]:
    """Settings and locations of each document that can be read."""
    found = []
    for value in values:
        document = Loc10320.from_wire(value.data)
        try:
            found.append((document.attributes, document.locations))
        except WireError:
            continue
    return found


def _merged(documents: Sequence[tuple[dict[str, str], tuple[Location, ...]]]) -> dict[str, str]:
    return {name: text for attributes, _ in reversed(documents) for name, text in attributes.items()}


def _is_set(settings: Mapping[str, str], name: str) -> bool:
    return settings.get(name, "").lower() in {"1", "true", "yes", "y"}


def _is_url(value: pb.HandleValue) -> bool:
    return fold(value.type) in _URL_TYPES


def _urls(values: Sequence[pb.HandleValue]) -> list[pb.HandleValue]:
    """The values that are addresses, those of the plain type first."""
    found = [value for value in values if any(has_type(value.type, type_) for type_ in _URL_TYPES)]
    return [*filter(_is_url, found), *(value for value in found if not _is_url(value))]


def _legacy(value: pb.HandleValue, weight: str) -> Location:
    href = value.data.decode("utf-8", "surrogateescape")
    return location_of({"href": href, "weight": weight, "mode": "legacy"})
