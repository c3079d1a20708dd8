"""Batch files of the Handle System."""

import io

from resolver.intake import hdl_batch
from tests.fuzz.files import check_rows

INSTRUMENT = ("resolver.intake.hdl_batch", "resolver.intake.encoding", "resolver.intake.predefined")
SEEDS = (
    (
        b"CREATE 88.300.10/A\n100 HS_ADMIN 86400 1110 ADMIN 300:011111110011:0.NA/88.300\n1 URL 60 1110 UTF8 x\n\n"
        b"DELETE 88.300.10/B\n"
    ),
    b"AUTHENTICATE PUBKEY:300:0.NA/88\nkey|secret\n\nADD 88.300.10/A\n2 X 1 1100 LIST 300:0.NA/88;301:0.NA/88\n",
    b"REMOVE 1,2:88.300.10/A\n\nMODIFY 88.300.10/A\n1 URL 60 1110 UTF8 \n\nHOME 1.2.3.4:2641:TCP\n0.NA/88\n",
    "CREATE 88.300.10/轴承\n1 URL 60 1110 UTF8 轴承\n".encode("gb18030"),
    b"CREATE\n1 URL\nCRAETE 88/x\n1 FILE 60 1110 FILE /etc/passwd\n",
)


def feed(octets):
    """Read a whole file."""
    check_rows(lambda: hdl_batch.rows(io.BytesIO(octets)), octets)
