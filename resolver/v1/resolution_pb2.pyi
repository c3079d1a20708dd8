from resolver.v1 import handle_pb2 as _handle_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResolveRequest(_message.Message):
    __slots__ = ("name", "types", "indexes", "include_restricted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    types: _containers.RepeatedScalarFieldContainer[str]
    indexes: _containers.RepeatedScalarFieldContainer[int]
    include_restricted: bool
    def __init__(self, name: _Optional[str] = ..., types: _Optional[_Iterable[str]] = ..., indexes: _Optional[_Iterable[int]] = ..., include_restricted: _Optional[bool] = ...) -> None: ...

class ResolveResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: _handle_pb2.HandleRecord
    def __init__(self, record: _Optional[_Union[_handle_pb2.HandleRecord, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("records", "misses")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleRecord]
    misses: _containers.RepeatedCompositeFieldContainer[ResolveMiss]
    def __init__(self, records: _Optional[_Iterable[_Union[_handle_pb2.HandleRecord, _Mapping]]] = ..., misses: _Optional[_Iterable[_Union[ResolveMiss, _Mapping]]] = ...) -> None: ...

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
    __slots__ = ("records", "tags", "misses")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleRecord]
    tags: _containers.RepeatedScalarFieldContainer[int]
    misses: _containers.RepeatedCompositeFieldContainer[ResolveMiss]
    def __init__(self, records: _Optional[_Iterable[_Union[_handle_pb2.HandleRecord, _Mapping]]] = ..., tags: _Optional[_Iterable[int]] = ..., misses: _Optional[_Iterable[_Union[ResolveMiss, _Mapping]]] = ...) -> None: ...

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
