"""``/snms/api/prefix/…`` and ``/snms/api/ent/config``: prefixes in the national form, and where their handles live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resolver import methods
from resolver.errors import NotFound, PermissionDenied
from resolver.handle.name import Prefix
from resolver.node.authorize import Role
from resolver.transport.http.snms import bodies, pages
from resolver.transport.http.snms.desk import Desk, Entry, operation, request_id_of
from resolver.transport.http.snms.envelope import Missing, Said, reply
from resolver.v1 import registry_pb2 as pb

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from resolver.registry.applications import Record
    from resolver.service import Call

STATUS: dict[int, int] = {
    pb.PREFIX_STATUS_UNSPECIFIED: 0,
    pb.PREFIX_STATUS_DISABLED: 0,
    pb.PREFIX_STATUS_ENABLED: 1,
    pb.PREFIX_STATUS_DELETED: 2,
    pb.PREFIX_STATUS_APPLIED: 4,
    pb.PREFIX_STATUS_IN_AUDIT: 5,
}
"""National status of a prefix: 0 disabled, 1 enabled, 2 to be deleted, 4 awaiting audit, 5 in audit. This node has no
3, rejected: a rejected application is disabled or deleted by its administrator."""

NOT_HOSTED, HOSTED = 1, 4
"""National states of hosting; 2 and 3, applied and rejected, do not occur: hosting is set by the administrator."""

HDL_TYPE = "HS_SITE"
_PORT_DIGITS_MAX = 11


class Prefixes:
    """Handlers of prefixes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._service = desk.service

    def entries(self) -> list[Entry]:
        """The paths of prefixes."""
        return [
            Entry("GET", "/snms/api/prefix/query", self.query, methods.GET_PREFIX),
            Entry("GET", "/snms/api/prefix/page", self.page, operation("PrefixPage")),
            Entry("POST", "/snms/api/ent/config", self.config, methods.UPDATE_PREFIX),
        ]

    async def query(self, request: Request, call: Call) -> Response:
        """A prefix, for administrators."""
        if call.caller.role is not Role.NODE_ADMINISTRATOR:
            raise PermissionDenied("prefix queries are for administrators of the node")
        text = bodies.query_text(request, "prefix", bodies.PREFIX_CHARACTERS_MAX)
        try:
            row = self._service.registry.get_prefix(call, pb.GetPrefixRequest(prefix=text)).prefix
        except NotFound:
            raise Said("没有找到前缀") from None
        return reply(self._shown(row, self._record(call, row)))

    async def page(self, request: Request, call: Call) -> Response:
        """A page of prefixes the caller may see."""
        name = bodies.optional_query(request, "entName", 255)
        start = bodies.optional_query(request, "entPrefix", bodies.PREFIX_CHARACTERS_MAX)
        wanted = pages.asked(request, self._desk.snms, name=name, prefix=start)
        found = await self._service.registry_pages.prefixes(call, wanted)
        return reply(await pages.shown(wanted, found, lambda row: self._listed(call, row)))

    async def config(self, request: Request, call: Call) -> Response:
        """Let the handles of a prefix live here, or in the enterprise's own server."""
        given = bodies.decode(await self._desk.json(request), bodies.Hosting)
        place = given.ent_prefix_config
        if place is None:
            raise Missing("entPrefixConfig")
        prefix = bodies.text(place.ent_prefix, "entPrefix", bodies.PREFIX_CHARACTERS_MAX)
        change = pb.UpdatePrefixRequest(prefix=prefix, request_id=request_id_of(request))
        if given.proxy_server_id is not None:
            if str(given.proxy_server_id) != self._desk.snms.proxy_server_id:
                raise Said("参数 proxyServerId 不是本节点的托管服务器")
            change.hosting, change.homed = pb.HOSTING_HERE, True
        else:
            change.hosting, change.homed = pb.HOSTING_ELSEWHERE, False
            change.routes.append(_route(place))
        if call.caller.role is not Role.NODE_ADMINISTRATOR:
            raise PermissionDenied("where the handles of a prefix live is set by administrators of the node")
        row = self._service.registry.get_prefix(call, pb.GetPrefixRequest(prefix=Prefix.from_text(prefix).text)).prefix
        if row.status != pb.PREFIX_STATUS_ENABLED:
            raise Said("前缀尚未通过国家顶级节点审核或未启用")
        await self._service.registry.update_prefix(call, change)
        return reply(data=True)

    def _record(self, call: Call, row: pb.Prefix) -> Record | None:
        return self._service.applications.record(call, row.enterprise_id, "") if row.enterprise_id else None

    def _shown(self, row: pb.Prefix, record: Record | None) -> dict[str, Any]:
        basic = {} if record is None else record.document.get("entBasicInfo", {})
        name = None if record is None else basic.get("orgName", record.enterprise.name)
        return {
            "prefix": row.prefix,
            "createDate": pages.moment(row.create_time_us, self._desk.snms),
            "ghrName": self._desk.snms.ghr_name,
            "status": STATUS[row.status],
            "entNameCn": name,
            "site": basic.get("website"),
            "industry": basic.get("industryCategory"),
            "address": basic.get("orgAddr"),
            "desc": row.description,
        }

    def _listed(self, call: Call, row: pb.Prefix) -> dict[str, Any]:
        enabled = row.status == pb.PREFIX_STATUS_ENABLED
        return {
            **self._shown(row, self._record(call, row)),
            "id": row.prefix,
            "entId": row.enterprise_id or None,
            "updateDate": None,
            "state": 1 if enabled else 0,
            "proxyState": HOSTED if row.hosting == pb.HOSTING_HERE and row.homed else NOT_HOSTED,
        }


def _route(place: bodies.PrefixConfig) -> pb.Route:
    """Address and ports of an enterprise's own server. Raises Missing, Said."""
    if bodies.text(place.hdl_type, "hdlType", 255) != HDL_TYPE:
        raise Said(f"参数 hdlType 只能是 {HDL_TYPE}")
    version = bodies.number(place.ip_type, "ipType", (4, 6))
    address = bodies.text(place.ip, "ip", 255).strip()
    if (":" in address) != (version == 6):
        raise Said("参数 ip 与 ipType 不一致")
    route = pb.Route(address=address)
    for parameter, field, given in (
        ("tcpPort", "tcp_port", place.tcp_port),
        ("udpPort", "udp_port", place.udp_port),
        ("httpPort", "http_port", place.http_port),
    ):
        text = "" if given is None else str(given).strip()
        if not text:
            continue
        if len(text) > _PORT_DIGITS_MAX or not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 65_535:
            raise Said(f"参数 {parameter} 必须是1到65535的端口")
        setattr(route, field, int(text))
    if not (route.tcp_port or route.udp_port or route.http_port):
        raise Missing("tcpPort")
    return route
