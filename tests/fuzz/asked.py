"""Requests to begin with: every operation with bodies that mean something to the node, every version, every flag."""

from itertools import count

from resolver.handle.codes import OpCode
from resolver.handle.value import HandleValue, Permission, Reference, Ttl
from resolver.wire import requests, sessions, versions
from resolver.wire.credential import MAC, SIGNED, Credential
from resolver.wire.digests import digest_of
from resolver.wire.envelope import Envelope
from resolver.wire.header import CLIENT_FLAGS, Header, OpFlag
from resolver.wire.message import request_message
from resolver.wire.predefined.hs_admin import AdminPermission, HsAdmin
from resolver.wire.replication_requests import DumpHandles, RetrieveByState, RetrieveSince, RetrieveTransactions
from resolver.wire.versions import OWN, Version
from tests.fuzz.handle_node import ADMIN_HANDLE, KEY_INDEX, SECRET_INDEX
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded
from tests.support.builders import PREFIX_A

NAME, NEW = f"{PREFIX_A}/A", f"{PREFIX_A}/产品-1"
CNRI = CLIENT_FLAGS.value
FLAGS = (0, *(flag.value for flag in OpFlag), 0xFFFF_FFFF)
VERSIONS = (
    *((Version(2, minor), Version(2, minor)) for minor in range(12)),
    (Version(2, 3), Version(2, 10)),
    (Version(2, 10), Version(0, 0)),
    (Version(3, 0), Version(3, 0)),
)
_IDS = count(100, 2)


def request(op_code, body, flags=CNRI, versions_=(OWN, OWN), *, session_id=0, credential=None, recursion=0):
    """The octets of a request. Those with an odd id are datagrams to the targets."""
    envelope = Envelope(*versions_, 0, session_id, next(_IDS), 0, 0)
    header = Header(op_code, 0, flags, 0xFFFF, recursion, 0, 0)
    return request_message(envelope, header, body, credential).to_wire()


def _value(index, type_="URL", data=b"https://example.org/", **fields):
    return HandleValue(index, type_, data, **fields)


def _admin(index=100):
    return _value(index, "HS_ADMIN", HsAdmin(Reference(ADMIN_HANDLE, KEY_INDEX), AdminPermission(0xFFF)).to_wire())


_LISTED = (
    _value(7, permissions=Permission(12), ttl=Ttl(0)),
    _value(8, "名称", "轴承".encode(), ttl=Ttl(1_900_000_000, absolute=True), references=(Reference(NAME, 1),)),
)
_KEY = next(
    of_hex(vector["public_key_hex"])
    for vector in recorded("keys_and_sessions")
    if b"RSA_PUB_KEY" in of_hex(vector.get("public_key_hex", ""))
)
_DIGEST = digest_of(b"x", OWN)
_STATE = RetrieveByState(b'{"0:1:0.NA/88.300": {"lastTxnId": 1, "lastTimestamp": 1}}', 0, 1, 0)
_GROUP = sessions.public_half(3, sessions.OAKLEY_2).to_wire()

BODIES = (
    (OpCode.RESOLUTION, requests.Resolution(NAME)),
    (OpCode.RESOLUTION, requests.Resolution(NAME, (1, 2), ("HS_ADMIN", "URL."), b"identity")),
    (OpCode.RESOLUTION, requests.Resolution("0.NA/88.300.10")),
    (OpCode.GET_SITE_INFO, requests.OfHandle("/")),
    (OpCode.CREATE_HANDLE, requests.WithValues(NEW, (_value(1), _admin()))),
    (OpCode.CREATE_HANDLE, requests.WithValues(NAME, _LISTED)),
    (OpCode.CREATE_HANDLE, requests.WithValues(f"{PREFIX_A}/", (_value(1),))),
    (OpCode.CREATE_HANDLE, requests.WithValues("0.NA/88.300.11", (_admin(),))),
    (OpCode.DELETE_HANDLE, requests.OfHandle(NAME)),
    (OpCode.ADD_VALUE, requests.WithValues(NAME, _LISTED)),
    (OpCode.REMOVE_VALUE, requests.RemoveValues(NAME, (1, 2))),
    (OpCode.MODIFY_VALUE, requests.WithValues(NAME, (_value(1), _admin()))),
    (OpCode.LIST_HANDLES, requests.OfHandle("0.NA/88.300.10")),
    (OpCode.LIST_DERIVED_PREFIXES, requests.OfHandle("0.NA/88.300")),
    (OpCode.CHALLENGE_RESPONSE, requests.ChallengeAnswer("HS_SECKEY", ADMIN_HANDLE, SECRET_INDEX, bytes(16))),
    (OpCode.CHALLENGE_RESPONSE, requests.ChallengeAnswer("HS_PUBKEY", ADMIN_HANDLE, KEY_INDEX, bytes(16))),
    (OpCode.VERIFY_RESPONSE, requests.VerifyAnswer(ADMIN_HANDLE, SECRET_INDEX, bytes(16), _DIGEST, bytes(16))),
    (OpCode.HOME_PREFIX, requests.OfHandle("0.NA/88.300.11")),
    (OpCode.UNHOME_PREFIX, requests.OfHandle("0.NA/88.300.10")),
    (OpCode.LIST_HOMED_PREFIXES, requests.OfHandle("")),
    (OpCode.SESSION_SETUP, requests.SessionSetup(1, 60, ADMIN_HANDLE, KEY_INDEX, public_key=_KEY)),
    (OpCode.SESSION_SETUP, requests.SessionSetup(2, 60, "", 0xFFFF_FFFF)),
    (OpCode.SESSION_SETUP, requests.SessionSetup(3, 0, "", 0, key_handle=ADMIN_HANDLE, key_index=KEY_INDEX)),
    (OpCode.SESSION_SETUP, requests.SessionSetup(4, 60, ADMIN_HANDLE, SECRET_INDEX, public_key=_GROUP)),
    (OpCode.SESSION_TERMINATE, requests.OfHandle("")),
    (OpCode.SESSION_EXCHANGE_KEY, requests.ExchangeKey(bytes(256))),
    (OpCode.GET_NEXT_TRANSACTION_ID, requests.OfHandle("")),
    (OpCode.RETRIEVE_TRANSACTION_LOG, RetrieveTransactions(RetrieveSince(0, 0, 2, 1, 0))),
    (OpCode.RETRIEVE_TRANSACTION_LOG, RetrieveTransactions(_STATE)),
    (OpCode.DUMP_HANDLES, DumpHandles(2, 1, 0)),
    (OpCode.DUMP_HANDLES, DumpHandles(0, 2, 1, NAME.encode(), 2)),
    (OpCode.BACKUP_SERVER, requests.OfHandle("")),
    (OpCode.LOGIN_PASSWORD, requests.Resolution(ADMIN_HANDLE)),
    (OpCode.LOGIN_ID_SYSTEM, requests.Login(ADMIN_HANDLE, SECRET_INDEX)),
    (OpCode.RESERVED, requests.Opaque(b"")),
    (999, requests.Opaque(b"x")),
)
"""Operations and bodies."""


def _every():
    asked = requests.Resolution(NAME)
    for op_code, body in BODIES:
        mints = isinstance(body, requests.WithValues) and body.handle.endswith("/")
        yield request(op_code, body, CNRI | OpFlag.MINT_SUFFIX.value if mints else CNRI)
    for both in VERSIONS:
        yield request(OpCode.RESOLUTION, asked, OpFlag.REQUEST_DIGEST.value | OpFlag.CERTIFIED.value | CNRI, both)
        yield request(OpCode.CREATE_HANDLE, requests.WithValues(NEW, (_value(1),)), versions_=both)
        yield request(OpCode.LOGIN_ID_SYSTEM, requests.Login(ADMIN_HANDLE, SECRET_INDEX), 0, both)
    for flags in FLAGS:
        yield request(OpCode.RESOLUTION, asked, flags)
        name = f"{PREFIX_A}/" if flags & OpFlag.MINT_SUFFIX.value else NEW
        yield request(OpCode.CREATE_HANDLE, requests.WithValues(name, (_value(1),)), flags)
    old = (versions.EXPLICIT_IV, versions.EXPLICIT_IV)
    yield request(OpCode.RETRIEVE_TRANSACTION_LOG, RetrieveSince(1, -1, 2, 1, 0), versions_=old)
    yield request(OpCode.DUMP_HANDLES, DumpHandles(2, 1, 0), versions_=old)
    yield request(OpCode.RESOLUTION, asked, credential=Credential(SIGNED, b"SHA-256", b"s" * 32))
    yield request(OpCode.RESOLUTION, asked, session_id=7, credential=Credential(MAC, b"HMAC-SHA256", b"m" * 32, 1))
    yield request(OpCode.RESOLUTION, requests.Resolution("99.1/x"), CNRI, (OWN, OWN), recursion=11)


SEEDS = tuple(_every())
"""All of them."""
OPERATIONS = SEEDS[: len(BODIES)]
"""One of every operation and body."""
DATAGRAMS = tuple(octets[:11] + bytes([octets[11] | 1]) + octets[12:] for octets in OPERATIONS)
"""The same, as datagrams."""
