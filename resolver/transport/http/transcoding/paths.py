"""Paths of the JSON API: templates of ``google.api.http``, and finding the one that a path follows.

A template is made of segments: text, ``{field}`` for one segment, ``{field=**}`` for all that is left, slashes and
all, and a ``:verb`` behind the last. Text wins over a field and a field over the rest. Segments are split before their
percent-encoding is undone, so ``%2F`` is a slash inside a segment and never one between two; ``+`` is a plus sign.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

from resolver.errors import MalformedMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

_PARAMETER = re.compile(r"\{([a-z0-9_.]+)(=\*\*)?\}(:[a-zA-Z]+)?")


class Found(NamedTuple, Generic[T]):
    """What a path leads to by HTTP method, each with the names of the fields in the path, and their values in order."""

    by_method: dict[str, tuple[T, list[str]]]
    values: list[str]

    def target(self, http_method: str) -> tuple[T, dict[str, str]] | None:
        """What a method leads to, and the fields of the path by name; None when the path does not take the method."""
        found = self.by_method.get(http_method)
        return None if found is None else (found[0], dict(zip(found[1], self.values, strict=True)))


class _Node(Generic[T]):
    """A place in the tree of templates."""

    def __init__(self) -> None:
        self.texts: dict[str, _Node[T]] = {}
        self.segments: dict[str, _Node[T]] = {}
        """verb behind the segment → place"""
        self.rest: _Node[T] | None = None
        self.by_method: dict[str, tuple[T, list[str]]] = {}


def parameters(template: str) -> list[str]:
    """The fields of a template in order."""
    return [found.group(1) for found in _PARAMETER.finditer(template)]


class Paths(Generic[T]):
    """Templates with what they lead to."""

    def __init__(self, entries: Iterable[tuple[str, str, T]]) -> None:
        """Take HTTP method, template and target. Raises ValueError when two are the same or one is no template."""
        self._root: _Node[T] = _Node()
        for http_method, template, target in entries:
            node = self._place(template)
            if http_method in node.by_method:
                raise ValueError(f"two methods are {http_method} {template}")
            node.by_method[http_method] = target, parameters(template)

    def _place(self, template: str) -> _Node[T]:
        node = self._root
        segments = template.lstrip("/").split("/")
        for number, segment in enumerate(segments):
            parameter = _PARAMETER.fullmatch(segment)
            if parameter is None:
                if "{" in segment or "*" in segment:
                    raise ValueError(f"{template!r} has a segment that is no text and no field")
                node = node.texts.setdefault(segment, _Node())
                continue
            _, is_rest, verb = parameter.groups()
            if not is_rest:
                node = node.segments.setdefault(verb or "", _Node())
                continue
            if verb or number != len(segments) - 1:
                raise ValueError(f"{template!r} has something behind the rest")
            node.rest = node.rest or _Node()
            node = node.rest
        return node

    def find(self, path: bytes) -> Found[T] | None:
        """What a path, as it came, leads to; None when it leads nowhere. Raises MalformedMessage."""
        return self._find(self._root, path.lstrip(b"/").split(b"/"), [])

    def _find(self, node: _Node[T], segments: list[bytes], values: list[str]) -> Found[T] | None:
        if not segments:
            return Found(node.by_method, values) if node.by_method else None
        first, others = segments[0], segments[1:]
        text = node.texts.get(first.decode("latin-1"))
        if text is not None and (found := self._find(text, others, values)):
            return found
        for verb, place in sorted(node.segments.items(), reverse=True):  # with a verb first
            value = first.removesuffix(verb.encode())
            if not value or (verb and len(value) == len(first)):
                continue
            if found := self._find(place, others, [*values, decoded(value)]):
                return found
        if node.rest is not None and (first or others):
            return Found(node.rest.by_method, [*values, decoded(b"/".join(segments))])
        return None


def decoded(octets: bytes) -> str:
    """The text of percent-encoded octets. Raises MalformedMessage when it is no UTF-8."""
    raw = unquote_to_bytes(octets)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    try:
        hint = f"; in GB18030 it would be {raw.decode('gb18030')[:40]!r}"
    except UnicodeDecodeError:
        hint = ""
    raise MalformedMessage(f"the path or query is not UTF-8{hint}: percent-encode the octets of its UTF-8 form")
