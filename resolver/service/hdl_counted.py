"""What the Handle doors count: every answer by operation and response code, and its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.handle.codes import OpCode, ResponseCode
from resolver.telemetry.calls import REGISTRATION, RESOLUTION, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.telemetry.calls import CallCounts

_WRITES = {
    OpCode.CREATE_HANDLE,
    OpCode.DELETE_HANDLE,
    OpCode.ADD_VALUE,
    OpCode.REMOVE_VALUE,
    OpCode.MODIFY_VALUE,
}


def _kind(code: OpCode) -> str:
    if code is OpCode.RESOLUTION:
        return RESOLUTION
    return REGISTRATION if code in _WRITES else ""


_OPERATIONS: dict[int, Operation] = {code: Operation("handle", code.name.lower(), _kind(code)) for code in OpCode}
_OTHER = Operation("handle", "other")
_RESULTS: dict[int, str] = {code: code.name for code in ResponseCode}
_PLAIN = _OPERATIONS[OpCode.RESOLUTION]
_RESPONSE_CODE = slice(24, 28)
"""Where the response code stands in a message: behind the envelope and the operation (RFC 3652 section 2.2)."""


def count_answer(calls: CallCounts, op_code: int, code: int, took_s: float, door: str) -> None:
    """Count the answer to one request."""
    calls.observe(_OPERATIONS.get(op_code, _OTHER), _RESULTS.get(code, "OTHER"), took_s, 1, door)


def count_one(calls: CallCounts, answer: bytes, took_s: float, door: str) -> None:
    """Count the answer to one plain question."""
    calls.observe(_PLAIN, _RESULTS.get(int.from_bytes(answer[_RESPONSE_CODE], "big"), "OTHER"), took_s, 1, door)


COUNTED = slice(0, _RESPONSE_CODE.stop)
"""As much of an answer as ``count_plain`` looks at: who keeps answers until they are counted keeps no more, since the
answers to a burst may be hundreds of megabytes."""


FOUND = bytes(_RESPONSE_CODE.stop - 1) + bytes([ResponseCode.SUCCESS])
"""As much of an answer that is there, and was not made because there is no room for it."""


def count_plain(calls: CallCounts, answers: Sequence[bytes], took_s: float, door: str) -> None:
    """Count the answers to the plain questions of one burst, by their first octets."""
    by_code: dict[bytes, int] = {}
    for answer in answers:
        code = answer[_RESPONSE_CODE]
        by_code[code] = by_code.get(code, 0) + 1
    for code, count in by_code.items():
        calls.observe(_PLAIN, _RESULTS.get(int.from_bytes(code, "big"), "OTHER"), took_s, count, door)
