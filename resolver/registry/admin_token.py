"""A new token for the administrator of the first start, in place of all it has had.

No policy is asked: this is for whoever has the data directory of a stopped node, and with it the store itself. Other
administrators, certificates, Handle keys and passwords stay what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import InvalidTransition, NotFound, StorageFailed
from resolver.node.authorize import Caller, Role
from resolver.registry import keys, principals, rows
from resolver.registry.first_start import ADMINISTRATOR_ID
from resolver.registry.undo import HalfDone
from resolver.v1 import registry_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.node.ledger import Ledger
    from storage.engine import Writer


class Renewed(NamedTuple):
    """What was done: ids of the new credential and of those revoked; ``enabled`` for one that had been disabled."""

    key_id: str
    revoked: tuple[str, ...]
    enabled: bool


def renew(ledger: Ledger, randomness: Callable[[int], bytes], keep: Callable[[str], None]) -> Renewed:
    """Revoke the administrator's tokens and give it another.

    ``keep`` gets the token before the transaction is committed and must make it durable: a crash in between leaves a
    token of nothing, and all others as they were. Raises InvalidTransition for a store without an administrator, and
    HalfDone where ``keep`` raises OSError.
    """
    writer = ledger.writer
    enabled = _enable(writer)
    revoked = keys.revoke_tokens(writer, ADMINISTRATOR_ID)
    request = pb.CreateKeyRequest(
        principal_id=ADMINISTRATOR_ID, kind=pb.KEY_KIND_API_TOKEN, description="made in place of a lost one"
    )
    caller = Caller(ADMINISTRATOR_ID, Role.NODE_ADMINISTRATOR)
    made = keys.create(writer, caller, request, ledger.now_us, randomness)
    try:
        keep(made.token)
    except OSError as error:
        raise HalfDone(
            StorageFailed(f"the file of the new token cannot be written ({error.strerror}), and nothing was changed")
        ) from error
    ledger.forget_registry()
    return Renewed(made.key.key_id, revoked, enabled)


def _enable(writer: Writer) -> bool:
    """Take back that the administrator was disabled; whether it was. Raises InvalidTransition."""
    try:
        before = principals.load(writer, ADMINISTRATOR_ID)
    except NotFound as error:
        raise InvalidTransition(
            "the store has no administrator yet: idis serve, or the command that has begun to copy it, goes on"
        ) from error
    if not before.disabled:
        return False
    row = pb.Principal()
    row.CopyFrom(before)
    row.disabled = False
    rows.replace(writer, Table.PRINCIPALS, ADMINISTRATOR_ID.encode(), row, before)
    return True
