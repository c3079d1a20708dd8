"""What servers of strangers say to a node that searches: answers understood, and searches led by them.

The input is answers behind two octets of length each. A search gets them one after the other, whatever it asks, and
nothing more when they are over; it ends within its budget, and asks nobody at an address that is not public.
"""

import functools
from ipaddress import ip_address

from resolver import limits
from resolver.errors import Refused, Unavailable, WireError
from resolver.federation.contacts import TCP, Contact
from resolver.federation.handle_peer import HandlePeer
from resolver.federation.steps import Reply
from resolver.handle.codes import OpCode
from resolver.handle.value import HandleValue, Permission
from resolver.wire import responses
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header, OpFlag
from resolver.wire.message import Frame, response_message
from resolver.wire.versions import OWN
from tests.fuzz import lengths
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded
from tests.support import foreign
from tests.support.clock import FakeClock, seeded_randomness

INSTRUMENT = (
    "resolver.federation.handle_peer",
    "resolver.federation.search",
    "resolver.federation.contacts",
    "resolver.federation.addresses",
    "resolver.federation.cache",
    "resolver.federation.delegations",
    "resolver.federation.trail",
    "resolver.wire.message",
    "resolver.wire.responses",
    "resolver.wire.values",
    "resolver.wire.hash_selection",
    "resolver.wire.predefined.hs_site",
)
NAME = "88.300.17/P-1"
_ANSWERS_MAX = 12


def _answer(code, body, op_code=OpCode.RESOLUTION):
    header = Header(op_code, code, OpFlag.AUTHORITATIVE.value, 1, 0, 0, 0)
    return response_message(Envelope(OWN, OWN, 0, 0, 1, 0, 0), header, body).to_wire()


def _site(*addresses, **options):
    return foreign.site(*addresses, **options).to_wire()


def _found(name, *values):
    return _answer(1, responses.Resolved(name, values))


def _value(index, type_, data, **fields):
    return HandleValue(index, type_, data if isinstance(data, bytes) else data.encode(), **fields)


_TWO = _site("185.1.1.1", "185.1.1.2", attributes=(("idis.grpc", "2640"), ("desc", "二级节点")))
_ANSWERS = (
    _found("0.NA/88.300", _value(1, "HS_SITE", _site("185.1.1.1")), _value(2, "HS_SITE.PREFIX", _TWO)),
    _found("0.NA/88.300.17", _value(1, "HS_SITE", _TWO), _value(5, "HS_NAMESPACE", b"<namespace></namespace>")),
    _found(NAME, _value(1, "URL", "u"), _value(2, "EMAIL", "x", permissions=Permission(12))),
    _found(NAME, _value(1, "HS_ALIAS", "88.300.17/P-2")),
    _answer(303, responses.Referral("", (_value(1, "HS_SITE.PREFIX", _site("185.1.1.1")),))),
    _answer(302, responses.Referral("0.SERV/88.1")),
    _found("0.SERV/88.1", _value(1, "HS_SERV", "0.SERV/88.2"), _value(2, "HS_SERV.PREFIX", "0.SERV/88.3")),
    _answer(302, responses.Referral("", (_value(1, "HS_SITE", _site("10.0.0.1", "127.0.0.1")),))),
    _answer(100, responses.Failure()),
    _answer(301, responses.Failure("not here")),
)


def _packed(answers):
    return b"".join(len(answer).to_bytes(2, "big") + answer for answer in answers)


SEEDS = (
    *(_packed(_ANSWERS[start:]) for start in range(len(_ANSWERS))),
    *(_packed((_ANSWERS[0], _ANSWERS[1], answer)) for answer in _ANSWERS),
    *(_packed((of_hex(vector["hex"])[:2_000],)) for vector in recorded("messages_responses")),
)


@functools.cache
def _peer():
    contact = Contact(TCP, "198.51.100.1", 2641)
    return HandlePeer(contact, FakeClock(), seeded_randomness(), octets_max=1 << 20)


def feed(octets):
    """Answers as they came, and with lengths that agree."""
    answers = list(_unpacked(octets))[:_ANSWERS_MAX]
    mended = [lengths.mended_message(answer) for answer in answers]
    _search(answers)
    if mended != answers:
        _search(mended)


def _unpacked(octets):
    place = 0
    while place + 2 <= len(octets):
        size = int.from_bytes(octets[place : place + 2], "big") & 0xFFF
        yield octets[place + 2 : place + 2 + size]
        place += 2 + size


def _search(answers):
    world = _World(answers)
    outcome = world.search(NAME, follows_aliases=True, traced=True)
    assert (outcome.found is None) != (outcome.error is None)
    assert outcome.error is None or isinstance(outcome.error, (Refused, Unavailable))
    assert outcome.messages == len(world.asked) <= limits.UPSTREAM_MESSAGES_MAX
    for hop in outcome.hops:
        hop.said.encode()  # it is shown to whoever asks


class _World(foreign.World):
    """Servers that say what comes next, whoever they are."""

    def __init__(self, answers):
        super().__init__({})
        self._answers = iter(answers)

    def reply(self, ask):
        address = ip_address(ask.contact.host)
        assert ask.contact.host == foreign.ROOT or (address.is_global and not address.is_multicast)
        self.asked.append((ask.contact.place, ask.name))
        self.now_s += 0.01
        answer = next(self._answers, None)
        if answer is None:
            return Reply.failed(self.moment(), "no answer in time")
        return _understood(ask, answer, self.moment())


def _understood(ask, answer, moment):
    """The reply that an answer is."""
    peer = _peer()
    request = peer._request(ask._replace(is_certified=False))
    try:
        frame = Frame.from_wire(answer)
        return peer._understood([frame], request, moment)
    except WireError as error:
        assert error.message
        return Reply.failed(moment, error.message)
