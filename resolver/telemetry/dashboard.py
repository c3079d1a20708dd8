"""The Grafana dashboard of a node, as a program: ``python -m resolver.telemetry.dashboard > dashboard.json``.

The file beside this one is what it prints; a test holds the two together, and another holds every metric that a panel
asks for against the ``/metrics`` of a real node. Import the file in Grafana and choose a Prometheus data source.
"""

from __future__ import annotations

import json
import sys
from typing import Any

Panel = dict[str, Any]

_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WINDOW = "$__rate_interval"
_NODE = 'instance=~"$instance"'
_COLUMNS = 24
_HEIGHT = 8


def _rate(metric: str, by: str, extra: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{_NODE}{extra}}}[{_WINDOW}]))"


def _quantile(quantile: float, metric: str, by: str, extra: str = "") -> str:
    return f"histogram_quantile({quantile}, {_rate(metric + '_bucket', f'le, {by}' if by else 'le', extra)})"


def _panel(title: str, unit: str, *queries: tuple[str, str], kind: str = "timeseries", wide: int = 8) -> Panel:
    """A panel of queries, each an expression and the legend of its lines."""
    targets: list[dict[str, Any]] = [
        {"refId": chr(ord("A") + number), "expr": expression, "legendFormat": legend, "datasource": _SOURCE}
        for number, (expression, legend) in enumerate(queries)
    ]
    panel: Panel = {
        "title": title,
        "type": kind,
        "datasource": _SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "wide": wide,
    }
    if kind == "stat":
        panel["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    if kind == "table":
        for target in targets:
            target |= {"format": "table", "instant": True}
    return panel


def _number(title: str, unit: str, expression: str) -> Panel:
    return _panel(title, unit, (expression, ""), kind="stat", wide=4)


def _name(title: str, label: str, expression: str) -> Panel:
    """A panel of what a label says, whatever its value is."""
    panel = _panel(title, "none", (expression, f"{{{{{label}}}}}"), kind="stat", wide=4)
    panel["options"] |= {"textMode": "name"}
    return panel


def _resolution(quantile: float) -> str:
    return _quantile(quantile, "idis_request_seconds", "protocol", ', operation="resolution"')


def _registration(quantile: float) -> str:
    return _quantile(quantile, "idis_request_seconds", "protocol", ', operation="registration"')


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "The node",
        (
            _number("Workers ready", "none", f"sum(idis_workers_ready{{{_NODE}}})"),
            _number("Handles registered", "short", f"sum(idis_records{{{_NODE}}})"),
            _number("Newest change", "none", f"max(idis_journal_serial{{{_NODE}}})"),
            _number("Room for writes", "bytes", f"min(idis_store_free_bytes{{{_NODE}}})"),
            _number("Worker crashes, 24 h", "none", f"sum(increase(idis_worker_restarts_total{{{_NODE}}}[24h]))"),
            _name("Version", "version", f"count by (version) (idis_build_info{{{_NODE}}})"),
        ),
    ),
    (
        "Resolution and registration 解析与注册",
        (
            _panel(
                "Names resolved",
                "ops",
                (_rate("idis_resolved_names_total", "protocol, result"), "{{protocol}} {{result}}"),
            ),
            _panel(
                "Handles changed",
                "ops",
                (_rate("idis_changed_handles_total", "protocol, operation"), "{{protocol}} {{operation}}"),
            ),
            _panel("Requests", "reqps", (_rate("idis_requests_total", "protocol"), "{{protocol}}")),
            _panel("Resolution, median", "s", (_resolution(0.5), "{{protocol}}")),
            _panel("Resolution, 99 of 100", "s", (_resolution(0.99), "{{protocol}}")),
            _panel("Registration, 99 of 100", "s", (_registration(0.99), "{{protocol}}")),
            _panel(
                "Requests that did not go well",
                "reqps",
                (
                    _rate("idis_requests_total", "protocol, result", ', result!~"OK|SUCCESS|2.*|3.*"'),
                    "{{protocol}} {{result}}",
                ),
                wide=24,
            ),
        ),
    ),
    (
        "gRPC",
        (
            _panel(
                "Calls by method",
                "reqps",
                (_rate("grpc_server_handled_total", "grpc_method"), "{{grpc_method}}"),
                wide=12,
            ),
            _panel(
                "Time by method, 99 of 100",
                "s",
                (_quantile(0.99, "grpc_server_handling_seconds", "grpc_method"), "{{grpc_method}}"),
                wide=12,
            ),
        ),
    ),
    (
        "Other nodes",
        (
            _panel(
                "Answers for their names, not from the cache",
                "ops",
                (_rate("idis_foreign_answers_total", "result"), "{{result}}"),
            ),
            _panel(
                "Questions sent to them",
                "reqps",
                (_rate("idis_upstream_questions_total", "protocol, result"), "{{protocol}} {{result}}"),
            ),
            _panel(
                "The top of the tree is silent",
                "s",
                (f"idis_upstream_silent_seconds{{{_NODE}}}", "{{process}}"),
            ),
        ),
    ),
    (
        "Store and workers",
        (
            _panel("Commit, 99 of 100", "s", (_quantile(0.99, "idis_lane_commit_seconds", ""), "commit")),
            _panel(
                "Jobs in a commit",
                "none",
                (
                    " / ".join(_rate(f"idis_lane_group_jobs_{part}", "instance") for part in ("sum", "count")),
                    "average",
                ),
            ),
            _panel(
                "Store",
                "bytes",
                (f"idis_store_used_bytes{{{_NODE}}}", "used"),
                (f"idis_store_free_bytes{{{_NODE}}}", "room"),
                (f"idis_store_reserve_bytes{{{_NODE}}}", "reserve"),
            ),
            _panel(
                "Connections",
                "none",
                (f"sum by (protocol) (idis_connections{{{_NODE}}})", "{{protocol}}"),
            ),
            _panel(
                "Connections cut off, their answers not taken",
                "none",
                (
                    f"sum by (protocol) (increase(idis_connections_cut_off_total{{{_NODE}}}[{_WINDOW}]))",
                    "{{protocol}}",
                ),
            ),
            _panel("Rows waiting to be written", "none", (f"idis_lane_queued_rows{{{_NODE}}}", "{{process}}")),
            _panel("Oldest reader", "none", (f"idis_store_oldest_reader_txns{{{_NODE}}}", "transactions")),
            _panel("Processor", "percentunit", (_rate("idis_process_cpu_seconds_total", "process"), "{{process}}")),
            _panel("Memory", "bytes", (f"idis_process_resident_bytes{{{_NODE}}}", "{{process}}")),
        ),
    ),
    (
        "Enterprises",
        (
            _panel(
                "Most handles registered", "none", (f"idis_enterprise_records{{{_NODE}}}", ""), kind="table", wide=12
            ),
            _panel(
                "Most resolutions today",
                "none",
                (f"idis_enterprise_resolutions_today{{{_NODE}}}", ""),
                kind="table",
                wide=12,
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana takes it."""
    panels: list[Panel] = []
    top = 0
    for title, row in ROWS:
        panels.append(
            {"title": title, "type": "row", "gridPos": {"x": 0, "y": top, "w": _COLUMNS, "h": 1}, "panels": []}
        )
        top += 1
        left = 0
        height = 4 if row[0]["type"] == "stat" else _HEIGHT
        for described in row:
            panel = {key: value for key, value in described.items() if key != "wide"}
            if left + described["wide"] > _COLUMNS:
                left, top = 0, top + height
            panels.append({**panel, "gridPos": {"x": left, "y": top, "w": described["wide"], "h": height}})
            left += described["wide"]
        top += height
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return {
        "title": "IDIS node 二级节点",
        "uid": "idis-node",
        "tags": ["idis"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "instance",
                    "label": "Node",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": "label_values(idis_build_info, instance)",
                    "includeAll": True,
                    "multi": True,
                },
            ]
        },
        "panels": panels,
    }


def to_text() -> str:
    """The file."""
    return json.dumps(dashboard(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(to_text())
