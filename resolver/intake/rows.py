"""The central noun: one row of a file, as a registration or as the error of that row.

A row error carries what the result file prints: a canonical gRPC code, a stable reason and a
sentence. Errors of the file as a whole are ``IntakeError``. Reasons that only files have stand in
``REASONS``; all others are those of ``resolver.errors.MEANINGS``.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.errors import ResolverError
    from resolver.v1 import registration_pb2

REASONS: dict[str, int] = {
    "MALFORMED_ROW": 3,  # INVALID_ARGUMENT: the row is not what the format asks for
    "ROW_INCOMPLETE": 3,  # INVALID_ARGUMENT: half a row, or more cells than columns
    "INVALID_ENCODING": 3,  # INVALID_ARGUMENT: octets that are no text
    "UNKNOWN_KEY": 3,  # INVALID_ARGUMENT: a key the format does not have
    "DUPLICATE_IN_FILE": 6,  # ALREADY_EXISTS: an earlier row of the same file has it
    "NOT_IMPLEMENTED": 12,  # UNIMPLEMENTED: understood, and not offered by this command
}
"""Reasons of rows that are wrong in themselves, with their canonical gRPC codes."""


class IntakeError(Exception):
    """The file as a whole cannot be read further; the message says why and what to do.

    ``number`` is the row at which reading stopped, 0 when none was reached.
    """

    def __init__(self, message: str, *, number: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.number = number


class RowError(NamedTuple):
    """Why a row is no registration: canonical gRPC ``code``, stable ``reason``, sentence ``message``."""

    code: int
    reason: str
    message: str

    @classmethod
    def of(cls, reason: str, message: str) -> RowError:
        """The error for a reason of ``REASONS``."""
        return cls(REASONS[reason], reason, message)


class Row(NamedTuple):
    """One row: ``handle`` or ``error`` is set, never both.

    ``number`` counts lines or rows of the file from 1; a row over several lines has the number of its first.
    ``name`` is the handle a bad row named, empty when it could not be told.
    """

    number: int
    handle: registration_pb2.NewHandle | None = None
    error: RowError | None = None
    name: str = ""


def bad_row(number: int, reason: str, message: str, name: str = "") -> Row:
    """A row that is wrong for one of ``REASONS``."""
    return Row(number, None, RowError.of(reason, message), name)


def refused_row(number: int, error: ResolverError, name: str = "") -> Row:
    """A row whose content breaks a rule of handles or handle values."""
    return Row(number, None, RowError(error.meaning.grpc, error.reason, error.message), name)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like the one given, as the end of a sentence; empty when none is like it."""
    folded = {entry.casefold(): entry for entry in known}
    found = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"; the nearest known is {folded[found[0]]!r}" if found else ""
