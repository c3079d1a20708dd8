"""The gRPC methods as data: path, shape, messages and limits, once for servers and clients.

Doors mount this table and the client calls through it, so a method cannot differ between them. A
method is named by its constant; ``METHODS`` has all of them by path.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from google.protobuf import descriptor_pool

from resolver import limits
from resolver.telemetry.calls import REGISTRATION, RESOLUTION
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import login_pb2 as login
from resolver.v1 import mirror_pb2 as mirror
from resolver.v1 import node_pb2 as node
from resolver.v1 import registration_pb2 as registration
from resolver.v1 import registry_pb2 as registry
from resolver.v1 import resolution_pb2 as resolution
from resolver.v1 import site_pb2 as site
from resolver.v1 import template_pb2 as template

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

Req_co = TypeVar("Req_co", bound="Message", covariant=True)
Resp_co = TypeVar("Resp_co", bound="Message", covariant=True)


class Shape(Enum):
    """Which side sends one message and which a stream."""

    UNARY = "unary"
    SERVER_STREAM = "server_stream"
    BIDIRECTIONAL = "bidirectional"


@dataclass(frozen=True, eq=False, slots=True)
class Method(Generic[Req_co, Resp_co]):
    """One gRPC method. ``writes`` tells that it changes the store; ``octets_max`` bounds one request message."""

    service: str
    name: str
    request: type[Req_co]
    response: type[Resp_co]
    shape: Shape = Shape.UNARY
    writes: bool = False
    octets_max: int = limits.SMALL_MESSAGE_OCTETS_MAX

    @property
    def kind(self) -> str:
        """Whether the times of its calls are those of resolutions or of registrations; "" for neither, or streams."""
        if self.shape is not Shape.UNARY:
            return ""
        if self.service == _REGISTRATION:
            return REGISTRATION
        return RESOLUTION if self.name in {"Resolve", "BatchResolve"} else ""

    @property
    def descriptor(self) -> MethodDescriptor:
        """What the contract says of it."""
        found: Any = descriptor_pool.Default().FindMethodByName(f"{self.service}.{self.name}")
        return cast("MethodDescriptor", found)

    @property
    def path(self) -> str:
        """The HTTP/2 path: ``/resolver.v1.Service/Name``."""
        return f"/{self.service}/{self.name}"


_RESOLUTION = "resolver.v1.ResolutionService"
_REGISTRATION = "resolver.v1.RegistrationService"
_REGISTRY = "resolver.v1.RegistryService"
_TEMPLATE = "resolver.v1.TemplateService"
_LOGIN = "resolver.v1.LoginService"
_NODE = "resolver.v1.NodeService"
_CHANGES = "resolver.v1.ChangesService"
_MIRROR = "resolver.v1.MirrorService"
_SITE = "resolver.v1.SiteService"

_SINGLE = limits.SINGLE_MESSAGE_OCTETS_MAX
_BULK = limits.MESSAGE_OCTETS_MAX

RESOLVE = Method(_RESOLUTION, "Resolve", resolution.ResolveRequest, resolution.ResolveResponse)
BATCH_RESOLVE = Method(
    _RESOLUTION, "BatchResolve", resolution.BatchResolveRequest, resolution.BatchResolveResponse, octets_max=_BULK
)
STREAM_RESOLVE = Method(
    _RESOLUTION,
    "StreamResolve",
    resolution.StreamResolveRequest,
    resolution.StreamResolveResponse,
    shape=Shape.BIDIRECTIONAL,
)
LIST_HANDLES = Method(_RESOLUTION, "ListHandles", resolution.ListHandlesRequest, resolution.ListHandlesResponse)

CREATE_HANDLE = Method(
    _REGISTRATION,
    "CreateHandle",
    registration.CreateHandleRequest,
    registration.CreateHandleResponse,
    writes=True,
    octets_max=_SINGLE,
)
UPDATE_HANDLE = Method(
    _REGISTRATION,
    "UpdateHandle",
    registration.UpdateHandleRequest,
    registration.UpdateHandleResponse,
    writes=True,
    octets_max=_SINGLE,
)
PUT_VALUES = Method(
    _REGISTRATION,
    "PutValues",
    registration.PutValuesRequest,
    registration.PutValuesResponse,
    writes=True,
    octets_max=_SINGLE,
)
REMOVE_VALUES = Method(
    _REGISTRATION, "RemoveValues", registration.RemoveValuesRequest, registration.RemoveValuesResponse, writes=True
)
DELETE_HANDLE = Method(
    _REGISTRATION, "DeleteHandle", registration.DeleteHandleRequest, registration.DeleteHandleResponse, writes=True
)
BATCH_CREATE_HANDLES = Method(
    _REGISTRATION,
    "BatchCreateHandles",
    registration.BatchCreateHandlesRequest,
    registration.BatchCreateHandlesResponse,
    writes=True,
    octets_max=_BULK,
)
BATCH_UPDATE_HANDLES = Method(
    _REGISTRATION,
    "BatchUpdateHandles",
    registration.BatchUpdateHandlesRequest,
    registration.BatchUpdateHandlesResponse,
    writes=True,
    octets_max=_BULK,
)
BATCH_DELETE_HANDLES = Method(
    _REGISTRATION,
    "BatchDeleteHandles",
    registration.BatchDeleteHandlesRequest,
    registration.BatchDeleteHandlesResponse,
    writes=True,
    octets_max=_BULK,
)
IMPORT_HANDLES = Method(
    _REGISTRATION,
    "ImportHandles",
    registration.ImportHandlesRequest,
    registration.ImportHandlesResponse,
    shape=Shape.BIDIRECTIONAL,
    writes=True,
    octets_max=_BULK,
)

CREATE_ENTERPRISE = Method(
    _REGISTRY, "CreateEnterprise", registry.CreateEnterpriseRequest, registry.CreateEnterpriseResponse, writes=True
)
GET_ENTERPRISE = Method(_REGISTRY, "GetEnterprise", registry.GetEnterpriseRequest, registry.GetEnterpriseResponse)
LIST_ENTERPRISES = Method(
    _REGISTRY, "ListEnterprises", registry.ListEnterprisesRequest, registry.ListEnterprisesResponse
)
UPDATE_ENTERPRISE = Method(
    _REGISTRY, "UpdateEnterprise", registry.UpdateEnterpriseRequest, registry.UpdateEnterpriseResponse, writes=True
)
CREATE_PREFIX = Method(
    _REGISTRY, "CreatePrefix", registry.CreatePrefixRequest, registry.CreatePrefixResponse, writes=True
)
GET_PREFIX = Method(_REGISTRY, "GetPrefix", registry.GetPrefixRequest, registry.GetPrefixResponse)
LIST_PREFIXES = Method(_REGISTRY, "ListPrefixes", registry.ListPrefixesRequest, registry.ListPrefixesResponse)
UPDATE_PREFIX = Method(
    _REGISTRY, "UpdatePrefix", registry.UpdatePrefixRequest, registry.UpdatePrefixResponse, writes=True
)
MOVE_PREFIX = Method(_REGISTRY, "MovePrefix", registry.MovePrefixRequest, registry.MovePrefixResponse, writes=True)
CREATE_PRINCIPAL = Method(
    _REGISTRY, "CreatePrincipal", registry.CreatePrincipalRequest, registry.CreatePrincipalResponse, writes=True
)
GET_PRINCIPAL = Method(_REGISTRY, "GetPrincipal", registry.GetPrincipalRequest, registry.GetPrincipalResponse)
LIST_PRINCIPALS = Method(_REGISTRY, "ListPrincipals", registry.ListPrincipalsRequest, registry.ListPrincipalsResponse)
UPDATE_PRINCIPAL = Method(
    _REGISTRY, "UpdatePrincipal", registry.UpdatePrincipalRequest, registry.UpdatePrincipalResponse, writes=True
)
CREATE_KEY = Method(_REGISTRY, "CreateKey", registry.CreateKeyRequest, registry.CreateKeyResponse, writes=True)
LIST_KEYS = Method(_REGISTRY, "ListKeys", registry.ListKeysRequest, registry.ListKeysResponse)
REVOKE_KEY = Method(_REGISTRY, "RevokeKey", registry.RevokeKeyRequest, registry.RevokeKeyResponse, writes=True)
CREATE_TEMPLATE = Method(
    _TEMPLATE,
    "CreateTemplate",
    template.CreateTemplateRequest,
    template.CreateTemplateResponse,
    writes=True,
    octets_max=_SINGLE,
)
GET_TEMPLATE = Method(_TEMPLATE, "GetTemplate", template.GetTemplateRequest, template.GetTemplateResponse)
LIST_TEMPLATES = Method(_TEMPLATE, "ListTemplates", template.ListTemplatesRequest, template.ListTemplatesResponse)
LIST_TEMPLATE_VERSIONS = Method(
    _TEMPLATE,
    "ListTemplateVersions",
    template.ListTemplateVersionsRequest,
    template.ListTemplateVersionsResponse,
)
UPDATE_TEMPLATE = Method(
    _TEMPLATE,
    "UpdateTemplate",
    template.UpdateTemplateRequest,
    template.UpdateTemplateResponse,
    writes=True,
    octets_max=_SINGLE,
)
DELETE_TEMPLATE = Method(
    _TEMPLATE, "DeleteTemplate", template.DeleteTemplateRequest, template.DeleteTemplateResponse, writes=True
)

SET_PASSWORD = Method(_LOGIN, "SetPassword", login.SetPasswordRequest, login.SetPasswordResponse, writes=True)
LIST_LOGINS = Method(_LOGIN, "ListLogins", login.ListLoginsRequest, login.ListLoginsResponse)
REMOVE_LOGIN = Method(_LOGIN, "RemoveLogin", login.RemoveLoginRequest, login.RemoveLoginResponse, writes=True)
LOG_IN = Method(_LOGIN, "LogIn", login.LogInRequest, login.LogInResponse)
LOG_OUT = Method(_LOGIN, "LogOut", login.LogOutRequest, login.LogOutResponse)

GET_NODE_INFO = Method(_NODE, "GetNodeInfo", node.GetNodeInfoRequest, node.GetNodeInfoResponse)
GET_STATISTICS = Method(_NODE, "GetStatistics", node.GetStatisticsRequest, node.GetStatisticsResponse)
LIST_SOURCE_STATISTICS = Method(
    _NODE, "ListSourceStatistics", node.ListSourceStatisticsRequest, node.ListSourceStatisticsResponse
)

WATCH = Method(_CHANGES, "Watch", changes.WatchRequest, changes.WatchResponse, shape=Shape.SERVER_STREAM)

FOLLOW = Method(_MIRROR, "Follow", mirror.FollowRequest, mirror.FollowResponse, shape=Shape.BIDIRECTIONAL)
GET_MIRROR_STATUS = Method(_MIRROR, "GetMirrorStatus", mirror.GetMirrorStatusRequest, mirror.GetMirrorStatusResponse)
PROMOTE_MIRROR = Method(
    _MIRROR, "PromoteMirror", mirror.PromoteMirrorRequest, mirror.PromoteMirrorResponse, writes=True
)
FENCE_PRIMARY = Method(_MIRROR, "FencePrimary", mirror.FencePrimaryRequest, mirror.FencePrimaryResponse, writes=True)
READ_FILE = Method(_MIRROR, "ReadFile", mirror.ReadFileRequest, mirror.ReadFileResponse)

GET_SITE = Method(_SITE, "GetSite", site.GetSiteRequest, site.GetSiteResponse)
COUNT_SHARES = Method(_SITE, "CountShares", site.CountSharesRequest, site.CountSharesResponse)
CHANGE_SITE = Method(
    _SITE, "ChangeSite", site.ChangeSiteRequest, site.ChangeSiteResponse, writes=True, octets_max=_SINGLE
)

METHODS: dict[str, Method[Message, Message]] = {
    method.path: method for method in list(globals().values()) if isinstance(method, Method)
}
"""Every method of the node's own services by path."""
