"""Answering what a handle is: the fast way hands out stored octets, the slow way filters and merges.

An answer is always field 1 of the response, ready to be sent or joined with others.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.errors import RecordCorrupt, TooManyItems, ValuesNotFound
from resolver.handle.name import Handle, WantedTypes, fold, key_of_octets
from resolver.node import record_octets, values
from resolver.node.authorize import Action, Caller, require
from storage.errors import RowCorrupt
from storage.tables import MARK, Table, marks_of, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from resolver.node.prefixes import ServedPrefixes
    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

_FILTERS_MAX = 256


class Filter(NamedTuple):
    """Which values are wanted; nothing at all means every public value."""

    types: WantedTypes = WantedTypes(())
    indexes: frozenset[int] = frozenset()
    include_restricted: bool = False

    @classmethod
    def of(cls, types: Sequence[str], indexes: Sequence[int], *, include_restricted: bool) -> Filter | None:
        """The filter of a request; None when every public value is wanted. Raises TooManyItems."""
        if not types and not indexes and not include_restricted:
            return None
        if len(types) + len(indexes) > _FILTERS_MAX:
            raise TooManyItems(
                f"more than {_FILTERS_MAX} types and indexes are asked: ask for all values instead", field="types"
            )
        return cls(WantedTypes(types), frozenset(indexes), include_restricted)

    def verdicts(self, given: Iterable[pb.HandleValue]) -> list[bool]:
        """For each value whether it is asked for: by a type or by an index, or because neither is given."""
        return values.wanted(given, self.indexes, self.types)

    def pick(self, body: bytes) -> bytes | None:
        """The body of a record with its public values that are asked for; None when there are none."""
        verdicts = self.verdicts(record_octets.parse(body).values)
        if all(verdicts):
            return body if verdicts else None
        return record_octets.picked(body, verdicts) if any(verdicts) else None


def resolve(
    reader: Reader,
    served: ServedPrefixes,
    caller: Caller,
    name: str,
    wanted: Filter | None,
    weigh: Callable[[int], object] | None = None,
) -> bytes:
    """The record of a handle as field 1 of an answer; ``weigh`` hears how many octets of the store were read for it.

    Raises InvalidName, HandleNotFound, ValuesNotFound, a prefix refusal, PermissionDenied or RecordCorrupt.
    """
    handle = Handle.from_text(name)
    try:
        return _resolve(reader, served, caller, handle, wanted, weigh)
    except RowCorrupt as error:
        raise RecordCorrupt(
            f"the record of {handle.text[:200]!r} is damaged on disk and is not served: the operator can restore it "
            "from a backup or a mirror"
        ) from error


def _resolve(
    reader: Reader,
    served: ServedPrefixes,
    caller: Caller,
    handle: Handle,
    wanted: Filter | None,
    weigh: Callable[[int], object] | None,
) -> bytes:
    key = key_of_octets(handle.text.encode())
    row = reader.get_row(Table.RECORDS, key)
    prefix = fold(handle.prefix)
    if row is None:
        raise served.absent(reader, prefix, handle.text)
    if weigh is not None:
        weigh(len(row))
    refusal = served.refusal(reader, prefix)
    if refusal is not None:
        raise refusal.again()
    if served.sifts:
        served.require_share(handle.text)
    body = unseal(Table.RECORDS, key, row)
    if len(key) > limits.KEY_WHOLE_OCTETS_MAX and fold(record_octets.parse(body).name) != fold(handle.text):
        raise served.absent(reader, prefix, handle.text)
    if wanted is None and (not marks_of(row) & MARK or record_octets.parse(body).values):
        return body
    return _select(reader, served, caller, handle, key, body, wanted or Filter())


def _select(
    reader: Reader,
    served: ServedPrefixes,
    caller: Caller,
    handle: Handle,
    key: bytes,
    body: bytes,
    wanted: Filter,
) -> bytes:
    """The slow way: look at each value, merge what the caller may read, filter."""
    if wanted.include_restricted:
        owner = served.owner(reader, fold(handle.prefix))
        require(caller, Action.READ_RESTRICTED, owner, f"prefix {handle.prefix[:80]!r}")
        found = _with_restricted(body, reader.get(Table.RESTRICTED, key), wanted)
    else:
        found = wanted.pick(body)
    if found is None:
        raise ValuesNotFound(
            f"handle {handle.text[:200]!r} is registered and has no value that was asked for and may be read: ask for "
            "other types or indexes, or with a credential for restricted ones"
        )
    return found


def _with_restricted(body: bytes, restricted: bytes | None, wanted: Filter) -> bytes | None:
    """The record with those of all its values that are asked for and that an owner may read; None for none."""
    record = record_octets.parse(body)
    readable = [each for each in values.joined(record.values, restricted) if values.readable_by_admin(each)]
    chosen = [*compress(readable, wanted.verdicts(readable))]
    if not chosen:
        return None
    del record.values[:]
    record.values.extend(chosen)
    return record_octets.frame(record.SerializeToString(deterministic=True))
