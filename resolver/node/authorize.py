"""The one policy function: may this caller do this to what that enterprise owns?

Every door asks ``permits``; whatever the table does not grant is denied. The owner of a handle is the
enterprise its prefix is allotted to; what the node owns itself has the owner "".
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import CredentialMissing, PermissionDenied

if TYPE_CHECKING:
    from resolver.v1 import registry_pb2 as registry


class Role(Enum):
    """What a caller is."""

    ANONYMOUS = "anonymous"
    APPLICATION = "application"
    ENTERPRISE_USER = "enterprise user"
    NODE_ADMINISTRATOR = "administrator of the node"
    MIRROR = "mirror"


class Caller(NamedTuple):
    """Whoever makes a call, as far as the policy needs to know."""

    principal_id: str
    role: Role
    enterprise_id: str = ""


class Permit(NamedTuple):
    """That a caller may register under a prefix, judged in this transaction."""

    caller: Caller
    """Kept, so that no other can have its identity."""
    row: registry.Prefix | None
    """The prefix by which it was judged."""


ANONYMOUS = Caller("", Role.ANONYMOUS)
"""A caller without a credential."""


class Action(Enum):
    """What can be asked of the node; the value completes the sentence "you may not …"."""

    RESOLVE = "resolve handles"
    READ_RESTRICTED = "read values without public read"
    LIST_HANDLES = "list handles"
    WATCH = "watch changes"
    READ_STATISTICS = "read statistics"
    READ_REGISTRY = "read registry rows"
    REGISTER = "register, change or delete handles"
    APPLY_PREFIX = "apply for a prefix"
    ADMINISTER = "administer the registry"
    MIRROR = "look after mirrors and servers, which hold all there is, credentials included,"


class Scope(Enum):
    """Whose things an action may touch."""

    OWN = "own"
    ALL = "all"


POLICY: dict[tuple[Role, Action], Scope] = {
    (Role.ANONYMOUS, Action.RESOLVE): Scope.ALL,
    (Role.APPLICATION, Action.RESOLVE): Scope.ALL,
    (Role.APPLICATION, Action.LIST_HANDLES): Scope.OWN,
    (Role.APPLICATION, Action.WATCH): Scope.OWN,
    (Role.APPLICATION, Action.READ_STATISTICS): Scope.OWN,
    (Role.APPLICATION, Action.READ_REGISTRY): Scope.OWN,
    (Role.ENTERPRISE_USER, Action.RESOLVE): Scope.ALL,
    (Role.ENTERPRISE_USER, Action.READ_RESTRICTED): Scope.OWN,
    (Role.ENTERPRISE_USER, Action.LIST_HANDLES): Scope.OWN,
    (Role.ENTERPRISE_USER, Action.WATCH): Scope.OWN,
    (Role.ENTERPRISE_USER, Action.READ_STATISTICS): Scope.OWN,
    (Role.ENTERPRISE_USER, Action.READ_REGISTRY): Scope.OWN,
    (Role.ENTERPRISE_USER, Action.REGISTER): Scope.OWN,
    (Role.ENTERPRISE_USER, Action.APPLY_PREFIX): Scope.OWN,
    (Role.MIRROR, Action.MIRROR): Scope.ALL,
    **{(Role.NODE_ADMINISTRATOR, action): Scope.ALL for action in Action},
}
"""What each role may do; a pair that is not here is denied."""


def permits(caller: Caller, action: Action, owner: str | None) -> bool:
    """Whether the caller may do the action to what ``owner`` owns.

    ``owner`` is an enterprise id, "" for the node itself, None for something that belongs to nobody yet.
    """
    scope = POLICY.get((caller.role, action))
    if scope is Scope.ALL:
        return True
    return scope is Scope.OWN and bool(owner) and owner == caller.enterprise_id


def require(caller: Caller, action: Action, owner: str | None, thing: str) -> None:
    """Raise CredentialMissing or PermissionDenied unless the policy permits; ``thing`` names the object."""
    if permits(caller, action, owner):
        return
    if caller.role is Role.ANONYMOUS:
        raise CredentialMissing(
            f"to {action.value} a credential is needed: send 'authorization: Bearer TOKEN' as metadata or header, or a "
            "client certificate that is registered here (idis key create --certificate)"
        )
    raise PermissionDenied(
        f"{caller.role.value} {caller.principal_id!r} may not {action.value} of {thing}: it belongs to another owner "
        "or the role does not allow it; ask the administrator of the node",
        details={"action": action.name, "principal": caller.principal_id},
    )
