"""Rows of a request that do not depend on each other: a bad one becomes a result and the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from resolver import limits
from resolver.errors import ResolverError, TooManyItems
from resolver.node import administer
from resolver.node.record_octets import varint
from resolver.v1 import registration_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resolver.node.administer import Outcome
    from resolver.node.ledger import Ledger

_REASONS = {
    reason: reason.encode()
    for reason in (administer.CREATED, administer.UPDATED, administer.UNCHANGED, administer.DELETED)
}
_CREATED = _REASONS[administer.CREATED]

Given = TypeVar("Given")
Checked = TypeVar("Checked")
R = TypeVar("R", bound=Any)


class Batch(Generic[Given, Checked]):
    """Many rows with one result each. ``check_one`` needs no transaction, ``decide_one`` runs in it."""

    def __init__(
        self,
        given: Sequence[Given],
        check_one: Callable[[Given], Checked],
        decide_one: Callable[[Ledger, Checked], Outcome],
        *,
        field: str = "handles",
        create_all: Callable[[Ledger, Sequence[Checked]], object] | None = None,
    ) -> None:
        """With ``create_all`` rows that are all good are tried at once: it creates them, or gives None."""
        self._given = given
        self._check_one = check_one
        self._decide_one = decide_one
        self._field = field
        self._create_all = create_all
        self._checked: list[Checked | ResolverError] = []

    def __len__(self) -> int:
        return len(self._given)

    def check(self) -> None:
        """Check every row. Raises TooManyItems for the batch as a whole only."""
        if len(self._given) > limits.BATCH_CREATE_MAX:
            raise TooManyItems(
                f"{len(self._given)} rows are sent; at most {limits.BATCH_CREATE_MAX} are allowed: split the batch, "
                "or use ImportHandles",
                field=self._field,
            )
        check_one = self._check_one
        for row in self._given:
            try:
                self._checked.append(check_one(row))
            except ResolverError as error:
                self._checked.append(error)

    def apply(self, ledger: Ledger, results_field: int) -> tuple[bytes, int]:
        """Write every good row; the results as the octets of a repeated field, and the serial of the last change or 0.

        Made by hand like the rows themselves: a message for each result would be a fifth of the whole.
        """
        results: list[bytes] = []
        last, before = 0, ledger.serial
        decide_one, write_row = self._decide_one, ledger.moment.row
        tag = bytes((results_field << 3 | 2,))
        if self._are_created(ledger):
            rows = [write_row(row, _CREATED, 1, before + 1 + row) for row in range(len(self._checked))]
            return b"".join([tag + varint(len(octets)) + octets for octets in rows]), ledger.serial
        for row, checked in enumerate(self._checked):
            try:
                if isinstance(checked, ResolverError):
                    raise checked
                outcome = decide_one(ledger, checked)
            except ResolverError as error:
                result = pb.RowResult(
                    row=row, code=error.meaning.grpc, reason=error.reason, message=error.message, details=error.details
                )
                octets = result.SerializeToString(deterministic=True)
            else:
                last = outcome.serial or last
                octets = write_row(row, _REASONS[outcome.reason], outcome.version, outcome.serial)
            results.append(tag + varint(len(octets)) + octets)
        return b"".join(results), last

    def _are_created(self, ledger: Ledger) -> bool:
        """Whether all rows were good and new, and have been created in version 1 with serials in their order."""
        if self._create_all is None:
            return False
        checked = [each for each in self._checked if not isinstance(each, ResolverError)]
        if not checked or len(checked) != len(self._checked):
            return False
        return self._create_all(ledger, checked) is not None


def without_serials(response: R) -> R:
    """The response of a validation: it made no changes, so it has no serials."""
    response.serial = 0
    for result in response.results:
        result.serial = 0
    return response
