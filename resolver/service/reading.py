"""Reading the store while answering: one transaction for a burst of questions, and failures turned into answers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from resolver.errors import RecordCorrupt, ResolverError, StorageFailed
from storage.errors import RowCorrupt, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from storage.engine import Engine, Reader

_log = structlog.get_logger("service")


def answer_to(error: StorageError) -> ResolverError:
    """What a failure of the store means for whoever asked."""
    if isinstance(error, RowCorrupt):
        _log.error("row corrupt", error=str(error))
        return RecordCorrupt(f"{error}; the damaged row is not served")
    _log.error("read failed", error=str(error))
    return StorageFailed(
        "the store of the node cannot be read: try again; the operator finds the cause in the log", retry_after_s=1.0
    )


@contextmanager
def stored_rows_checked() -> Iterator[None]:
    """Turn failures of the store while reading into answers."""
    try:
        yield
    except StorageError as error:
        raise answer_to(error) from error


class Burst:
    """The block of a burst; a class because a generator costs three times as much, and a burst may be one question.

    ``hold`` is told the reader of the burst, and None at its end.
    """

    __slots__ = ("_hold", "_reading")

    def __init__(self, engine: Engine, hold: Callable[[Reader | None], None]) -> None:
        self._hold = hold
        self._reading = engine.read()

    def __enter__(self) -> None:
        """Begin the transaction. Raises StorageFailed."""
        try:
            self._hold(self._reading.__enter__())
        except StorageError as error:
            raise answer_to(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the transaction, and turn a failure of the store into an answer."""
        self._hold(None)
        try:
            self._reading.__exit__(kind, error, trace)
        except StorageError as failure:
            raise answer_to(failure) from failure
        if isinstance(error, StorageError):
            raise answer_to(error) from error
