"""10320/loc: several locations of one thing and how to choose between them."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from resolver.wire.predefined.text_data import TextData
from resolver.wire.predefined.xml_element import parse_xml

CHOOSE_BY_DEFAULT = ("locatt", "country", "weighted")
"""Order of the filters when the document names none."""


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
    def choose_by(self) -> tuple[str, ...]:
        """The filters in the order to apply. Raises InvalidValue."""
        root = parse_xml(self.text, "locations")
        listed = root.get("chooseby") or root.get("choose_by") or ""
        return tuple(name.strip() for name in listed.split(",") if name.strip()) or CHOOSE_BY_DEFAULT

    @property
    def locations(self) -> tuple[Location, ...]:
        """The locations in the order of the document; one without a weight weighs 1. Raises InvalidValue."""
        root = parse_xml(self.text, "locations")
        return tuple(
            Location(
                element.get("href") or element.get("href_template") or "",
                _weight(element.get("weight")),
                dict(element.attrib),
            )
            for element in root.iter("location")
        )


def _weight(text: str | None) -> float:
    try:
        weight = float(text or 1)
    except ValueError:
        return 1.0
    return weight if 0 <= weight < float("inf") else 0.0
