"""``idis migrate``: pull a running installation of the Handle System into this node while it goes on serving."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from resolver.cli.output import CONFLICT, DENIED, FAILED, INVALID, UNREACHABLE, Failed, Verb, emit, note, one_line
from resolver.config.endpoint import Endpoint

if TYPE_CHECKING:
    from resolver.cli.migrate_run import MigrateRun
    from resolver.cli.migrate_state import MigrationState
    from resolver.cli.target import Target
    from resolver.client import AsyncClient
    from resolver.federation.identity import Identity
    from resolver.wire.predefined.hs_site import HsSite

PORT = 2641
_SCHEME = "hdl://"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Wanted(NamedTuple):
    """The options of one migration."""

    endpoint: Endpoint
    identity: Identity
    result: Path
    key: bytes
    every_s: float
    once: bool
    restart: bool
    timeout_s: float


@click.command("migrate", cls=Verb)
@click.option("--from", "source", required=True, metavar="hdl://HOST[:PORT]", help="The server to pull from.")
@click.option("--auth", required=True, metavar="INDEX:HANDLE", help="A replication administrator of that server.")
@click.option("--key", "key_file", type=_FILE, metavar="FILE", help="Private key of --auth: PEM or CNRI's.")
@click.option("--passphrase-file", type=_FILE, metavar="FILE", help="Passphrase of an encrypted key file.")
@click.option("--secret-file", type=_FILE, metavar="FILE", help="Secret of --auth, an HS_SECKEY value.")
@click.option(
    "--server-key", type=_FILE, metavar="FILE", help="HS_PUBKEY of the server's site; asked of it if not given."
)
@click.option(
    "--result",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Result file, one line for each handle: CSV, or JSON lines if it ends in .jsonl.",
)
@click.option("--every", "every_s", type=click.FloatRange(0.1, 86_400), default=30.0, show_default=True, metavar="S")
@click.option("--once", is_flag=True, help="End when the node has what the server has.")
@click.option("--restart", is_flag=True, help="Begin with the dump again, whatever an earlier run has done.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, 600), default=15.0, show_default=True, metavar="S")
@click.pass_context
def migrate(
    ctx: click.Context,
    source: str,
    auth: str,
    key_file: Path | None,
    passphrase_file: Path | None,
    secret_file: Path | None,
    server_key: Path | None,
    result: Path,
    every_s: float,
    timeout_s: float,
    *,
    once: bool,
    restart: bool,
) -> None:
    """Pull a running Handle server into this node: everything, then its changes until SIGINT or SIGTERM.

    A run that was stopped goes on with the same command. Until clients are sent to this node the server is right: what
    it has replaces what is here. The exit code is 1 when any row failed.
    """
    from resolver.cli.hdl import identity_of  # noqa: PLC0415 - loads cryptography

    where = source.removeprefix(_SCHEME).rstrip("/")
    try:
        has_port = where.rpartition(":")[2].isdigit() and (where.count(":") == 1 or "]:" in where)
        endpoint = Endpoint.from_text(where if has_port else f"{where}:{PORT}")
    except ValueError as error:
        raise Failed(f"--from {source!r}: {error}", INVALID) from error
    identity = identity_of(auth, key_file, secret_file, passphrase_file)
    if identity is None:
        raise Failed("--auth needs --key FILE or --secret-file FILE: give one of them", INVALID)
    key = server_key.read_bytes() if server_key else b""
    wanted = Wanted(endpoint, identity, result, key, every_s, once, restart, timeout_s)
    state = asyncio.run(_migrate(ctx, ctx.obj, wanted))
    ctx.exit(FAILED if state.counts["failed"] else 0)


async def _migrate(ctx: click.Context, target: Target, wanted: Wanted) -> MigrationState:
    from resolver import methods  # noqa: PLC0415 - loads protobuf
    from resolver.cli.migrate_run import MigrateRun  # noqa: PLC0415 - loads gRPC
    from resolver.cli.migrate_state import MigrationState  # noqa: PLC0415 - with its only use
    from resolver.cli.progress import Progress  # noqa: PLC0415 - as above
    from resolver.clock import SystemClock  # noqa: PLC0415 - as above
    from resolver.federation.following import FollowingClient  # noqa: PLC0415 - loads the codec
    from resolver.intake.results import ResultWriter  # noqa: PLC0415 - loads msgspec
    from resolver.v1 import node_pb2  # noqa: PLC0415 - loads protobuf

    host, port = wanted.endpoint.host, wanted.endpoint.port
    name = f"{host}:{port}"
    state_file = wanted.result.with_name(wanted.result.name + ".migration")
    state = None if wanted.restart else MigrationState.load(state_file, name)
    site = await _source(wanted, wanted.key, _site)
    key = wanted.key or _site_key(site, wanted.endpoint)
    if state is not None and state.server_key != key.hex():
        raise Failed(
            f"{name} has another key than when the migration began: if that is right, begin again with --restart",
            CONFLICT,
        )
    if not wanted.key:  # said by nobody in particular so far: the version of the site is what hides the stream
        site = await _source(wanted, key, _site)
    resumed = state is not None
    state = state or MigrationState(name, key.hex())
    stop = asyncio.Event()
    async with target.async_client() as client:
        info = await client.call(methods.GET_NODE_INFO, node_pb2.GetNodeInfoRequest())
        await _refuse_itself(client, info.prefix, site, name)
        writer = (
            ResultWriter.resume_at(wanted.result, state.result_octets)
            if resumed
            else ResultWriter.create(wanted.result)
        )
        state.result_octets = writer.tell()
        state.save(state_file)
        with writer, Progress(0, "handles") as progress:
            progress.begin(state.last_row, state.counts.total())
            following = FollowingClient(
                host,
                port,
                clock=SystemClock(),
                randomness=os.urandom,
                identity=wanted.identity,
                server_key=key,
                site_version=site.version,
                timeout_s=wanted.timeout_s,
            )
            run = MigrateRun(client, following, writer, state, state_file, progress, info.prefix)
            try:
                with _told_to_stop(stop):
                    await _pull(ctx, run, state, wanted, stop)
            finally:
                await following.close()
    return state


async def _refuse_itself(client: AsyncClient, prefix: str, source: HsSite, name: str) -> None:
    """Raise Failed when the source is a server of the site that the node says it is.

    The node's own prefix handle has its site. Key, address and port must be the same: a node may have been given the
    key of the server it replaces.
    """
    from resolver import methods  # noqa: PLC0415 - loads protobuf
    from resolver.client import NotFound  # noqa: PLC0415 - loads gRPC
    from resolver.errors import WireError  # noqa: PLC0415 - with the codec
    from resolver.v1 import resolution_pb2  # noqa: PLC0415 - loads protobuf
    from resolver.wire.predefined.hs_site import HsSite  # noqa: PLC0415 - loads the codec

    request = resolution_pb2.ResolveRequest(name=f"0.NA/{prefix}")
    with suppress(NotFound):  # a node without Handle doors has none, and cannot be the source
        record = (await client.call(methods.RESOLVE, request)).record
        for value in record.values:
            with suppress(WireError):
                if value.type.startswith("HS_SITE") and _places(HsSite.from_wire(value.data)) & _places(source):
                    raise Failed(
                        f"{name} is the node itself, or another server of its site: name the server to pull from with "
                        "--from, and the node that takes its handles with --target",
                        INVALID,
                    )


def _places(site: HsSite) -> set[tuple[bytes, str, int]]:
    """Key, address and port of every door of a site's servers."""
    return {
        (server.public_key, str(server.ip), door.port)
        for server in site.servers
        if server.public_key
        for door in server.interfaces
    }


def _begin_again(state: MigrationState, *, goes_on: bool) -> None:
    """Let the server be dumped anew. Raises Failed when that has been of no use and is not to go on for ever."""
    if not goes_on:
        raise Failed(
            "the server's changes do not lead on from its own dump: look at its clock and its transaction log", FAILED
        )
    note("the server's changes do not lead on from here: it is dumped again; deletions in between are not seen")
    state.begin_again()


async def _pull(
    ctx: click.Context, run: MigrateRun, state: MigrationState, wanted: Wanted, stop: asyncio.Event
) -> None:
    """Dump, then follow until told to stop; the server may be away for a while."""
    from resolver.cli.migrate_run import MustRedump  # noqa: PLC0415 - loads gRPC
    from resolver.client import Unavailable  # noqa: PLC0415 - as above
    from resolver.federation.connection import ServerUnreachable  # noqa: PLC0415 - loads the codec

    dumps_in_vain = 0
    while not stop.is_set():
        try:
            if not state.is_dumped:
                await _until(stop, _failing(run.dump()))
                if stop.is_set() and not state.is_dumped:
                    note("stopped in the dump: the same command goes on")
                    return
                _tell(ctx, state, "dumped")
            count = await _failing(run.follow())
            dumps_in_vain = 0
            if count:
                _tell(ctx, state, "followed")
            if wanted.once and not count:
                _tell(ctx, state, "done")
                return
            if count:
                continue
        except MustRedump:
            dumps_in_vain += 1
            _begin_again(state, goes_on=dumps_in_vain == 1 or not wanted.once)
            if dumps_in_vain == 1:
                continue
        except ServerUnreachable as error:
            if wanted.once:
                raise Failed(f"{error.message}: the same command goes on", UNREACHABLE) from error
            note(f"{error.message}: tried again in {wanted.every_s:g} s")
        except Unavailable as error:
            if wanted.once:
                raise
            note(f"{one_line(str(error))}: tried again in {wanted.every_s:g} s")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wanted.every_s)
    _tell(ctx, state, "stopped")


async def _until(stop: asyncio.Event, work: Any) -> None:
    """Do something, or leave it when told to stop."""
    doing, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            await doing
    finally:
        for task in (doing, stopping):
            task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)


async def _failing(work: Any) -> Any:
    """What work gives; refusals of the source become words. Raises Failed."""
    from resolver.errors import WireError  # noqa: PLC0415 - with the codec
    from resolver.federation.client import AnswerRefused  # noqa: PLC0415 - as above

    try:
        return await work
    except AnswerRefused as error:
        denied = error.code in {400, 401, 402, 403, 404, 406}
        hint = ": check --auth and --key, and that --auth is a replication administrator there" if denied else ""
        code = DENIED if denied else FAILED
        raise Failed(f"the source refuses: {error.message}{hint}", code, code=str(error.code)) from error
    except WireError as error:
        raise Failed(f"the source cannot be believed: {error.message}", FAILED) from error


async def _source(wanted: Wanted, key: bytes, work: Any) -> Any:
    """Ask the source something before the migration. Raises Failed."""
    from resolver.clock import SystemClock  # noqa: PLC0415 - with its only use
    from resolver.federation.connection import ServerUnreachable  # noqa: PLC0415 - loads the codec
    from resolver.federation.following import FollowingClient  # noqa: PLC0415 - as above

    client = FollowingClient(
        wanted.endpoint.host,
        wanted.endpoint.port,
        clock=SystemClock(),
        randomness=os.urandom,
        identity=wanted.identity,
        server_key=key,
        timeout_s=wanted.timeout_s,
    )
    try:
        return await _failing(work(client))
    except ServerUnreachable as error:
        raise Failed(error.message, UNREACHABLE) from error
    finally:
        await client.close()


async def _site(client: Any) -> Any:
    """What the server says of its site."""
    return await client.site_info()


def _site_key(site: Any, endpoint: Endpoint) -> bytes:
    """The key that the server says its site has; it is remembered, so a later change is noticed."""
    found = [each for each in site.servers if each.public_key]
    if len(found) > 1:
        found = [each for each in found if any(door.port == endpoint.port for door in each.interfaces)]
        found = [each for each in found if str(each.ip) == endpoint.host] or found
    if len(found) != 1:
        raise Failed(
            f"{endpoint.host} names {len(site.servers)} servers and it cannot be told whose key it has: give "
            "--server-key FILE",
            INVALID,
        )
    key: bytes = found[0].public_key
    return key


class _told_to_stop:  # noqa: N801 - a context manager, used like a function
    """SIGINT and SIGTERM end the work in order instead of in the middle."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    def __exit__(self, *_: object) -> None:
        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().remove_signal_handler(number)


def _tell(ctx: click.Context, state: MigrationState, what: str) -> None:
    """Say how far it is."""
    counts = dict(sorted(state.counts.items()))
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "nothing"
    emit(
        ctx,
        {"what": what, "transaction_id": state.transaction_id, "date_ms": state.date_ms, "counts": counts},
        f"{what}: {words}; up to transaction {state.transaction_id} of {state.source}",
    )
