from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SiteRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SITE_ROLE_UNSPECIFIED: _ClassVar[SiteRole]
    SITE_ROLE_PRIMARY: _ClassVar[SiteRole]
    SITE_ROLE_MIRROR: _ClassVar[SiteRole]
    SITE_ROLE_FENCED: _ClassVar[SiteRole]
SITE_ROLE_UNSPECIFIED: SiteRole
SITE_ROLE_PRIMARY: SiteRole
SITE_ROLE_MIRROR: SiteRole
SITE_ROLE_FENCED: SiteRole

class MirrorPosition(_message.Message):
    __slots__ = ("serial", "sequence")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    serial: int
    sequence: int
    def __init__(self, serial: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class Epoch(_message.Message):
    __slots__ = ("number", "start")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    number: int
    start: MirrorPosition
    def __init__(self, number: _Optional[int] = ..., start: _Optional[_Union[MirrorPosition, _Mapping]] = ...) -> None: ...

class Sweep(_message.Message):
    __slots__ = ("start", "epoch", "table", "after")
    START_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    start: MirrorPosition
    epoch: int
    table: int
    after: bytes
    def __init__(self, start: _Optional[_Union[MirrorPosition, _Mapping]] = ..., epoch: _Optional[int] = ..., table: _Optional[int] = ..., after: _Optional[bytes] = ...) -> None: ...

class FollowRequest(_message.Message):
    __slots__ = ("mirror_id", "epoch", "held", "sweep", "start_sweep", "site_id", "share")
    MIRROR_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    SWEEP_FIELD_NUMBER: _ClassVar[int]
    START_SWEEP_FIELD_NUMBER: _ClassVar[int]
    SITE_ID_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    mirror_id: str
    epoch: int
    held: MirrorPosition
    sweep: Sweep
    start_sweep: bool
    site_id: bytes
    share: ShareWanted
    def __init__(self, mirror_id: _Optional[str] = ..., epoch: _Optional[int] = ..., held: _Optional[_Union[MirrorPosition, _Mapping]] = ..., sweep: _Optional[_Union[Sweep, _Mapping]] = ..., start_sweep: _Optional[bool] = ..., site_id: _Optional[bytes] = ..., share: _Optional[_Union[ShareWanted, _Mapping]] = ...) -> None: ...

class ShareWanted(_message.Message):
    __slots__ = ("registry", "from_hash", "from_servers", "from_place", "to_hash", "to_servers", "to_place")
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    FROM_HASH_FIELD_NUMBER: _ClassVar[int]
    FROM_SERVERS_FIELD_NUMBER: _ClassVar[int]
    FROM_PLACE_FIELD_NUMBER: _ClassVar[int]
    TO_HASH_FIELD_NUMBER: _ClassVar[int]
    TO_SERVERS_FIELD_NUMBER: _ClassVar[int]
    TO_PLACE_FIELD_NUMBER: _ClassVar[int]
    registry: bool
    from_hash: int
    from_servers: int
    from_place: int
    to_hash: int
    to_servers: int
    to_place: int
    def __init__(self, registry: _Optional[bool] = ..., from_hash: _Optional[int] = ..., from_servers: _Optional[int] = ..., from_place: _Optional[int] = ..., to_hash: _Optional[int] = ..., to_servers: _Optional[int] = ..., to_place: _Optional[int] = ...) -> None: ...

class FollowResponse(_message.Message):
    __slots__ = ("newest", "epochs", "chunk", "rows", "parted", "site_id", "sweep")
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PARTED_FIELD_NUMBER: _ClassVar[int]
    SITE_ID_FIELD_NUMBER: _ClassVar[int]
    SWEEP_FIELD_NUMBER: _ClassVar[int]
    newest: MirrorPosition
    epochs: _containers.RepeatedCompositeFieldContainer[Epoch]
    chunk: SweepChunk
    rows: ChangedRows
    parted: CommonPoint
    site_id: bytes
    sweep: Sweep
    def __init__(self, newest: _Optional[_Union[MirrorPosition, _Mapping]] = ..., epochs: _Optional[_Iterable[_Union[Epoch, _Mapping]]] = ..., chunk: _Optional[_Union[SweepChunk, _Mapping]] = ..., rows: _Optional[_Union[ChangedRows, _Mapping]] = ..., parted: _Optional[_Union[CommonPoint, _Mapping]] = ..., site_id: _Optional[bytes] = ..., sweep: _Optional[_Union[Sweep, _Mapping]] = ...) -> None: ...

class CommonPoint(_message.Message):
    __slots__ = ("serial",)
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    serial: int
    def __init__(self, serial: _Optional[int] = ...) -> None: ...

class SweepChunk(_message.Message):
    __slots__ = ("table", "after", "through", "rows", "restricted", "next", "last", "images")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    table: str
    after: bytes
    through: bytes
    rows: _containers.RepeatedScalarFieldContainer[bytes]
    restricted: _containers.RepeatedScalarFieldContainer[bytes]
    next: Sweep
    last: bool
    images: _containers.RepeatedCompositeFieldContainer[RecordImage]
    def __init__(self, table: _Optional[str] = ..., after: _Optional[bytes] = ..., through: _Optional[bytes] = ..., rows: _Optional[_Iterable[bytes]] = ..., restricted: _Optional[_Iterable[bytes]] = ..., next: _Optional[_Union[Sweep, _Mapping]] = ..., last: _Optional[bool] = ..., images: _Optional[_Iterable[_Union[RecordImage, _Mapping]]] = ...) -> None: ...

class ChangedRows(_message.Message):
    __slots__ = ("first_serial", "changes", "records", "first_sequence", "log", "rows", "settled", "tallies", "through")
    FIRST_SERIAL_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    TALLIES_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    first_serial: int
    changes: _containers.RepeatedScalarFieldContainer[bytes]
    records: _containers.RepeatedCompositeFieldContainer[RecordImage]
    first_sequence: int
    log: _containers.RepeatedScalarFieldContainer[bytes]
    rows: _containers.RepeatedCompositeFieldContainer[RowImage]
    settled: bool
    tallies: _containers.RepeatedCompositeFieldContainer[RowImage]
    through: MirrorPosition
    def __init__(self, first_serial: _Optional[int] = ..., changes: _Optional[_Iterable[bytes]] = ..., records: _Optional[_Iterable[_Union[RecordImage, _Mapping]]] = ..., first_sequence: _Optional[int] = ..., log: _Optional[_Iterable[bytes]] = ..., rows: _Optional[_Iterable[_Union[RowImage, _Mapping]]] = ..., settled: _Optional[bool] = ..., tallies: _Optional[_Iterable[_Union[RowImage, _Mapping]]] = ..., through: _Optional[_Union[MirrorPosition, _Mapping]] = ...) -> None: ...

class RecordImage(_message.Message):
    __slots__ = ("key", "public", "restricted", "tombstone", "name")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    public: bytes
    restricted: bytes
    tombstone: bytes
    name: str
    def __init__(self, key: _Optional[bytes] = ..., public: _Optional[bytes] = ..., restricted: _Optional[bytes] = ..., tombstone: _Optional[bytes] = ..., name: _Optional[str] = ...) -> None: ...

class RowImage(_message.Message):
    __slots__ = ("table", "key", "row")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    table: str
    key: bytes
    row: bytes
    def __init__(self, table: _Optional[str] = ..., key: _Optional[bytes] = ..., row: _Optional[bytes] = ...) -> None: ...

class RowLogEntry(_message.Message):
    __slots__ = ("places", "serial")
    PLACES_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    places: _containers.RepeatedScalarFieldContainer[bytes]
    serial: int
    def __init__(self, places: _Optional[_Iterable[bytes]] = ..., serial: _Optional[int] = ...) -> None: ...

class GetMirrorStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetMirrorStatusResponse(_message.Message):
    __slots__ = ("role", "epochs", "held", "primary", "primary_newest", "heard_time_us", "sweeping", "mirrors", "confirmations", "trouble", "missing_files")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_NEWEST_FIELD_NUMBER: _ClassVar[int]
    HEARD_TIME_US_FIELD_NUMBER: _ClassVar[int]
    SWEEPING_FIELD_NUMBER: _ClassVar[int]
    MIRRORS_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FILES_FIELD_NUMBER: _ClassVar[int]
    role: SiteRole
    epochs: _containers.RepeatedCompositeFieldContainer[Epoch]
    held: MirrorPosition
    primary: str
    primary_newest: MirrorPosition
    heard_time_us: int
    sweeping: bool
    mirrors: _containers.RepeatedCompositeFieldContainer[MirrorState]
    confirmations: int
    trouble: str
    missing_files: int
    def __init__(self, role: _Optional[_Union[SiteRole, str]] = ..., epochs: _Optional[_Iterable[_Union[Epoch, _Mapping]]] = ..., held: _Optional[_Union[MirrorPosition, _Mapping]] = ..., primary: _Optional[str] = ..., primary_newest: _Optional[_Union[MirrorPosition, _Mapping]] = ..., heard_time_us: _Optional[int] = ..., sweeping: _Optional[bool] = ..., mirrors: _Optional[_Iterable[_Union[MirrorState, _Mapping]]] = ..., confirmations: _Optional[int] = ..., trouble: _Optional[str] = ..., missing_files: _Optional[int] = ...) -> None: ...

class MirrorState(_message.Message):
    __slots__ = ("mirror_id", "held", "heard_time_us", "lag")
    MIRROR_ID_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HEARD_TIME_US_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    mirror_id: str
    held: MirrorPosition
    heard_time_us: int
    lag: int
    def __init__(self, mirror_id: _Optional[str] = ..., held: _Optional[_Union[MirrorPosition, _Mapping]] = ..., heard_time_us: _Optional[int] = ..., lag: _Optional[int] = ...) -> None: ...

class PromoteMirrorRequest(_message.Message):
    __slots__ = ("at_least_serial",)
    AT_LEAST_SERIAL_FIELD_NUMBER: _ClassVar[int]
    at_least_serial: int
    def __init__(self, at_least_serial: _Optional[int] = ...) -> None: ...

class PromoteMirrorResponse(_message.Message):
    __slots__ = ("epoch", "last_heard_serial", "address")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARD_SERIAL_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    epoch: Epoch
    last_heard_serial: int
    address: str
    def __init__(self, epoch: _Optional[_Union[Epoch, _Mapping]] = ..., last_heard_serial: _Optional[int] = ..., address: _Optional[str] = ...) -> None: ...

class FencePrimaryRequest(_message.Message):
    __slots__ = ("epoch", "primary")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    primary: str
    def __init__(self, epoch: _Optional[int] = ..., primary: _Optional[str] = ...) -> None: ...

class FencePrimaryResponse(_message.Message):
    __slots__ = ("role", "held")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    role: SiteRole
    held: MirrorPosition
    def __init__(self, role: _Optional[_Union[SiteRole, str]] = ..., held: _Optional[_Union[MirrorPosition, _Mapping]] = ...) -> None: ...

class ReadFileRequest(_message.Message):
    __slots__ = ("sha256", "offset")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    offset: int
    def __init__(self, sha256: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadFileResponse(_message.Message):
    __slots__ = ("content", "size")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    size: int
    def __init__(self, content: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...
