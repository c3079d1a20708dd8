from google.api import annotations_pb2 as _annotations_pb2
from resolver.v1 import handle_pb2 as _handle_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResolveRequest(_message.Message):
    __slots__ = ("name", "types", "indexes", "include_restricted", "trace", "follow_aliases", "local_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_ALIASES_FIELD_NUMBER: _ClassVar[int]
    LOCAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    types: _containers.RepeatedScalarFieldContainer[str]
    indexes: _containers.RepeatedScalarFieldContainer[int]
    include_restricted: bool
    trace: bool
    follow_aliases: bool
    local_only: bool
    def __init__(self, name: _Optional[str] = ..., types: _Optional[_Iterable[str]] = ..., indexes: _Optional[_Iterable[int]] = ..., include_restricted: _Optional[bool] = ..., trace: _Optional[bool] = ..., follow_aliases: _Optional[bool] = ..., local_only: _Optional[bool] = ...) -> None: ...

class ResolveResponse(_message.Message):
    __slots__ = ("record", "origin", "hops", "miss", "referral")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    MISS_FIELD_NUMBER: _ClassVar[int]
    REFERRAL_FIELD_NUMBER: _ClassVar[int]
    record: _handle_pb2.HandleRecord
    origin: Origin
    hops: _containers.RepeatedCompositeFieldContainer[Hop]
    miss: ResolveMiss
    referral: Referral
    def __init__(self, record: _Optional[_Union[_handle_pb2.HandleRecord, _Mapping]] = ..., origin: _Optional[_Union[Origin, _Mapping]] = ..., hops: _Optional[_Iterable[_Union[Hop, _Mapping]]] = ..., miss: _Optional[_Union[ResolveMiss, _Mapping]] = ..., referral: _Optional[_Union[Referral, _Mapping]] = ...) -> None: ...

class Origin(_message.Message):
    __slots__ = ("position", "server", "stale", "fetch_time_us", "fresh_until_us")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    FETCH_TIME_US_FIELD_NUMBER: _ClassVar[int]
    FRESH_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    position: int
    server: str
    stale: bool
    fetch_time_us: int
    fresh_until_us: int
    def __init__(self, position: _Optional[int] = ..., server: _Optional[str] = ..., stale: _Optional[bool] = ..., fetch_time_us: _Optional[int] = ..., fresh_until_us: _Optional[int] = ...) -> None: ...

class Hop(_message.Message):
    __slots__ = ("name", "server", "protocol", "response_code", "said", "ttl_s", "took_us", "stale", "depth")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_CODE_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    TOOK_US_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    server: str
    protocol: str
    response_code: int
    said: str
    ttl_s: int
    took_us: int
    stale: bool
    depth: int
    def __init__(self, name: _Optional[str] = ..., server: _Optional[str] = ..., protocol: _Optional[str] = ..., response_code: _Optional[int] = ..., said: _Optional[str] = ..., ttl_s: _Optional[int] = ..., took_us: _Optional[int] = ..., stale: _Optional[bool] = ..., depth: _Optional[int] = ...) -> None: ...

class Referral(_message.Message):
    __slots__ = ("values", "of_prefix")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    OF_PREFIX_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleValue]
    of_prefix: bool
    def __init__(self, values: _Optional[_Iterable[_Union[_handle_pb2.HandleValue, _Mapping]]] = ..., of_prefix: _Optional[bool] = ...) -> None: ...

class BatchResolveRequest(_message.Message):
    __slots__ = ("names", "types", "indexes", "include_restricted")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    types: _containers.RepeatedScalarFieldContainer[str]
    indexes: _containers.RepeatedScalarFieldContainer[int]
    include_restricted: bool
    def __init__(self, names: _Optional[_Iterable[str]] = ..., types: _Optional[_Iterable[str]] = ..., indexes: _Optional[_Iterable[int]] = ..., include_restricted: _Optional[bool] = ...) -> None: ...

class BatchResolveResponse(_message.Message):
    __slots__ = ("records", "misses", "origins")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleRecord]
    misses: _containers.RepeatedCompositeFieldContainer[ResolveMiss]
    origins: _containers.RepeatedCompositeFieldContainer[Origin]
    def __init__(self, records: _Optional[_Iterable[_Union[_handle_pb2.HandleRecord, _Mapping]]] = ..., misses: _Optional[_Iterable[_Union[ResolveMiss, _Mapping]]] = ..., origins: _Optional[_Iterable[_Union[Origin, _Mapping]]] = ...) -> None: ...

class ResolveMiss(_message.Message):
    __slots__ = ("position", "code", "reason", "message")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    position: int
    code: int
    reason: str
    message: str
    def __init__(self, position: _Optional[int] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class StreamResolveRequest(_message.Message):
    __slots__ = ("tag", "name", "types", "indexes", "include_restricted")
    TAG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    tag: int
    name: str
    types: _containers.RepeatedScalarFieldContainer[str]
    indexes: _containers.RepeatedScalarFieldContainer[int]
    include_restricted: bool
    def __init__(self, tag: _Optional[int] = ..., name: _Optional[str] = ..., types: _Optional[_Iterable[str]] = ..., indexes: _Optional[_Iterable[int]] = ..., include_restricted: _Optional[bool] = ...) -> None: ...

class StreamResolveResponse(_message.Message):
    __slots__ = ("records", "tags", "misses", "origins")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleRecord]
    tags: _containers.RepeatedScalarFieldContainer[int]
    misses: _containers.RepeatedCompositeFieldContainer[ResolveMiss]
    origins: _containers.RepeatedCompositeFieldContainer[Origin]
    def __init__(self, records: _Optional[_Iterable[_Union[_handle_pb2.HandleRecord, _Mapping]]] = ..., tags: _Optional[_Iterable[int]] = ..., misses: _Optional[_Iterable[_Union[ResolveMiss, _Mapping]]] = ..., origins: _Optional[_Iterable[_Union[Origin, _Mapping]]] = ...) -> None: ...

class ListHandlesRequest(_message.Message):
    __slots__ = ("prefix", "suffix_start", "page_size", "page_token", "include_records", "include_restricted")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_START_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RECORDS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    suffix_start: str
    page_size: int
    page_token: str
    include_records: bool
    include_restricted: bool
    def __init__(self, prefix: _Optional[str] = ..., suffix_start: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_records: _Optional[bool] = ..., include_restricted: _Optional[bool] = ...) -> None: ...

class ListHandlesResponse(_message.Message):
    __slots__ = ("names", "records", "next_page_token")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    records: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleRecord]
    next_page_token: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., records: _Optional[_Iterable[_Union[_handle_pb2.HandleRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
