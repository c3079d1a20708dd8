"""Which class reads the data of which predefined type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from resolver.handle.name import fold
from resolver.wire.predefined.hs_admin import HsAdmin
from resolver.wire.predefined.hs_alias import HsAlias
from resolver.wire.predefined.hs_cert import HsCert
from resolver.wire.predefined.hs_namespace import HsNamespace
from resolver.wire.predefined.hs_pubkey import HsPubkey
from resolver.wire.predefined.hs_seckey import HsSeckey
from resolver.wire.predefined.hs_serv import HsServ
from resolver.wire.predefined.hs_signature import HsSignature
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.predefined.hs_vlist import HsVlist
from resolver.wire.predefined.loc_10320 import Loc10320

if TYPE_CHECKING:
    from resolver.handle.value import HandleValue


class Predefined(Protocol):
    """The shape of every class here."""

    TYPES: ClassVar[tuple[str, ...]]
    FORMAT: ClassVar[str]

    @classmethod
    def from_wire(cls, data: bytes) -> Self:
        """What the data of a value means. Raises WireError."""

    def to_wire(self) -> bytes:
        """The data of a value."""

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """What the JSON value means. Raises WireError."""

    def to_json(self) -> Any:
        """The JSON value."""


_ALL: tuple[type[Predefined], ...] = (
    HsAdmin,
    HsAlias,
    HsCert,
    HsNamespace,
    HsPubkey,
    HsSeckey,
    HsServ,
    HsSignature,
    HsSite,
    HsVlist,
    Loc10320,
)
CLASSES: dict[str, type[Predefined]] = {fold(type_): class_ for class_ in _ALL for type_ in class_.TYPES}
"""The class of each predefined type by its folded name."""

_NAME_LETTERS_MAX = max(map(len, CLASSES))

BY_FORMAT: dict[str, type[Predefined]] = {class_.FORMAT: class_ for class_ in _ALL if class_.FORMAT != "string"}
"""The class of each JSON format that is not plain text."""


def class_of(type_: str) -> type[Predefined] | None:
    """The class of a type or of the nearest type above it (HS_SITE for HS_SITE.X), None when there is none.

    A type of another node may have a million letters and as many dots: only as many are looked at as matter.
    """
    name = fold(type_[: _NAME_LETTERS_MAX + 1])
    while name not in CLASSES:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return CLASSES[name]


def decode(value: HandleValue) -> Predefined | None:
    """What the data of a value means, None when its type is not predefined. Raises WireError."""
    class_ = class_of(value.type)
    return None if class_ is None else class_.from_wire(value.data)
