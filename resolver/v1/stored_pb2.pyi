from resolver.v1 import handle_pb2 as _handle_pb2
from resolver.v1 import mirror_pb2 as _mirror_pb2
from resolver.v1 import site_pb2 as _site_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StoredRestricted(_message.Message):
    __slots__ = ("values", "places")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[_handle_pb2.HandleValue]
    places: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, values: _Optional[_Iterable[_Union[_handle_pb2.HandleValue, _Mapping]]] = ..., places: _Optional[_Iterable[int]] = ...) -> None: ...

class StoredTombstone(_message.Message):
    __slots__ = ("version", "serial", "time_us")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    version: int
    serial: int
    time_us: int
    def __init__(self, version: _Optional[int] = ..., serial: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class StoredTally(_message.Message):
    __slots__ = ("handle_count", "record_octets", "set_hash", "serial")
    HANDLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    RECORD_OCTETS_FIELD_NUMBER: _ClassVar[int]
    SET_HASH_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    handle_count: int
    record_octets: int
    set_hash: bytes
    serial: int
    def __init__(self, handle_count: _Optional[int] = ..., record_octets: _Optional[int] = ..., set_hash: _Optional[bytes] = ..., serial: _Optional[int] = ...) -> None: ...

class StoredKey(_message.Message):
    __slots__ = ("key_id", "principal_id", "kind", "description", "create_time_us", "expire_time_us", "revoked", "handle_data")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    HANDLE_DATA_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    principal_id: str
    kind: int
    description: str
    create_time_us: int
    expire_time_us: int
    revoked: bool
    handle_data: bytes
    def __init__(self, key_id: _Optional[str] = ..., principal_id: _Optional[str] = ..., kind: _Optional[int] = ..., description: _Optional[str] = ..., create_time_us: _Optional[int] = ..., expire_time_us: _Optional[int] = ..., revoked: _Optional[bool] = ..., handle_data: _Optional[bytes] = ...) -> None: ...

class StoredLogin(_message.Message):
    __slots__ = ("principal_id", "salt", "hash", "log2_n", "r", "p", "password_sha256", "create_time_us", "password_time_us", "sessions")
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    LOG2_N_FIELD_NUMBER: _ClassVar[int]
    R_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_SHA256_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_TIME_US_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    principal_id: str
    salt: bytes
    hash: bytes
    log2_n: int
    r: int
    p: int
    password_sha256: bytes
    create_time_us: int
    password_time_us: int
    sessions: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, principal_id: _Optional[str] = ..., salt: _Optional[bytes] = ..., hash: _Optional[bytes] = ..., log2_n: _Optional[int] = ..., r: _Optional[int] = ..., p: _Optional[int] = ..., password_sha256: _Optional[bytes] = ..., create_time_us: _Optional[int] = ..., password_time_us: _Optional[int] = ..., sessions: _Optional[_Iterable[bytes]] = ...) -> None: ...

class StoredSession(_message.Message):
    __slots__ = ("principal_id", "user_name", "expire_time_us")
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    USER_NAME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    principal_id: str
    user_name: str
    expire_time_us: int
    def __init__(self, principal_id: _Optional[str] = ..., user_name: _Optional[str] = ..., expire_time_us: _Optional[int] = ...) -> None: ...

class StoredRate(_message.Message):
    __slots__ = ("second", "writes")
    SECOND_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    second: int
    writes: int
    def __init__(self, second: _Optional[int] = ..., writes: _Optional[int] = ...) -> None: ...

class StoredEnterpriseRecord(_message.Message):
    __slots__ = ("document", "create_time_us", "update_time_us", "principal_id")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    create_time_us: int
    update_time_us: int
    principal_id: str
    def __init__(self, document: _Optional[bytes] = ..., create_time_us: _Optional[int] = ..., update_time_us: _Optional[int] = ..., principal_id: _Optional[str] = ...) -> None: ...

class StoredApplication(_message.Message):
    __slots__ = ("document", "enterprise_id", "password_hash")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    ENTERPRISE_ID_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_HASH_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    enterprise_id: str
    password_hash: bytes
    def __init__(self, document: _Optional[bytes] = ..., enterprise_id: _Optional[str] = ..., password_hash: _Optional[bytes] = ...) -> None: ...

class StoredFile(_message.Message):
    __slots__ = ("digest", "octets", "media_type", "principal_id", "enterprise_id", "create_time_us")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OCTETS_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    ENTERPRISE_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    octets: int
    media_type: str
    principal_id: str
    enterprise_id: str
    create_time_us: int
    def __init__(self, digest: _Optional[bytes] = ..., octets: _Optional[int] = ..., media_type: _Optional[str] = ..., principal_id: _Optional[str] = ..., enterprise_id: _Optional[str] = ..., create_time_us: _Optional[int] = ...) -> None: ...

class StoredOutcome(_message.Message):
    __slots__ = ("fingerprint", "time_us", "response", "refusal")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    fingerprint: bytes
    time_us: int
    response: bytes
    refusal: StoredRefusal
    def __init__(self, fingerprint: _Optional[bytes] = ..., time_us: _Optional[int] = ..., response: _Optional[bytes] = ..., refusal: _Optional[_Union[StoredRefusal, _Mapping]] = ...) -> None: ...

class StoredRefusal(_message.Message):
    __slots__ = ("reason", "message", "field", "details")
    class DetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    field: str
    details: _containers.ScalarMap[str, str]
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., field: _Optional[str] = ..., details: _Optional[_Mapping[str, str]] = ...) -> None: ...

class StoredImport(_message.Message):
    __slots__ = ("durable_sequence", "time_us")
    DURABLE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    durable_sequence: int
    time_us: int
    def __init__(self, durable_sequence: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class StoredDay(_message.Message):
    __slots__ = ("creates", "modifies", "deletes", "resolutions", "resolutions_found", "sources", "sources_error", "unattributed", "handle_count", "new_prefixes")
    CREATES_FIELD_NUMBER: _ClassVar[int]
    MODIFIES_FIELD_NUMBER: _ClassVar[int]
    DELETES_FIELD_NUMBER: _ClassVar[int]
    RESOLUTIONS_FIELD_NUMBER: _ClassVar[int]
    RESOLUTIONS_FOUND_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_ERROR_FIELD_NUMBER: _ClassVar[int]
    UNATTRIBUTED_FIELD_NUMBER: _ClassVar[int]
    HANDLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEW_PREFIXES_FIELD_NUMBER: _ClassVar[int]
    creates: int
    modifies: int
    deletes: int
    resolutions: int
    resolutions_found: int
    sources: int
    sources_error: int
    unattributed: int
    handle_count: int
    new_prefixes: int
    def __init__(self, creates: _Optional[int] = ..., modifies: _Optional[int] = ..., deletes: _Optional[int] = ..., resolutions: _Optional[int] = ..., resolutions_found: _Optional[int] = ..., sources: _Optional[int] = ..., sources_error: _Optional[int] = ..., unattributed: _Optional[int] = ..., handle_count: _Optional[int] = ..., new_prefixes: _Optional[int] = ...) -> None: ...

class StoredSource(_message.Message):
    __slots__ = ("resolutions", "error")
    RESOLUTIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    resolutions: int
    error: int
    def __init__(self, resolutions: _Optional[int] = ..., error: _Optional[int] = ...) -> None: ...

class StoredActivity(_message.Message):
    __slots__ = ("calls", "total_us", "least_us", "least_time_us", "most_us", "most_time_us", "items", "items_ok", "peak", "peak_time_s", "recent")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    LEAST_US_FIELD_NUMBER: _ClassVar[int]
    LEAST_TIME_US_FIELD_NUMBER: _ClassVar[int]
    MOST_US_FIELD_NUMBER: _ClassVar[int]
    MOST_TIME_US_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_OK_FIELD_NUMBER: _ClassVar[int]
    PEAK_FIELD_NUMBER: _ClassVar[int]
    PEAK_TIME_S_FIELD_NUMBER: _ClassVar[int]
    RECENT_FIELD_NUMBER: _ClassVar[int]
    calls: int
    total_us: int
    least_us: int
    least_time_us: int
    most_us: int
    most_time_us: int
    items: int
    items_ok: int
    peak: int
    peak_time_s: int
    recent: _containers.RepeatedCompositeFieldContainer[StoredSecond]
    def __init__(self, calls: _Optional[int] = ..., total_us: _Optional[int] = ..., least_us: _Optional[int] = ..., least_time_us: _Optional[int] = ..., most_us: _Optional[int] = ..., most_time_us: _Optional[int] = ..., items: _Optional[int] = ..., items_ok: _Optional[int] = ..., peak: _Optional[int] = ..., peak_time_s: _Optional[int] = ..., recent: _Optional[_Iterable[_Union[StoredSecond, _Mapping]]] = ...) -> None: ...

class StoredSecond(_message.Message):
    __slots__ = ("time_s", "items")
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    time_s: int
    items: int
    def __init__(self, time_s: _Optional[int] = ..., items: _Optional[int] = ...) -> None: ...

class StoredSite(_message.Message):
    __slots__ = ("role", "epochs", "primary", "mirror_id", "sweep", "to_fence", "logging", "complete", "announce", "site_id", "catching_up")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    MIRROR_ID_FIELD_NUMBER: _ClassVar[int]
    SWEEP_FIELD_NUMBER: _ClassVar[int]
    TO_FENCE_FIELD_NUMBER: _ClassVar[int]
    LOGGING_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCE_FIELD_NUMBER: _ClassVar[int]
    SITE_ID_FIELD_NUMBER: _ClassVar[int]
    CATCHING_UP_FIELD_NUMBER: _ClassVar[int]
    role: _mirror_pb2.SiteRole
    epochs: _containers.RepeatedCompositeFieldContainer[_mirror_pb2.Epoch]
    primary: str
    mirror_id: str
    sweep: _mirror_pb2.Sweep
    to_fence: str
    logging: bool
    complete: bool
    announce: bool
    site_id: bytes
    catching_up: _mirror_pb2.MirrorPosition
    def __init__(self, role: _Optional[_Union[_mirror_pb2.SiteRole, str]] = ..., epochs: _Optional[_Iterable[_Union[_mirror_pb2.Epoch, _Mapping]]] = ..., primary: _Optional[str] = ..., mirror_id: _Optional[str] = ..., sweep: _Optional[_Union[_mirror_pb2.Sweep, _Mapping]] = ..., to_fence: _Optional[str] = ..., logging: _Optional[bool] = ..., complete: _Optional[bool] = ..., announce: _Optional[bool] = ..., site_id: _Optional[bytes] = ..., catching_up: _Optional[_Union[_mirror_pb2.MirrorPosition, _Mapping]] = ...) -> None: ...

class StoredAhead(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[HandleAhead]
    def __init__(self, rows: _Optional[_Iterable[_Union[HandleAhead, _Mapping]]] = ...) -> None: ...

class HandleAhead(_message.Message):
    __slots__ = ("key", "name", "serial", "digest")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    name: str
    serial: int
    digest: bytes
    def __init__(self, key: _Optional[bytes] = ..., name: _Optional[str] = ..., serial: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class StoredServer(_message.Message):
    __slots__ = ("id", "stage", "next", "pulls", "fence_until_us", "leftovers", "leftovers_after", "previous", "follows_registry", "copy_from_us")
    ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    PULLS_FIELD_NUMBER: _ClassVar[int]
    FENCE_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    LEFTOVERS_FIELD_NUMBER: _ClassVar[int]
    LEFTOVERS_AFTER_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    FOLLOWS_REGISTRY_FIELD_NUMBER: _ClassVar[int]
    COPY_FROM_US_FIELD_NUMBER: _ClassVar[int]
    id: int
    stage: _site_pb2.SiteStage
    next: _site_pb2.SiteLayout
    pulls: _containers.RepeatedCompositeFieldContainer[_site_pb2.SitePull]
    fence_until_us: int
    leftovers: bool
    leftovers_after: bytes
    previous: _site_pb2.SiteLayout
    follows_registry: bool
    copy_from_us: int
    def __init__(self, id: _Optional[int] = ..., stage: _Optional[_Union[_site_pb2.SiteStage, str]] = ..., next: _Optional[_Union[_site_pb2.SiteLayout, _Mapping]] = ..., pulls: _Optional[_Iterable[_Union[_site_pb2.SitePull, _Mapping]]] = ..., fence_until_us: _Optional[int] = ..., leftovers: _Optional[bool] = ..., leftovers_after: _Optional[bytes] = ..., previous: _Optional[_Union[_site_pb2.SiteLayout, _Mapping]] = ..., follows_registry: _Optional[bool] = ..., copy_from_us: _Optional[int] = ...) -> None: ...

class AnswerOctets(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: RecordOctets
    def __init__(self, record: _Optional[_Union[RecordOctets, _Mapping]] = ...) -> None: ...

class RecordOctets(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[bytes]] = ...) -> None: ...
