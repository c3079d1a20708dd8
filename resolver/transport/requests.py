"""From octets to a request message, with errors that say what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from resolver.errors import CredentialInvalid, MalformedMessage, MessageTooLarge
from resolver.service import Credential
from resolver.transport import item_counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

    from resolver.methods import Method

_BEARER = "bearer "
_TOKEN_LENGTH_MAX = 512


def parse(method: Method[Message, Message], octets: bytes) -> Message:
    """The request message in some octets. Raises MessageTooLarge, TooManyItems or MalformedMessage.

    Fields that this version does not know are dropped from what writes: stored, they would be served to everybody, and
    a later version that knows them would take them for checked.
    """
    if len(octets) > method.octets_max:
        raise MessageTooLarge(
            f"the request has {len(octets)} octets; {method.name} takes at most {method.octets_max}: send less at a "
            "time"
        )
    item_counts.require_few(method, octets)
    try:
        request = method.request.FromString(octets)
    except DecodeError:
        raise MalformedMessage(
            f"the request is not a {method.request.DESCRIPTOR.full_name}: its octets are no such message, or a text "
            "field is not valid UTF-8"
        ) from None
    if method.writes:
        request.DiscardUnknownFields()
    return request


def credential_of(metadata: Iterable[tuple[str, str | bytes]]) -> Credential | None:
    """The bearer token in request metadata; None when there is none. Raises CredentialInvalid."""
    for key, value in metadata:
        if key != "authorization":
            continue
        text = value if isinstance(value, str) else value.decode("latin-1")
        if text[: len(_BEARER)].lower() != _BEARER or not text[len(_BEARER) :].strip():
            raise CredentialInvalid("metadata 'authorization' is not 'Bearer TOKEN': send the token in that form")
        if len(text) > _TOKEN_LENGTH_MAX:
            raise CredentialInvalid("the bearer token is too long to be one of this node: check the token file")
        return Credential(token=text[len(_BEARER) :].strip())
    return None
