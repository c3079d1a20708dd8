"""``idis doctor``: look at the machine and the data directory, say what is not right and how to put it right.

Each check is a function of a ``Patient`` that gives one finding; the table ``CHECKS`` names them all. A check never
changes anything, and one that fails to run is itself a finding. Exit code 0 when nothing fails (warnings
allowed), 1 otherwise.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import socket
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from resolver.app import descriptors
from resolver.app.backends import why_not_h2
from resolver.cli.config_commands import wants_json
from resolver.cli.output import to_octets
from resolver.config.endpoint import Endpoint
from resolver.config.settings import GIB, Config
from resolver.config.sources import ConfigInvalid, load

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK_FLOOR_S = 1_767_225_600
"""2026-01-01: this software did not exist before, so an earlier clock is wrong."""

CLOCK_SLACK_S = 120
"""Seconds that a file of the store may seem to be from the future."""


class Finding(NamedTuple):
    """What one check found. ``state`` is ok, warn or fail; ``fix`` is empty when there is nothing to do."""

    state: str
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Patient:
    """What the checks look at."""

    root: Path
    config: Config

    @property
    def store(self) -> Path:
        """The directory of the store."""
        return self.root / "store"


def _data_directory(patient: Patient) -> Finding:
    """Owner and mode."""
    root = patient.root
    if not root.exists():
        return Finding("ok", f"{root} does not exist yet; idis serve makes it")
    found = root.stat()
    if found.st_uid != os.geteuid():
        return Finding(
            "fail",
            f"{root} belongs to user {found.st_uid}, not to {os.geteuid()}",
            f"run as its owner, or: chown -R {os.geteuid()} {root}",
        )
    if found.st_mode & 0o077:
        return Finding(
            "warn", f"{root} has mode {stat.S_IMODE(found.st_mode):04o}: others may look in", f"chmod 700 {root}"
        )
    return Finding("ok", f"{root} is private")


def _key_files(patient: Patient) -> Finding:
    """Nobody else may read a secret."""
    secrets = [file for file in (patient.root / "credentials").glob("*") if file.is_file()]
    if patient.config.tls.key_file:
        secrets.append(Path(patient.config.tls.key_file))
    missing = [file for file in secrets if not file.exists()]
    if missing:
        return Finding("fail", f"{missing[0]} does not exist", "correct tls.key_file")
    exposed = [str(file) for file in secrets if file.stat().st_mode & 0o077]
    if exposed:
        return Finding("fail", f"others may read {', '.join(exposed)}", f"chmod 600 {' '.join(exposed)}")
    return Finding("ok", f"{len(secrets)} secret files are private")


def _disk(patient: Patient) -> Finding:
    """Free room against the reserve of the store."""
    from storage.lmdb_engine import RESERVE_OCTETS_MAX, RESERVE_SHARE  # noqa: PLC0415 - loads the engine

    disk = os.statvfs(_existing(patient.root))
    free, whole = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    reserve = min(RESERVE_OCTETS_MAX, int(whole * RESERVE_SHARE))
    detail = f"{free / GIB:.1f} GiB free, {reserve / GIB:.1f} GiB kept in reserve"
    if free < reserve:
        return Finding(
            "fail", detail, "free space or enlarge the file system: registrations are refused, deletions pass"
        )
    if free < 3 * reserve:
        return Finding("warn", detail, "plan for more space")
    return Finding("ok", detail)


def _store_opens(patient: Patient) -> Finding:
    """The store opens for reading, beside a running node too."""
    if not (patient.store / "data.mdb").exists():
        return Finding("ok", "no store yet; the first start makes it")
    from storage.errors import StorageError  # noqa: PLC0415 - loads the engine
    from storage.lmdb_engine import LmdbEngine  # noqa: PLC0415 - as above
    from storage.survey import survey  # noqa: PLC0415 - as above
    from storage.tables import Table  # noqa: PLC0415 - as above

    try:
        survey(patient.store, patient.config.storage.map_octets)
        engine = LmdbEngine(patient.store, readonly=True, map_octets=patient.config.storage.map_octets)
    except StorageError as error:
        return Finding("fail", str(error), "restore a backup with idis restore, or name the right --data-dir")
    try:
        with engine.read() as reader:
            records = reader.count(Table.RECORDS)
        used = engine.space().used_octets
        behind = engine.oldest_reader_txns()
    finally:
        engine.close()
    detail = f"{records} records in {used / GIB:.2f} GiB, oldest reader {behind} transactions behind"
    if behind > 10_000:
        return Finding("warn", detail, "a reader is stuck and the store grows: restart the node, then stop stray tools")
    return Finding("ok", detail)


def _map(patient: Patient) -> Finding:
    """The store fits its map with room to grow."""
    data = patient.store / "data.mdb"
    used = data.stat().st_size if data.exists() else 0
    size = patient.config.storage.map_octets
    detail = f"store {used / GIB:.2f} GiB of {size / GIB:.0f} GiB map"
    if used > size // 2:
        return Finding("warn", detail, "raise storage.map_octets and restart; it costs address space only")
    return Finding("ok", detail)


def _address_space(patient: Patient) -> Finding:
    """RLIMIT_AS holds the map."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < patient.config.storage.map_octets + GIB:
        return Finding(
            "fail",
            f"address space is limited to {limit / GIB:.0f} GiB",
            "ulimit -v unlimited, or lower storage.map_octets",
        )
    return Finding("ok", "address space holds the map")


def _open_files(_patient: Patient) -> Finding:
    """RLIMIT_NOFILE holds the connections; the node raises the limit that acts to the one that only root changes."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return Finding("ok", "any number of open files allowed")
    if limit < descriptors.LEAST:
        return Finding("warn", f"{limit} open files allowed", descriptors.REMEDY)
    return Finding("ok", f"{limit} open files allowed")


def _clock(patient: Patient) -> Finding:
    """Versions, journal times and token life depend on the clock."""
    now_s = time.time()
    if now_s < CLOCK_FLOOR_S:
        return Finding(
            "fail",
            f"the clock says {time.strftime('%Y-%m-%d', time.gmtime(now_s))}",
            "set the clock, run an NTP service",
        )
    data = patient.store / "data.mdb"
    if data.exists() and data.stat().st_mtime > now_s + CLOCK_SLACK_S:
        return Finding(
            "fail", "the store was written in the future: the clock went back", "set the clock, run an NTP service"
        )
    return Finding("ok", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s)))


def _endpoints(patient: Patient) -> Finding:
    """Every door that endpoints.json names takes a connection."""
    file = patient.root / "endpoints.json"
    if not file.exists():
        return Finding("warn", "the node does not run", f"idis serve --data-dir {patient.root}")
    try:
        endpoints: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        return Finding("fail", f"{file} is damaged: {error}", "restart the node")
    silent = []
    for door, where in endpoints.items():
        if door.endswith("_udp"):
            continue
        endpoint = Endpoint.from_text(where)
        try:
            socket.create_connection((endpoint.host, endpoint.port), timeout=2.0).close()
        except OSError as error:
            silent.append(f"{door} {where}: {error.strerror or error}")
    if silent:
        return Finding("fail", "; ".join(silent), "restart the node and read its log")
    return Finding("ok", ", ".join(f"{door} {where}" for door, where in endpoints.items()))


def _certificates(patient: Patient) -> Finding:
    """The certificate fits its key and lasts."""
    tls = patient.config.tls
    if not tls.certificate_file:
        open_door = not Endpoint.from_text(patient.config.grpc.listen).is_loopback
        if open_door:
            return Finding(
                "warn", f"gRPC on {patient.config.grpc.listen} without TLS", "set tls.certificate_file and tls.key_file"
            )
        return Finding("ok", "no TLS; the gRPC door is on the loopback address")
    from resolver.transport.tls import CertificateUnusable  # noqa: PLC0415 - loads gRPC
    from resolver.transport.tls import load as load_certificate  # noqa: PLC0415 - as above

    client_ca = Path(tls.client_ca_file) if tls.client_ca_file else None
    try:
        loaded = load_certificate(Path(tls.certificate_file), Path(tls.key_file), client_ca)
    except CertificateUnusable as error:
        return Finding("fail", str(error), "correct the [tls] section")
    now_s = time.time()
    if now_s < loaded.not_before_s:
        begin = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(loaded.not_before_s))
        return Finding(
            "fail",
            f"the certificate is not valid before {begin} UTC",
            "set the clock right, or give a certificate that is valid now",
        )
    days = int((loaded.not_after_s - now_s) // 86_400)
    if days < 0:
        return Finding("fail", "the certificate has expired", "renew it; the node takes new files by itself")
    return Finding(
        "warn" if days < 14 else "ok", f"the certificate lasts {days} more days", "renew it" if days < 14 else ""
    )


def _protobuf(_patient: Patient) -> Finding:
    """Messages are parsed by the C core."""
    from google.protobuf.internal import api_implementation  # noqa: PLC0415 - loads protobuf

    kind = api_implementation.Type()
    if kind != "upb":
        return Finding(
            "fail", f"protobuf runs on {kind}", "unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, reinstall protobuf"
        )
    return Finding("ok", f"protobuf {importlib.metadata.version('protobuf')} on upb")


def _fast_door(_patient: Patient) -> Finding:
    """The HTTP/2 wheel and its version."""
    hindrance = why_not_h2()
    if hindrance:
        what, _, remedy = hindrance.partition(": ")
        return Finding("warn", f"{what}, so gRPC is served by grpcio", remedy)
    return Finding("ok", f"ngh2 {importlib.metadata.version('ngh2')}")


def _entropy(_patient: Patient) -> Finding:
    """Tokens and nonces need a seeded generator."""
    try:
        os.getrandom(32, os.GRND_NONBLOCK)
    except BlockingIOError:
        return Finding(
            "fail", "the random generator is not seeded yet", "wait, or install an entropy source such as virtio-rng"
        )
    return Finding("ok", "the random generator is seeded")


CHECKS: dict[str, Callable[[Patient], Finding]] = {
    "data directory": _data_directory,
    "secret files": _key_files,
    "disk": _disk,
    "store": _store_opens,
    "map": _map,
    "address space": _address_space,
    "open files": _open_files,
    "clock": _clock,
    "endpoints": _endpoints,
    "certificates": _certificates,
    "protobuf": _protobuf,
    "fast door": _fast_door,
    "entropy": _entropy,
}


def examine(patient: Patient) -> dict[str, Finding]:
    """Run every check; one that fails to run is a finding too."""
    findings = {}
    for name, check in CHECKS.items():
        try:
            findings[name] = check(patient)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the machine belongs in the report
            findings[name] = Finding("fail", f"{type(error).__name__}: {error}", "see the message")
    return findings


def _existing(path: Path) -> Path:
    """The path or the nearest directory above it that exists."""
    return path if path.exists() else _existing(path.parent)


@click.command("doctor")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Directory of the store.")
@click.option(
    "--config",
    "config_file",
    envvar="IDIS_CONFIG",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file of the node.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object for each check.")
@click.pass_context
def doctor(ctx: click.Context, data_dir: Path | None, config_file: Path | None, as_json: bool) -> None:  # noqa: ARG001, FBT001 - wants_json reads it
    """Check disk, store, secrets, limits, clock, doors and libraries, and say how to put each right."""
    try:
        config = load(config_file, os.environ, {"node.data_dir": str(data_dir) if data_dir else None})
    except ConfigInvalid as error:
        for fault in error.faults:
            click.echo(f"error: {fault}", err=True)
        sys.exit(78)
    findings = examine(Patient(Path(config.node.data_dir).absolute(), config))
    if wants_json(ctx):
        for name, finding in findings.items():
            click.echo(to_octets({"check": name, **finding._asdict()}))
    else:
        for name, finding in findings.items():
            click.echo(f"{finding.state:4}  {name}: {finding.detail}")
            if finding.fix:
                click.echo(f"      fix: {finding.fix}")
    sys.exit(1 if any(finding.state == "fail" for finding in findings.values()) else 0)
