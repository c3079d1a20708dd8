from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetNodeInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetNodeInfoResponse(_message.Message):
    __slots__ = ("version", "prefix", "format_version", "serial", "handle_count", "time_us", "batch_resolve_max", "batch_create_max", "record_octets_max", "message_octets_max")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    HANDLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    BATCH_RESOLVE_MAX_FIELD_NUMBER: _ClassVar[int]
    BATCH_CREATE_MAX_FIELD_NUMBER: _ClassVar[int]
    RECORD_OCTETS_MAX_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_OCTETS_MAX_FIELD_NUMBER: _ClassVar[int]
    version: str
    prefix: str
    format_version: int
    serial: int
    handle_count: int
    time_us: int
    batch_resolve_max: int
    batch_create_max: int
    record_octets_max: int
    message_octets_max: int
    def __init__(self, version: _Optional[str] = ..., prefix: _Optional[str] = ..., format_version: _Optional[int] = ..., serial: _Optional[int] = ..., handle_count: _Optional[int] = ..., time_us: _Optional[int] = ..., batch_resolve_max: _Optional[int] = ..., batch_create_max: _Optional[int] = ..., record_octets_max: _Optional[int] = ..., message_octets_max: _Optional[int] = ...) -> None: ...

class GetStatisticsRequest(_message.Message):
    __slots__ = ("prefix", "from_day", "to_day", "page_size", "page_token", "include_sources", "include_activity")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    FROM_DAY_FIELD_NUMBER: _ClassVar[int]
    TO_DAY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SOURCES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    from_day: int
    to_day: int
    page_size: int
    page_token: str
    include_sources: bool
    include_activity: bool
    def __init__(self, prefix: _Optional[str] = ..., from_day: _Optional[int] = ..., to_day: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_sources: _Optional[bool] = ..., include_activity: _Optional[bool] = ...) -> None: ...

class GetStatisticsResponse(_message.Message):
    __slots__ = ("node", "prefixes", "days", "next_page_token", "activity")
    NODE_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    node: PrefixTotals
    prefixes: _containers.RepeatedCompositeFieldContainer[PrefixTotals]
    days: _containers.RepeatedCompositeFieldContainer[DailyCounts]
    next_page_token: str
    activity: _containers.RepeatedCompositeFieldContainer[DailyActivity]
    def __init__(self, node: _Optional[_Union[PrefixTotals, _Mapping]] = ..., prefixes: _Optional[_Iterable[_Union[PrefixTotals, _Mapping]]] = ..., days: _Optional[_Iterable[_Union[DailyCounts, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., activity: _Optional[_Iterable[_Union[DailyActivity, _Mapping]]] = ...) -> None: ...

class PrefixTotals(_message.Message):
    __slots__ = ("prefix", "handle_count", "record_octets", "set_hash", "serial", "prefix_count")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    HANDLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    RECORD_OCTETS_FIELD_NUMBER: _ClassVar[int]
    SET_HASH_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    PREFIX_COUNT_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    handle_count: int
    record_octets: int
    set_hash: bytes
    serial: int
    prefix_count: int
    def __init__(self, prefix: _Optional[str] = ..., handle_count: _Optional[int] = ..., record_octets: _Optional[int] = ..., set_hash: _Optional[bytes] = ..., serial: _Optional[int] = ..., prefix_count: _Optional[int] = ...) -> None: ...

class DailyCounts(_message.Message):
    __slots__ = ("day", "prefix", "creates", "modifies", "deletes", "resolutions", "resolutions_found", "sources", "whole_node", "handle_count", "new_prefixes", "sources_error", "unattributed")
    DAY_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    CREATES_FIELD_NUMBER: _ClassVar[int]
    MODIFIES_FIELD_NUMBER: _ClassVar[int]
    DELETES_FIELD_NUMBER: _ClassVar[int]
    RESOLUTIONS_FIELD_NUMBER: _ClassVar[int]
    RESOLUTIONS_FOUND_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    WHOLE_NODE_FIELD_NUMBER: _ClassVar[int]
    HANDLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEW_PREFIXES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_ERROR_FIELD_NUMBER: _ClassVar[int]
    UNATTRIBUTED_FIELD_NUMBER: _ClassVar[int]
    day: int
    prefix: str
    creates: int
    modifies: int
    deletes: int
    resolutions: int
    resolutions_found: int
    sources: _containers.RepeatedCompositeFieldContainer[SourceCount]
    whole_node: bool
    handle_count: int
    new_prefixes: int
    sources_error: int
    unattributed: int
    def __init__(self, day: _Optional[int] = ..., prefix: _Optional[str] = ..., creates: _Optional[int] = ..., modifies: _Optional[int] = ..., deletes: _Optional[int] = ..., resolutions: _Optional[int] = ..., resolutions_found: _Optional[int] = ..., sources: _Optional[_Iterable[_Union[SourceCount, _Mapping]]] = ..., whole_node: _Optional[bool] = ..., handle_count: _Optional[int] = ..., new_prefixes: _Optional[int] = ..., sources_error: _Optional[int] = ..., unattributed: _Optional[int] = ...) -> None: ...

class SourceCount(_message.Message):
    __slots__ = ("address", "resolutions", "error")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    RESOLUTIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    address: str
    resolutions: int
    error: int
    def __init__(self, address: _Optional[str] = ..., resolutions: _Optional[int] = ..., error: _Optional[int] = ...) -> None: ...

class DailyActivity(_message.Message):
    __slots__ = ("day", "kind", "protocol", "calls", "average_us", "least_us", "least_time_us", "most_us", "most_time_us", "items", "items_ok", "peak_per_s", "peak_time_s")
    DAY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_US_FIELD_NUMBER: _ClassVar[int]
    LEAST_US_FIELD_NUMBER: _ClassVar[int]
    LEAST_TIME_US_FIELD_NUMBER: _ClassVar[int]
    MOST_US_FIELD_NUMBER: _ClassVar[int]
    MOST_TIME_US_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_OK_FIELD_NUMBER: _ClassVar[int]
    PEAK_PER_S_FIELD_NUMBER: _ClassVar[int]
    PEAK_TIME_S_FIELD_NUMBER: _ClassVar[int]
    day: int
    kind: str
    protocol: str
    calls: int
    average_us: int
    least_us: int
    least_time_us: int
    most_us: int
    most_time_us: int
    items: int
    items_ok: int
    peak_per_s: int
    peak_time_s: int
    def __init__(self, day: _Optional[int] = ..., kind: _Optional[str] = ..., protocol: _Optional[str] = ..., calls: _Optional[int] = ..., average_us: _Optional[int] = ..., least_us: _Optional[int] = ..., least_time_us: _Optional[int] = ..., most_us: _Optional[int] = ..., most_time_us: _Optional[int] = ..., items: _Optional[int] = ..., items_ok: _Optional[int] = ..., peak_per_s: _Optional[int] = ..., peak_time_s: _Optional[int] = ...) -> None: ...

class ListSourceStatisticsRequest(_message.Message):
    __slots__ = ("prefix", "from_day", "to_day", "limit")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    FROM_DAY_FIELD_NUMBER: _ClassVar[int]
    TO_DAY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    from_day: int
    to_day: int
    limit: int
    def __init__(self, prefix: _Optional[str] = ..., from_day: _Optional[int] = ..., to_day: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListSourceStatisticsResponse(_message.Message):
    __slots__ = ("sources", "sources_error", "unattributed", "address_count")
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_ERROR_FIELD_NUMBER: _ClassVar[int]
    UNATTRIBUTED_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_COUNT_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[SourceCount]
    sources_error: int
    unattributed: int
    address_count: int
    def __init__(self, sources: _Optional[_Iterable[_Union[SourceCount, _Mapping]]] = ..., sources_error: _Optional[int] = ..., unattributed: _Optional[int] = ..., address_count: _Optional[int] = ...) -> None: ...
