"""A result as a table for people, in Markdown, from its JSON: so the table can be printed again without measuring."""

from __future__ import annotations

from typing import Any

COLUMNS = {
    "rate": "per second",
    "cpu_us": "CPU µs",
    "cores": "cores",
    "client_cpu_us": "client CPU µs",
    "errors": "errors",
    "octets_per_record": "octets/record",
    "major_faults": "faults",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "p999_ms": "p99.9 ms",
    "python_us": "Python",
    "lmdb_us": "LMDB",
    "http2_us": "HTTP/2",
    "grpc_us": "gRPC core",
    "protobuf_us": "protobuf",
    "checksums_us": "checksums",
    "hashes_us": "hashes",
    "loop_us": "event loop",
    "libc_us": "libc",
    "kernel_us": "kernel",
    "other_us": "other",
    "least_busy": "share of the least busy worker",
    "rss_mib": "RSS MiB",
    "descriptors": "descriptors",
    "rss_start_mib": "RSS start MiB",
    "rss_end_mib": "RSS end MiB",
    "load_average": "load",
}
"""Figures in the order of their columns; what a result does not have is left out."""


VERDICTS = {"aim": "aim reached", "must": "must reached", "missed": "**missed**"}
"""Words for the verdict of a ratio with a goal."""


def to_markdown(result: dict[str, Any]) -> str:
    """Rows, ratios and notes of a result."""
    names = [name for name in COLUMNS if any(name in row["figures"] for row in result["rows"])]
    names = [name for name in names if name != "least_busy" or result["settings"]["workers"] > 1]
    settings, load = result["settings"], result["load_average"]
    measured = f"{settings['rounds']} rounds of {settings['seconds']:g} s, {settings['records']:,} records"
    lines = [
        f"### {result['operation']}",
        "",
        f"{measured}, load average {load['start']} to {load['end']}, commit {result['commit']['id'][:10]}",
        "",
        "| | kind | unit | " + " | ".join(COLUMNS[name] for name in names) + " |",
        "|---|---|---|" + "---:|" * len(names),
    ]
    for row in result["rows"]:
        cells = " | ".join(_cell(name, row["figures"].get(name)) for name in names)
        lines.append(f"| {row['name']} | {row['kind']} | {row['unit']} | {cells} |")
    if result["ratios"]:
        lines += ["", "| ratio | median | min–max | must | aim | |", "|---|---:|---:|---:|---:|---|"]
        for ratio in result["ratios"]:
            goal = (f"{ratio['must']:g}", f"{ratio['aim']:g}", ratio["verdict"]) if "must" in ratio else ("", "", "")
            lines.append(
                f"| {ratio['what']} | {ratio['median']:.3g} | {ratio['min']:.3g}–{ratio['max']:.3g} | "
                + " | ".join(goal)
                + " |"
            )
    lines += ["", *(f"* {note.strip()}" for note in result["notes"])] if result["notes"] else []
    return "\n".join(lines) + "\n"


def _cell(name: str, figure: dict[str, float] | None) -> str:
    if figure is None:
        return ""
    if name in {"errors", "load_average"}:
        return f"{figure['max']:g}"
    if name == "rate":
        return f"**{figure['median']:,.0f}** [{figure['min']:,.0f}–{figure['max']:,.0f}]"
    return f"{figure['median']:,.3g}"


def goals(results: list[dict[str, Any]]) -> str:
    """Every ratio that has a goal, over all results."""
    lines = [
        "| what | must | aim | measured, median [range of rounds] | | load | result |",
        "|---|---:|---:|---|---|---:|---|",
    ]
    for result in results:
        load = max(result["load_average"].values())
        for ratio in result["ratios"]:
            if "must" not in ratio:
                continue
            name = result["operation"]
            lines.append(
                f"| {ratio['what']} | {ratio['must']:g} × | {ratio['aim']:g} × | **{ratio['median']:.3g} ×** "
                f"[{ratio['min']:.3g}–{ratio['max']:.3g}] | {VERDICTS[ratio['verdict']]} | {load:g} | "
                f"[{name}](results/{name}.json) |"
            )
    return "\n".join(lines) + "\n"
