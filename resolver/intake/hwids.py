"""Debian's lists of USB and PCI hardware (package hwdata) as enterprises and products.

Every vendor becomes an enterprise with a prefix under the node's, every device a handle below it.
Segments of enterprise prefixes are digits only (national rule), so the segment is 1 for USB or 2
for PCI and the vendor id as five decimal digits: usb:1d6b is ``88.300.107531``. Only vendors and
devices are read, not subsystems, interfaces or classes. A vendor or device that stands twice counts
once; the later line becomes a row that names the first.

The lists are UTF-8 with an occasional line in Latin-1, which is read as such: every octet is a letter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from resolver.intake.rows import IntakeError, Row, bad_row
from resolver.v1 import handle_pb2, registration_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BusKind = Literal["usb", "pci"]
"""The two lists."""

LINE_OCTETS_MAX = 64 << 10
"""Octets of a line; the longest in use has under 200."""

_SEGMENT_START: dict[str, int] = {"usb": 100_000, "pci": 200_000}
_ENTRY = re.compile(r"(\t?)([0-9A-Fa-f]{4})(?:\s+(.*))?")
_OTHER_LIST = re.compile(r"[A-Z]{1,4} ")
"""Heads of the lists that follow the vendors: classes, audio terminals, languages and so on."""


class Device(NamedTuple):
    """A product: four lower-case hex digits, name, line; ``duplicate_of`` is the line that had it first, else 0."""

    id: str
    name: str
    number: int
    duplicate_of: int = 0


class Vendor(NamedTuple):
    """A vendor with its products. ``faults`` are lines of its block that could not be read."""

    kind: BusKind
    id: str
    name: str
    number: int
    devices: tuple[Device, ...] = ()
    faults: tuple[Row, ...] = ()
    duplicate_of: int = 0

    @property
    def enterprise_id(self) -> str:
        """Identifier of the enterprise: usb-1d6b."""
        return f"{self.kind}-{self.id}"

    def enterprise_prefix(self, node_prefix: str) -> str:
        """Prefix of the enterprise: 88.300.107531 for usb:1d6b under 88.300."""
        return f"{node_prefix}.{_SEGMENT_START[self.kind] + int(self.id, 16)}"

    def to_rows(self, node_prefix: str) -> Iterator[Row]:
        """The products as registrations, in the order of the file, with duplicates and faults as errors."""
        if self.duplicate_of:
            yield bad_row(
                self.number,
                "DUPLICATE_IN_FILE",
                f"vendor {self.id} stands in line {self.duplicate_of} already: its name there counts, its devices here "
                "are added",
                self.enterprise_prefix(node_prefix),
            )
        rows = [self._device_row(device, node_prefix) for device in self.devices]
        yield from sorted([*rows, *self.faults], key=lambda row: row.number)

    def _device_row(self, device: Device, node_prefix: str) -> Row:
        name = f"{self.enterprise_prefix(node_prefix)}/{device.id}"
        if device.duplicate_of:
            return bad_row(
                device.number,
                "DUPLICATE_IN_FILE",
                f"device {device.id} of vendor {self.id} stands in line {device.duplicate_of}: that one counts",
                name,
            )
        values = (
            (1, "URL", f"https://linux-hardware.org/?id={self.kind}:{self.id}-{device.id}"),
            (2000, "VENDOR_ID", self.id),
            (2001, "VENDOR_NAME", self.name),
            (2002, "PRODUCT_ID", device.id),
            (2003, "PRODUCT_NAME", device.name),
            (2004, "BUS", self.kind.upper()),
        )
        return Row(
            device.number,
            registration_pb2.NewHandle(
                name=name,
                values=[
                    handle_pb2.HandleValue(index=index, type=type_, data=text.encode())
                    for index, type_, text in values
                    if text
                ],
            ),
        )


def vendors(path: Path, kind: BusKind) -> Iterator[Vendor]:
    """The vendors of a list in its order, each with its devices. Raises IntakeError when it cannot be read."""
    for entry in _entries(path, kind):
        if isinstance(entry, Vendor):
            yield entry


def rows(path: Path, kind: BusKind, node_prefix: str) -> Iterator[Row]:
    """The products of a list as rows. The enterprises of ``vendors`` must be registered before."""
    for entry in _entries(path, kind):
        if isinstance(entry, Vendor):
            yield from entry.to_rows(node_prefix)
        else:
            yield entry


def _entries(path: Path, kind: BusKind) -> Iterator[Vendor | Row]:
    """Vendors, and lines before the first vendor that could not be read."""
    vendor: Vendor | None = None
    devices: list[Device] = []
    faults: list[Row] = []
    vendor_names: dict[str, tuple[int, str]] = {}
    device_lines: dict[tuple[str, str], int] = {}
    in_vendors = True
    for number, text in _lines(path):
        if not text.strip() or text.startswith(("#", "\t\t")):
            continue
        found = _ENTRY.fullmatch(text)
        if found is None and _OTHER_LIST.match(text):
            in_vendors = False
            continue
        if found is not None and not found[1]:
            if vendor is not None:
                yield vendor._replace(devices=tuple(devices), faults=tuple(faults))
            in_vendors = True
            devices, faults = [], []
            id_, name = found[2].lower(), (found[3] or "").strip()
            first, name_there = vendor_names.setdefault(id_, (number, name))
            vendor = Vendor(kind, id_, name_there, number, duplicate_of=0 if first == number else first)
        elif not in_vendors:
            continue
        elif found is not None and vendor is not None:
            id_ = found[2].lower()
            first = device_lines.setdefault((vendor.id, id_), number)
            devices.append(Device(id_, (found[3] or "").strip(), number, 0 if first == number else first))
        else:
            fault = bad_row(
                number,
                "MALFORMED_ROW",
                f"{text[:60]!r} is no vendor and no device of one: write four hex digits, two spaces, the name",
            )
            if vendor is None:
                yield fault
            else:
                faults.append(fault)
    if vendor is None:
        raise IntakeError(f"{path} has no vendor: it is no {kind}.ids list")
    yield vendor._replace(devices=tuple(devices), faults=tuple(faults))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as stream:
            number = 0
            while octets := stream.readline(LINE_OCTETS_MAX):
                number += 1
                try:
                    yield number, octets.decode().rstrip("\r\n")
                except UnicodeDecodeError:
                    yield number, octets.decode("latin-1").rstrip("\r\n")
    except OSError as error:
        raise IntakeError(f"{path} cannot be read: {error.strerror or error}") from error
