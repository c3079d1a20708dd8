from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ItemKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ITEM_KIND_UNSPECIFIED: _ClassVar[ItemKind]
    ITEM_KIND_TEXT: _ClassVar[ItemKind]
    ITEM_KIND_NUMBER: _ClassVar[ItemKind]
    ITEM_KIND_DATE: _ClassVar[ItemKind]
    ITEM_KIND_BOOLEAN: _ClassVar[ItemKind]
    ITEM_KIND_ENUM: _ClassVar[ItemKind]
    ITEM_KIND_URL: _ClassVar[ItemKind]
    ITEM_KIND_LIST: _ClassVar[ItemKind]
    ITEM_KIND_HANDLE: _ClassVar[ItemKind]
ITEM_KIND_UNSPECIFIED: ItemKind
ITEM_KIND_TEXT: ItemKind
ITEM_KIND_NUMBER: ItemKind
ITEM_KIND_DATE: ItemKind
ITEM_KIND_BOOLEAN: ItemKind
ITEM_KIND_ENUM: ItemKind
ITEM_KIND_URL: ItemKind
ITEM_KIND_LIST: ItemKind
ITEM_KIND_HANDLE: ItemKind

class TemplateItem(_message.Message):
    __slots__ = ("index", "type", "name", "required", "disabled", "kind", "minimum", "maximum", "options", "decimals", "lower_bound", "upper_bound", "element", "definition")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    index: int
    type: str
    name: str
    required: bool
    disabled: bool
    kind: ItemKind
    minimum: int
    maximum: int
    options: _containers.RepeatedScalarFieldContainer[str]
    decimals: int
    lower_bound: str
    upper_bound: str
    element: ItemKind
    definition: str
    def __init__(self, index: _Optional[int] = ..., type: _Optional[str] = ..., name: _Optional[str] = ..., required: _Optional[bool] = ..., disabled: _Optional[bool] = ..., kind: _Optional[_Union[ItemKind, str]] = ..., minimum: _Optional[int] = ..., maximum: _Optional[int] = ..., options: _Optional[_Iterable[str]] = ..., decimals: _Optional[int] = ..., lower_bound: _Optional[str] = ..., upper_bound: _Optional[str] = ..., element: _Optional[_Union[ItemKind, str]] = ..., definition: _Optional[str] = ...) -> None: ...

class Template(_message.Message):
    __slots__ = ("template_id", "prefix", "label", "industry_codes", "active_carrier", "description", "items", "withdrawn", "version", "create_time_us", "deleted", "update_time_us", "principal_id")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    INDUSTRY_CODES_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CARRIER_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    prefix: str
    label: str
    industry_codes: _containers.RepeatedScalarFieldContainer[str]
    active_carrier: bool
    description: str
    items: _containers.RepeatedCompositeFieldContainer[TemplateItem]
    withdrawn: bool
    version: int
    create_time_us: int
    deleted: bool
    update_time_us: int
    principal_id: str
    def __init__(self, template_id: _Optional[str] = ..., prefix: _Optional[str] = ..., label: _Optional[str] = ..., industry_codes: _Optional[_Iterable[str]] = ..., active_carrier: _Optional[bool] = ..., description: _Optional[str] = ..., items: _Optional[_Iterable[_Union[TemplateItem, _Mapping]]] = ..., withdrawn: _Optional[bool] = ..., version: _Optional[int] = ..., create_time_us: _Optional[int] = ..., deleted: _Optional[bool] = ..., update_time_us: _Optional[int] = ..., principal_id: _Optional[str] = ...) -> None: ...

class CreateTemplateRequest(_message.Message):
    __slots__ = ("template", "request_id", "validate_only")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    template: Template
    request_id: str
    validate_only: bool
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreateTemplateResponse(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: Template
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...

class GetTemplateRequest(_message.Message):
    __slots__ = ("template_id", "prefix", "label", "version")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    prefix: str
    label: str
    version: int
    def __init__(self, template_id: _Optional[str] = ..., prefix: _Optional[str] = ..., label: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetTemplateResponse(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: Template
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...

class ListTemplatesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "prefix", "include_deleted")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_DELETED_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    prefix: str
    include_deleted: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., prefix: _Optional[str] = ..., include_deleted: _Optional[bool] = ...) -> None: ...

class ListTemplatesResponse(_message.Message):
    __slots__ = ("templates", "next_page_token")
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    templates: _containers.RepeatedCompositeFieldContainer[Template]
    next_page_token: str
    def __init__(self, templates: _Optional[_Iterable[_Union[Template, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListTemplateVersionsRequest(_message.Message):
    __slots__ = ("template_id", "page_size", "page_token")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    page_size: int
    page_token: str
    def __init__(self, template_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTemplateVersionsResponse(_message.Message):
    __slots__ = ("templates", "next_page_token")
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    templates: _containers.RepeatedCompositeFieldContainer[Template]
    next_page_token: str
    def __init__(self, templates: _Optional[_Iterable[_Union[Template, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateTemplateRequest(_message.Message):
    __slots__ = ("template", "request_id", "if_version", "validate_only")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    template: Template
    request_id: str
    if_version: int
    validate_only: bool
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class UpdateTemplateResponse(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: Template
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...

class DeleteTemplateRequest(_message.Message):
    __slots__ = ("template_id", "request_id", "if_version", "validate_only")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    request_id: str
    if_version: int
    validate_only: bool
    def __init__(self, template_id: _Optional[str] = ..., request_id: _Optional[str] = ..., if_version: _Optional[int] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class DeleteTemplateResponse(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: Template
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...
