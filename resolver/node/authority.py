"""Who is responsible for a name: this node, a node below it, or one above (RFC 3651 section 2; handle-system routing).

The longest prefix with a row in PREFIXES decides, counted in whole segments. A row hosted here makes the node
responsible, also for the answer that there is nothing; a row hosted elsewhere makes the node of its routes
responsible for everything under it; a name under no row belongs to the node above. Handles that describe prefixes
(``0.NA/<prefix>``) are kept by whoever allots the prefix, so a row answers for its own one wherever its handles live.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import HandleNotFound, NotThisServer, PrefixElsewhere, PrefixNotServed, ResolverError
from resolver.handle.name import PREFIX_OF_PREFIXES, fold, split
from resolver.node import site_info, site_record
from resolver.node.authorize import ANONYMOUS
from resolver.node.prefixes import is_moved_here, prefix_row
from resolver.node.resolve import resolve
from resolver.v1 import registry_pb2 as registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.node.prefixes import ServedPrefixes
    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

ROOT_HANDLE = f"{PREFIX_OF_PREFIXES}/{PREFIX_OF_PREFIXES}"
"""The handle whose sites are the top of the tree."""

SEGMENTS_MAX = 128
"""Segments of a prefix that are looked at: 255 octets have no more."""


@dataclass(frozen=True, slots=True)
class Here:
    """This node answers, be it that there is nothing."""


@dataclass(frozen=True, slots=True)
class Below:
    """The node that the routes of ``row`` name answers; ``is_exact`` when the row is of the very prefix asked about."""

    row: registry.Prefix
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Above:
    """A node that is not below this one answers; ask at the top."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Another server of this site answers: the one that the hash of the name chooses."""


Authority = Here | Beside | Below | Above

_HERE = Here()
_BESIDE = Beside()
_ABOVE = Above()


def authority_for(reader: Reader, name: str) -> Authority:
    """Who is responsible for a name. A node without one above it takes ``Above`` for ``Here``."""
    prefix, suffix = split(name)
    folded = fold(prefix)
    describes = folded == PREFIX_OF_PREFIXES
    subject = fold(suffix) if describes else folded
    if describes and subject == PREFIX_OF_PREFIXES:
        return _ABOVE
    row, is_exact = _longest(reader, subject)
    if row is None:
        return _ABOVE
    if describes and is_exact:
        return _HERE
    if row.status == registry.PREFIX_STATUS_ENABLED and (
        row.hosting == registry.HOSTING_ELSEWHERE or (is_exact and is_moved_here(row))
    ):
        return Below(row, is_exact)
    return _HERE


def _longest(reader: Reader, prefix: str) -> tuple[registry.Prefix | None, bool]:
    """The row of a folded prefix or of its nearest ancestor that has one, and whether it is the prefix's own."""
    candidate = prefix
    for _ in range(SEGMENTS_MAX):
        if not candidate or len(candidate.encode("utf-8", "surrogateescape")) > 255 or not candidate.isprintable():
            break
        row = prefix_row(reader, candidate)
        if row is not None:
            return row, candidate == prefix
        candidate = candidate.rpartition(".")[0]
    return None, False


def delegation(reader: Reader, below: Below, *, of_prefix: bool) -> list[pb.HandleValue]:
    """The values that name the node responsible below.

    With ``of_prefix`` for the prefix handles under the row's prefix, types HS_SITE.PREFIX and HS_SERV.PREFIX; without
    for handles, types HS_SITE and HS_SERV. What the stored prefix handle says goes before the routes of the row.
    """
    prefix = fold(below.row.prefix)
    if is_moved_here(below.row):
        return site_info.site_from_routes(below.row.move.routes)  # the prefix handle names this node already
    if of_prefix:
        found = site_info.derived_sites(reader, prefix)
        return found or site_info.site_from_routes(below.row.routes, of_prefix=True)
    return site_info.referral_to(reader, prefix) or site_info.site_from_routes(below.row.routes)


NOT_OURS = (HandleNotFound, NotThisServer, PrefixElsewhere, PrefixNotServed)
"""Refusals of this node that leave open whether another one has the answer."""


class Look(NamedTuple):
    """What this node itself says of a name: its public record or why there is none, and who is responsible.

    ``sites`` name the node below when one is responsible, or this site when another server of it is.
    """

    authority: Authority
    body: bytes = b""
    refusal: ResolverError | None = None
    sites: Sequence[pb.HandleValue] = ()

    def get(self) -> bytes:
        """The record. Raises the refusal."""
        if self.refusal is not None:
            raise self.refusal.again()
        return self.body


def look(reader: Reader, served: ServedPrefixes, name: str) -> Look:
    """What this node itself says of a name to anybody."""
    try:
        return Look(_HERE, resolve(reader, served, ANONYMOUS, name, None))
    except NotThisServer as error:
        return Look(_BESIDE, b"", error.again(), () if served.share is None else site_record.referral(served.share))
    except NOT_OURS as error:
        authority, refusal = authority_for(reader, name), error.again()
        if not isinstance(authority, Below):
            return Look(authority, refusal=refusal)
        of_prefix = fold(split(name)[0]) == PREFIX_OF_PREFIXES or not authority.is_exact
        return Look(authority, b"", refusal, delegation(reader, authority, of_prefix=of_prefix))
    except ResolverError as error:
        return Look(_HERE, refusal=error.again())
