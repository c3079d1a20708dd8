"""Making a node's data directory before its first start: the store of a role, its configuration, the top it asks.

    DATA_DIR/idis.toml     settings of this node; idis serve reads it when no --config is given
    DATA_DIR/top.json      the site record of the top of the tree, which knows every prefix
    DATA_DIR/site.json     this node's own, for the operator of the node above; written at every start

A role is data only: the same program serves every store. Making the same again changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resolver.app.data_dir import DataDir, StartRefused, write_whole
from resolver.app.federation import TOP_FILE
from resolver.app.store_watch import require_none_lost
from resolver.clock import SystemClock
from resolver.config.endpoint import Endpoint
from resolver.config.sources import ConfigInvalid, load
from resolver.errors import ResolverError, WireError
from resolver.federation.roots import SiteFileUnusable, fetch_site, sites_from_octets, sites_to_octets
from resolver.handle.name import Prefix
from resolver.node.prefixes import NODE_PREFIX_KEY
from resolver.registry.first_start import NodeRole, first_start, role_of
from storage.errors import StorageError
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resolver.wire.predefined.hs_site import HsSite

CONFIG_FILE = "idis.toml"


class PlanInvalid(StartRefused):
    """What is wanted is wrong in itself: another try cannot help."""


class TopSilent(StartRefused):
    """The top could not be asked for its site just now."""


@dataclass(frozen=True)
class Plan:
    """What is wanted. ``settings`` maps keys of the configuration to values; ``top`` is a file or HOST:PORT.

    ``top_key`` is the fingerprint that the top's key must have, empty for any.
    """

    root: Path
    role: NodeRole
    prefix: str
    settings: Mapping[str, str | bool]
    top: str = ""
    top_key: str = ""


@dataclass(frozen=True)
class Made:
    """What was done. ``changed`` names the files; empty when everything was so already."""

    changed: tuple[str, ...]
    top_fingerprint: str = ""


def make(plan: Plan) -> Made:
    """Make the data directory.

    Raises StartRefused when it holds something else, StoreRefused when its store is lost, PlanInvalid, TopSilent.
    """
    if plan.role is NodeRole.RECURSIVE and plan.prefix:
        raise PlanInvalid("a recursive node homes nothing: leave --prefix out, or choose another role")
    if plan.role is not NodeRole.RECURSIVE and not plan.prefix:
        raise PlanInvalid(f"a {plan.role.value} node homes a prefix: give --prefix, such as {_EXAMPLES[plan.role]}")
    if plan.role is not NodeRole.TOP and not plan.top and not (plan.root / TOP_FILE).exists():
        raise PlanInvalid(
            f"a {plan.role.value} node asks the top of the tree: give --top, that node's site.json or its HOST:PORT"
        )
    if plan.role is NodeRole.TOP and plan.top:
        raise PlanInvalid("nobody stands above a top node: leave --top out, or choose another role")
    _check_prefix(plan.prefix)
    text = _toml(plan.settings)
    top = _top(plan) if plan.top else None
    data = DataDir(plan.root)
    require_none_lost(data)
    data.create()
    changed: list[str] = []
    with data.lock():
        if _fill_store(data, plan):
            changed.append("store")
        changed += _put(data.root / CONFIG_FILE, text.encode(), keep=True)
        if top is not None:
            changed += _put(data.root / TOP_FILE, sites_to_octets(top), keep=False)
    return Made(tuple(changed), "" if top is None else fingerprint(top[0]))


_EXAMPLES = {NodeRole.TOP: "88", NodeRole.SECONDARY: "88.300", NodeRole.ENTERPRISE: "88.300.17"}


def _check_prefix(prefix: str) -> None:
    """Raise PlanInvalid for what is no prefix; empty is none."""
    try:
        Prefix.from_text(prefix or "0")
    except WireError as error:
        raise PlanInvalid(str(error)) from error


def fingerprint(site: HsSite) -> str:
    """SHA-256 of the key of a site's first server, in hexadecimal; empty when it has none."""
    key = site.servers[0].public_key
    return hashlib.sha256(key).hexdigest() if key else ""


def _fill_store(data: DataDir, plan: Plan) -> bool:
    """Make the store of a role; whether it was new. Raises StartRefused when it belongs to another."""
    try:
        engine = LmdbEngine(data.store, map_octets=load(None, {}, {}).storage.map_octets)
    except StorageError as error:
        raise StartRefused(str(error)) from error
    try:
        with engine.read() as reader:
            is_new = reader.get(Table.META, NODE_PREFIX_KEY) is None
            role = role_of(reader)
        if not is_new and role is not plan.role:
            raise StartRefused(
                f"the store in {data.root} belongs to a {role.value} node: use another --data-dir for a "
                f"{plan.role.value} node"
            )
        now_us = SystemClock().now_us()
        first_start(engine, plan.prefix, now_us, secrets.token_bytes, plan.role, keep=data.write_admin_token)
    except (ResolverError, StorageError, OSError) as error:
        raise StartRefused(str(error)) from error
    finally:
        engine.close()
    return is_new


def _toml(settings: Mapping[str, str | bool]) -> str:
    """The configuration file. Raises PlanInvalid for a setting that is not valid."""
    try:
        load(None, {}, settings)
    except ConfigInvalid as error:
        raise PlanInvalid(str(error)) from error
    lines: list[str] = []
    section = ""
    for key in sorted(settings):
        head, _, name = key.partition(".")
        if head != section:
            section = head
            lines += ["", f"[{section}]"]
        lines.append(f"{name} = {json.dumps(settings[key], ensure_ascii=False)}")
    return "\n".join(lines).strip() + "\n"


def _top(plan: Plan) -> list[HsSite]:
    """The sites of the top, from a file or from the node itself. Raises StartRefused, PlanInvalid, TopSilent."""
    path = Path(plan.top)
    try:
        if path.is_file():
            sites = sites_from_octets(path.read_bytes(), plan.top)
        else:
            place = Endpoint.from_text(plan.top)
            sites = [asyncio.run(fetch_site(*place, SystemClock(), secrets.token_bytes))]
    except ValueError as error:
        raise PlanInvalid(f"--top: {plan.top!r} is no file, and {error}") from error
    except SiteFileUnusable as error:
        raise PlanInvalid(f"--top: {error}") from error
    except (ResolverError, OSError) as error:
        raise TopSilent(f"--top: the top cannot be asked for its site: {error}") from error
    if plan.top_key and fingerprint(sites[0]) != plan.top_key.lower().replace(":", ""):
        raise StartRefused(
            f"--top: the key of the top has the fingerprint {fingerprint(sites[0]) or 'of no key'}, not "
            f"{plan.top_key}: somebody may stand between; nothing was made"
        )
    return sites


def _put(path: Path, octets: bytes, *, keep: bool) -> list[str]:
    """Write a file; its name when that changed anything. With ``keep`` another content is refused."""
    if path.exists():
        if path.read_bytes() == octets:
            return []
        if keep:
            raise StartRefused(f"{path} holds other settings: edit it, or remove it to have it written anew")
    write_whole(path, octets)
    return [path.name]
