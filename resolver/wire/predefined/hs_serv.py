"""HS_SERV and HS_SERV.PREFIX: the handle whose sites serve this prefix, or those derived from it."""

from __future__ import annotations

from typing import ClassVar

from resolver.wire.predefined.text_data import TextData


class HsServ(TextData):
    """The name of a service handle."""

    __slots__ = ()
    TYPES: ClassVar[tuple[str, ...]] = ("HS_SERV", "HS_SERV.PREFIX")

    @property
    def service_handle(self) -> str:
        """The handle whose HS_SITE values apply."""
        return self.text
