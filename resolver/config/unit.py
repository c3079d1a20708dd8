"""The systemd unit of a node: what ``idis config unit`` prints, with the paths of this installation.

The node tells systemd when it is ready, reloading, alive and stopping (``Type=notify``), so nothing has to be guessed.
It runs without a user of its own, sees nothing of the machine but its state directory and the network, and gets the
time to drain that its configuration gives its workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resolver.config.settings import Config

COMMIT_S = 30
"""Seconds beyond the drain that a stop may take: the last commits on a busy disk."""

WATCHDOG_S = 30
"""Seconds without a sign of life after which systemd starts the node anew."""

_UNIT = """\
# systemd unit of an IDIS node (工业互联网标识二级节点). As root:
#   idis config unit > /etc/systemd/system/idis.service
#   idis config show > /etc/idis/idis.toml        # and change what you need
#   systemctl daemon-reload && systemctl enable --now idis
# Logs are lines of JSON: journalctl -u idis -o cat
[Unit]
Description=IDIS node, identifier registration and resolution
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={command} serve --config /etc/idis/idis.toml --data-dir %S/idis --no-banner
ExecReload=/bin/kill -HUP $MAINPID
Environment=IDIS_LOG__FORMAT=json
Restart=on-failure
RestartPreventExitStatus=78
RestartSec=1
WatchdogSec={watchdog_s}
TimeoutStartSec=120
TimeoutStopSec={stop_s}
KillMode=mixed
LimitNOFILE=131072
LimitCORE=0
UMask=0077

DynamicUser=yes
StateDirectory=idis
StateDirectoryMode=0700
ConfigurationDirectory=idis
{ports}NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
"""

_WELL_KNOWN_END = 1_024


def unit(config: Config, command: str) -> str:
    """The unit for a configuration; ``command`` is how the program is called."""
    doors = (config.grpc.listen, config.hdl.listen, config.http.listen, config.admin.listen)
    low = any(0 < int(door.rpartition(":")[2] or 0) < _WELL_KNOWN_END for door in doors if door)
    capability = "CAP_NET_BIND_SERVICE" if low else ""
    ports = f"CapabilityBoundingSet={capability}\n" + (f"AmbientCapabilities={capability}\n" if low else "")
    stop_s = round(config.drain.delay_s + config.drain.grace_s) + COMMIT_S
    return _UNIT.format(command=command, watchdog_s=WATCHDOG_S, stop_s=stop_s, ports=ports)
