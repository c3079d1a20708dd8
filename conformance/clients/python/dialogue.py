"""The scripted dialogue, told once for every Python stack: a ``Stack`` makes the calls, each step prints one JSON line.

The programs in the other languages hold the same steps under the same names and must print the same lines. A line
has only what cannot differ between two honest runs: no times, no serials of rows that the run itself registers.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from every_call import every_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

RESOLUTION = "resolver.v1.ResolutionService"
REGISTRATION = "resolver.v1.RegistrationService"
REGISTRY = "resolver.v1.RegistryService"
CHANGES = "resolver.v1.ChangesService"

MILLION = 1_000_000
WATCHED = 3_006
"""Changes read by the slow watcher: every handle that the runner prepared."""


class Failed(Exception):
    """A call ended with a status: its code, its message and the octets of grpc-status-details-bin."""

    def __init__(self, code: int, message: str, details: bytes) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.details = code, message, details


class Target(NamedTuple):
    """Where the node is and what to say there."""

    address: str
    token: str
    prefix: str
    run: str
    ca: Path | None
    certificate: Path | None
    key: Path | None

    def octets(self) -> dict[str, bytes | None]:
        """The three TLS files as octets."""
        named = {"root_certificates": self.ca, "private_key": self.key, "certificate_chain": self.certificate}
        return {name: path.read_bytes() if path else None for name, path in named.items()}


Metadata = tuple[tuple[str, str | bytes], ...]


class Stack(Protocol):
    """A gRPC implementation. Calls raise Failed; messages are made by ``message``."""

    compresses: bool
    """Whether it can compress a request."""

    def message(self, name: str) -> Any:
        """The class of a message, such as ``google.rpc.Status``."""

    async def unary(
        self, method: str, request: Any, *, metadata: Metadata = (), timeout_s: float = 60.0, gzip: bool = False
    ) -> Any:
        """One request, one answer."""

    async def empty(self, method: str, metadata: Metadata) -> None:
        """One request without a single octet, to any method of one request and one answer."""

    def stream(self, method: str, requests: Sequence[Any], *, timeout_s: float = 120.0) -> AsyncIterator[Any]:
        """A call with a stream of answers; its token is sent."""

    async def cancelled(self, method: str, request: Any) -> tuple[Any, int]:
        """Take the first message of a stream, cancel the call, and tell the code it ended with."""


def arguments() -> Target:
    """The command line that every program here has."""
    from pathlib import Path  # noqa: PLC0415 - only programs read a command line

    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("token")
    parser.add_argument("prefix")
    parser.add_argument("run", help="a word that no other run on this node has used")
    for name in ("ca", "certificate", "key"):
        parser.add_argument(f"--{name}", type=Path)
    return Target(**vars(parser.parse_args()))


def digest(lines: Sequence[str]) -> str:
    """A short digest of lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


async def _read(answers: AsyncIterator[Any]) -> None:
    """Read a stream to its end."""
    async for _ in answers:
        pass


class Dialogue:
    """The steps against one node."""

    def __init__(self, stack: Stack, target: Target) -> None:
        self._stack, self._prefix, self._run = stack, target.prefix, target.run
        self._token = target.token
        self.credential: Metadata = (("authorization", f"Bearer {target.token}"),)

    def _new(self, message: str, /, **fields: Any) -> Any:
        return self._stack.message(f"resolver.v1.{message}")(**fields)

    def _row(self, name: str, octets: int) -> Any:
        value = self._new("HandleValue", index=1, type="URL", data=b"x" * octets)
        return self._new("NewHandle", name=name, values=[value])

    async def _outcome(self, call: Awaitable[Any]) -> dict[str, Any]:
        """A status as the line shows it."""
        try:
            await call
        except Failed as failed:
            found: dict[str, Any] = {"code": failed.code, "message": failed.message, "reason": "", "fields": []}
            status = self._stack.message("google.rpc.Status").FromString(failed.details)
            for detail in status.details:
                for name in ("ErrorInfo", "BadRequest"):
                    if detail.type_url.endswith(f"google.rpc.{name}"):
                        message = self._stack.message(f"google.rpc.{name}").FromString(detail.value)
                        if name == "ErrorInfo":
                            found["reason"] = message.reason
                        else:
                            found["fields"] = [each.field for each in message.field_violations]
            return found
        return {"code": 0}

    async def unary(self) -> dict[str, Any]:
        """A record with its values."""
        request = self._new("ResolveRequest", name=f"{self._prefix}/interop-fixed")
        record = (await self._stack.unary(f"{RESOLUTION}/Resolve", request)).record
        values = [[each.index, each.type, each.data.decode(), each.ttl_s] for each in record.values]
        return {"name": record.name, "version": record.version, "values": values}

    async def refused(self) -> dict[str, Any]:
        """A refusal that names the field."""
        return await self._outcome(self._stack.unary(f"{RESOLUTION}/Resolve", self._new("ResolveRequest")))

    async def unknown_name(self) -> dict[str, Any]:
        """A name that is not registered, with octets that must be percent-encoded in the message."""
        request = self._new("ResolveRequest", name=f"{self._prefix}/没有 100%")
        return await self._outcome(self._stack.unary(f"{RESOLUTION}/Resolve", request))

    async def unknown_method(self) -> dict[str, Any]:
        """A method that no service has."""
        outcome = await self._outcome(self._stack.unary(f"{RESOLUTION}/Guess", self._new("ResolveRequest")))
        return {"code": outcome["code"]}

    async def deadline(self) -> dict[str, Any]:
        """A stream that never speaks, with a deadline."""
        started = time.monotonic()

        silent = self._stack.stream(f"{CHANGES}/Watch", [self._new("WatchRequest")], timeout_s=0.4)
        outcome = await self._outcome(_read(silent))
        return {"code": outcome["code"], "in_time": 0.3 < time.monotonic() - started < 60.0}

    async def cancel(self) -> dict[str, Any]:
        """A stream that is cancelled after its first message."""
        first, code = await self._stack.cancelled(f"{CHANGES}/Watch", self._new("WatchRequest", from_serial=1))
        return {"first": first.changes[0].change.serial, "code": code}

    async def batch(self) -> dict[str, Any]:
        """Found, not found and no name at all in one batch."""
        names = [f"{self._prefix}/{suffix}" for suffix in ("interop-fixed", "interop-none", "", "interop-w-0001")]
        request = self._new("BatchResolveRequest", names=names)
        answer = await self._stack.unary(f"{RESOLUTION}/BatchResolve", request)
        misses = [[each.position, each.code, each.reason] for each in answer.misses]
        return {"records": [record.name for record in answer.records], "misses": misses}

    async def stream(self) -> dict[str, Any]:
        """A thousand questions, every tenth about nothing."""
        questions = [
            self._new(
                "StreamResolveRequest",
                tag=7 * number,
                name=f"{self._prefix}/interop-{'none' if number % 10 == 9 else f'w-{number:04d}'}",
            )
            for number in range(1_000)
        ]
        records, misses = [], []
        async for answer in self._stack.stream(f"{RESOLUTION}/StreamResolve", questions):
            records += [f"{tag} {record.name}" for tag, record in zip(answer.tags, answer.records, strict=True)]
            misses += [f"{each.position} {each.code}" for each in answer.misses]
        return {"records": len(records), "misses": len(misses), "digest": digest(sorted(records + misses))}

    async def import_handles(self) -> dict[str, Any]:
        """Three chunks, and the last one again."""
        chunks = [
            self._new(
                "ImportHandlesRequest",
                import_id=self._run,
                sequence=sequence,
                handles=[self._row(f"{self._prefix}/{self._run}-{sequence}-{row}", 100) for row in range(100)],
            )
            for sequence in (1, 2, 3, 3)
        ]
        found = []
        async for answer in self._stack.stream(f"{REGISTRATION}/ImportHandles", chunks):
            good = sum(row.code == 0 for row in answer.results)
            found.append([answer.sequence, good, answer.durable_sequence, answer.repeated_chunk])
        return {"chunks": found}

    async def slow_watch(self) -> dict[str, Any]:
        """The journal with records, read slowly: nothing may be lost."""
        request = self._new("WatchRequest", from_serial=1, include_records=True, stop_at_end=True)
        names: list[str] = []
        gaps = octets = last = 0
        async for answer in self._stack.stream(f"{CHANGES}/Watch", [request]):
            await asyncio.sleep(0.02 if last else 0.3)
            for each in answer.changes:
                gaps += each.change.serial != last + 1
                last = each.change.serial
                if len(names) < WATCHED and each.change.name.startswith(f"{self._prefix}/interop-"):
                    names.append(each.change.name)
                    octets += sum(len(value.data) for value in each.record.values)
        return {"changes": len(names), "gaps": gaps, "octets": octets, "digest": digest(names)}

    async def _large(self, octets: Sequence[int]) -> Any:
        handles = [self._row(f"{self._prefix}/large-{number}", size) for number, size in enumerate(octets)]
        request = self._new("BatchCreateHandlesRequest", handles=handles, validate_only=True)
        return await self._stack.unary(f"{REGISTRATION}/BatchCreateHandles", request, metadata=self.credential)

    async def large_up(self) -> dict[str, Any]:
        """A request of nearly 4 MiB."""
        answer = await self._large([MILLION] * 4 + [190_000])
        return {"codes": [row.code for row in answer.results]}

    async def too_large_up(self) -> dict[str, Any]:
        """A request of more than 4 MiB."""
        outcome = await self._outcome(self._large([MILLION] * 4 + [300_000]))
        return {"code": outcome["code"], "reason": outcome["reason"]}

    async def large_down(self) -> dict[str, Any]:
        """An answer of nearly 4 MiB, and what did not fit."""
        names = [f"{self._prefix}/interop-big-{number}" for number in range(5)]
        answer = await self._stack.unary(f"{RESOLUTION}/BatchResolve", self._new("BatchResolveRequest", names=names))
        octets = sum(len(record.values[0].data) for record in answer.records)
        return {"octets": octets, "misses": [[each.position, each.code, each.reason] for each in answer.misses]}

    async def metadata(self) -> dict[str, Any]:
        """Credentials and binary metadata."""
        method, request = f"{REGISTRY}/ListEnterprises", self._new("ListEnterprisesRequest")
        none = await self._outcome(self._stack.unary(method, request))
        wrong: Metadata = (("authorization", "Bearer idis_no_such_token"),)
        bad = await self._outcome(self._stack.unary(method, request, metadata=wrong))
        extra: Metadata = (*self.credential, ("x-interop-bin", bytes(range(256))), ("x-interop", "a, b"))
        good = await self._outcome(self._stack.unary(method, request, metadata=extra))
        return {"without": [none["code"], none["reason"]], "bad": [bad["code"], bad["reason"]], "good": good["code"]}

    async def gzip(self) -> dict[str, Any] | None:
        """A compressed request."""
        if not self._stack.compresses:
            return None
        request = self._new(
            "BatchResolveRequest", names=[f"{self._prefix}/interop-w-{number:04d}" for number in range(500)]
        )
        answer = await self._stack.unary(f"{RESOLUTION}/BatchResolve", request, gzip=True)
        return {"records": len(answer.records), "misses": len(answer.misses)}

    async def every_method(self) -> dict[str, Any]:
        """Nothing, said to every method of one request and one answer, with and without a credential."""
        found = {}
        for method in os.environ["IDIS_METHODS"].split(","):
            said = []
            for metadata in (self.credential, ()):
                outcome = await self._outcome(self._stack.empty(method, metadata))
                said.append(
                    f"{outcome['code']} {outcome.get('reason', '')} {' '.join(outcome.get('fields', []))}".strip()
                )
            found[method.rpartition("/")[2]] = said
        return found

    async def every_call(self) -> dict[str, Any]:
        """Every method of one request and one answer, for its answer and for its refusals."""
        return await every_call(self._stack, self._token, self._run, self._outcome)

    async def follow(self) -> dict[str, Any]:
        """A stream both ways that is refused for what its first message says."""
        refused = self._new("FollowRequest", mirror_id="no such/id")
        first = await self._outcome(_read(self._stack.stream("resolver.v1.MirrorService/Follow", [refused])))
        return {"code": first["code"], "reason": first["reason"], "fields": first["fields"]}

    async def run(self) -> None:
        """Every step, in order; a step that raises prints what it raised."""
        steps: list[Callable[[], Awaitable[dict[str, Any] | None]]] = [
            self.unary,
            self.refused,
            self.unknown_name,
            self.unknown_method,
            self.deadline,
            self.cancel,
            self.batch,
            self.stream,
            self.import_handles,
            self.slow_watch,
            self.large_up,
            self.too_large_up,
            self.large_down,
            self.metadata,
            self.gzip,
            self.every_method,
            self.every_call,
            self.follow,
        ]
        for step in steps:
            try:
                found = await step()
            except Exception as error:  # noqa: BLE001 - whatever a step meets is its line
                found = {"raised": f"{type(error).__name__}: {error}"[:300]}
            print(json.dumps({"step": step.__name__, "found": found}, ensure_ascii=False))
            sys.stdout.flush()
