"""Metadata templates: reads in a read transaction, writes as jobs of the lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import methods
from resolver.node import templates as rules
from resolver.registry import templates
from resolver.service.registry_jobs import write_row
from resolver.v1 import template_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.node.ledger import Ledger
    from resolver.service.call import Call
    from resolver.service.core import Core


class Templates:
    """Handlers of TemplateService."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def create_template(self, call: Call, request: pb.CreateTemplateRequest) -> bytes:
        """Create a template."""

        def decide(ledger: Ledger) -> pb.CreateTemplateResponse:
            row = pb.Template()
            row.CopyFrom(request.template)
            row = templates.create(ledger.writer, call.caller, row, ledger.now_us, self._core.randomness)
            return pb.CreateTemplateResponse(template=row)

        return await write_row(self._core, call, methods.CREATE_TEMPLATE, request, decide)

    def get_template(self, call: Call, request: pb.GetTemplateRequest) -> pb.GetTemplateResponse:
        """A template, now or in an earlier version."""
        with self._core.reading() as reader:
            return pb.GetTemplateResponse(template=templates.get(reader, call.caller, request))

    def id_of_label(self, prefix: str, label: str) -> str | None:
        """The id of the template with a label in a prefix, or else in the whole node; None when there is none."""
        with self._core.reading() as reader:
            return rules.id_of_label(reader, prefix, label)

    def label_of(self, template_id: str) -> str:
        """The label of a template, whoever asks; its id when it is gone."""
        with self._core.reading() as reader:
            body = reader.get(Table.TEMPLATES, template_id.encode())
        return template_id if body is None else pb.Template.FromString(body).label

    def list_templates(self, call: Call, request: pb.ListTemplatesRequest) -> pb.ListTemplatesResponse:
        """A page of templates."""
        with self._core.reading() as reader:
            rows, token = templates.page(reader, call.caller, request)
        return pb.ListTemplatesResponse(templates=rows, next_page_token=token)

    def list_template_versions(
        self, call: Call, request: pb.ListTemplateVersionsRequest
    ) -> pb.ListTemplateVersionsResponse:
        """A page of the history of a template."""
        with self._core.reading() as reader:
            rows, token = templates.history(reader, call.caller, request)
        return pb.ListTemplateVersionsResponse(templates=rows, next_page_token=token)

    async def update_template(self, call: Call, request: pb.UpdateTemplateRequest) -> bytes:
        """Change a template."""
        if_version = request.if_version if request.HasField("if_version") else None

        def decide(ledger: Ledger) -> pb.UpdateTemplateResponse:
            row = templates.update(ledger.writer, call.caller, request.template, if_version, ledger.now_us)
            return pb.UpdateTemplateResponse(template=row)

        return await write_row(self._core, call, methods.UPDATE_TEMPLATE, request, decide)

    async def delete_template(self, call: Call, request: pb.DeleteTemplateRequest) -> bytes:
        """Delete a template."""
        if_version = request.if_version if request.HasField("if_version") else None

        def decide(ledger: Ledger) -> pb.DeleteTemplateResponse:
            row = templates.delete(ledger.writer, call.caller, request.template_id, if_version, ledger.now_us)
            return pb.DeleteTemplateResponse(template=row)

        return await write_row(self._core, call, methods.DELETE_TEMPLATE, request, decide)
