"""CSV files of enterprises: encodings, separators, quotes, headers, rows."""

import io

from resolver.intake import csv_rows
from tests.fuzz.files import check_rows

INSTRUMENT = ("resolver.intake.csv_rows", "resolver.intake.encoding", "resolver.intake.plan", "resolver.intake.mapping")
SEEDS = (
    b'name,1:URL,2000:NAME\n88.300.10/A,https://example.com/,"two\nlines"\n',
    "sep=;\n标识;1:URL\n88.300.10/轴承;x\n88.300.10/B\n".encode("gb18030"),
    b"\xef\xbb\xbfhandle\t1:URL\r\n88.300.10/A\tx\r\n\r\n\t\r\n",
    "name,1:URL\n88.300.10/A,x\n".encode("utf-16"),
    b'name,1:URL\n"88.300.10/A,x\n',
    b"name,1:URL\n88.300.10/A,\xff\xfe\n88.300.10/B,x\n",
)


def feed(octets):
    """Read a whole file."""
    check_rows(lambda: csv_rows.rows(io.BytesIO(octets)), octets)
