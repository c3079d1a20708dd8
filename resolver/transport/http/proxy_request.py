"""What a request to the proxy asks: which handle, what to do with it, and what is known of whoever asks.

Names and parameters are read as the reference proxy reads them, which is not as the REST interface does: ``+`` is
itself, ``;`` separates as ``&`` does, a flag is set by being there, and what is not understood is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from resolver.errors import InvalidField, ResolverError
from resolver.handle.name import WantedTypes
from resolver.node.locations import Asked
from resolver.transport.http.calls import path_octets
from resolver.transport.http.rest_input import FORM, Parameters, type_of
from resolver.wire.cursor import text_from_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from resolver.v1 import handle_pb2 as pb

REDIRECT, SHOW_VALUES, SHOW_LOCATIONS, JSON = "redirect", "showvalues", "showurls", "api"
"""What is done with a handle."""

_METADATA = "metadata"
_SCHEMES = ("hdl:", "doi:", "info:doi/", "info:hdl/")
_URNS = ("urn:hdl:", "urn:doi:", "urn:eidr:")
_PARAMETERS_MAX = 2_100
_ATTRIBUTES_MAX = 16
_PARTS_MAX = 32
_BROWSERS = ("mozilla/", "opera/")
_PAGE_TYPES = frozenset(
    {
        *("text/html", "text/xhtml", "application/xhtml+xml", "application/pdf", "application/vnd.wap.xhtml+xml"),
        "text/vnd.wap.wml",
    }
)
_PAGE_KINDS = ("image/", "audio/", "video/")
"""What browsers show themselves: whoever wants these most wants a page."""


class ProxyRequest(NamedTuple):
    """A request to the proxy."""

    name: str
    action: str
    parameters: Parameters
    asked: Asked

    def wanted(self, values: Sequence[pb.HandleValue]) -> list[pb.HandleValue]:
        """The values with one of the indexes or types asked for; all when none is."""
        types = self.parameters.all("type")
        try:
            indexes = set(self.parameters.indexes())
        except InvalidField:
            indexes = set()
        if not indexes and not types:
            return list(values)
        kinds = WantedTypes(types)
        return [value for value in values if value.index in indexes or value.type in kinds]

    def has(self, flag: str) -> bool:
        """Whether a flag is there, whatever it says."""
        return self.parameters.get(flag) is not None


async def read(request: Request, source: str) -> ProxyRequest:
    """What a request asks. Raises InvalidField for more parameters than anybody has."""
    parameters, name = parameters_of(request), name_of(request)
    if request.method == "POST":
        body = await request.body() if type_of(request) == FORM else b""
        parameters = Parameters((*parameters.pairs, *Parameters.from_octets(body).pairs))
        name = without_scheme((parameters.get("hdl") or name).strip())
    action = (parameters.get("action") or (SHOW_VALUES if parameters.get("noredirect") is not None else "")).lower()
    asked = _asked(request, parameters, source, wants_metadata=action == _METADATA)
    return ProxyRequest(name, action if action in {SHOW_VALUES, SHOW_LOCATIONS, JSON} else REDIRECT, parameters, asked)


def parameters_of(request: Request) -> Parameters:
    """The parameters behind the path. Raises InvalidField."""
    octets: bytes = request.scope["query_string"]
    parts = [part for part in octets.replace(b";", b"&").split(b"&") if part]
    if len(parts) > _PARAMETERS_MAX:
        raise InvalidField(f"there are more than {_PARAMETERS_MAX} parameters")
    pairs = (part.partition(b"=")[::2] for part in parts)
    return Parameters(tuple((_text(name), _text(text)) for name, text in pairs))


def _text(octets: bytes) -> str:
    return text_from_wire(unquote_to_bytes(octets))


def name_of(request: Request) -> str:
    """The handle in the path, without slashes at its start and without what kind of name it is."""
    return without_scheme(_text(path_octets(request)).lstrip("/"))


def without_scheme(name: str) -> str:
    """The handle in a name that a person or a link wrote with what kind of name it is.

    In a URN the first colon may stand for the slash.
    """
    for scheme in _SCHEMES:
        if name[: len(scheme)].lower() == scheme:
            return name[len(scheme) :]
    for scheme in _URNS:
        if name[: len(scheme)].lower() == scheme:
            name = name[len(scheme) :]
            prefix, colon, suffix = name.partition(":")
            return f"{prefix}/{suffix}" if colon and "/" not in prefix else name
    return name


def _asked(request: Request, parameters: Parameters, source: str, *, wants_metadata: bool) -> Asked:
    attributes: list[tuple[str, str | None]] = []
    for text in parameters.all("locatt")[:_ATTRIBUTES_MAX]:
        name, colon, wanted = text.partition(":")
        attributes.append((name.strip(), wanted if colon else None))
    if wants_metadata:
        attributes.append(("role", _METADATA))
    attributes += _by_accept(request, names_role=not wants_metadata)
    languages = sorted(_parts(request, "accept-language"), key=lambda part: -part[1])
    attributes += [("language", language) for language, _ in languages]
    return Asked(tuple(attributes), parameters.get("country") or "", parameters.get("ip") or source)


def _by_accept(request: Request, *, names_role: bool) -> list[tuple[str, str | None]]:
    """What Accept asks of locations: for a browser, for a certain kind of data, or for nothing in particular."""
    accepted = _parts(request, "accept")
    agent = request.headers.get("user-agent", "").strip().lower()
    if all(kind == "*/*" for kind, _ in accepted):
        role = "browser" if agent.startswith(_BROWSERS) else "no_conneg"
        kinds = ["text/html"] if role == "browser" else []
    elif max((quality for kind, quality in accepted if _is_for_browsers(kind)), default=0.0) >= max(
        quality for _, quality in accepted
    ):
        role = "browser"
        kinds = ["text/html"] if any(kind in {"text/html", "text/*", "*/*"} for kind, _ in accepted) else []
    else:
        role, kinds = "conneg", []
        for kind, _ in sorted(accepted, key=lambda part: -part[1]):
            if "*" in kind:
                break
            kinds.append(kind)
    roles: list[tuple[str, str | None]] = [("http_role", role)] if names_role else []
    wanted: list[tuple[str, str | None]] = [(name, kind) for kind in kinds for name in ("ctype", "media-type")]
    return [*wanted, *roles] if role == "conneg" else [*roles, *wanted]


def _is_for_browsers(kind: str) -> bool:
    return "*" in kind or kind in _PAGE_TYPES or kind.startswith(_PAGE_KINDS)


def _parts(request: Request, header: str) -> list[tuple[str, float]]:
    """The parts of a header of things wanted, each with its quality."""
    found = []
    text = ",".join(request.headers.getlist(header))
    for part in text.split(",")[:_PARTS_MAX] if text else []:
        name, *parameters = part.split(";")
        quality = 1.0
        for parameter in parameters:
            key, _, number = parameter.strip().partition("=")
            if key == "q":
                quality = _quality(number)
        found.append((name.strip().lower(), quality))
    return found


def _quality(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 1.0
    return number if 0.0 <= number <= 1.0 else 1.0


def parameters_or_none(request: Request) -> Parameters:
    """The parameters behind the path; none when they cannot be read."""
    try:
        return parameters_of(request)
    except ResolverError:
        return Parameters(())
