"""The octets of records, journal entries and receipts of one moment, of which most are the same in all of them.

Protobuf by hand, in canonical form: building a message from Python costs more than all else about a registration.
The tests hold every octet against protobuf.
"""

from __future__ import annotations

from resolver.node.record_octets import FIELD_1, number_field, text_field, varint

_LOW = [bytes((number | 0x80,)) for number in range(128)]
"""The first octet of a number of more than one."""


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
        start = self._entry_starts.get(operation)
        if start is None:
            start = self._entry_starts[operation] = b"\x10%b\x18%b\x22" % (self._time, varint(operation))
        signature = self._signatures.get((principal_id, template_id))
        if signature is None:
            signature = text_field(7, principal_id.encode()) + text_field(8, template_id.encode())
            self._signatures[principal_id, template_id] = signature
        octets = name.encode()
        return b"\x08%b%b%b%b\x28%b\x32\x20%b%b" % (
            number,
            start,
            varint(len(octets)),
            octets,
            varint(version),
            digest,
            signature,
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
