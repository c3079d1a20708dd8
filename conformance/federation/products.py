"""Real products: USB and PCI devices as Debian knows them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FILES = {"usb": Path("/usr/share/hwdata/usb.ids"), "pci": Path("/usr/share/hwdata/pci.ids")}


class Product(NamedTuple):
    """A product: an identifier's suffix and what it stands for."""

    suffix: str
    description: str
    url: str


def products(count: int) -> list[Product]:
    """So many products, of vendors all over the list. Raises SystemExit without hwdata."""
    found: list[Product] = []
    for kind, path in FILES.items():
        if not path.exists():
            raise SystemExit(f"{path} is not there: install the package hwdata")
        vendor = name = ""
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if not line.strip() or line.startswith(("#", "C ", "\t\t")):
                continue
            id_, _, text = line.strip().partition("  ")
            if not line.startswith("\t"):
                vendor, name = id_, text
            elif len(id_) == 4:
                url = f"https://devicehunt.example/{kind}/{vendor}/{id_}"
                found.append(Product(f"{kind.upper()}.{vendor.upper()}.{id_.upper()}", f"{name} {text}", url))
    step = max(len(found) // count, 1)
    return found[::step][:count]
