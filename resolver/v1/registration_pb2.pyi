from google.api import annotations_pb2 as _annotations_pb2
from resolver.v1 import handle_pb2 as _handle_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OnExisting(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_EXISTING_UNSPECIFIED: _ClassVar[OnExisting]
    ON_EXISTING_FAIL: _ClassVar[OnExisting]
    ON_EXISTING_KEEP: _ClassVar[OnExisting]
    ON_EXISTING_REPLACE: _ClassVar[OnExisting]

class PutMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUT_MODE_UNSPECIFIED: _ClassVar[PutMode]
    PUT_MODE_ADD: _ClassVar[PutMode]
    PUT_MODE_MODIFY: _ClassVar[PutMode]
ON_EXISTING_UNSPECIFIED: OnExisting
ON_EXISTING_FAIL: OnExisting
ON_EXISTING_KEEP: OnExisting
ON_EXISTING_REPLACE: OnExisting
PUT_MODE_UNSPECIFIED: PutMode
PUT_MODE_ADD: PutMode
PUT_MODE_MODIFY: PutMode

class WriteReceipt(_message.Message):
    __slots__ = ("name", "version", "serial", "commit_time_us", "validated_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    VALIDATED_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    serial: int
    commit_time_us: int
    validated_only: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., serial: _Optional[int] = ..., commit_time_us: _Optional[int] = ..., validated_only: _Optional[bool] = ...) -> None: ...

class CreateHandleRequest(_message.Message):
    __slots__ = ("name", "values", "template_id", "mint_suffix", "request_id", "validate_only", "on_existing")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    MINT_SUFFIX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ON_EXISTING_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleValue]
    template_id: str
    mint_suffix: bool
    request_id: str
    validate_only: bool
    on_existing: OnExisting
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_handle_pb2.HandleValue, _Mapping]]] = ..., template_id: _Optional[str] = ..., mint_suffix: _Optional[bool] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., on_existing: _Optional[_Union[OnExisting, str]] = ...) -> None: ...

class CreateHandleResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: WriteReceipt
    def __init__(self, receipt: _Optional[_Union[WriteReceipt, _Mapping]] = ...) -> None: ...

class UpdateHandleRequest(_message.Message):
    __slots__ = ("name", "values", "template_id", "request_id", "if_version", "validate_only", "template_values_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_VALUES_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleValue]
    template_id: str
    request_id: str
    if_version: int
    validate_only: bool
    template_values_only: bool
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_handle_pb2.HandleValue, _Mapping]]] = ..., template_id: _Optional[str] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ..., template_values_only: _Optional[bool] = ...) -> None: ...

class UpdateHandleResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: WriteReceipt
    def __init__(self, receipt: _Optional[_Union[WriteReceipt, _Mapping]] = ...) -> None: ...

class PutValuesRequest(_message.Message):
    __slots__ = ("name", "values", "request_id", "if_version", "validate_only", "mode")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleValue]
    request_id: str
    if_version: int
    validate_only: bool
    mode: PutMode
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_handle_pb2.HandleValue, _Mapping]]] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ..., mode: _Optional[_Union[PutMode, str]] = ...) -> None: ...

class PutValuesResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: WriteReceipt
    def __init__(self, receipt: _Optional[_Union[WriteReceipt, _Mapping]] = ...) -> None: ...

class RemoveValuesRequest(_message.Message):
    __slots__ = ("name", "indexes", "request_id", "if_version", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    indexes: _containers.RepeatedScalarFieldContainer[int]
    request_id: str
    if_version: int
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., indexes: _Optional[_Iterable[int]] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class RemoveValuesResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: WriteReceipt
    def __init__(self, receipt: _Optional[_Union[WriteReceipt, _Mapping]] = ...) -> None: ...

class DeleteHandleRequest(_message.Message):
    __slots__ = ("name", "request_id", "if_version", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    if_version: int
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class DeleteHandleResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: WriteReceipt
    def __init__(self, receipt: _Optional[_Union[WriteReceipt, _Mapping]] = ...) -> None: ...

class NewHandle(_message.Message):
    __slots__ = ("name", "values", "template_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleValue]
    template_id: str
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_handle_pb2.HandleValue, _Mapping]]] = ..., template_id: _Optional[str] = ...) -> None: ...

class RowResult(_message.Message):
    __slots__ = ("row", "code", "reason", "message", "version", "serial", "details")
    class DetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ROW_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    row: int
    code: int
    reason: str
    message: str
    version: int
    serial: int
    details: _containers.ScalarMap[str, str]
    def __init__(self, row: _Optional[int] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., version: _Optional[int] = ..., serial: _Optional[int] = ..., details: _Optional[_Mapping[str, str]] = ...) -> None: ...

class BatchCreateHandlesRequest(_message.Message):
    __slots__ = ("handles", "on_existing", "request_id", "validate_only")
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    ON_EXISTING_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    handles: _containers.RepeatedCompositeFieldContainer[NewHandle]
    on_existing: OnExisting
    request_id: str
    validate_only: bool
    def __init__(self, handles: _Optional[_Iterable[_Union[NewHandle, _Mapping]]] = ..., on_existing: _Optional[_Union[OnExisting, str]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class BatchCreateHandlesResponse(_message.Message):
    __slots__ = ("results", "serial")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RowResult]
    serial: int
    def __init__(self, results: _Optional[_Iterable[_Union[RowResult, _Mapping]]] = ..., serial: _Optional[int] = ...) -> None: ...

class BatchUpdateHandlesRequest(_message.Message):
    __slots__ = ("handles", "template_values_only", "request_id", "validate_only")
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_VALUES_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    handles: _containers.RepeatedCompositeFieldContainer[NewHandle]
    template_values_only: bool
    request_id: str
    validate_only: bool
    def __init__(self, handles: _Optional[_Iterable[_Union[NewHandle, _Mapping]]] = ..., template_values_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class BatchUpdateHandlesResponse(_message.Message):
    __slots__ = ("results", "serial")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RowResult]
    serial: int
    def __init__(self, results: _Optional[_Iterable[_Union[RowResult, _Mapping]]] = ..., serial: _Optional[int] = ...) -> None: ...

class BatchDeleteHandlesRequest(_message.Message):
    __slots__ = ("names", "request_id", "validate_only")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    validate_only: bool
    def __init__(self, names: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class BatchDeleteHandlesResponse(_message.Message):
    __slots__ = ("results", "serial")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RowResult]
    serial: int
    def __init__(self, results: _Optional[_Iterable[_Union[RowResult, _Mapping]]] = ..., serial: _Optional[int] = ...) -> None: ...

class ImportHandlesRequest(_message.Message):
    __slots__ = ("import_id", "sequence", "handles", "on_existing", "validate_only", "keep_timestamps")
    IMPORT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    ON_EXISTING_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    KEEP_TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    import_id: str
    sequence: int
    handles: _containers.RepeatedCompositeFieldContainer[NewHandle]
    on_existing: OnExisting
    validate_only: bool
    keep_timestamps: bool
    def __init__(self, import_id: _Optional[str] = ..., sequence: _Optional[int] = ..., handles: _Optional[_Iterable[_Union[NewHandle, _Mapping]]] = ..., on_existing: _Optional[_Union[OnExisting, str]] = ..., validate_only: _Optional[bool] = ..., keep_timestamps: _Optional[bool] = ...) -> None: ...

class ImportHandlesResponse(_message.Message):
    __slots__ = ("sequence", "serial", "results", "durable_sequence", "repeated_chunk")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    DURABLE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REPEATED_CHUNK_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    serial: int
    results: _containers.RepeatedCompositeFieldContainer[RowResult]
    durable_sequence: int
    repeated_chunk: bool
    def __init__(self, sequence: _Optional[int] = ..., serial: _Optional[int] = ..., results: _Optional[_Iterable[_Union[RowResult, _Mapping]]] = ..., durable_sequence: _Optional[int] = ..., repeated_chunk: _Optional[bool] = ...) -> None: ...
