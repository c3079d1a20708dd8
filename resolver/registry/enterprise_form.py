"""The national enterprise record (SNMS ``ent/apply``, close to table T6): which members it has and what they may be.

Public documents give the names and lengths below. Where they only describe a member, as with the district or the scans
of the contact's and the legal person's certificates, its name is not known: members that are not here are kept as they
come, if they are simple, few and short; one whose name ends in "Rid" is the id of an uploaded file.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, NamedTuple

from resolver.errors import InvalidField

UNKNOWN_MAX = 64
"""Members of one object that the documents do not name."""

UNKNOWN_CHARACTERS_MAX = 1_024
"""Characters of such a member."""

SYSTEMS_MAX = 50
"""Systems in the list of an enterprise's systems."""

SYSTEM_TYPES = (1, 2, 3, 4)
"""Kinds of systems every list has: registration system, registration data, data backup, resolution server."""

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"\[([^\[\]]+)\]:([0-9]{1,5})")


class Text(NamedTuple):
    """A member with characters in it; a number counts as its digits."""

    characters_max: int
    required: bool = False
    one_of: tuple[str, ...] = ()


_USER = {
    "userName": Text(50, required=True),
    "mobile": Text(50, required=True),
    "email": Text(50, required=True),
    "password": Text(64, required=True),
    "remarks": Text(255),
}

_BASIC = {
    "orgName": Text(255, required=True),
    "orgNature": Text(1, required=True, one_of=("1", "2", "3", "4", "5")),
    "orgAddr": Text(255, required=True),
    "orgCrtType": Text(1, required=True),
    "orgCrtCode": Text(32, required=True),
    "orgCrtImgRid": Text(64, required=True),
    "orgDesc": Text(1_024),
    "industryCategory": Text(8, required=True),
    "industrySpecific": Text(8, required=True),
    "website": Text(255),
    "regAuthority": Text(255),
    "contactName": Text(128, required=True),
    "contactCrtType": Text(2, required=True),
    "contactCrtNo": Text(32, required=True),
    "contactEmail": Text(128, required=True),
    "contactPhone": Text(16, required=True),
    "legalName": Text(128, required=True),
    "legalCrtType": Text(2, required=True),
    "legalCrtNo": Text(32, required=True),
    "entPrefix": Text(64, required=True),
}

_SYSTEM = {
    "sysType": Text(1, required=True, one_of=("1", "2", "3", "4", "5")),
    "deployMode": Text(1, one_of=("1", "2")),
    "servSysBuildType": Text(1, one_of=("1", "2")),
    "servSysOperType": Text(1, one_of=("1", "2")),
    "ipPort": Text(1_024),
}


def fault(rule: str, message: str, parameter: str, **details: str) -> InvalidField:
    """What is wrong with a member; the details let a door say it in the words of its own interface."""
    return InvalidField(message, field=parameter, details={"rule": rule, "parameter": parameter, **details})


def missing(parameter: str) -> InvalidField:
    """A member that must be there is not."""
    return fault("MISSING", f"{parameter} is missing: give it", parameter)


def _check_object(found: Any, members: dict[str, Text], where: str) -> dict[str, Any]:
    """An object with its members checked; those that are null or empty are left out."""
    if found is None:
        raise missing(where)
    if not isinstance(found, dict):
        raise fault("SHAPE", f"{where} is no object: write {{...}}", where)
    kept: dict[str, Any] = {}
    unknown = 0
    for name, content in found.items():
        if content is None or content == "":
            continue
        place = f"{where}.{name[:80]}"
        member = members.get(name)
        if member is None:
            unknown += 1
            if unknown > UNKNOWN_MAX:
                raise fault("SHAPE", f"{where} has more than {UNKNOWN_MAX} members nobody knows: leave them out", where)
        if isinstance(content, (list, dict)) or len(name) > 80:
            raise fault("SHAPE", f"{place} is no simple member: write a text or a number", place)
        text = content if isinstance(content, str) else str(content)
        most = UNKNOWN_CHARACTERS_MAX if member is None else member.characters_max
        if len(text) > most:
            message = f"{place} has {len(text)} characters; at most {most} are allowed"
            raise fault("LENGTH", message, place, maximum=str(most))
        _check_unicode(text, place)
        if member is not None and member.one_of and text not in member.one_of:
            raise fault("ONE_OF", f"{place} is {text!r}: give one of {', '.join(member.one_of)}", place)
        kept[name] = content
    for name, member in members.items():
        if member.required and not str(kept.get(name, "")).strip():
            raise missing(f"{where}.{name}")
    return kept


def _check_unicode(text: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise fault("SHAPE", f"{place} holds half a surrogate pair: write Unicode text", place) from None


def check(document: dict[str, Any], *, with_user: bool) -> dict[str, Any]:
    """The document with what is known of it checked and nothing else in it. Raises InvalidField."""
    kept: dict[str, Any] = {}
    if with_user:
        kept["sysUser"] = _check_object(document.get("sysUser"), _USER, "sysUser")
        if not _DIGEST.fullmatch(str(kept["sysUser"]["password"])):
            place = "sysUser.password"
            raise fault("DIGEST", f"{place} is not the SHA-256 of a password: 64 hexadecimal digits", place)
    kept["entBasicInfo"] = _check_object(document.get("entBasicInfo"), _BASIC, "entBasicInfo")
    if document.get("entRegisterManageInfo") is not None:
        kept["entRegisterManageInfo"] = {"entInfoSyses": _check_systems(document["entRegisterManageInfo"])}
    services = document.get("entHostingAndIdentifyServeInfo")
    if services is not None:
        kept["entHostingAndIdentifyServeInfo"] = _check_services(services)
    return kept


def _check_services(found: Any) -> dict[str, Any]:
    """What serves the enterprise's identifiers: simple members, and lists of industries and licences."""
    where = "entHostingAndIdentifyServeInfo"
    if not isinstance(found, dict):
        raise fault("SHAPE", f"{where} is no object: write {{...}}", where)
    lists = {name: content for name, content in found.items() if isinstance(content, list)}
    kept = _check_object({name: content for name, content in found.items() if name not in lists}, {}, where)
    for name, content in lists.items():
        place = f"{where}.{name[:80]}"
        if len(content) > SYSTEMS_MAX or len(lists) > 8:
            raise fault("SHAPE", f"{place} has more than {SYSTEMS_MAX} entries: leave some out", place)
        kept[name] = [_check_object(each, {}, f"{place}[{number}]") for number, each in enumerate(content)]
    return kept


def _check_systems(found: Any) -> list[dict[str, Any]]:
    where = "entRegisterManageInfo"
    systems = found.get("entInfoSyses") if isinstance(found, dict) else None
    if not isinstance(systems, list) or not systems:
        raise missing(f"{where}.entInfoSyses")
    if len(systems) > SYSTEMS_MAX:
        raise fault("SHAPE", f"{where}.entInfoSyses has more than {SYSTEMS_MAX} entries: leave some out", where)
    kept = [_check_object(each, _SYSTEM, f"{where}.entInfoSyses[{number}]") for number, each in enumerate(systems)]
    for number, each in enumerate(kept):
        _check_addresses(str(each.get("ipPort", "")), f"{where}.entInfoSyses[{number}].ipPort")
    for kind in SYSTEM_TYPES:
        if all(str(each["sysType"]) != str(kind) for each in kept):
            raise missing(f"{where}.entInfoSyses[sysType={kind}]")
    return kept


def _check_addresses(text: str, place: str) -> None:
    """``[ip]:port;[ip]:port…``."""
    for part in filter(None, text.split(";")):
        found = _ADDRESS.fullmatch(part.strip())
        try:
            good = found is not None and 1 <= int(found[2]) <= 65_535 and bool(ipaddress.ip_address(found[1]))
        except ValueError:
            good = False
        if not good:
            raise fault("ADDRESS", f"{place} has {part[:60]!r}: write [ip]:port, by semicolons", place)


def files_of(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Every uploaded file that a checked document names: where, and its id."""
    found: list[tuple[str, str]] = []
    for section, content in document.items():
        entries = content if isinstance(content, list) else [content]
        for each in entries:
            if not isinstance(each, dict):
                continue
            found += [(f"{section}.{name}", str(file_id)) for name, file_id in each.items() if name.endswith("Rid")]
            found += files_of({f"{section}.{name}": inner for name, inner in each.items() if isinstance(inner, list)})
    return found
