from google.api import annotations_pb2 as _annotations_pb2
from resolver.v1 import handle_pb2 as _handle_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Operation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_UNSPECIFIED: _ClassVar[Operation]
    OPERATION_CREATE: _ClassVar[Operation]
    OPERATION_DELETE: _ClassVar[Operation]
    OPERATION_MODIFY: _ClassVar[Operation]
    OPERATION_ARRIVE: _ClassVar[Operation]
    OPERATION_LEAVE: _ClassVar[Operation]
OPERATION_UNSPECIFIED: Operation
OPERATION_CREATE: Operation
OPERATION_DELETE: Operation
OPERATION_MODIFY: Operation
OPERATION_ARRIVE: Operation
OPERATION_LEAVE: Operation

class Change(_message.Message):
    __slots__ = ("serial", "time_us", "operation", "name", "version", "record_digest", "principal_id", "template_id")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    serial: int
    time_us: int
    operation: Operation
    name: str
    version: int
    record_digest: bytes
    principal_id: str
    template_id: str
    def __init__(self, serial: _Optional[int] = ..., time_us: _Optional[int] = ..., operation: _Optional[_Union[Operation, str]] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., record_digest: _Optional[bytes] = ..., principal_id: _Optional[str] = ..., template_id: _Optional[str] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("from_serial", "prefixes", "include_records", "stop_at_end")
    FROM_SERIAL_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RECORDS_FIELD_NUMBER: _ClassVar[int]
    STOP_AT_END_FIELD_NUMBER: _ClassVar[int]
    from_serial: int
    prefixes: _containers.RepeatedScalarFieldContainer[str]
    include_records: bool
    stop_at_end: bool
    def __init__(self, from_serial: _Optional[int] = ..., prefixes: _Optional[_Iterable[str]] = ..., include_records: _Optional[bool] = ..., stop_at_end: _Optional[bool] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("changes", "through_serial")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SERIAL_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[WatchedChange]
    through_serial: int
    def __init__(self, changes: _Optional[_Iterable[_Union[WatchedChange, _Mapping]]] = ..., through_serial: _Optional[int] = ...) -> None: ...

class WatchedChange(_message.Message):
    __slots__ = ("change", "record")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    change: Change
    record: _handle_pb2.HandleRecord
    def __init__(self, change: _Optional[_Union[Change, _Mapping]] = ..., record: _Optional[_Union[_handle_pb2.HandleRecord, _Mapping]] = ...) -> None: ...
