"""What a record costs in the processor: parse, serialise, key folding, sealing; beside upb alone and CRC-32C alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import google_crc32c

from bench.questions import value_of
from bench.report import Report, say
from bench.workload import name_of, values_of
from resolver.handle.name import Handle, fold, key_of_octets
from resolver.node import administer, record_octets
from resolver.v1 import handle_pb2, registration_pb2, resolution_pb2
from storage.tables import Table, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.settings import Settings


def run(settings: Settings) -> Report:
    """Records, keys and seals in the processor; the limits are upb alone and CRC-32C alone."""
    report = Report("codec", settings)
    name, values = name_of(12_345), values_of(12_345)
    key = Handle.from_text(name).key
    body = value_of(12_345)
    row = seal(key, body)
    record = record_octets.parse(body)
    octets = record.SerializeToString()
    request = resolution_pb2.ResolveRequest(name=name).SerializeToString()
    create = registration_pb2.CreateHandleRequest(name=name, values=values).SerializeToString()
    whole = key + body
    works: list[tuple[str, str, Callable[[], Any]]] = [
        ("upb: parse a record", "limit", lambda: handle_pb2.HandleRecord.FromString(octets)),
        ("record_octets.parse", "ours", lambda: record_octets.parse(body)),
        ("upb: serialise a record", "limit", record.SerializeToString),
        ("record_octets.head, from values", "ours", lambda: record_octets.head(name, values)),
        ("record_octets.tail", "ours", lambda: record_octets.tail(1, 77, 10**15, 0, "")),
        ("record_octets.frame", "ours", lambda: record_octets.frame(octets)),
        ("record_octets.digest (SHA-256)", "ours", lambda: record_octets.digest(key, body, b"")),
        ("upb: parse a ResolveRequest", "limit", lambda: resolution_pb2.ResolveRequest.FromString(request)),
        ("Handle.from_text and key", "ours", lambda: key_of_octets(Handle.from_text(name).text.encode())),
        ("fold a prefix", "ours", lambda: fold("88.300.1")),
        ("CRC-32C over key and value", "limit", lambda: google_crc32c.value(whole)),
        ("seal", "ours", lambda: seal(key, body)),
        ("unseal", "ours", lambda: unseal(Table.RECORDS, key, row)),
        ("upb: parse a CreateHandleRequest", "limit", lambda: registration_pb2.CreateHandleRequest.FromString(create)),
        ("prepare a registration", "ours", lambda: administer.prepare(name, values, "", 1_700_000_000, 1 << 20)),
    ]
    report.note(f"the record has {len(body)} octets with {len(values)} values; an empty call costs about 0.05 µs")
    for number in range(settings.rounds):
        say(f"  round {number + 1} of {settings.rounds}")
        for label, kind, work in works:
            rate, cpu_us = _spin(work, settings.seconds / 4)
            report.add(label, kind, "calls", rate=rate, cpu_us=cpu_us)
    report.ratio("unseal ÷ CRC-32C alone, CPU", "unseal", "CRC-32C over key and value", figure="cpu_us")
    report.ratio("seal ÷ CRC-32C alone, CPU", "seal", "CRC-32C over key and value", figure="cpu_us")
    report.ratio("record_octets.parse ÷ upb alone, CPU", "record_octets.parse", "upb: parse a record", figure="cpu_us")
    report.ratio(
        "record_octets.head ÷ upb serialising alone, CPU",
        "record_octets.head, from values",
        "upb: serialise a record",
        figure="cpu_us",
    )
    return report


def _spin(work: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Calls a second and CPU µs of each."""
    calls, wall, cpu = 0, time.perf_counter(), time.process_time()
    stop = wall + seconds
    while True:
        for _ in range(1_000):
            work()
        calls += 1_000
        now = time.perf_counter()
        if now >= stop:
            return calls / (now - wall), (time.process_time() - cpu) * 1e6 / calls
