"""The node about itself: what it is, and what it has counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from resolver import limits
from resolver.clock import day_of
from resolver.errors import AnswerTooLarge, InvalidField, NotFound
from resolver.handle.name import PREFIX_OF_PREFIXES, Prefix
from resolver.node import activity, listing, statistics
from resolver.node.authorize import Action, permits, require
from resolver.node.ledger import last_serial
from resolver.node.prefixes import prefix_row
from resolver.registry.prefixes import node_prefix
from resolver.service.reading import stored_rows_checked
from resolver.v1 import node_pb2 as pb
from storage.tables import FORMAT_VERSION, Table

if TYPE_CHECKING:
    from resolver.service.call import Call
    from resolver.service.core import Core
    from storage.engine import Reader

_DAYS_MAX = 400
_SOURCES_MAX = 10_000
_SOURCES_SUMMED_MAX = 500_000


def _require_days(from_day: int, to_day: int) -> None:
    """Raise InvalidField unless both are days as yyyymmdd, the first of them not after the last."""
    for field, day in (("from_day", from_day), ("to_day", to_day)):
        year, month, date = day // 10_000, day // 100 % 100, day % 100
        if not (1970 <= year <= 9999 and 1 <= month <= 12 and 1 <= date <= 31):
            raise InvalidField(f"{day} is no day: write yyyymmdd", field=field)
    if from_day > to_day:
        raise InvalidField(f"the days end at {to_day}, before they begin at {from_day}", field="to_day")


def _require_known(reader: Reader, prefix: str, response: pb.GetStatisticsResponse) -> None:
    """Raise NotFound for a prefix that has neither a row nor handles, and was not asked for on the days answered."""
    if not prefix or response.days or response.prefixes[0].serial:
        return
    if prefix_row(reader, response.prefixes[0].prefix) is None:
        raise NotFound(f"prefix {prefix[:80]!r} does not exist: check it, or create it", field="prefix")


class Node:
    """Handlers of NodeService."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def get_node_info(self, call: Call, request: pb.GetNodeInfoRequest) -> pb.GetNodeInfoResponse:
        """Who the node is."""
        del call, request  # everybody gets the same answer
        with self._core.reading() as reader:
            return pb.GetNodeInfoResponse(
                version=self._core.version,
                prefix=node_prefix(reader).text,
                format_version=FORMAT_VERSION,
                serial=last_serial(reader),
                handle_count=reader.count(Table.RECORDS),
                time_us=self._core.clock.now_us(),
                batch_resolve_max=limits.BATCH_RESOLVE_MAX,
                batch_create_max=limits.BATCH_CREATE_MAX,
                record_octets_max=self._core.options.record_octets_max,
                message_octets_max=limits.MESSAGE_OCTETS_MAX,
            )

    async def get_statistics(self, call: Call, request: pb.GetStatisticsRequest) -> pb.GetStatisticsResponse:
        """Totals and daily counts; summed in a thread, because a node may have very many prefixes."""
        caller = call.caller
        require(caller, Action.READ_STATISTICS, caller.enterprise_id or None, "prefixes")
        await self._core.flush_counts()
        return await asyncio.to_thread(self._statistics, call, request)

    def _statistics(self, call: Call, request: pb.GetStatisticsRequest) -> pb.GetStatisticsResponse:
        response = pb.GetStatisticsResponse()
        with stored_rows_checked(), self._core.engine.read() as reader:
            caller = call.caller
            if request.prefix:
                names = [self._readable(reader, call, request.prefix)]
            else:
                names, response.next_page_token = self._page(reader, call, request)
                if permits(caller, Action.READ_STATISTICS, ""):
                    response.node.CopyFrom(statistics.node_totals(reader))
            for name in names:
                response.prefixes.append(statistics.totals(name, reader.get(Table.TALLIES, name.encode()) or b""))
            if request.from_day:
                to_day = request.to_day or day_of(self._core.clock.now_us())
                _require_days(request.from_day, to_day)
                if to_day - request.from_day > _DAYS_MAX * 100:
                    raise InvalidField("the days asked span more than four years: ask for less", field="from_day")
                if permits(caller, Action.READ_STATISTICS, "") and not request.prefix and not request.page_token:
                    names += ["", statistics.NODE]
                octets = 0
                for counts in statistics.days(reader, request.from_day, to_day, names, sources=request.include_sources):
                    octets += counts.ByteSize() + 4
                    if octets > limits.ANSWER_OCTETS_MAX // 2:
                        raise AnswerTooLarge(
                            f"the daily counts up to {counts.day} fill {octets} octets: ask for fewer days, a smaller "
                            "page, or leave the sources out",
                            field="from_day",
                        )
                    response.days.append(counts)
                wants_activity = request.include_activity and not request.page_token
                if wants_activity and permits(caller, Action.READ_STATISTICS, ""):
                    for done in activity.days(reader, request.from_day, to_day):
                        octets += done.ByteSize() + 4
                        if octets > limits.ANSWER_OCTETS_MAX:
                            raise AnswerTooLarge(
                                "the times and rates fill the answer: ask for fewer days", field="from_day"
                            )
                        response.activity.append(done)
            _require_known(reader, request.prefix, response)
        return response

    @staticmethod
    def _readable(reader: Reader, call: Call, text: str) -> str:
        """The folded prefix, when the caller may see its statistics. Raises PermissionDenied."""
        prefix = Prefix.from_text(text)
        row = prefix_row(reader, prefix.folded)
        owner = call.caller.enterprise_id if row is None else row.enterprise_id
        if prefix.folded == PREFIX_OF_PREFIXES:
            owner = ""  # handles that describe prefixes are the node's
        require(call.caller, Action.READ_STATISTICS, owner, f"prefix {prefix.text!r}")
        return prefix.folded

    async def list_source_statistics(
        self, call: Call, request: pb.ListSourceStatisticsRequest
    ) -> pb.ListSourceStatisticsResponse:
        """Where resolutions came from; summed in a thread, because there may be many addresses."""
        require(call.caller, Action.READ_STATISTICS, call.caller.enterprise_id or None, "sources")
        await self._core.flush_counts()
        return await asyncio.to_thread(self._sources, call, request)

    def _sources(self, call: Call, request: pb.ListSourceStatisticsRequest) -> pb.ListSourceStatisticsResponse:
        limit = request.limit or listing.page_size(0)
        if limit > _SOURCES_MAX:
            raise InvalidField(f"{limit} addresses are asked: at most {_SOURCES_MAX}", field="limit")
        today = day_of(self._core.clock.now_us())
        from_day, to_day = request.from_day or today, request.to_day or today
        _require_days(from_day, to_day)
        response = pb.ListSourceStatisticsResponse()
        counts: dict[str, list[int]] = {}
        with stored_rows_checked(), self._core.engine.read() as reader:
            if request.prefix:
                prefix = self._readable(reader, call, request.prefix)
            else:
                require(call.caller, Action.READ_STATISTICS, "", "the sources of the whole node")
                prefix = statistics.NODE
            for number, day in enumerate(statistics.days_present(reader, from_day, to_day)):
                if number >= _DAYS_MAX:
                    raise InvalidField(f"more than {_DAYS_MAX} days are asked: ask for fewer", field="from_day")
                row = statistics.day_row(reader, day, prefix)
                if row is None:
                    continue
                response.sources_error += row.sources_error
                response.unattributed += row.unattributed
                for address, source in statistics.source_rows(reader, day, prefix):
                    known = counts.setdefault(address, [0, 0, 0])
                    known[0] += source.resolutions
                    known[1] += source.error
                    known[2] += row.sources_error
                if len(counts) > _SOURCES_SUMMED_MAX:
                    raise InvalidField("the days asked have too many addresses: ask for fewer days", field="from_day")
        response.address_count = len(counts)
        for address, (asked, error, listed_error) in sorted(counts.items(), key=lambda each: (-each[1][0], each[0]))[
            :limit
        ]:
            missing = response.sources_error - listed_error  # on days that do not list it
            response.sources.add(address=address, resolutions=asked, error=error + missing)
        return response

    @staticmethod
    def _page(reader: Reader, call: Call, request: pb.GetStatisticsRequest) -> tuple[list[str], str]:
        """Folded prefixes of a page that the caller may see."""
        size = listing.page_size(request.page_size)
        everything = permits(call.caller, Action.READ_STATISTICS, "")
        table, first = (
            (Table.PREFIXES, b"") if everything else (Table.OWNED, call.caller.enterprise_id.encode() + b"\0")
        )
        start = listing.start_of("statistics", request.page_token, first)
        names: list[str] = []
        last = b""
        for key, _ in reader.scan(table, start, listing.after(first) if first else None):
            if len(names) == size:
                return names, listing.token_for("statistics", last)
            last = key
            names.append(key[len(first) :].decode())
        return names, ""
