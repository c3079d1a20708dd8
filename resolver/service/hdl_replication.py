"""RETRIEVE_TRANSACTIONS and DUMP_HANDLES: a Handle server that follows this node (RFC 3652 has only their codes).

An answer says that a stream follows on the same connection; its records are read page by page as the peer takes
them. Whoever may follow gets restricted values too, secret keys among them, so only keys that the operator has named
may. From 2.8 on the stream is secret: the door sends it in TLS by the node's key, which proves it as well. To older
mirrors, and by a DSA key, with which TLS is no longer to be had, it goes signed beside the loop, one signature a record
as the protocol wants, and can be read on the way: who asks for encryption is refused then. A stream that cannot go on
closes its connection, since nothing can be said inside it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from resolver.errors import ResolverError
from resolver.handle.codes import ResponseCode
from resolver.handle.name import fold
from resolver.node import handle_mirrors, site_role
from resolver.node.handle_mirrors import Dump, Place, Share
from resolver.node.hdl_declined import Declined, not_an_administrator
from resolver.node.ledger import last_serial
from resolver.registry.rows import registry_version
from resolver.telemetry.calls import HDL_TCP
from resolver.wire import bounds, responses, versions
from resolver.wire import replication_records as records
from resolver.wire.header import OpFlag
from resolver.wire.message import StreamPart
from resolver.wire.replication_requests import DumpHandles, RetrieveByState, RetrieveSince, RetrieveTransactions
from resolver.wire.replication_stream import TLS, StreamWriter
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from resolver.service.core import Core
    from resolver.service.hdl_answers import Signer
    from resolver.service.hdl_turn import Turn
    from resolver.wire.replication_records import Record
    from resolver.wire.responses import ResponseBody

_log = structlog.get_logger("handle")

STREAMS_MAX = 4
"""Streams of one worker at a time: each that is signed keeps a core busy with signatures."""

ALGORITHM = b"SHA1"
"""Digest of the signatures, the only one that mirrors are known to take in these streams."""

_TOLD_MAX = 256
_HASH_OPTION_MAX = 2


class _Stream:
    """The stream behind one answer."""

    def __init__(self, turn: Turn, signed: StreamWriter | None) -> None:
        """Signed by a writer, or secret when there is none."""
        self._turn = turn
        self._is_secret = signed is None
        self._writer = StreamWriter() if signed is None else signed

    async def begin(self, body: ResponseBody) -> None:
        """Answer, and say what kind of stream follows. Raises ConnectionError."""
        await self._turn.send(StreamPart(b""))
        await self._turn.answer(body)
        await self._turn.send(StreamPart(TLS if self._is_secret else self._writer.head()))

    async def send(self, found: Sequence[Record]) -> None:
        """Send records. Raises ConnectionError when nobody takes them."""
        if found:
            octets = await asyncio.to_thread(self._writer.blocks, found)
            await self._turn.send(StreamPart(octets, self._is_secret))


class HandleReplication:
    """Handlers of the operations by which others follow. ``site_name`` is ``INDEX:HANDLE`` of the node's HS_SITE."""

    def __init__(self, core: Core, signer: Signer, site_name: str, may_follow: Callable[[str, int], bool]) -> None:
        self._core = core
        self._takes_tls = signer.rsa is not None
        self._signed = StreamWriter(ALGORITHM, lambda octets: signer.sign_as(ALGORITHM, octets))
        self._site_name = site_name
        self._may_follow = may_follow
        self._streams = 0
        self._told: OrderedDict[tuple[str, Share], int] = OrderedDict()
        """The version of the registry at which a follower was told what is homed."""

    async def transactions(self, turn: Turn) -> None:
        """The changes since a transaction, or the word that everything must be dumped anew."""
        who = self._require(turn)
        body = turn.request.body
        if isinstance(body, RetrieveTransactions):
            body = body.since
        assert isinstance(body, RetrieveSince | RetrieveByState)  # noqa: S101 - the codec chose it by the operation
        share = _share(body.hash_option, body.servers, body.server_number)
        stream = self._stream_of(turn)
        queue: str | None = None
        place: Place | None
        begin: list[Record]
        if isinstance(body, RetrieveByState):
            named = handle_mirrors.place_in(body.state, self._queue())
            queue, place = ("", None) if named is None else named
        else:
            place = Place.of(body.transaction_id, body.query_date_ms)
        with self._core.reading() as reader:
            redump = place is None or handle_mirrors.must_redump(reader, place)
        with self._one_more(), self._unbroken(turn):
            await stream.begin(responses.StreamFollows(keeps_alive=False))
            format_ = 1 if queue is None else 2
            if redump or place is None:
                date_ms = None if queue is not None or place is None else place.date_ms
                begin = [records.TransactionsBegin(format_, records.Status.MUST_REDUMP)]
                await stream.send([*begin, records.TransactionsEnd(date_ms)])
                return
            begin = [records.TransactionsBegin(format_, records.Status.SENDING)]
            if queue is not None:
                begin.append(records.QueueBegins(queue))
            await stream.send(begin)
            date_ms = await self._changes(stream, place, share, who)
            await stream.send(
                [records.TransactionsEnd(date_ms)]
                if queue is None
                else [records.QueueEnds(date_ms), records.TransactionsEnd()],
            )

    async def _changes(self, stream: _Stream, place: Place, share: Share, who: str) -> int:
        """Send the changes and, when it may have changed, what is homed; the date up to which all was sent.

        What is registered meanwhile is for the next question, or a stream from a busy node would never end.
        """
        date_ms, through = max(place.date_ms, self._core.clock.now_us() // 1_000), place.transaction_id
        with self._core.reading() as reader:
            newest, version = last_serial(reader), registry_version(reader)
        while through < newest:
            with self._core.reading() as reader:
                found, through = handle_mirrors.transactions(reader, through, newest, share)
            if found:
                date_ms = max(date_ms, found[-1].date_ms)
                await stream.send(found)
        if self._told.get((who, share)) == version:
            return date_ms
        key: bytes | None = b""
        while key is not None:
            with self._core.reading() as reader:
                found, key = handle_mirrors.homed(reader, key, through, date_ms)
            await stream.send(found)
        self._told[who, share] = version
        self._told.move_to_end((who, share))
        while len(self._told) > _TOLD_MAX:
            self._told.popitem(last=False)
        return date_ms

    def _queue(self) -> str:
        """The name of the queue of this server: its place in its site, and the site."""
        share = self._core.served.share
        return f"{max(share.place, 0) if share is not None else 0}:{self._site_name}"

    async def dump(self, turn: Turn) -> None:
        """Everything, and from where the transactions go on; from a starting point when one is given."""
        self._require(turn)
        body = turn.request.body
        assert isinstance(body, DumpHandles)  # noqa: S101 - the codec chose it by the operation
        share = _share(body.hash_option, body.servers, body.server_number)
        start = (body.start or b"").decode("utf-8", "surrogateescape")
        if body.start_kind > records.StartKind.PREFIXES:
            raise Declined(ResponseCode.PROTOCOL_ERROR, f"a dump has no part {body.start_kind}: 0 to 3 are known")
        dump = Dump(share, start, body.start_kind if start else records.StartKind.HANDLE_DATES)
        with self._core.reading() as reader:
            serial = last_serial(reader)
        position = records.Position(self._core.clock.now_us() // 1_000, serial)
        stream = self._stream_of(turn)
        with self._one_more(), self._unbroken(turn):
            await stream.begin(responses.Done())
            # Who goes on with a dump keeps the position it began at: changes of what it has are behind that one.
            await stream.send([records.DumpBegins(), *([] if start else [position])])
            while not dump.is_done:
                with self._core.reading() as reader:
                    found = dump.page(reader)
                await stream.send(found)
            await stream.send([records.DumpEnds()])

    def _require(self, turn: Turn) -> str:
        """Who follows. Raises Declined for a mirror of ours, and for whoever may not."""
        if turn.peer.door != HDL_TCP:
            raise Declined(ResponseCode.OPERATION_DENIED, "a stream would follow: ask over TCP")
        with self._core.reading() as reader:
            refusal = site_role.refusal(site_role.site_of(reader))
        if refusal is not None:
            raise Declined(ResponseCode.SERVER_NOT_RESPONSIBLE, "this server is not a primary: follow the primary")
        identity = turn.require_identity()
        if not self._may_follow(identity.handle, identity.index):
            raise not_an_administrator("only administrators of replication may follow this server")
        return fold(identity.text)

    def _stream_of(self, turn: Turn) -> _Stream:
        """A stream of the kind that the version of the request has. Raises Declined."""
        if self._takes_tls and turn.asked.envelope.answered_in() >= versions.TLS_STREAMS:
            return _Stream(turn, None)
        if turn.is_encrypted or turn.request.header.has(OpFlag.ENCRYPTION):
            text = f"streams are encrypted from version {versions.TLS_STREAMS} on, by a server whose key is RSA"
            raise Declined(ResponseCode.OPERATION_DENIED, text)
        return _Stream(turn, self._signed)

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        """Room for one more stream. Raises Declined."""
        if self._streams >= STREAMS_MAX:
            raise Declined(ResponseCode.SERVER_BUSY, f"{STREAMS_MAX} others follow this server now: try again")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    @staticmethod
    @contextmanager
    def _unbroken(turn: Turn) -> Iterator[None]:
        """Close the connection of a stream that cannot go on; the log says why."""
        try:
            yield
        except ConnectionError:
            turn.peer.is_broken = True  # the peer has left
        except (ResolverError, StorageError, OSError) as error:
            turn.peer.is_broken = True
            _log.error("a stream to a mirror was broken off", source=turn.peer.source, error=str(error))
        except BaseException:
            turn.peer.is_broken = True
            raise


def _share(option: int, servers: int, number: int) -> Share:
    """The share of a server. Raises Declined."""
    if not 0 < servers <= bounds.SERVERS_MAX or number >= servers or option > _HASH_OPTION_MAX:
        raise Declined(
            ResponseCode.PROTOCOL_ERROR,
            f"server {number} of {servers} by hash option {option} cannot be: servers count from 0, options are 0 to 2",
        )
    return Share(option, servers, number)
