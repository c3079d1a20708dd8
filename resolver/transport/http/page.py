"""The pages that people see: a handle with its values, why there is none, and where to look one up.

Values belong to strangers: every text goes through the template's escaping, addresses become links only when they are
of the web, and the policy sent with a page lets no script run and nothing be loaded from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import jinja2
from starlette.responses import Response

from resolver.errors import WireError
from resolver.handle.name import fold, looks_binary
from resolver.node.locations import web_address
from resolver.node.templates import REFERENCE_INDEX
from resolver.transport.http.page_text import CHINESE, ENGLISH, TEXT, TYPE_NAMES
from resolver.transport.http.rest_reply import CORS_HEADERS
from resolver.wire.predefined.catalog import class_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resolver.v1 import handle_pb2 as pb
    from resolver.v1.template_pb2 import Template

HTML_TYPE = "text/html;charset=utf-8"
HEADERS = {
    "content-type": HTML_TYPE,
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "vary": "Accept-Language, Accept",
    **CORS_HEADERS,
}
"""Headers of every page."""

TEXT_LETTERS_MAX = 240
"""Letters of a value shown at once; the rest unfolds."""

VALUES_MAX = 500
"""Values that a page shows; the JSON has them all."""

LAID_OUT_OCTETS_MAX = 64 << 10
"""Octets of values of a page that are laid out as documents, in some tens of milliseconds; others stand as they are."""

LAID_OUT_TIMES_MAX = 16
"""How many times longer than its value a document may be: brackets in brackets make a square of spaces."""

_BINARY_OCTETS_SHOWN = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HIDDEN_FORMATS = {"string"}
_LINES = json.JSONEncoder(ensure_ascii=False, indent=1)


class ShownValue(NamedTuple):
    """A value as the page shows it."""

    number: int
    type: str
    label: str
    text: str
    time: str
    time_iso: str
    link: str = ""
    octets: int = 0
    """Octets of data that are no text."""
    rest: str = ""
    """The whole text, when only its start is shown."""
    is_code: bool = False

    def folded(self) -> ShownValue:
        """The value with a long text folded away behind its start."""
        if len(self.text) <= TEXT_LETTERS_MAX:
            return self
        return self._replace(text=self.text[:TEXT_LETTERS_MAX], rest=self.text)


def path_of(name: str) -> str:
    """The path of a handle on this port; slashes at its start are encoded, or browsers would take a host for it."""
    start = len(name) - len(name.lstrip("/"))
    return "/" + "%2F" * start + quote(name[start:].encode("utf-8", "surrogateescape"), safe="/:;,=@!*()'~")


def _time(seconds: float) -> tuple[str, str]:
    moment = _EPOCH + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC"), moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(value: pb.HandleValue, language: str, names: Mapping[int, str], *, lays_out: bool = True) -> ShownValue:
    """A value for the page; ``names`` are those that the template of the handle has for its items.

    ``lays_out`` says whether a document may be made of it, which takes its time.
    """
    time, iso = _time(value.timestamp_s)
    label = TYPE_NAMES[language].get(fold(value.type), "") or names.get(value.index, "")
    made = ShownValue(value.index, value.type, label, "", time, iso)
    if lays_out and (text := _laid_out(value)) is not None:
        return made._replace(text=text, is_code=True).folded()
    if looks_binary(value.data):
        more = " …" if len(value.data) > _BINARY_OCTETS_SHOWN else ""
        start = value.data[:_BINARY_OCTETS_SHOWN].hex(" ")
        return made._replace(text=start + more, octets=len(value.data))
    text = value.data.decode("utf-8", "replace")
    if "\n" not in text and " " not in text.strip() and (link := web_address(text)) is not None:
        return made._replace(text=text.strip(), link=link)
    return made._replace(text=text).folded()


def _item_names(template: Template, values: Sequence[pb.HandleValue]) -> dict[int, str]:
    """What the items of a template are called, by the index of the values that are of them."""
    items = {(item.index, fold(item.type)): item.name for item in template.items}
    return {value.index: items.get((value.index, fold(value.type)), "") for value in values}


def _laid_out(value: pb.HandleValue) -> str | None:
    """What a value says as a document with lines; None for what is no document, or too long as one."""
    document = _decoded(value)
    if document is None:
        return None
    pieces, letters_max = [], LAID_OUT_TIMES_MAX * (len(value.data) + _BINARY_OCTETS_SHOWN)
    try:
        for piece in _LINES.iterencode(document):
            pieces.append(piece)
            letters_max -= len(piece)
            if letters_max < 0:
                return None
    except RecursionError:
        return None
    return "".join(pieces)


def _all_shown(values: Sequence[pb.HandleValue], language: str, names: Mapping[int, str]) -> list[ShownValue]:
    """The values of a page, as many of them laid out as there is time for."""
    found, octets = [], 0
    for value in values[:VALUES_MAX]:
        octets += len(value.data)
        found.append(shown(value, language, names, lays_out=octets <= LAID_OUT_OCTETS_MAX))
    return found


def _decoded(value: pb.HandleValue) -> Any:
    """The content of a predefined type, or of JSON, as a document; None for what is shown as it is."""
    class_ = class_of(value.type)
    if class_ is not None and class_.FORMAT not in _HIDDEN_FORMATS:
        try:
            return class_.from_wire(value.data).to_json()
        except WireError:
            return None
    if value.data[:1] in {b"{", b"["}:
        try:
            return json.loads(value.data)
        except (ValueError, RecursionError):
            return None
    return None


class Pages:
    """Renders the pages of one worker."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        directory = files("resolver.transport.http") / "pages"
        sources = {each.name: each.read_text("utf-8") for each in directory.iterdir() if each.name.endswith(".html")}
        self._templates = jinja2.Environment(
            loader=jinja2.DictLoader(sources), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
        )
        self.style = (directory / "page.css").read_bytes()
        self._style_version = hashlib.sha256(self.style).hexdigest()[:12]
        """In the address of the style: browsers keep it, and must not keep that of another version of the node."""

    def _render(self, template: str, status: int, language: str, path: str, asked: str, **more: Any) -> Response:
        other = CHINESE if language == ENGLISH else ENGLISH
        text = self._templates.get_template(template).render(
            t=TEXT[language],
            language=language,
            other=other,
            prefix=self._prefix,
            style=self._style_version,
            asked=asked,
            switch=f"{path}?noredirect&lang={other}" if path != "/" else f"/?lang={other}",
            **more,
        )
        return Response(text.encode("utf-8", "replace"), status, HEADERS | {"content-language": language})

    def home(self, language: str) -> Response:
        """Where to look a handle up."""
        return self._render("home.html", 200, language, "/", "")

    def handle(
        self,
        record: pb.HandleRecord,
        values: list[pb.HandleValue],
        language: str,
        target: str,
        *,
        alias: str = "",
        template: Template | None = None,
    ) -> Response:
        """A handle with its values; ``target`` is the address it leads to, empty for none.

        ``alias`` is the name that led here where that is another one; the template says what values are called.
        """
        words = TEXT[language]
        registered, _ = _time(record.create_time_us / 1e6)
        changed = _time(record.update_time_us / 1e6)[0] if record.update_time_us else words["never"]
        facts = [
            (words["registered"], registered),
            (words["changed"], changed),
            (words["version"], str(record.version)),
            (words["count"], str(len(values))),
        ]
        if record.template_id:
            facts.append((words["template"], record.template_id if template is None else template.label))
        names = {} if template is None else _item_names(template, values) | {REFERENCE_INDEX: words["reference"]}
        path, rows = path_of(record.name), _all_shown(values, language, names)
        return self._render(
            "handle.html",
            200,
            language,
            path,
            record.name,
            name=record.name,
            target=target,
            target_text=next((row.text for row in rows if row.link == target), target),  # as it was registered
            facts=facts,
            api=f"/api/handles{path}",
            values=rows,
            alias="" if not alias else words["alias_of"].format(alias=alias, name=record.name),
        )

    def missing(self, name: str, status: int, reason: str, language: str, details: Mapping[str, str]) -> Response:
        """Why there is nothing to show; ``reason`` is that of an error."""
        words = TEXT[language]
        prefix = details.get("prefix") or name.partition("/")[0]
        sentence = words.get(reason, words["OTHER"]).format(prefix=prefix[:80])
        return self._render(
            "missing.html",
            status,
            language,
            path_of(name),
            name,
            name=name,
            headline=words["not_found" if status == 404 else "refused"],
            reason=sentence,
            detail=details.get("routes", ""),
        )

    def redirect(self, name: str, url: str, status: int, language: str, headers: dict[str, str]) -> Response:
        """On the way to an address; the page is for whoever does not go there by itself."""
        text = self._templates.get_template("redirect.html").render(
            t=TEXT[language], language=language, name=name, target=url
        )
        return Response(text.encode("utf-8", "replace"), status, HEADERS | {"location": url} | headers)
