from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HandleRecord(_message.Message):
    __slots__ = ("name", "values", "version", "serial", "create_time_us", "update_time_us", "template_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedCompositeFieldContainer[HandleValue]
    version: int
    serial: int
    create_time_us: int
    update_time_us: int
    template_id: str
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[_Union[HandleValue, _Mapping]]] = ..., version: _Optional[int] = ..., serial: _Optional[int] = ..., create_time_us: _Optional[int] = ..., update_time_us: _Optional[int] = ..., template_id: _Optional[str] = ...) -> None: ...

class HandleValue(_message.Message):
    __slots__ = ("index", "type", "data", "ttl_s", "ttl_until_s", "permissions", "timestamp_s", "references")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    TTL_UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_S_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    index: int
    type: str
    data: bytes
    ttl_s: int
    ttl_until_s: int
    permissions: int
    timestamp_s: int
    references: _containers.RepeatedCompositeFieldContainer[Reference]
    def __init__(self, index: _Optional[int] = ..., type: _Optional[str] = ..., data: _Optional[bytes] = ..., ttl_s: _Optional[int] = ..., ttl_until_s: _Optional[int] = ..., permissions: _Optional[int] = ..., timestamp_s: _Optional[int] = ..., references: _Optional[_Iterable[_Union[Reference, _Mapping]]] = ...) -> None: ...

class Reference(_message.Message):
    __slots__ = ("name", "index")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    name: str
    index: int
    def __init__(self, name: _Optional[str] = ..., index: _Optional[int] = ...) -> None: ...
