"""10320/loc: several locations of one thing and how to choose between them."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from resolver.wire.predefined.text_data import TextData
from resolver.wire.predefined.xml_element import parse_xml

CHOOSE_BY_DEFAULT = ("locatt", "address", "country", "score", "weighted")
"""Order of the filters when no document names one."""


class Location(NamedTuple):
    """One location: its address, or the template of it, its weight and all its attributes."""

    href: str
    weight: float
    attributes: dict[str, str]


class Loc10320(TextData):
    """The document. It is kept as text, for signatures cover it; ``locations`` reads it."""

    __slots__ = ()
    TYPES: ClassVar[tuple[str, ...]] = ("10320/loc",)

    @property
    def attributes(self) -> dict[str, str]:
        """What the document says of all its locations, such as ``chooseby`` and ``http_sc``. Raises InvalidValue."""
        return dict(parse_xml(self.text, "locations").attrib)

    @property
    def locations(self) -> tuple[Location, ...]:
        """The locations in the order of the document. Raises InvalidValue."""
        root = parse_xml(self.text, "locations")
        return tuple(location_of(dict(element.attrib)) for element in root.iter("location"))


def location_of(attributes: dict[str, str]) -> Location:
    """The location with some attributes; one without a weight weighs 1."""
    href = attributes.get("href") or attributes.get("href_template") or ""
    return Location(href, _weight(attributes.get("weight")), attributes)


def _weight(text: str | None) -> float:
    try:
        weight = float(text or 1)
    except ValueError:
        return 1.0
    return weight if 0 <= weight < float("inf") else 0.0
