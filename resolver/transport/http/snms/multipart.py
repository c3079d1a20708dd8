"""The one file of a ``multipart/form-data`` body (RFC 7578), which is in memory already and bounded.

Only what an upload needs: parts between boundaries, their Content-Disposition, their octets. Names of files are not
looked at, transfer encodings are not part of RFC 7578.
"""

from __future__ import annotations

import re

from resolver.transport.http.snms.envelope import Missing, Said

PARTS_MAX = 16
"""Parts of a body: an upload has one, and some clients add fields."""

HEADER_OCTETS_MAX = 8 << 10
"""Octets of the headers of a part."""

_BOUNDARY = re.compile(r'(?:^|;)\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'(?:^|;)\s*name=(?:"([^"\r\n]*)"|([^\s;"]+))', re.IGNORECASE)


def file_in(content_type: str, body: bytes, field: str) -> bytes:
    """The content of the part with a name. Raises Missing, Said."""
    kind, _, parameters = content_type.partition(";")
    boundary = _BOUNDARY.search(parameters)
    if kind.strip().lower() != "multipart/form-data" or boundary is None:
        raise Said("Content-Type 必须是带 boundary 的 multipart/form-data")
    mark = b"--" + (boundary[1] or boundary[2]).encode("latin-1", "replace")
    found: list[bytes] = []
    for part in _parts(body, mark):
        head, blank, content = part.partition(b"\r\n\r\n")
        if not blank or len(head) > HEADER_OCTETS_MAX:
            raise Said("请求体不是正确的 multipart/form-data")
        if _name_of(head) == field.encode():
            found.append(content)
    if not found or not found[0]:
        raise Missing(field)
    if len(found) > 1:
        raise Said(f"参数 {field} 只能出现一次")
    return found[0]


def _parts(body: bytes, mark: bytes) -> list[bytes]:
    """The octets between boundaries. Raises Said when the last one is missing."""
    # A boundary stands at the start of a line; the line end before it belongs to it.
    pieces = (b"\r\n" + body).split(b"\r\n" + mark, PARTS_MAX + 1)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise Said("请求体不是正确的 multipart/form-data，或内容不完整")
    parts = []
    for piece in pieces[1:-1]:
        padding, line_end, part = piece.partition(b"\r\n")
        if padding.strip(b" \t") or not line_end:
            raise Said("请求体不是正确的 multipart/form-data")
        parts.append(part)
    return parts


def _name_of(head: bytes) -> bytes | None:
    for line in head.split(b"\r\n"):
        name, _, content = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            found = _NAME.search(content.partition(b";")[2])
            return None if found is None else found[1] if found[1] is not None else found[2]
    return None
