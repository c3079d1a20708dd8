"""``/snms/api/v3/ent/…`` and ``/snms/api/file/upload``: applications of enterprises, and what they have filed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resolver.transport.http.snms import bodies, pages
from resolver.transport.http.snms.desk import Desk, Entry, operation, request_id_of
from resolver.transport.http.snms.envelope import Missing, reply
from resolver.transport.http.snms.multipart import file_in
from resolver.v1 import registry_pb2 as pb

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from resolver.registry.applications import Record
    from resolver.service import Call

FILES = "files/"
"""What paths of files begin with: the directory of files in the node's data directory."""


RECORD_OCTETS_MAX = 256 << 10
"""Octets of an application: its forms have some ten thousand. All of them are kept, and pages look at many."""


class Enterprises:
    """Handlers of enterprises and files."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._applications = desk.service.applications

    def entries(self) -> list[Entry]:
        """The paths of enterprises."""
        base = "/snms/api/v3/ent"
        return [
            Entry("POST", f"{base}/apply", self.apply, operation("Apply")),
            Entry("POST", f"{base}/upgrade-apply", self.upgrade, operation("ApplyAgain")),
            Entry("GET", f"{base}/page", self.page, operation("EnterprisePage")),
            Entry("GET", f"{base}/detail", self.detail, operation("EnterpriseDetail")),
            Entry("POST", "/snms/api/file/upload", self.upload, operation("Upload")),
        ]

    async def apply(self, request: Request, call: Call) -> Response:
        """Make an enterprise, its user and its prefix, which waits for the audit."""
        document = bodies.decode(await self._desk.json(request, RECORD_OCTETS_MAX), dict[str, Any])
        await self._applications.apply(call, document, request_id_of(request))
        return reply(data=True)

    async def upgrade(self, request: Request, call: Call) -> Response:
        """File again for an enterprise whose user exists."""
        document = bodies.decode(await self._desk.json(request, RECORD_OCTETS_MAX), dict[str, Any])
        await self._applications.apply_again(call, document, request_id_of(request))
        return reply(data=True)

    async def page(self, request: Request, call: Call) -> Response:
        """A page of enterprises the caller may see."""
        name = bodies.optional_query(request, "orgName", 255)
        wanted = pages.asked(request, self._desk.snms, name=name)
        found = await self._desk.service.registry_pages.enterprises(call, wanted)
        return reply(await pages.shown(wanted, found, self._listed))

    async def detail(self, request: Request, call: Call) -> Response:
        """Everything an enterprise has filed: by its id, or by one of its prefixes."""
        enterprise_id = bodies.optional_query(request, "id", 64)
        prefix = bodies.optional_query(request, "entPrefix", bodies.PREFIX_CHARACTERS_MAX)
        if not enterprise_id and not prefix and not call.caller.enterprise_id:
            raise Missing("id")
        if not prefix and not enterprise_id:
            enterprise_id = call.caller.enterprise_id
        record = self._applications.record(call, enterprise_id, prefix)
        return reply({**self._listed(record), **record.document})

    async def upload(self, request: Request, call: Call) -> Response:
        """Store a file; its id can be named by one record."""
        octets = file_in(request.headers.get("content-type", ""), await self._desk.body(request), "file")
        file_id, place = await self._applications.upload(call, octets, request_id_of(request))
        return reply({"id": file_id, "path": FILES + place})

    def _listed(self, record: Record) -> dict[str, Any]:
        basic = record.document.get("entBasicInfo", {})
        row = record.enterprise
        return {
            "id": row.enterprise_id,
            "orgName": record.name,
            "orgCrtType": basic.get("orgCrtType"),
            "orgCrtCode": basic.get("orgCrtCode", row.credit_code or None),
            "entPrefix": basic.get("entPrefix"),
            "contactName": basic.get("contactName", row.contact.name or None),
            "contactPhone": basic.get("contactPhone", row.contact.phone or None),
            "contactEmail": basic.get("contactEmail", row.contact.email or None),
            "state": 1 if row.status == pb.ENTERPRISE_STATUS_ENABLED else 0,
            "createDate": pages.moment(record.create_time_us, self._desk.snms),
            "updateDate": pages.moment(record.update_time_us, self._desk.snms),
        }
