"""HS_ALIAS: another name for the same thing; who resolves the one goes on with the other."""

from __future__ import annotations

from typing import ClassVar

from resolver.wire.predefined.text_data import TextData


class HsAlias(TextData):
    """The name of the handle to go on with."""

    __slots__ = ()
    TYPES: ClassVar[tuple[str, ...]] = ("HS_ALIAS",)

    @property
    def target(self) -> str:
        """The handle to go on with."""
        return self.text
