"""What the OpenAPI document says of messages, beside what is really written and read."""

import json
import random
from contextlib import nullcontext

import jsonschema_rs
import pytest
from google.protobuf import json_format

from resolver.errors import ResolverError
from resolver.methods import METHODS
from resolver.transport.http.transcoding import json_in, json_out, openapi
from resolver.v1 import registration_pb2, registry_pb2
from tests.resolver.transport.http.test_transcoding import filled

DOCUMENT = json.loads(openapi.document())
SCHEMAS = DOCUMENT["components"]["schemas"]
WRITTEN = sorted({method.response for method in METHODS.values()}, key=lambda kind: kind.DESCRIPTOR.name)
READ = sorted({method.request for method in METHODS.values()}, key=lambda kind: kind.DESCRIPTOR.name)


def validator(name):
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
    )


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.DESCRIPTOR.name)
def test_answers_are_what_their_schemas_say(kind):
    chance, written = random.Random(kind.DESCRIPTOR.name), validator(kind.DESCRIPTOR.name)
    for _ in range(20):
        written.validate(json.loads(json_out.to_json(filled(chance, kind()))))


@pytest.mark.parametrize(
    "kind", [kind for kind in READ if kind.DESCRIPTOR.name in SCHEMAS], ids=lambda kind: kind.DESCRIPTOR.name
)
def test_requests_may_be_whatever_protobuf_writes(kind):
    chance, read = random.Random(kind.DESCRIPTOR.name), validator(kind.DESCRIPTOR.name)
    for _ in range(20):
        message = filled(chance, kind())
        for text in (
            json_format.MessageToJson(message),
            json_format.MessageToJson(message, use_integers_for_enums=True),
        ):
            read.validate(json.loads(text))


def handle(**value):
    return {"name": "88.300.1/X", "values": [{"index": 1, "type": "URL"} | value]}


@pytest.mark.parametrize(
    ("kind", "body", "may"),
    [
        (registration_pb2.CreateHandleRequest, handle(index=1), True),
        (registration_pb2.CreateHandleRequest, handle(index="1"), True),
        (registration_pb2.CreateHandleRequest, handle(index=None), True),
        (registration_pb2.CreateHandleRequest, handle(type=None), True),
        (registration_pb2.CreateHandleRequest, handle(data="aGVsbG8="), True),
        (registration_pb2.CreateHandleRequest, handle(data="aGVsbG8"), True),
        (registration_pb2.CreateHandleRequest, handle(data="_-8="), True),
        (registration_pb2.CreateHandleRequest, handle(ttlS=1, ttlUntilS=None), True),
        (registration_pb2.CreateHandleRequest, handle(ttlS=None, ttlUntilS=None), True),
        (registration_pb2.CreateHandleRequest, {"name": None}, True),
        (registration_pb2.CreateHandleRequest, {"values": None}, True),
        (registry_pb2.UpdatePrefixRequest, {"ifVersion": 33}, True),
        (registry_pb2.UpdatePrefixRequest, {"ifVersion": "33"}, True),
        (registry_pb2.UpdatePrefixRequest, {"ifVersion": None}, True),
        (registry_pb2.UpdatePrefixRequest, {"ifVersion": 2**64 - 1}, True),
        (registry_pb2.CreatePrefixRequest, {"prefix": {"status": "PREFIX_STATUS_ENABLED"}}, True),
        (registry_pb2.CreatePrefixRequest, {"prefix": {"status": 1}}, True),
        (registry_pb2.CreatePrefixRequest, {"prefix": {"status": "1"}}, True),
        (registry_pb2.CreatePrefixRequest, {"prefix": {"status": None}}, True),
        (registration_pb2.CreateHandleRequest, handle(index=2**32), False),
        (registration_pb2.CreateHandleRequest, handle(index=-1), False),
        (registration_pb2.CreateHandleRequest, handle(index="x"), False),
        (registration_pb2.CreateHandleRequest, handle(index=""), False),
        (registration_pb2.CreateHandleRequest, handle(index=1.5), False),
        (registration_pb2.CreateHandleRequest, handle(index=True), False),
        (registration_pb2.CreateHandleRequest, handle(index=[1]), False),
        (registration_pb2.CreateHandleRequest, handle(type=7), False),
        (registration_pb2.CreateHandleRequest, handle(data="not base64!"), False),
        (registration_pb2.CreateHandleRequest, handle(ttlS=1, ttlUntilS=2), False),
        (registration_pb2.CreateHandleRequest, handle(unknown=1), False),
        (registration_pb2.CreateHandleRequest, {"values": [None]}, False),
        (registration_pb2.CreateHandleRequest, {"values": {}}, False),
        (registration_pb2.CreateHandleRequest, {"values": [[]]}, False),
        (registry_pb2.UpdatePrefixRequest, {"ifVersion": -1}, False),
        (registry_pb2.UpdatePrefixRequest, {"ifVersion": "-1"}, False),
        (registry_pb2.UpdatePrefixRequest, {"ifVersion": 2**64}, False),
        (registry_pb2.UpdatePrefixRequest, {"ifVersion": "3x"}, False),
        (registry_pb2.UpdatePrefixRequest, {"ifVersion": {}}, False),
        (registry_pb2.CreatePrefixRequest, {"prefix": {"status": "ENABLED?"}}, False),
        (registry_pb2.CreatePrefixRequest, {"prefix": {"status": 2**40}}, False),
        (registry_pb2.CreatePrefixRequest, {"prefix": {"status": False}}, False),
    ],
)
def test_the_document_and_the_node_agree_about_what_may_be_asked(kind, body, may):
    assert validator(kind.DESCRIPTOR.name).is_valid(body) == may
    with nullcontext() if may else pytest.raises(ResolverError):
        json_in.read(kind(), json.dumps(body).encode())
