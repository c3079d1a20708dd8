"""What a changed key needs to take effect: one table over all keys, and the difference of two configurations.

SIGHUP reads the configuration again. Keys marked ``reload`` act at once; keys marked ``rolling`` are what
the next workers are started with, so SIGUSR2 (rolling restart) applies them without a refused call; keys
marked ``restart`` belong to the supervisor or to the identity of the node and keep their old value.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from resolver.config.sources import keys, value_of

if TYPE_CHECKING:
    from resolver.config.settings import Config


class Applied(Enum):
    """When a changed key acts."""

    RELOAD = "reload"
    """At once, by SIGHUP."""
    ROLLING = "rolling"
    """With the next workers: SIGHUP, then SIGUSR2."""
    RESTART = "restart"
    """When the node is stopped and started."""


WHEN_APPLIED: dict[str, Applied] = {
    "node.prefix": Applied.RESTART,
    "node.data_dir": Applied.RESTART,
    "workers.count": Applied.RESTART,
    "workers.ready_timeout_s": Applied.RELOAD,
    "workers.hang_timeout_s": Applied.RELOAD,
    "workers.back_off_first_s": Applied.RELOAD,
    "workers.back_off_max_s": Applied.RELOAD,
    "workers.settled_s": Applied.RELOAD,
    "workers.start_crashes_max": Applied.RELOAD,
    "grpc.listen": Applied.RESTART,
    "grpc.backend": Applied.ROLLING,
    "grpc.reflection": Applied.ROLLING,
    "tls.certificate_file": Applied.ROLLING,
    "tls.key_file": Applied.ROLLING,
    "tls.client_ca_file": Applied.ROLLING,
    "tls.poll_s": Applied.ROLLING,
    "admin.listen": Applied.RESTART,
    "hdl.listen": Applied.RESTART,
    "hdl.address": Applied.RESTART,
    "hdl.administrators": Applied.ROLLING,
    "hdl.replication_admins": Applied.ROLLING,
    "hdl.legacy_authentication": Applied.ROLLING,
    "hdl.udp_answers_per_s": Applied.ROLLING,
    "hdl.idle_s": Applied.ROLLING,
    "http.listen": Applied.RESTART,
    "http.accept_clear_credentials": Applied.ROLLING,
    "http.client_certificates": Applied.ROLLING,
    "http.trusted_proxies": Applied.ROLLING,
    "http.idle_s": Applied.ROLLING,
    "http.search_types": Applied.RESTART,
    "snms.enabled": Applied.ROLLING,
    "snms.reference_type": Applied.ROLLING,
    "snms.utc_offset_h": Applied.ROLLING,
    "snms.first_page": Applied.ROLLING,
    "snms.proxy_server_id": Applied.ROLLING,
    "snms.ghr_name": Applied.ROLLING,
    "snms.mapped_http_status": Applied.ROLLING,
    "access.public_resolution": Applied.ROLLING,
    "access.login_token_s": Applied.ROLLING,
    "federation.recursion": Applied.ROLLING,
    "federation.top_file": Applied.RELOAD,
    "federation.forward": Applied.ROLLING,
    "federation.refresh_s": Applied.ROLLING,
    "federation.certified": Applied.ROLLING,
    "federation.grpc": Applied.ROLLING,
    "federation.allow_networks": Applied.ROLLING,
    "federation.allow_ports": Applied.ROLLING,
    "federation.cache_entries_max": Applied.ROLLING,
    "federation.cache_octets_max": Applied.ROLLING,
    "federation.stale_s": Applied.ROLLING,
    "federation.negative_ttl_s": Applied.ROLLING,
    "federation.answer_octets_max": Applied.ROLLING,
    "storage.record_octets_max": Applied.ROLLING,
    "storage.map_octets": Applied.RESTART,
    "storage.read_ahead_threads": Applied.ROLLING,
    "lane.group_jobs_max": Applied.ROLLING,
    "lane.queue_max": Applied.ROLLING,
    "mirror.confirmations": Applied.ROLLING,
    "mirror.confirm_timeout_s": Applied.ROLLING,
    "mirror.token_file": Applied.ROLLING,
    "mirror.ca_file": Applied.ROLLING,
    "mirror.address": Applied.ROLLING,
    "site.token_file": Applied.ROLLING,
    "site.ca_file": Applied.ROLLING,
    "quota.handles_max": Applied.ROLLING,
    "quota.writes_per_s": Applied.ROLLING,
    "quota.writes_per_day": Applied.ROLLING,
    "quota.prefixes_max": Applied.ROLLING,
    "statistics.flush_s": Applied.ROLLING,
    "statistics.keep_days": Applied.ROLLING,
    "statistics.sources_keep_days": Applied.ROLLING,
    "watch.poll_s": Applied.ROLLING,
    "watch.write_timeout_s": Applied.ROLLING,
    "drain.delay_s": Applied.RELOAD,
    "drain.grace_s": Applied.RELOAD,
    "log.level": Applied.RELOAD,
    "log.format": Applied.RELOAD,
}


class Change(NamedTuple):
    """A key that has another value than before."""

    key: str
    before: object
    after: object
    applied: Applied


def changes(before: Config, after: Config) -> list[Change]:
    """Every key whose value differs, in the order of the file."""
    return [
        Change(key, value_of(before, key), value_of(after, key), WHEN_APPLIED[key])
        for key in keys()
        if value_of(before, key) != value_of(after, key)
    ]


def take_over(before: Config, after: Config) -> Config:
    """``after`` with every key that needs a restart as it was ``before``."""
    kept: dict[str, dict[str, object]] = {}
    for change in changes(before, after):
        if change.applied is Applied.RESTART:
            section, _, name = change.key.partition(".")
            kept.setdefault(section, {})[name] = change.before
    sections = {section: msgspec.structs.replace(getattr(after, section), **values) for section, values in kept.items()}
    return msgspec.structs.replace(after, **sections)
