"""Fill the configuration: defaults, then the TOML file, then the environment, then flags.

Each source gives a flat mapping ``section.key → value``; a later one wins. Text from the environment
and from flags is converted, TOML must have the right type already. A key nobody knows is an error
that names the nearest one, because a misspelt limit that is ignored is worse than no start.
"""

from __future__ import annotations

import difflib
import tomllib
import typing
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from resolver.config.endpoint import Endpoint
from resolver.config.lists import LISTS, faults_in
from resolver.config.settings import Config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX = "IDIS_"
ENVIRONMENT_SEPARATOR = "__"


class ConfigInvalid(Exception):
    """The configuration cannot be used; the message has one line for each fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@cache
def keys() -> dict[str, Any]:
    """Every key ``section.key`` with its annotated type, in the order of the file."""
    found: dict[str, Any] = {}
    for section, struct in typing.get_type_hints(Config).items():
        for name, hint in typing.get_type_hints(struct, include_extras=True).items():
            found[f"{section}.{name}"] = hint
    return found


def to_environment_name(key: str) -> str:
    """The variable that sets a key: ``grpc.listen`` → ``IDIS_GRPC__LISTEN``."""
    return ENVIRONMENT_PREFIX + key.replace(".", ENVIRONMENT_SEPARATOR).upper()


def value_of(config: Config, key: str) -> Any:
    """The value under ``section.key``."""
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


def load(
    file: Path | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
) -> Config:
    """Read every source. ``flags`` maps keys to values, None meaning not given. Raises ConfigInvalid."""
    faults: list[str] = []
    values: dict[str, tuple[object, str, bool]] = {}
    for key, value in _from_file(file, faults).items():
        values[key] = (value, f"{file}", True)
    for key, value in _from_environment(environment or {}, faults).items():
        values[key] = (value, to_environment_name(key), False)
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = (value, "the command line", False)
    tree: dict[str, dict[str, object]] = {}
    for key, (value, source, strict) in values.items():
        section, _, name = key.partition(".")
        try:
            tree.setdefault(section, {})[name] = msgspec.convert(value, keys()[key], strict=strict)
        except msgspec.ValidationError as error:
            faults.append(f"{source}: {key} = {value!r} is not accepted: {error}")
    if faults:
        raise ConfigInvalid(faults)
    config = msgspec.convert(tree, Config)
    faults = check(config)
    if faults:
        raise ConfigInvalid(faults)
    return config


def check(config: Config) -> list[str]:
    """Faults that no single type can tell, one sentence each."""
    faults = []
    for key in keys():
        if key.endswith(".listen") and (text := value_of(config, key)):
            try:
                Endpoint.from_text(text)
            except ValueError as error:
                faults.append(f"{key}: {error}")
    for key in LISTS:
        faults += faults_in(key, value_of(config, key))
    if not config.grpc.listen:
        faults.append("grpc.listen is empty: a node without its gRPC door cannot be administered; give HOST:PORT")
    if not config.node.data_dir:
        faults.append("node.data_dir is empty: name the directory of the store")
    tls = config.tls
    if bool(tls.certificate_file) != bool(tls.key_file):
        faults.append("tls.certificate_file and tls.key_file belong together: set both or none")
    if tls.client_ca_file and not tls.certificate_file:
        faults.append("tls.client_ca_file needs tls.certificate_file and tls.key_file")
    if config.workers.back_off_max_s < config.workers.back_off_first_s:
        faults.append("workers.back_off_max_s is below workers.back_off_first_s")
    return faults


def nearest(name: str, names: list[str]) -> str:
    """``; did you mean X?`` for the most similar name, else the way to see all."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else "; idis config show lists every key"


def _from_file(file: Path | None, faults: list[str]) -> dict[str, object]:
    """The flat values of a TOML file."""
    if file is None:
        return {}
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalid([f"{file} cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid([f"{file} is not TOML: {error}"]) from error
    known = keys()
    sections = list(typing.get_type_hints(Config))
    found: dict[str, object] = {}
    for section, table in document.items():
        if section not in sections:
            names = sections if isinstance(table, dict) else [key.partition(".")[2] for key in known]
            faults.append(f"{file}: unknown section {section!r}{nearest(section, names)}")
            continue
        if not isinstance(table, dict):
            faults.append(f"{file}: {section} is a section: write [{section}] and its keys below")
            continue
        for name, value in table.items():
            key = f"{section}.{name}"
            if key in known:
                found[key] = value
            else:
                faults.append(f"{file}: unknown key {key}{_nearest_key(key)}")
    return found


def _from_environment(environment: Mapping[str, str], faults: list[str]) -> dict[str, object]:
    """The flat values of variables IDIS_SECTION__KEY; other variables are not ours."""
    by_name = {to_environment_name(key): key for key in keys()}
    found: dict[str, object] = {}
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or ENVIRONMENT_SEPARATOR not in name:
            continue
        if name in by_name:
            found[by_name[name]] = value
        else:
            faults.append(f"unknown environment variable {name}{nearest(name, list(by_name))}")
    return found


def _nearest_key(key: str) -> str:
    """Prefer a similar name in the same section, else the same name elsewhere, else a similar key."""
    section, _, name = key.partition(".")
    names = [known.partition(".")[2] for known in keys() if known.startswith(section + ".")]
    close = [f"{section}.{near}" for near in difflib.get_close_matches(name, names, n=1)]
    close += [known for known in keys() if known.endswith("." + name)]
    close += difflib.get_close_matches(key, list(keys()), n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else "; idis config show lists every key"
