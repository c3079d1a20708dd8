from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnterpriseStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTERPRISE_STATUS_UNSPECIFIED: _ClassVar[EnterpriseStatus]
    ENTERPRISE_STATUS_ENABLED: _ClassVar[EnterpriseStatus]
    ENTERPRISE_STATUS_DISABLED: _ClassVar[EnterpriseStatus]

class PrefixStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PREFIX_STATUS_UNSPECIFIED: _ClassVar[PrefixStatus]
    PREFIX_STATUS_APPLIED: _ClassVar[PrefixStatus]
    PREFIX_STATUS_IN_AUDIT: _ClassVar[PrefixStatus]
    PREFIX_STATUS_ENABLED: _ClassVar[PrefixStatus]
    PREFIX_STATUS_DISABLED: _ClassVar[PrefixStatus]
    PREFIX_STATUS_DELETED: _ClassVar[PrefixStatus]

class Hosting(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOSTING_UNSPECIFIED: _ClassVar[Hosting]
    HOSTING_HERE: _ClassVar[Hosting]
    HOSTING_ELSEWHERE: _ClassVar[Hosting]

class MoveStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOVE_STAGE_UNSPECIFIED: _ClassVar[MoveStage]
    MOVE_STAGE_PREPARED: _ClassVar[MoveStage]
    MOVE_STAGE_SWITCHED: _ClassVar[MoveStage]

class MoveStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOVE_STEP_UNSPECIFIED: _ClassVar[MoveStep]
    MOVE_STEP_BEGIN: _ClassVar[MoveStep]
    MOVE_STEP_SWITCH: _ClassVar[MoveStep]
    MOVE_STEP_FINISH: _ClassVar[MoveStep]
    MOVE_STEP_CANCEL: _ClassVar[MoveStep]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_NODE_ADMINISTRATOR: _ClassVar[Role]
    ROLE_ENTERPRISE_USER: _ClassVar[Role]
    ROLE_APPLICATION: _ClassVar[Role]
    ROLE_MIRROR: _ClassVar[Role]

class KeyKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEY_KIND_UNSPECIFIED: _ClassVar[KeyKind]
    KEY_KIND_API_TOKEN: _ClassVar[KeyKind]
    KEY_KIND_CERTIFICATE: _ClassVar[KeyKind]
    KEY_KIND_HANDLE_PUBLIC: _ClassVar[KeyKind]
    KEY_KIND_HANDLE_SECRET: _ClassVar[KeyKind]
ENTERPRISE_STATUS_UNSPECIFIED: EnterpriseStatus
ENTERPRISE_STATUS_ENABLED: EnterpriseStatus
ENTERPRISE_STATUS_DISABLED: EnterpriseStatus
PREFIX_STATUS_UNSPECIFIED: PrefixStatus
PREFIX_STATUS_APPLIED: PrefixStatus
PREFIX_STATUS_IN_AUDIT: PrefixStatus
PREFIX_STATUS_ENABLED: PrefixStatus
PREFIX_STATUS_DISABLED: PrefixStatus
PREFIX_STATUS_DELETED: PrefixStatus
HOSTING_UNSPECIFIED: Hosting
HOSTING_HERE: Hosting
HOSTING_ELSEWHERE: Hosting
MOVE_STAGE_UNSPECIFIED: MoveStage
MOVE_STAGE_PREPARED: MoveStage
MOVE_STAGE_SWITCHED: MoveStage
MOVE_STEP_UNSPECIFIED: MoveStep
MOVE_STEP_BEGIN: MoveStep
MOVE_STEP_SWITCH: MoveStep
MOVE_STEP_FINISH: MoveStep
MOVE_STEP_CANCEL: MoveStep
ROLE_UNSPECIFIED: Role
ROLE_NODE_ADMINISTRATOR: Role
ROLE_ENTERPRISE_USER: Role
ROLE_APPLICATION: Role
ROLE_MIRROR: Role
KEY_KIND_UNSPECIFIED: KeyKind
KEY_KIND_API_TOKEN: KeyKind
KEY_KIND_CERTIFICATE: KeyKind
KEY_KIND_HANDLE_PUBLIC: KeyKind
KEY_KIND_HANDLE_SECRET: KeyKind

class Enterprise(_message.Message):
    __slots__ = ("enterprise_id", "name", "credit_code", "contact", "status", "version", "create_time_us", "description", "quota")
    ENTERPRISE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREDIT_CODE_FIELD_NUMBER: _ClassVar[int]
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    enterprise_id: str
    name: str
    credit_code: str
    contact: Contact
    status: EnterpriseStatus
    version: int
    create_time_us: int
    description: str
    quota: Quota
    def __init__(self, enterprise_id: _Optional[str] = ..., name: _Optional[str] = ..., credit_code: _Optional[str] = ..., contact: _Optional[_Union[Contact, _Mapping]] = ..., status: _Optional[_Union[EnterpriseStatus, str]] = ..., version: _Optional[int] = ..., create_time_us: _Optional[int] = ..., description: _Optional[str] = ..., quota: _Optional[_Union[Quota, _Mapping]] = ...) -> None: ...

class Quota(_message.Message):
    __slots__ = ("handles_max", "writes_per_s", "writes_per_day", "prefixes_max")
    HANDLES_MAX_FIELD_NUMBER: _ClassVar[int]
    WRITES_PER_S_FIELD_NUMBER: _ClassVar[int]
    WRITES_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_MAX_FIELD_NUMBER: _ClassVar[int]
    handles_max: int
    writes_per_s: int
    writes_per_day: int
    prefixes_max: int
    def __init__(self, handles_max: _Optional[int] = ..., writes_per_s: _Optional[int] = ..., writes_per_day: _Optional[int] = ..., prefixes_max: _Optional[int] = ...) -> None: ...

class Contact(_message.Message):
    __slots__ = ("name", "phone", "email")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PHONE_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    phone: str
    email: str
    def __init__(self, name: _Optional[str] = ..., phone: _Optional[str] = ..., email: _Optional[str] = ...) -> None: ...

class CreateEnterpriseRequest(_message.Message):
    __slots__ = ("enterprise", "request_id", "validate_only")
    ENTERPRISE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    enterprise: Enterprise
    request_id: str
    validate_only: bool
    def __init__(self, enterprise: _Optional[_Union[Enterprise, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreateEnterpriseResponse(_message.Message):
    __slots__ = ("enterprise",)
    ENTERPRISE_FIELD_NUMBER: _ClassVar[int]
    enterprise: Enterprise
    def __init__(self, enterprise: _Optional[_Union[Enterprise, _Mapping]] = ...) -> None: ...

class GetEnterpriseRequest(_message.Message):
    __slots__ = ("enterprise_id", "credit_code")
    ENTERPRISE_ID_FIELD_NUMBER: _ClassVar[int]
    CREDIT_CODE_FIELD_NUMBER: _ClassVar[int]
    enterprise_id: str
    credit_code: str
    def __init__(self, enterprise_id: _Optional[str] = ..., credit_code: _Optional[str] = ...) -> None: ...

class GetEnterpriseResponse(_message.Message):
    __slots__ = ("enterprise",)
    ENTERPRISE_FIELD_NUMBER: _ClassVar[int]
    enterprise: Enterprise
    def __init__(self, enterprise: _Optional[_Union[Enterprise, _Mapping]] = ...) -> None: ...

class ListEnterprisesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEnterprisesResponse(_message.Message):
    __slots__ = ("enterprises", "next_page_token")
    ENTERPRISES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    enterprises: _containers.RepeatedCompositeFieldContainer[Enterprise]
    next_page_token: str
    def __init__(self, enterprises: _Optional[_Iterable[_Union[Enterprise, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateEnterpriseRequest(_message.Message):
    __slots__ = ("enterprise", "request_id", "if_version", "validate_only")
    ENTERPRISE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    enterprise: Enterprise
    request_id: str
    if_version: int
    validate_only: bool
    def __init__(self, enterprise: _Optional[_Union[Enterprise, _Mapping]] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class UpdateEnterpriseResponse(_message.Message):
    __slots__ = ("enterprise",)
    ENTERPRISE_FIELD_NUMBER: _ClassVar[int]
    enterprise: Enterprise
    def __init__(self, enterprise: _Optional[_Union[Enterprise, _Mapping]] = ...) -> None: ...

class Prefix(_message.Message):
    __slots__ = ("prefix", "enterprise_id", "status", "homed", "hosting", "routes", "version", "create_time_us", "description", "move")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    ENTERPRISE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HOMED_FIELD_NUMBER: _ClassVar[int]
    HOSTING_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    enterprise_id: str
    status: PrefixStatus
    homed: bool
    hosting: Hosting
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    version: int
    create_time_us: int
    description: str
    move: PrefixMove
    def __init__(self, prefix: _Optional[str] = ..., enterprise_id: _Optional[str] = ..., status: _Optional[_Union[PrefixStatus, str]] = ..., homed: _Optional[bool] = ..., hosting: _Optional[_Union[Hosting, str]] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., version: _Optional[int] = ..., create_time_us: _Optional[int] = ..., description: _Optional[str] = ..., move: _Optional[_Union[PrefixMove, _Mapping]] = ...) -> None: ...

class PrefixMove(_message.Message):
    __slots__ = ("stage", "to", "routes", "step_time_us")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    STEP_TIME_US_FIELD_NUMBER: _ClassVar[int]
    stage: MoveStage
    to: Hosting
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    step_time_us: int
    def __init__(self, stage: _Optional[_Union[MoveStage, str]] = ..., to: _Optional[_Union[Hosting, str]] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., step_time_us: _Optional[int] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("address", "tcp_port", "udp_port", "http_port", "grpc_port", "public_key", "service", "site")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TCP_PORT_FIELD_NUMBER: _ClassVar[int]
    UDP_PORT_FIELD_NUMBER: _ClassVar[int]
    HTTP_PORT_FIELD_NUMBER: _ClassVar[int]
    GRPC_PORT_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    address: str
    tcp_port: int
    udp_port: int
    http_port: int
    grpc_port: int
    public_key: bytes
    service: str
    site: bytes
    def __init__(self, address: _Optional[str] = ..., tcp_port: _Optional[int] = ..., udp_port: _Optional[int] = ..., http_port: _Optional[int] = ..., grpc_port: _Optional[int] = ..., public_key: _Optional[bytes] = ..., service: _Optional[str] = ..., site: _Optional[bytes] = ...) -> None: ...

class CreatePrefixRequest(_message.Message):
    __slots__ = ("prefix", "request_id", "validate_only")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    prefix: Prefix
    request_id: str
    validate_only: bool
    def __init__(self, prefix: _Optional[_Union[Prefix, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreatePrefixResponse(_message.Message):
    __slots__ = ("prefix",)
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    prefix: Prefix
    def __init__(self, prefix: _Optional[_Union[Prefix, _Mapping]] = ...) -> None: ...

class GetPrefixRequest(_message.Message):
    __slots__ = ("prefix",)
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    def __init__(self, prefix: _Optional[str] = ...) -> None: ...

class GetPrefixResponse(_message.Message):
    __slots__ = ("prefix",)
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    prefix: Prefix
    def __init__(self, prefix: _Optional[_Union[Prefix, _Mapping]] = ...) -> None: ...

class ListPrefixesRequest(_message.Message):
    __slots__ = ("enterprise_id", "page_size", "page_token")
    ENTERPRISE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    enterprise_id: str
    page_size: int
    page_token: str
    def __init__(self, enterprise_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPrefixesResponse(_message.Message):
    __slots__ = ("prefixes", "next_page_token")
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    prefixes: _containers.RepeatedCompositeFieldContainer[Prefix]
    next_page_token: str
    def __init__(self, prefixes: _Optional[_Iterable[_Union[Prefix, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdatePrefixRequest(_message.Message):
    __slots__ = ("prefix", "status", "homed", "hosting", "routes", "description", "request_id", "if_version", "validate_only")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HOMED_FIELD_NUMBER: _ClassVar[int]
    HOSTING_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    status: PrefixStatus
    homed: bool
    hosting: Hosting
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    description: str
    request_id: str
    if_version: int
    validate_only: bool
    def __init__(self, prefix: _Optional[str] = ..., status: _Optional[_Union[PrefixStatus, str]] = ..., homed: _Optional[bool] = ..., hosting: _Optional[_Union[Hosting, str]] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., description: _Optional[str] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class UpdatePrefixResponse(_message.Message):
    __slots__ = ("prefix",)
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    prefix: Prefix
    def __init__(self, prefix: _Optional[_Union[Prefix, _Mapping]] = ...) -> None: ...

class MovePrefixRequest(_message.Message):
    __slots__ = ("prefix", "step", "to", "routes", "request_id", "if_version", "validate_only")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    step: MoveStep
    to: Hosting
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    request_id: str
    if_version: int
    validate_only: bool
    def __init__(self, prefix: _Optional[str] = ..., step: _Optional[_Union[MoveStep, str]] = ..., to: _Optional[_Union[Hosting, str]] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class MovePrefixResponse(_message.Message):
    __slots__ = ("prefix", "plan")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    prefix: Prefix
    plan: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, prefix: _Optional[_Union[Prefix, _Mapping]] = ..., plan: _Optional[_Iterable[str]] = ...) -> None: ...

class Principal(_message.Message):
    __slots__ = ("principal_id", "role", "enterprise_id", "display_name", "disabled", "version", "create_time_us")
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ENTERPRISE_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    principal_id: str
    role: Role
    enterprise_id: str
    display_name: str
    disabled: bool
    version: int
    create_time_us: int
    def __init__(self, principal_id: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., enterprise_id: _Optional[str] = ..., display_name: _Optional[str] = ..., disabled: _Optional[bool] = ..., version: _Optional[int] = ..., create_time_us: _Optional[int] = ...) -> None: ...

class CreatePrincipalRequest(_message.Message):
    __slots__ = ("principal", "request_id", "validate_only")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    request_id: str
    validate_only: bool
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreatePrincipalResponse(_message.Message):
    __slots__ = ("principal",)
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ...) -> None: ...

class GetPrincipalRequest(_message.Message):
    __slots__ = ("principal_id",)
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    principal_id: str
    def __init__(self, principal_id: _Optional[str] = ...) -> None: ...

class GetPrincipalResponse(_message.Message):
    __slots__ = ("principal",)
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ...) -> None: ...

class ListPrincipalsRequest(_message.Message):
    __slots__ = ("enterprise_id", "page_size", "page_token")
    ENTERPRISE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    enterprise_id: str
    page_size: int
    page_token: str
    def __init__(self, enterprise_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPrincipalsResponse(_message.Message):
    __slots__ = ("principals", "next_page_token")
    PRINCIPALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    principals: _containers.RepeatedCompositeFieldContainer[Principal]
    next_page_token: str
    def __init__(self, principals: _Optional[_Iterable[_Union[Principal, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdatePrincipalRequest(_message.Message):
    __slots__ = ("principal_id", "display_name", "disabled", "request_id", "if_version", "validate_only")
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    principal_id: str
    display_name: str
    disabled: bool
    request_id: str
    if_version: int
    validate_only: bool
    def __init__(self, principal_id: _Optional[str] = ..., display_name: _Optional[str] = ..., disabled: _Optional[bool] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class UpdatePrincipalResponse(_message.Message):
    __slots__ = ("principal",)
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("key_id", "principal_id", "kind", "description", "create_time_us", "expire_time_us", "revoked", "certificate_sha256", "handle_index", "identities")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_SHA256_FIELD_NUMBER: _ClassVar[int]
    HANDLE_INDEX_FIELD_NUMBER: _ClassVar[int]
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    principal_id: str
    kind: KeyKind
    description: str
    create_time_us: int
    expire_time_us: int
    revoked: bool
    certificate_sha256: str
    handle_index: int
    identities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, key_id: _Optional[str] = ..., principal_id: _Optional[str] = ..., kind: _Optional[_Union[KeyKind, str]] = ..., description: _Optional[str] = ..., create_time_us: _Optional[int] = ..., expire_time_us: _Optional[int] = ..., revoked: _Optional[bool] = ..., certificate_sha256: _Optional[str] = ..., handle_index: _Optional[int] = ..., identities: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateKeyRequest(_message.Message):
    __slots__ = ("principal_id", "kind", "description", "expire_time_us", "certificate_pem", "request_id", "validate_only", "public_key", "secret")
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    principal_id: str
    kind: KeyKind
    description: str
    expire_time_us: int
    certificate_pem: str
    request_id: str
    validate_only: bool
    public_key: bytes
    secret: bytes
    def __init__(self, principal_id: _Optional[str] = ..., kind: _Optional[_Union[KeyKind, str]] = ..., description: _Optional[str] = ..., expire_time_us: _Optional[int] = ..., certificate_pem: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., public_key: _Optional[bytes] = ..., secret: _Optional[bytes] = ...) -> None: ...

class CreateKeyResponse(_message.Message):
    __slots__ = ("key", "token")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    key: Key
    token: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., token: _Optional[str] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("principal_id", "page_size", "page_token")
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    principal_id: str
    page_size: int
    page_token: str
    def __init__(self, principal_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys", "next_page_token")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    next_page_token: str
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RevokeKeyRequest(_message.Message):
    __slots__ = ("key_id", "request_id", "validate_only")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    request_id: str
    validate_only: bool
    def __init__(self, key_id: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class RevokeKeyResponse(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: Key
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ...) -> None: ...
