"""JSON lines of enterprises, in both spellings, and what a dump writes read back."""

import io
import json

from resolver.intake import jsonl
from resolver.v1 import handle_pb2
from tests.fuzz.files import check_rows

INSTRUMENT = ("resolver.intake.jsonl", "resolver.intake.encoding", "resolver.intake.predefined")
SEEDS = (
    '{"name": "88.300.10/A", "values": [{"index": 1, "type": "URL", "data": "轴承", "ttl": 60}]}\n'.encode(),
    (
        b'{"handle": "88.300.10/B", "values": [{"index": 2, "type": "X", "data": {"format": "hex", "value": "00ff"}, '
        b'"permissions": "1100", "references": [{"handle": "0.NA/88", "index": "300"}]}]}\n'
    ),
    (
        b'{"handle": "88.300.10/C", "values": [{"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": '
        b'{"handle": "0.NA/88", "index": 200, "permissions": "011111110011"}}, "ttl": "2030-01-31T00:00:00Z"}]}\n'
    ),
    (
        b'{"handle": "88.300.10/D", "values": [{"index": 1, "type": "HS_VLIST", "data": {"format": "vlist", "value": '
        b'[{"handle": "0.NA/88", "index": 300}]}}]}\n{"name": "88.300.10/E", "values": [{"index": 1, "type": "Y", '
        b'"data_base64": "AAEC"}]}'
    ),
    b'{"name": "x", "valeus": []}\n[1]\n{"a":\n' + b"[" * 500 + b"\n",
)


def feed(octets):
    """Read a whole file; what was read is written as a dump and read again."""
    for row in check_rows(lambda: jsonl.rows(io.BytesIO(octets)), octets):
        if row.handle is not None:
            record = handle_pb2.HandleRecord(name=row.handle.name, values=row.handle.values)
            line = json.dumps(jsonl.record_to_json(record)).encode()
            (again,) = jsonl.rows(io.BytesIO(line))
            assert again.handle is not None, again.error
            assert list(again.handle.values) == sorted(row.handle.values, key=lambda value: value.index)
