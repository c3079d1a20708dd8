"""Hardware lists: vendors and devices, duplicates told row by row, and Debian's own lists in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.intake import hwids
from resolver.intake.rows import IntakeError

LIST = b"""\
# a comment
1D6B  Linux Foundation
\t0002  2.0 root hub
\t\t01  an interface
\t0002  2.0 root hub again
\tnot a device
00e9  Caf\xe9
1d6b  Linux again
\t0002  third
\t0003  3.0 root hub

# other lists
C 00  (Defined at Interface level)
\t01  Control Device
VT  0100  USB Vendor Specific
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "x.ids"
    file.write_bytes(LIST)
    return file


def test_vendors_and_devices(path):
    first, second, third = hwids.vendors(path, "usb")
    assert (first.id, first.name, first.enterprise_id) == ("1d6b", "Linux Foundation", "usb-1d6b")
    assert first.enterprise_prefix("88.300") == "88.300.107531"
    assert first._replace(kind="pci").enterprise_prefix("88.300") == "88.300.207531"
    assert second.enterprise_prefix("88.300") == "88.300.100233"
    assert second.name == "Café"
    assert (third.duplicate_of, third.name) == (2, "Linux Foundation")


def test_products_duplicates_and_faults_come_in_the_order_of_the_file(path):
    rows = list(hwids.rows(path, "usb", "88.300"))
    assert [(row.number, row.error.reason if row.error else row.handle.name) for row in rows] == [
        (3, "88.300.107531/0002"),
        (5, "DUPLICATE_IN_FILE"),
        (6, "MALFORMED_ROW"),
        (8, "DUPLICATE_IN_FILE"),
        (9, "DUPLICATE_IN_FILE"),
        (10, "88.300.107531/0003"),
    ]
    assert "stands in line 3" in rows[1].error.message
    assert rows[1].name == "88.300.107531/0002"
    assert "stands in line 2 already" in rows[3].error.message
    assert [(value.index, value.type, value.data.decode()) for value in rows[0].handle.values] == [
        (1, "URL", "https://linux-hardware.org/?id=usb:1d6b-0002"),
        (2000, "VENDOR_ID", "1d6b"),
        (2001, "VENDOR_NAME", "Linux Foundation"),
        (2002, "PRODUCT_ID", "0002"),
        (2003, "PRODUCT_NAME", "2.0 root hub"),
        (2004, "BUS", "USB"),
    ]


def test_a_file_without_vendors_is_no_list(tmp_path):
    path = tmp_path / "x.ids"
    path.write_text("hello\n")
    with pytest.raises(IntakeError, match="has no vendor"):
        list(hwids.vendors(path, "usb"))
    with pytest.raises(IntakeError, match="cannot be read"):
        list(hwids.vendors(tmp_path / "missing", "usb"))


@pytest.mark.parametrize(("kind", "vendors_min", "devices_min"), [("usb", 3_400, 20_000), ("pci", 2_300, 17_000)])
def test_the_lists_of_debian_are_read_whole(kind, vendors_min, devices_min):
    path = Path(f"/usr/share/hwdata/{kind}.ids")
    if not path.exists():
        pytest.skip("the Debian package hwdata is not installed")
    vendors = list(hwids.vendors(path, kind))
    rows = list(hwids.rows(path, kind, "88.300"))
    # Every line of the vendor part that has the form of a vendor or a device is accounted for.
    lines = path.read_text("utf-8").partition("\nC 00")[0].splitlines()
    heads = [line[:1] for line in lines if line and not line.startswith(("#", "\t\t"))]
    assert len(vendors) == sum(head != "\t" for head in heads) >= vendors_min
    assert sum(len(vendor.devices) for vendor in vendors) == heads.count("\t") >= devices_min
    assert {row.error.reason for row in rows if row.error} <= {"DUPLICATE_IN_FILE"}
    names = [row.handle.name for row in rows if row.handle]
    assert len(set(names)) == len(names)
