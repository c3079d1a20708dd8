"""Which HTTP request is which method: the ``google.api.http`` rules of the contracts, read from the descriptors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from google.api import annotations_pb2

from resolver.methods import METHODS, Method, Shape
from resolver.transport.http.transcoding import paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.api import http_pb2
    from google.protobuf.message import Message

_FIELD = re.compile(r"\{(?:[a-z0-9_]+\.)*([a-z0-9_]+)(?:=\*\*)?\}")
_VERBS = ("get", "put", "post", "delete", "patch")


class Binding(NamedTuple):
    """One way to call a method over HTTP."""

    method: Method[Message, Message]
    http_method: str
    template: str
    has_body: bool
    """Whether the body is the request; what stands in the path and the query comes on top."""

    @property
    def is_dialogue(self) -> bool:
        """Whether body and answer are streams."""
        return self.method.shape is Shape.BIDIRECTIONAL

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream."""
        return self.method.shape is not Shape.UNARY

    @property
    def shown(self) -> str:
        """The template as OpenAPI writes it: names of fields without dots, and nothing about their segments."""
        return _FIELD.sub(r"{\1}", self.template)

    @property
    def path_fields(self) -> list[str]:
        """The fields that stand in the path."""
        return paths.parameters(self.template)


def bindings(methods: Iterable[Method[Message, Message]] | None = None) -> Iterator[Binding]:
    """Every way to call every method; the first of a method is the one to tell people of."""
    for method in METHODS.values() if methods is None else methods:
        rule: http_pb2.HttpRule = method.descriptor.GetOptions().Extensions[annotations_pb2.http]
        for each in (rule, *rule.additional_bindings):
            verb = each.WhichOneof("pattern")
            if verb is None:
                continue
            if verb not in _VERBS or each.body not in {"", "*"} or each.response_body:
                raise ValueError(f"{method.path}: rules are {', '.join(_VERBS)} with body '*' or none")
            yield Binding(method, verb.upper(), getattr(each, verb), each.body == "*")
