"""Reading rows that only count: a damaged one begins anew, because nobody may be held up by what is counted of them.

A damaged row of a record is refused, and one of a tally too, since it guards its records. But counts of a day, of a
second and of an address are written with every change: refused, one damaged octet would stop all registrations until
the next day. ``idis check`` names such a row as long as it has not been written again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.errors import RowCorrupt

if TYPE_CHECKING:
    from storage.engine import Reader
    from storage.tables import Table


def body_of(reader: Reader, table: Table, key: bytes) -> bytes | None:
    """The body of a row; empty when it is damaged, and None when there is none."""
    try:
        return reader.get(table, key)
    except RowCorrupt:
        return b""
