"""Every table of the store, what its keys are, and how a row is sealed against silent damage.

A stored row is ``flags (1 octet) · check (4 octets, big-endian) · body``. The flags octet carries the
format in its low nibble and table-defined marks in its high one; the check is the CRC-32C over key and
body, XOR the marks, so that a flipped mark is damage too and costs nothing to find. See FORMAT.md.
"""

from __future__ import annotations

from enum import Enum
from operator import itemgetter
from struct import unpack
from typing import TYPE_CHECKING

import google_crc32c

from storage.errors import RowCorrupt

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT_VERSION = 1
"""Version of the layout on disk; the low nibble of every flags octet."""

FORMAT_KEY = b"format"
"""Key in META of the row whose body is the format version, 4 octets big-endian."""

SEAL_OCTETS = 5
"""Octets before the body of a stored row."""

_UNMARKED = bytes([FORMAT_VERSION])
_FLAGS = {marks: bytes((FORMAT_VERSION | marks,)) for marks in range(0, 0x100, 0x10)}
_checksum = google_crc32c.value  # looked up once: it is called for every row
_head_of = itemgetter(slice(SEAL_OCTETS))
_body_of = itemgetter(slice(SEAL_OCTETS, None))

MARK = 0x10
"""The first table-defined bit of the flags octet; RECORDS sets it when the handle has restricted values."""


class Table(Enum):
    """The tables; the value is the name on disk."""

    __hash__ = object.__hash__  # members are single objects; the hash of Enum is a call of Python for every row

    META = b"meta"
    """name → octets: format version, node prefix, registry version."""
    RECORDS = b"records"
    """handle key → public record, ready to send."""
    RESTRICTED = b"restricted"
    """handle key → values without public read."""
    TOMBSTONES = b"tombstones"
    """handle key → version of a deleted handle."""
    CHANGES = b"changes"
    """serial (8 octets) → journal entry; append only."""
    TALLIES = b"tallies"
    """prefix key → counters and set hash of the prefix."""
    PREFIXES = b"prefixes"
    """prefix key → prefix row."""
    OWNED = b"owned"
    """enterprise id, NUL, prefix key → empty: the prefixes of an enterprise."""
    ENTERPRISES = b"enterprises"
    """enterprise id → enterprise row."""
    CREDIT_CODES = b"credit_codes"
    """unified social credit code → enterprise id."""
    PRINCIPALS = b"principals"
    """principal id → principal row."""
    MEMBERS = b"members"
    """enterprise id, NUL, principal id → empty: the principals of an enterprise."""
    KEYS = b"keys"
    """`t` or `c` and the SHA-256 of a token or certificate, or `h`, enterprise id, NUL, index → credential row."""
    KEY_IDS = b"key_ids"
    """key id → key of the row in KEYS."""
    HELD = b"held"
    """principal id, NUL, 2^64-1 minus time made (8 octets), key id → key of the row in KEYS: newest first."""
    LOGINS = b"logins"
    """user name → what proves its password, and its tokens."""
    SESSIONS = b"sessions"
    """SHA-256 of a token given for a password → whose it is and until when."""
    ENTERPRISE_RECORDS = b"enterprise_records"
    """enterprise id → what it said of itself in the national form."""
    CLAIMS = b"claims"
    """kind, NUL, text → enterprise id: what may belong to one enterprise only."""
    FILES = b"files"
    """file id → digest, size and owner of a file that was uploaded."""
    HELD_FILES = b"held_files"
    """owner, NUL, file id → empty: the files of an enterprise, or of a principal while nothing names them."""
    TEMPLATES = b"templates"
    """template id → metadata template."""
    TEMPLATE_VERSIONS = b"template_versions"
    """template id, NUL, version (8 octets) → the template as it was in that version."""
    TEMPLATE_LABELS = b"template_labels"
    """prefix key, NUL, SHA-256 of the label → template id."""
    RATES = b"rates"
    """enterprise id → second and changes in it, of enterprises with a quota for the second."""
    STATISTICS = b"statistics"
    """day (4 octets), prefix key → counts of the day."""
    SOURCES = b"sources"
    """day (4 octets), prefix key, NUL, address → resolutions from the address."""
    ACTIVITY = b"activity"
    """day (4 octets), kind of work, NUL, door → times and rates of the day."""
    OUTCOMES = b"outcomes"
    """day since the epoch (4 octets), digest of principal and request id → outcome of the request."""
    IMPORTS = b"imports"
    """principal id, NUL, import id → where the import stands."""
    HTTP_SESSIONS = b"http_sessions"
    """digest of a session's id → who it is, and until when; see ``node/http_sessions.py``."""
    ROW_LOG = b"row_log"
    """sequence (8 octets) → rows outside the records that one transaction changed, once the node has mirrors."""
    SEARCH = b"search"
    """folded type, NUL, start of the data, digest of index and handle key → handle key; see ``node/search.py``."""


def seal(key: bytes, body: bytes, marks: int = 0) -> bytes:
    """A row ready to store: flags, check, body. ``marks`` are bits of 0xF0."""
    crc: int = _checksum(key + body) ^ marks
    return _FLAGS[marks] + crc.to_bytes(4, "big") + body


def seal_many(keys: Sequence[bytes], bodies: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Keys and rows ready to store, without marks; half of what ``seal`` costs for each."""
    join = b"".join
    checks = map(_checksum, map(join, zip(keys, bodies, strict=True)))
    rows = [join((_UNMARKED, check.to_bytes(4, "big"), body)) for check, body in zip(checks, bodies, strict=True)]
    return list(zip(keys, rows, strict=True))


def unseal(table: Table, key: bytes, row: bytes) -> bytes:
    """The body of a stored row. Raises RowCorrupt when row and checksum differ."""
    body = row[SEAL_OCTETS:]
    if (
        len(row) < SEAL_OCTETS
        or row[0] & 0x0F != FORMAT_VERSION
        or google_crc32c.extend(_checksum(key), body) ^ (row[0] & 0xF0) != int.from_bytes(row[1:SEAL_OCTETS], "big")
    ):
        raise RowCorrupt(table.name, key)
    return body


def unseal_many(keys: Sequence[bytes], rows: Sequence[bytes | None]) -> list[bytes | None]:
    """The bodies of stored rows; None for each that is missing, marked or damaged, and ``unseal`` says which.

    A fraction of what ``unseal`` costs, because each step runs over all rows before the next.
    """
    bodies = _unseal_all(keys, rows) if all(rows) else None  # type: ignore[arg-type]  # as was just seen
    if bodies is not None:
        return bodies
    found: list[bytes | None] = [None] * len(rows)
    unmarked = [(place, keys[place], row) for place, row in enumerate(rows) if row and row[0] == FORMAT_VERSION]
    bodies = _unseal_all([key for _, key, _ in unmarked], [row for _, _, row in unmarked])
    for number, (place, key, row) in enumerate(unmarked):
        found[place] = bodies[number] if bodies is not None else next(iter(_unseal_all([key], [row]) or ()), None)
    return found


def _unseal_all(keys: Sequence[bytes], rows: Sequence[bytes]) -> list[bytes | None] | None:
    """The bodies of stored rows; None unless all are unmarked and none is damaged."""
    count = len(rows)
    heads = b"".join(map(_head_of, rows))
    if len(heads) != SEAL_OCTETS * count or heads[::SEAL_OCTETS] != _UNMARKED * count:
        return None
    bodies = [*map(_body_of, rows)]
    checks = unpack(">" + "xI" * count, heads)
    found = tuple(map(_checksum, map(b"".join, zip(keys, bodies, strict=True))))
    return bodies if found == checks else None


def marks_of(row: bytes) -> int:
    """The table-defined bits of a stored row."""
    return row[0] & 0xF0


def format_row() -> bytes:
    """The row of META that names the format of a store."""
    return seal(FORMAT_KEY, FORMAT_VERSION.to_bytes(4, "big"))


def format_of(row: bytes | None) -> int | None:
    """The format version that a row of META names, whatever the version; None when it names none.

    The seal of this one row may never change: it is how every version reads the format of every other.
    """
    if row is None or len(row) != SEAL_OCTETS + 4:
        return None
    crc, body = row[1:SEAL_OCTETS], row[SEAL_OCTETS:]
    sealed = google_crc32c.extend(google_crc32c.value(FORMAT_KEY), body) == int.from_bytes(crc, "big")
    return int.from_bytes(body, "big") if sealed else None
