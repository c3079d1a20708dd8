"""The service as a door sees it: a handler for each method, by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resolver import methods
from resolver.service.applications import Applications
from resolver.service.call import Call
from resolver.service.changes import Changes
from resolver.service.core import Core, ServiceOptions
from resolver.service.logins import Logins
from resolver.service.mirror_files import MirrorFiles
from resolver.service.mirroring import Mirroring
from resolver.service.node import Node
from resolver.service.registration import Registration
from resolver.service.registry import Registry
from resolver.service.registry_pages import RegistryPages
from resolver.service.resolution import Resolution
from resolver.service.site import Site
from resolver.service.templates import Templates
from resolver.telemetry.calls import GRPC
from storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from resolver.clock import Clock
    from resolver.lanes import Commit
    from resolver.methods import Method
    from resolver.service.call import Credential, Handler
    from resolver.service.counting import Names
    from resolver.telemetry.calls import Seen
    from storage.engine import Engine


class Service:
    """One worker's service. Call ``start`` on its loop before the doors open, ``close`` after they have closed."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        randomness: Callable[[int], bytes],
        options: ServiceOptions,
        *,
        version: str,
        on_commit: Callable[[Commit], None] = lambda _: None,
        on_broken: Callable[[], None] = lambda: None,
        on_seen: Callable[[Seen, Names], None] = lambda _seen, _names: None,
    ) -> None:
        self.core = Core(
            engine,
            clock,
            randomness,
            options,
            version=version,
            on_commit=on_commit,
            on_broken=on_broken,
            on_seen=on_seen,
        )
        self.resolution = Resolution(self.core)
        self.registration = Registration(self.core)
        self.registry = Registry(self.core)
        self.registry_pages = RegistryPages(self.core)
        self.templates = Templates(self.core)
        self.logins = Logins(self.core)
        file_store = FileStore(options.files_dir) if options.files_dir is not None else None
        self.applications = Applications(self.core, self.logins, file_store)
        self.node = Node(self.core)
        self.changes = Changes(self.core)
        self.mirroring = Mirroring(self.core)
        self.mirror_files = MirrorFiles(file_store)
        self.site = Site(self.core)

    async def start(self) -> None:
        """Start the write lane and the timers."""
        await self.core.start()

    def begin_drain(self) -> None:
        """End long streams, before the doors are drained."""
        self.core.begin_drain()

    async def close(self) -> None:
        """Write what is queued and stop."""
        self.logins.close()
        await self.core.close()

    def refresh(self) -> None:
        """Drop cached registry rows."""
        self.core.refresh()

    def call_from(self, source: str, credential: Credential | None, door: str = GRPC) -> Call:
        """The call of a peer at a door. Raises CredentialInvalid."""
        return Call(self.core.identify(credential), source, credential, door)

    def handlers(self) -> dict[str, Handler]:
        """The handler of every method in ``methods.METHODS``, by path."""
        resolution, registration, registry = self.resolution, self.registration, self.registry
        table: dict[Method[Message, Message], Any] = {
            methods.RESOLVE: resolution.resolve,
            methods.BATCH_RESOLVE: resolution.batch_resolve,
            methods.STREAM_RESOLVE: resolution.stream_resolve,
            methods.LIST_HANDLES: resolution.list_handles,
            methods.CREATE_HANDLE: registration.create_handle,
            methods.UPDATE_HANDLE: registration.update_handle,
            methods.PUT_VALUES: registration.put_values,
            methods.REMOVE_VALUES: registration.remove_values,
            methods.DELETE_HANDLE: registration.delete_handle,
            methods.BATCH_CREATE_HANDLES: registration.batch_create_handles,
            methods.BATCH_UPDATE_HANDLES: registration.batch_update_handles,
            methods.BATCH_DELETE_HANDLES: registration.batch_delete_handles,
            methods.IMPORT_HANDLES: registration.import_handles,
            methods.CREATE_ENTERPRISE: registry.create_enterprise,
            methods.GET_ENTERPRISE: registry.get_enterprise,
            methods.LIST_ENTERPRISES: registry.list_enterprises,
            methods.UPDATE_ENTERPRISE: registry.update_enterprise,
            methods.CREATE_PREFIX: registry.create_prefix,
            methods.GET_PREFIX: registry.get_prefix,
            methods.LIST_PREFIXES: registry.list_prefixes,
            methods.UPDATE_PREFIX: registry.update_prefix,
            methods.MOVE_PREFIX: registry.move_prefix,
            methods.CREATE_PRINCIPAL: registry.create_principal,
            methods.GET_PRINCIPAL: registry.get_principal,
            methods.LIST_PRINCIPALS: registry.list_principals,
            methods.UPDATE_PRINCIPAL: registry.update_principal,
            methods.CREATE_KEY: registry.create_key,
            methods.LIST_KEYS: registry.list_keys,
            methods.REVOKE_KEY: registry.revoke_key,
            methods.CREATE_TEMPLATE: self.templates.create_template,
            methods.GET_TEMPLATE: self.templates.get_template,
            methods.LIST_TEMPLATES: self.templates.list_templates,
            methods.LIST_TEMPLATE_VERSIONS: self.templates.list_template_versions,
            methods.UPDATE_TEMPLATE: self.templates.update_template,
            methods.DELETE_TEMPLATE: self.templates.delete_template,
            methods.SET_PASSWORD: self.logins.set_password,
            methods.LIST_LOGINS: self.logins.list_logins,
            methods.REMOVE_LOGIN: self.logins.remove_login,
            methods.LOG_IN: self.logins.log_in_by_rpc,
            methods.LOG_OUT: self.logins.log_out,
            methods.GET_NODE_INFO: self.node.get_node_info,
            methods.GET_STATISTICS: self.node.get_statistics,
            methods.LIST_SOURCE_STATISTICS: self.node.list_source_statistics,
            methods.WATCH: self.changes.watch,
            methods.FOLLOW: self.mirroring.follow,
            methods.GET_MIRROR_STATUS: self.mirroring.get_mirror_status,
            methods.PROMOTE_MIRROR: self.mirroring.promote_mirror,
            methods.FENCE_PRIMARY: self.mirroring.fence_primary,
            methods.READ_FILE: self.mirror_files.read_file,
            methods.GET_SITE: self.site.get_site,
            methods.COUNT_SHARES: self.site.count_shares,
            methods.CHANGE_SITE: self.site.change_site,
        }
        return {method.path: handler for method, handler in table.items()}
