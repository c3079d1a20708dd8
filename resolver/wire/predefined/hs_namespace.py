"""HS_NAMESPACE: XML about a whole prefix: its status, locations for all its handles, templates."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from resolver.wire.predefined.text_data import TextData
from resolver.wire.predefined.xml_element import parse_xml


class NamespaceStatus(NamedTuple):
    """The status of a prefix and what to tell those who ask."""

    is_active: bool
    message: str
    contact: str


class HsNamespace(TextData):
    """The document. It is kept as text, for signatures cover it; ``status`` reads it."""

    __slots__ = ()
    TYPES: ClassVar[tuple[str, ...]] = ("HS_NAMESPACE",)

    @property
    def status(self) -> NamespaceStatus:
        """The status it declares; active when it declares none. Raises InvalidValue."""
        root = parse_xml(self.text, "namespace")
        found = [(root.get(name) or root.findtext(name) or "").strip() for name in ("status", "statusmsg", "contact")]
        return NamespaceStatus(found[0].lower() != "inactive", found[1], found[2])

    @property
    def locations_at(self) -> tuple[str, ...]:
        """The handles whose 10320/loc values are locations of every handle of the prefix. Raises InvalidValue."""
        found = [(element.text or "").strip() for element in parse_xml(self.text, "namespace").iter("locs")]
        return tuple(name for name in found if name)

    @property
    def has_template(self) -> bool:
        """Whether handles that are not registered are made by a template. Raises InvalidValue."""
        return parse_xml(self.text, "namespace").find("template") is not None
