"""The octets of records, journal entries and receipts of one moment, of which most are the same in all of them.

Protobuf by hand, in canonical form: building a message from Python costs more than all else about a registration.
The tests hold every octet against protobuf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.node.record_octets import FIELD_1, digests, number_field, text_field, varint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.node.draft import Draft

_LOW = [bytes((number | 0x80,)) for number in range(128)]
"""The first octet of a number of more than one."""

_ALONE = [bytes((number,)) for number in range(128)]
"""Numbers of one octet."""


class NewRows(NamedTuple):
    """The octets of many new records, in the order of their drafts."""

    records: list[bytes]
    digests: list[bytes]
    entries: list[tuple[bytes, bytes]]
    """Rows of CHANGES, key and body."""
    receipts: list[bytes]


class Moment:
    """Writes rows for one transaction."""

    __slots__ = ("_entry_starts", "_high", "_high_octets", "_signatures", "_template_fields", "_time", "_time_field")

    def __init__(self, now_us: int) -> None:
        self._time = varint(now_us)
        self._time_field = number_field(5, now_us)
        self._entry_starts: dict[int, bytes] = {}
        self._signatures: dict[tuple[str, str], bytes] = {}
        self._template_fields: dict[str, bytes] = {"": b""}
        self._high = -1
        self._high_octets = b""

    def number(self, serial: int) -> bytes:
        """A serial as a varint; those of a transaction differ in their first octet only, nearly always."""
        high = serial >> 7
        if high != self._high:
            self._high, self._high_octets = high, varint(high)
        return _LOW[serial & 0x7F] + self._high_octets if high else varint(serial)

    def record(self, head: bytes, version: int, number: bytes, template_id: str) -> bytes:
        """The body of a row of RECORDS that is new; ``number`` is its serial as a varint."""
        template = self._template_fields.get(template_id)
        if template is None:
            template = self._template_fields[template_id] = text_field(7, template_id.encode())
        tail = b"\x18%b\x20%b%b%b" % (varint(version), number, self._time_field, template)
        return b"%b%b%b%b" % (FIELD_1, varint(len(head) + len(tail)), head, tail)

    def _numbers(self, serial: int, stop: int) -> list[bytes]:
        """``number`` of each serial up to ``stop``, those that share all but their first octet at once."""
        numbers: list[bytes] = []
        while serial < stop:
            low, rest = serial & 0x7F, self.number(serial)[1:]
            some = min(stop - serial, 0x80 - low)
            octets = _LOW if rest else _ALONE
            numbers += [first + rest for first in octets[low : low + some]]
            serial += some
        return numbers

    def new_rows(self, operation: int, drafts: Sequence[Draft], serial: int, principal_id: str) -> NewRows:
        """What ``record``, ``entry`` and ``receipt`` write of new records in version 1, a step for all at a time.

        Their serials ascend from ``serial``, and none has restricted values or a template.
        """
        texts, keys, _, heads, _, _ = zip(*drafts, strict=True)
        serials = range(serial, serial + len(drafts))
        numbers = self._numbers(serial, serials.stop)
        names = [varint(len(name)) + name for name in map(str.encode, texts)]
        tail, time = self._time_field, self._time
        record_octets, receipt_octets = len(tail) + 3, len(time) + 5  # beside what differs
        records = [
            b"\x0a%b%b\x18\x01\x20%b%b" % (varint(len(head) + len(number) + record_octets), head, number, tail)
            for head, number in zip(heads, numbers, strict=True)
        ]
        sums = digests(keys, records)
        start, signature = self._entry_start(operation), self._signature(principal_id, "")
        entries = [
            b"\x08%b%b%b\x28\x01\x32\x20%b%b" % (number, start, name, digest, signature)
            for number, name, digest in zip(numbers, names, sums, strict=True)
        ]
        receipts = [
            b"\x0a%b\x0a%b\x10\x01\x18%b\x20%b" % (varint(len(name) + len(number) + receipt_octets), name, number, time)
            for name, number in zip(names, numbers, strict=True)
        ]
        return NewRows(
            records,
            sums,
            list(zip([serial.to_bytes(8, "big") for serial in serials], entries, strict=True)),
            receipts,
        )

    def _entry_start(self, operation: int) -> bytes:
        """Time and operation of a journal entry, and the tag of its name."""
        start = self._entry_starts.get(operation)
        if start is None:
            start = self._entry_starts[operation] = b"\x10%b\x18%b\x22" % (self._time, varint(operation))
        return start

    def _signature(self, principal_id: str, template_id: str) -> bytes:
        """Principal and template of a journal entry."""
        signature = self._signatures.get((principal_id, template_id))
        if signature is None:
            signature = text_field(7, principal_id.encode()) + text_field(8, template_id.encode())
            self._signatures[principal_id, template_id] = signature
        return signature

    def entry(
        self,
        operation: int,
        number: bytes,
        name: str,
        version: int,
        digest: bytes,
        principal_id: str,
        template_id: str,
    ) -> bytes:
        """The body of a row of CHANGES."""
        octets = name.encode()
        return b"\x08%b%b%b%b\x28%b\x32\x20%b%b" % (
            number,
            self._entry_start(operation),
            varint(len(octets)),
            octets,
            varint(version),
            digest,
            self._signature(principal_id, template_id),
        )

    def receipt(self, name: str, version: int, serial: int) -> bytes:
        """The octets of a response that has a WriteReceipt in field 1 and nothing else; ``serial`` 0 is left out."""
        octets = name.encode()
        receipt = b"\x0a%b%b\x10%b%b\x20%b" % (
            varint(len(octets)),
            octets,
            varint(version),
            b"\x18" + self.number(serial) if serial else b"",
            self._time,
        )
        return b"\x0a%b%b" % (varint(len(receipt)), receipt)

    def row(self, row: int, reason: bytes, version: int, serial: int) -> bytes:
        """The octets of a RowResult of a good row."""
        return b"%b\x1a%b%b\x28%b%b" % (
            b"\x08" + varint(row) if row else b"",
            varint(len(reason)),
            reason,
            varint(version),
            b"\x30" + self.number(serial) if serial else b"",
        )
