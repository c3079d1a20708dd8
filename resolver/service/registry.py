"""The registry: reads in a read transaction, writes as jobs of the lane, one line of decision each."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from resolver import methods
from resolver.registry import enterprises, keys, moves, prefix_handles, prefixes, principals
from resolver.service.registry_jobs import write_row
from resolver.v1 import registry_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from resolver.methods import Method
    from resolver.node.ledger import Ledger
    from resolver.service.call import Call
    from resolver.service.core import Core

Resp = TypeVar("Resp", bound="Message")


class Registry:
    """Handlers of RegistryService."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def _write(
        self,
        call: Call,
        method: Method[Message, Resp],
        request: Message,
        decide: Callable[[Ledger], Resp],
        stored_form: Callable[[Resp], Message] | None = None,
        *,
        frees_space: bool = False,
    ) -> bytes:
        return await write_row(self._core, call, method, request, decide, stored_form, frees_space=frees_space)

    async def create_enterprise(self, call: Call, request: pb.CreateEnterpriseRequest) -> bytes:
        """Register an enterprise."""

        def decide(ledger: Ledger) -> pb.CreateEnterpriseResponse:
            row = pb.Enterprise()
            row.CopyFrom(request.enterprise)
            row = enterprises.create(ledger.writer, call.caller, row, ledger.now_us, self._core.randomness)
            return pb.CreateEnterpriseResponse(enterprise=row)

        return await self._write(call, methods.CREATE_ENTERPRISE, request, decide)

    def get_enterprise(self, call: Call, request: pb.GetEnterpriseRequest) -> pb.GetEnterpriseResponse:
        """An enterprise."""
        with self._core.reading() as reader:
            row = enterprises.get(reader, call.caller, request.enterprise_id, request.credit_code)
        return pb.GetEnterpriseResponse(enterprise=row)

    def list_enterprises(self, call: Call, request: pb.ListEnterprisesRequest) -> pb.ListEnterprisesResponse:
        """A page of enterprises."""
        with self._core.reading() as reader:
            rows, token = enterprises.page(reader, call.caller, request.page_size, request.page_token)
        return pb.ListEnterprisesResponse(enterprises=rows, next_page_token=token)

    async def update_enterprise(self, call: Call, request: pb.UpdateEnterpriseRequest) -> bytes:
        """Replace an enterprise."""
        if_version = request.if_version if request.HasField("if_version") else None

        def decide(ledger: Ledger) -> pb.UpdateEnterpriseResponse:
            row = pb.Enterprise()
            row.CopyFrom(request.enterprise)
            return pb.UpdateEnterpriseResponse(
                enterprise=enterprises.update(ledger.writer, call.caller, row, if_version)
            )

        return await self._write(call, methods.UPDATE_ENTERPRISE, request, decide)

    async def create_prefix(self, call: Call, request: pb.CreatePrefixRequest) -> bytes:
        """Allot a prefix, or apply for one."""

        def decide(ledger: Ledger) -> pb.CreatePrefixResponse:
            row = pb.Prefix()
            row.CopyFrom(request.prefix)
            return pb.CreatePrefixResponse(prefix=prefix_handles.create(ledger, call.caller, row))

        return await self._write(call, methods.CREATE_PREFIX, request, decide)

    def get_prefix(self, call: Call, request: pb.GetPrefixRequest) -> pb.GetPrefixResponse:
        """A prefix."""
        with self._core.reading() as reader:
            return pb.GetPrefixResponse(prefix=prefixes.get(reader, call.caller, request.prefix))

    def list_prefixes(self, call: Call, request: pb.ListPrefixesRequest) -> pb.ListPrefixesResponse:
        """A page of prefixes."""
        with self._core.reading() as reader:
            rows, token = prefixes.page(
                reader, call.caller, request.enterprise_id, request.page_size, request.page_token
            )
        return pb.ListPrefixesResponse(prefixes=rows, next_page_token=token)

    async def update_prefix(self, call: Call, request: pb.UpdatePrefixRequest) -> bytes:
        """Change a prefix."""

        def decide(ledger: Ledger) -> pb.UpdatePrefixResponse:
            return pb.UpdatePrefixResponse(prefix=prefix_handles.update(ledger, call.caller, request))

        return await self._write(call, methods.UPDATE_PREFIX, request, decide)

    async def move_prefix(self, call: Call, request: pb.MovePrefixRequest) -> bytes:
        """A step of a prefix on its way to another home; no step at all tells the plan."""
        if request.step == pb.MOVE_STEP_UNSPECIFIED:
            with self._core.reading() as reader:
                return moves.plan(reader, call.caller, request).SerializeToString()

        def decide(ledger: Ledger) -> pb.MovePrefixResponse:
            return moves.step(ledger, call.caller, request)

        return await self._write(call, methods.MOVE_PREFIX, request, decide)

    async def create_principal(self, call: Call, request: pb.CreatePrincipalRequest) -> bytes:
        """Create a principal."""

        def decide(ledger: Ledger) -> pb.CreatePrincipalResponse:
            row = pb.Principal()
            row.CopyFrom(request.principal)
            row = principals.create(ledger.writer, call.caller, row, ledger.now_us, self._core.randomness)
            return pb.CreatePrincipalResponse(principal=row)

        return await self._write(call, methods.CREATE_PRINCIPAL, request, decide)

    def get_principal(self, call: Call, request: pb.GetPrincipalRequest) -> pb.GetPrincipalResponse:
        """A principal, or the caller itself."""
        with self._core.reading() as reader:
            return pb.GetPrincipalResponse(principal=principals.get(reader, call.caller, request.principal_id))

    def list_principals(self, call: Call, request: pb.ListPrincipalsRequest) -> pb.ListPrincipalsResponse:
        """A page of principals."""
        with self._core.reading() as reader:
            rows, token = principals.page(
                reader, call.caller, request.enterprise_id, request.page_size, request.page_token
            )
        return pb.ListPrincipalsResponse(principals=rows, next_page_token=token)

    async def update_principal(self, call: Call, request: pb.UpdatePrincipalRequest) -> bytes:
        """Disable, enable or rename a principal."""

        def decide(ledger: Ledger) -> pb.UpdatePrincipalResponse:
            return pb.UpdatePrincipalResponse(principal=principals.update(ledger.writer, call.caller, request))

        return await self._write(call, methods.UPDATE_PRINCIPAL, request, decide)

    async def create_key(self, call: Call, request: pb.CreateKeyRequest) -> bytes:
        """Give a principal a credential; the token is in the answer and never on disk."""

        def decide(ledger: Ledger) -> pb.CreateKeyResponse:
            return prefix_handles.create_key(ledger, call.caller, request, self._core.randomness)

        def stored_form(response: pb.CreateKeyResponse) -> pb.CreateKeyResponse:
            return pb.CreateKeyResponse(key=response.key)

        return await self._write(call, methods.CREATE_KEY, request, decide, stored_form)

    def list_keys(self, call: Call, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
        """A page of the credentials of a principal."""
        with self._core.reading() as reader:
            rows, token = keys.page(reader, call.caller, request.principal_id, request.page_size, request.page_token)
        return pb.ListKeysResponse(keys=rows, next_page_token=token)

    async def revoke_key(self, call: Call, request: pb.RevokeKeyRequest) -> bytes:
        """Revoke a credential."""

        def decide(ledger: Ledger) -> pb.RevokeKeyResponse:
            return pb.RevokeKeyResponse(key=prefix_handles.revoke_key(ledger, call.caller, request.key_id))

        return await self._write(call, methods.REVOKE_KEY, request, decide, frees_space=True)
