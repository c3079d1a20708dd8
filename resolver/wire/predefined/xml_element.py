"""Reading the little XML that values hold, without what makes XML dangerous.

Documents with a DOCTYPE are refused, so there are no entities to expand and no files to fetch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from resolver.errors import InvalidValue

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

XML_OCTETS_MAX = 256 << 10
"""Letters of XML in a value."""


def parse_xml(text: str, root: str) -> Element:
    """The root element of a document. Raises InvalidValue when it is not XML or has another root."""
    if len(text) > XML_OCTETS_MAX:
        raise InvalidValue(f"the XML has {len(text)} letters; at most {XML_OCTETS_MAX} are read", field="data")
    if "<!DOCTYPE" in text.upper():
        raise InvalidValue("the XML has a DOCTYPE: remove it", field="data")
    try:
        element = ET.fromstring(text)  # noqa: S314 - DOCTYPE is refused above
    except (ET.ParseError, ValueError, RecursionError) as error:
        raise InvalidValue(f"the data is not XML: {error}", field="data") from None
    if element.tag != root:
        raise InvalidValue(f"the XML starts with <{element.tag[:40]}> and must start with <{root}>", field="data")
    return element
