"""HS_CERT: a web signature that gives a key the right to sign for handles."""

from __future__ import annotations

from typing import ClassVar

from resolver.wire.predefined.hs_signature import HsSignature


class HsCert(HsSignature):
    """The certificate; its claims have a public key and permissions."""

    __slots__ = ()
    TYPES: ClassVar[tuple[str, ...]] = ("HS_CERT",)
