from google.api import annotations_pb2 as _annotations_pb2
from resolver.v1 import mirror_pb2 as _mirror_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SiteHash(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SITE_HASH_UNSPECIFIED: _ClassVar[SiteHash]
    SITE_HASH_PREFIX: _ClassVar[SiteHash]
    SITE_HASH_SUFFIX: _ClassVar[SiteHash]
    SITE_HASH_ALL: _ClassVar[SiteHash]

class SiteStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SITE_STAGE_UNSPECIFIED: _ClassVar[SiteStage]
    SITE_STAGE_PULLING: _ClassVar[SiteStage]
    SITE_STAGE_FENCED: _ClassVar[SiteStage]
    SITE_STAGE_HELD: _ClassVar[SiteStage]
    SITE_STAGE_SWITCHED: _ClassVar[SiteStage]
    SITE_STAGE_STRICT: _ClassVar[SiteStage]

class SiteStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SITE_STEP_UNSPECIFIED: _ClassVar[SiteStep]
    SITE_STEP_PREPARE: _ClassVar[SiteStep]
    SITE_STEP_FENCE: _ClassVar[SiteStep]
    SITE_STEP_HOLD: _ClassVar[SiteStep]
    SITE_STEP_SWITCH: _ClassVar[SiteStep]
    SITE_STEP_STRICT: _ClassVar[SiteStep]
    SITE_STEP_SERVE: _ClassVar[SiteStep]
    SITE_STEP_CANCEL: _ClassVar[SiteStep]
SITE_HASH_UNSPECIFIED: SiteHash
SITE_HASH_PREFIX: SiteHash
SITE_HASH_SUFFIX: SiteHash
SITE_HASH_ALL: SiteHash
SITE_STAGE_UNSPECIFIED: SiteStage
SITE_STAGE_PULLING: SiteStage
SITE_STAGE_FENCED: SiteStage
SITE_STAGE_HELD: SiteStage
SITE_STAGE_SWITCHED: SiteStage
SITE_STAGE_STRICT: SiteStage
SITE_STEP_UNSPECIFIED: SiteStep
SITE_STEP_PREPARE: SiteStep
SITE_STEP_FENCE: SiteStep
SITE_STEP_HOLD: SiteStep
SITE_STEP_SWITCH: SiteStep
SITE_STEP_STRICT: SiteStep
SITE_STEP_SERVE: SiteStep
SITE_STEP_CANCEL: SiteStep

class SiteServer(_message.Message):
    __slots__ = ("id", "grpc", "site")
    ID_FIELD_NUMBER: _ClassVar[int]
    GRPC_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    id: int
    grpc: str
    site: bytes
    def __init__(self, id: _Optional[int] = ..., grpc: _Optional[str] = ..., site: _Optional[bytes] = ...) -> None: ...

class SiteLayout(_message.Message):
    __slots__ = ("serial", "hash", "registry_server", "servers")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_SERVER_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    serial: int
    hash: SiteHash
    registry_server: int
    servers: _containers.RepeatedCompositeFieldContainer[SiteServer]
    def __init__(self, serial: _Optional[int] = ..., hash: _Optional[_Union[SiteHash, str]] = ..., registry_server: _Optional[int] = ..., servers: _Optional[_Iterable[_Union[SiteServer, _Mapping]]] = ...) -> None: ...

class GetSiteRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSiteResponse(_message.Message):
    __slots__ = ("layout", "server", "stage", "next", "pulls", "fence_until_us", "leftovers", "serial", "own_site", "settle_ms", "handle_count", "site_serial", "previous")
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    PULLS_FIELD_NUMBER: _ClassVar[int]
    FENCE_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    LEFTOVERS_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    OWN_SITE_FIELD_NUMBER: _ClassVar[int]
    SETTLE_MS_FIELD_NUMBER: _ClassVar[int]
    HANDLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SITE_SERIAL_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    layout: SiteLayout
    server: int
    stage: SiteStage
    next: SiteLayout
    pulls: _containers.RepeatedCompositeFieldContainer[SitePull]
    fence_until_us: int
    leftovers: bool
    serial: int
    own_site: bytes
    settle_ms: int
    handle_count: int
    site_serial: int
    previous: SiteLayout
    def __init__(self, layout: _Optional[_Union[SiteLayout, _Mapping]] = ..., server: _Optional[int] = ..., stage: _Optional[_Union[SiteStage, str]] = ..., next: _Optional[_Union[SiteLayout, _Mapping]] = ..., pulls: _Optional[_Iterable[_Union[SitePull, _Mapping]]] = ..., fence_until_us: _Optional[int] = ..., leftovers: _Optional[bool] = ..., serial: _Optional[int] = ..., own_site: _Optional[bytes] = ..., settle_ms: _Optional[int] = ..., handle_count: _Optional[int] = ..., site_serial: _Optional[int] = ..., previous: _Optional[_Union[SiteLayout, _Mapping]] = ...) -> None: ...

class SitePull(_message.Message):
    __slots__ = ("server", "grpc", "registry", "held", "sweep", "catching_up", "complete", "epoch")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    GRPC_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    SWEEP_FIELD_NUMBER: _ClassVar[int]
    CATCHING_UP_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    server: int
    grpc: str
    registry: bool
    held: _mirror_pb2.MirrorPosition
    sweep: _mirror_pb2.Sweep
    catching_up: _mirror_pb2.MirrorPosition
    complete: bool
    epoch: int
    def __init__(self, server: _Optional[int] = ..., grpc: _Optional[str] = ..., registry: _Optional[bool] = ..., held: _Optional[_Union[_mirror_pb2.MirrorPosition, _Mapping]] = ..., sweep: _Optional[_Union[_mirror_pb2.Sweep, _Mapping]] = ..., catching_up: _Optional[_Union[_mirror_pb2.MirrorPosition, _Mapping]] = ..., complete: _Optional[bool] = ..., epoch: _Optional[int] = ...) -> None: ...

class CountSharesRequest(_message.Message):
    __slots__ = ("servers", "hash", "page_token")
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    servers: int
    hash: SiteHash
    page_token: str
    def __init__(self, servers: _Optional[int] = ..., hash: _Optional[_Union[SiteHash, str]] = ..., page_token: _Optional[str] = ...) -> None: ...

class CountSharesResponse(_message.Message):
    __slots__ = ("shares", "next_page_token")
    SHARES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    shares: _containers.RepeatedCompositeFieldContainer[ShareCount]
    next_page_token: str
    def __init__(self, shares: _Optional[_Iterable[_Union[ShareCount, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ShareCount(_message.Message):
    __slots__ = ("handles", "octets")
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    OCTETS_FIELD_NUMBER: _ClassVar[int]
    handles: int
    octets: int
    def __init__(self, handles: _Optional[int] = ..., octets: _Optional[int] = ...) -> None: ...

class ChangeSiteRequest(_message.Message):
    __slots__ = ("step", "server", "next", "current", "lease_ms", "expected_serial")
    STEP_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_SERIAL_FIELD_NUMBER: _ClassVar[int]
    step: SiteStep
    server: int
    next: SiteLayout
    current: SiteLayout
    lease_ms: int
    expected_serial: int
    def __init__(self, step: _Optional[_Union[SiteStep, str]] = ..., server: _Optional[int] = ..., next: _Optional[_Union[SiteLayout, _Mapping]] = ..., current: _Optional[_Union[SiteLayout, _Mapping]] = ..., lease_ms: _Optional[int] = ..., expected_serial: _Optional[int] = ...) -> None: ...

class ChangeSiteResponse(_message.Message):
    __slots__ = ("site",)
    SITE_FIELD_NUMBER: _ClassVar[int]
    site: GetSiteResponse
    def __init__(self, site: _Optional[_Union[GetSiteResponse, _Mapping]] = ...) -> None: ...
