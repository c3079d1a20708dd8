"""Other nodes as a dictionary: what a search would be told by servers, without any; with a clock that searches move.

``World`` maps ``HOST:PORT`` to a function of the handle asked for; ``ask`` drives a search through it and counts.
"""

from resolver.errors import PrefixNotServed
from resolver.federation.addresses import AddressPolicy
from resolver.federation.cache import ForeignCache
from resolver.federation.delegations import Delegations
from resolver.federation.search import Searcher
from resolver.federation.steps import Moment, Reply, Said
from resolver.node.authority import Above, Look
from resolver.node.foreign import Question
from resolver.v1 import handle_pb2 as pb
from resolver.wire.predefined.hs_site import QUERY, HsSite, Interface, Server, Transport, address_to_wire

ROOT = "198.51.100.1"
PUBLIC_PORTS = "2640-2645"


def site(*addresses, port=2641, roles=0x80, serial=1, attributes=(), key=b"", transport=Transport.TCP):
    servers = tuple(
        Server(number, address_to_wire(address), key, (Interface(QUERY, transport, port),))
        for number, address in enumerate(addresses, start=1)
    )
    return HsSite(servers, serial=serial, roles=roles, attributes=attributes)


def value(index, type_, data, ttl_s=86_400):
    data = data.to_wire() if isinstance(data, HsSite) else data.encode() if isinstance(data, str) else data
    return pb.HandleValue(index=index, type=type_, data=data, ttl_s=ttl_s, permissions=14)


def found(name, *values):
    return {"said": Said.FOUND, "code": 1, "record": pb.HandleRecord(name=name, values=values)}


def missing():
    return {"said": Said.NOT_FOUND, "code": 100}


def refers(*values, of_prefix=False, handle=""):
    said, code = (Said.PREFIX_REFERRAL, 303) if of_prefix else (Said.SERVICE_REFERRAL, 302)
    return {"said": said, "code": code, "values": values, "referral_handle": handle}


def refuses(code=301):
    return {"said": Said.REFUSED, "code": code}


def above(name):
    return Look(Above(), refusal=PrefixNotServed(f"{name} is not here"))


class World:
    """Servers by place; one that is not there does not answer. ``asked`` lists what was asked of whom."""

    def __init__(self, servers, *, look=above, allow="", ports=PUBLIC_PORTS, own=(), roots=None, took_s=0.01):
        self.servers, self.took_s = servers, took_s
        self.cache = ForeignCache()
        policy = AddressPolicy.from_text(allow, ports, own)
        self.delegations = Delegations(policy, (site(ROOT),) if roots is None else roots)
        self.searcher = Searcher(look, self.cache, self.delegations, policy)
        self.now_s = 1_000.0
        self.set_back_s = 0.0
        """How far the clock that people read was put back."""
        self.asked = []

    def moment(self):
        return Moment(self.now_s, int((self.now_s - self.set_back_s + 1_780_000_000) * 1_000_000))

    def search(self, name, **options):
        """Drive a search to its outcome."""
        search = self.searcher.search(Question(name, **options), self.moment())
        try:
            ask = next(search)
            while True:
                ask = search.send(self.reply(ask))
        except StopIteration as stop:
            return stop.value

    def reply(self, ask):
        self.asked.append((ask.contact.place, ask.name))
        answer = self.servers.get(ask.contact.place)
        answer = answer(ask.name) if callable(answer) else answer
        if answer is None:
            self.now_s += ask.timeout_s
            return Reply.failed(self.moment(), "no answer in time")
        self.now_s += self.took_s
        return Reply(self.moment(), **answer)
