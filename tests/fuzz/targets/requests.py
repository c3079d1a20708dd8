"""Request messages of every method: the protobuf parser, then the node's checks of names, values and fields."""

import asyncio
import functools

from google.protobuf.json_format import MessageToDict

from resolver.errors import ResolverError
from resolver.handle.name import Handle, Prefix
from resolver.methods import CREATE_HANDLE, METHODS, PUT_VALUES, RESOLVE
from resolver.node import administer
from resolver.node import values as node_values
from resolver.registry import passwords
from resolver.transport.requests import parse
from resolver.v1 import handle_pb2, registration_pb2, resolution_pb2
from tests.fuzz.world import Door

INSTRUMENT = (
    "resolver.handle.name",
    "resolver.handle.value",
    "resolver.node.administer",
    "resolver.node.values",
    "resolver.node.record_octets",
    "resolver.transport.requests",
)
_METHODS = [METHODS[path] for path in sorted(METHODS)]
_RECORD_OCTETS_MAX = 1 << 20
_NOW_S = 1_780_000_000


def _seed(method, message):
    return bytes([_METHODS.index(method)]) + message.SerializeToString()


def _value(**fields):
    return handle_pb2.HandleValue(**({"index": 1, "type": "URL", "data": b"x"} | fields))


SEEDS = (
    _seed(RESOLVE, resolution_pb2.ResolveRequest(name="88.300.10/A", types=["URL", "EMAIL."], indexes=[1, 2])),
    _seed(CREATE_HANDLE, registration_pb2.CreateHandleRequest(name="88.300.10/轴承", values=[_value()])),
    _seed(
        CREATE_HANDLE,
        registration_pb2.CreateHandleRequest(
            name="88.300.10/B",
            values=[
                _value(index=2, ttl_until_s=_NOW_S, permissions=12),
                _value(index=1, ttl_s=60, references=[handle_pb2.Reference(name="0.NA/88", index=300)]),
            ],
        ),
    ),
    _seed(PUT_VALUES, registration_pb2.PutValuesRequest(name="noslash", values=[_value(index=0)])),
)


@functools.cache
def _asker():
    """A loop and the handlers of a node in memory."""
    door = Door.only()
    return door, door.service.handlers()


def feed(octets):
    """The first octet chooses the method, the rest is its request."""
    if not octets:
        return
    method = _METHODS[octets[0] % len(_METHODS)]
    try:
        request = parse(method, octets[1:])
    except ResolverError as error:
        assert error.message
        return
    for name in (getattr(request, "name", ""), *getattr(request, "names", ())):
        _check_name(name)
    for rows in (getattr(request, "values", ()),):
        if rows and isinstance(rows[0], handle_pb2.HandleValue):
            _check_values(getattr(request, "name", "") or "88.300.10/A", list(rows))
    if not method.writes:
        _ask(method, request)


def _check_name(text):
    try:
        handle = Handle.from_text(text)
    except ResolverError as error:
        assert error.message
        assert error.field
        return
    assert Handle.from_octets(handle.text.encode()) == handle
    assert 0 < len(handle.key) <= 480
    assert Handle.from_text(handle.text.swapcase()).key == handle.key or not handle.text.isascii()
    try:
        prefix = Prefix.from_text(handle.prefix)
    except ResolverError:
        return
    assert handle.key.startswith(prefix.handle_key_start)


def _check_values(name, rows):
    try:
        draft = administer.prepare(name, rows, "", _NOW_S, _RECORD_OCTETS_MAX)
    except ResolverError as error:
        assert error.message
        assert error.field
        return
    indexes = [value.index for value in draft.values()]
    assert len(set(indexes)) == len(indexes)
    assert indexes[0] > 0
    for value in draft.values():
        assert node_values.to_pb(node_values.from_pb(value)) == value


def _ask(method, request):
    """Ask what changes nothing; a failure has words, and whatever else is raised is a finding."""
    if method.shape.value != "unary":
        return
    door, handlers = _asker()

    async def asked():
        answer = handlers[method.path](door.service.call_from("192.0.2.1", None), request)
        return await answer if asyncio.iscoroutine(answer) else answer

    before, passwords.LOG2_N = passwords.LOG2_N, 4  # whoever guesses pays a fifth of a second, on purpose
    try:
        with door.listening():
            answer = door.loop.run_until_complete(asked())
    except ResolverError as error:
        assert error.message
        return
    finally:
        passwords.LOG2_N = before
    if isinstance(answer, bytes):
        answer = method.response.FromString(answer)
    MessageToDict(answer)
