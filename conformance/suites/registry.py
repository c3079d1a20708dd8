"""RegistryService: enterprises have what is theirs and nothing else."""

from __future__ import annotations

from typing import Any

from conformance.grpc_client import Peer, Refusal
from conformance.suite import check, expect, soon

CREATE = "RegistrationService/CreateHandle"
RESOLVE = "ResolutionService/Resolve"
API_TOKEN = 1
ENTERPRISE_USER, APPLICATION = 2, 3
ENABLED, DISABLED = 3, 4


def _enterprise(peer: Peer) -> tuple[str, str]:
    """A new enterprise with a prefix of its own: its id and the prefix."""
    node_prefix = peer.call("NodeService/GetNodeInfo").prefix
    enterprise_id = peer.fresh_id("ent")
    peer.call(
        "RegistryService/CreateEnterprise",
        enterprise=peer.message("Enterprise", enterprise_id=enterprise_id, name="一家企业 Ltd"),
    )
    prefix = f"{node_prefix}.{abs(hash(enterprise_id)) % 10**12}"
    row = peer.message("Prefix", prefix=prefix, enterprise_id=enterprise_id)
    created = peer.call("RegistryService/CreatePrefix", prefix=row).prefix
    expect(created.status == ENABLED and created.homed, f"the prefix is {created}")
    return enterprise_id, prefix


def _token(peer: Peer, enterprise_id: str, role: int) -> tuple[str, str]:
    """A token for a new principal of an enterprise, and its key id."""
    principal = peer.message("Principal", principal_id=peer.fresh_id("pri"), role=role, enterprise_id=enterprise_id)
    row = peer.call("RegistryService/CreatePrincipal", principal=principal).principal
    made = peer.call("RegistryService/CreateKey", principal_id=row.principal_id, kind=API_TOKEN)
    return made.token, made.key.key_id


def _reason(peer: Peer, method: str, **fields: Any) -> str:
    """Why a call is refused; "" when it is answered."""
    try:
        peer.call(method, **fields)
    except Refusal as refusal:
        return refusal.reason or refusal.code
    return ""


def _values(peer: Peer) -> list[Any]:
    return [peer.value(1, "URL", "https://x/")]


@check("an enterprise may only touch handles under its own prefixes")
def one_enterprise_cannot_touch_another(peer: Peer) -> None:
    a, prefix_a = _enterprise(peer)
    b, prefix_b = _enterprise(peer)
    token_a, _ = _token(peer, a, ENTERPRISE_USER)
    token_b, _ = _token(peer, b, ENTERPRISE_USER)
    peer.call(CREATE, token=token_b, name=f"{prefix_b}/x", values=_values(peer))
    peer.call(CREATE, token=token_a, name=f"{prefix_a}/x", values=_values(peer))
    attempts: dict[str, dict[str, Any]] = {
        CREATE: {"name": f"{prefix_b}/y", "values": _values(peer)},
        "RegistrationService/UpdateHandle": {"name": f"{prefix_b}/x", "values": _values(peer)},
        "RegistrationService/PutValues": {"name": f"{prefix_b}/x", "values": _values(peer)},
        "RegistrationService/RemoveValues": {"name": f"{prefix_b}/x", "indexes": [1]},
        "RegistrationService/DeleteHandle": {"name": f"{prefix_b}/x"},
        "ResolutionService/ListHandles": {"prefix": prefix_b},
        "RegistryService/GetPrefix": {"prefix": prefix_b},
        "RegistryService/GetEnterprise": {"enterprise_id": b},
        "RegistryService/CreateEnterprise": {"enterprise": peer.message("Enterprise", name="x")},
        "NodeService/GetStatistics": {"prefix": prefix_b},
    }
    for method, fields in attempts.items():
        refusal = peer.refused(method, token=token_a, **fields)
        expect(refusal.code == "PERMISSION_DENIED", f"{method}: {refusal}")


@check("applications read and change nothing")
def an_application_is_read_only(peer: Peer) -> None:
    enterprise_id, prefix = _enterprise(peer)
    token, _ = _token(peer, enterprise_id, APPLICATION)
    refusal = peer.refused(CREATE, token=token, name=f"{prefix}/x", values=_values(peer))
    expect(refusal.code == "PERMISSION_DENIED", str(refusal))
    peer.call("ResolutionService/ListHandles", token=token, prefix=prefix)


@check("a revoked credential is refused")
def revocation_takes_effect(peer: Peer) -> None:
    enterprise_id, prefix = _enterprise(peer)
    token, key_id = _token(peer, enterprise_id, ENTERPRISE_USER)
    peer.call(CREATE, token=token, name=f"{prefix}/x", values=_values(peer))
    peer.call("RegistryService/RevokeKey", key_id=key_id)
    asked = {"token": token, "name": f"{prefix}/x"}
    soon(lambda: _reason(peer, RESOLVE, **asked) == "CREDENTIAL_INVALID", "a revoked token is still taken")
    for _ in range(6):
        refusal = peer.refused(CREATE, token=token, name=f"{prefix}/y", values=_values(peer))
        expect(refusal.reason == "CREDENTIAL_INVALID", str(refusal))


@check("life cycle of prefixes")
def a_disabled_prefix_is_out_of_service(peer: Peer) -> None:
    _, prefix = _enterprise(peer)
    peer.call(CREATE, name=f"{prefix}/x", values=_values(peer))
    peer.call("RegistryService/UpdatePrefix", prefix=prefix, status=DISABLED)
    refusal = peer.refused(CREATE, name=f"{prefix}/y", values=_values(peer))
    expect(refusal.reason == "PREFIX_NOT_ENABLED", str(refusal))
    name = f"{prefix}/x"
    soon(lambda: _reason(peer, RESOLVE, name=name) == "PREFIX_NOT_ENABLED", "it is still resolved")
    peer.call("RegistryService/UpdatePrefix", prefix=prefix, status=ENABLED)
    soon(lambda: not _reason(peer, RESOLVE, name=name), "enabled again, it is not resolved")


@check("unified credit code: GB 32100-2015, unique")
def credit_codes_are_checked_and_unique(peer: Peer) -> None:
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = "91" + f"{abs(hash(peer.fresh())) % 10**15:015d}"
    total = sum(letters.index(letter) * pow(3, power, 31) for power, letter in enumerate(body))
    code = body + letters[-total % 31]
    row = peer.message("Enterprise", name="甲", credit_code=code)
    peer.call("RegistryService/CreateEnterprise", enterprise=row)
    again = peer.message("Enterprise", name="乙", credit_code=code)
    refusal = peer.refused("RegistryService/CreateEnterprise", enterprise=again)
    expect(refusal.code == "ALREADY_EXISTS", str(refusal))
    wrong = code[:-1] + letters[(letters.index(code[-1]) + 1) % 31]
    broken = peer.message("Enterprise", name="丙", credit_code=wrong)
    refusal = peer.refused("RegistryService/CreateEnterprise", enterprise=broken)
    expect(refusal.code == "INVALID_ARGUMENT", str(refusal))
