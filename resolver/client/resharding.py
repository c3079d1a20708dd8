"""Changing the servers of a site while it serves: the plan, and the steps in their order.

Whoever leads a change keeps nothing: every server says in its answers how far it is, so the same command given again
goes on where another one was ended. Two things make that safe. Nobody switches before every server is held, and all
that others copy has been seen to end where the journals of the held servers do; and once one server has switched there
is only one way, forward. Until then a change can be given up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver import methods
from resolver.client.failures import CallFailed, failure
from resolver.v1 import site_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.client.blocking import Client

LEASE_S = 10.0
"""Seconds that a fence stands by itself: longer than copying the tail takes, short enough if whoever leads is gone."""

LOOK_S = 0.05

TELL_S = 10.0
"""Seconds between two lines about a copy that takes long."""

IDLE_MAX_S = 30.0
"""Seconds without any progress after which copying is taken for stuck."""

SERIAL_MAX = 0xFFFE
"""Serials of a site start again after this."""

_SWITCHED = {pb.SITE_STAGE_SWITCHED, pb.SITE_STAGE_STRICT}


@dataclass(frozen=True)
class Wanted:
    """The servers that a site is to have: id and gRPC place of each in order, what is hashed, who has the registry."""

    servers: tuple[tuple[int, str], ...]
    hash: pb.SiteHash
    registry: int = 0
    """0 leaves it as it is."""


@dataclass(frozen=True)
class Move:
    """What goes from one server to another, or stays."""

    origin: int
    target: int
    handles: int
    octets: int


class Resharding:
    """One change of a site. ``begin`` first."""

    def __init__(
        self,
        wanted: Wanted,
        open_client: Callable[[str], Client],
        *,
        say: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        now_s: Callable[[], float] = time.monotonic,
        lease_s: float = LEASE_S,
    ) -> None:
        """``open_client`` opens a client of a place, as somebody who may look after mirrors."""
        self._wanted = wanted
        self._open = open_client
        self._say = say
        self._sleep = sleep
        self._now_s = now_s
        self._lease_s = lease_s
        self._clients: dict[str, Client] = {}
        self._places = dict(wanted.servers)
        self._silent: dict[int, CallFailed] = {}
        """What servers that may be silent failed with when they were asked."""
        self.current = pb.SiteLayout()
        """The layout that holds, or held when a change under way began."""
        self.next = pb.SiteLayout()
        """The layout that is led to."""

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()

    def begin(self, *, silent_allowed: bool = False) -> None:
        """Ask all servers where they stand, and settle which layout is led to. Raises CallFailed.

        ``silent_allowed`` goes on without servers that do not answer, as far as a change that is to be given up tells
        what there is to know.
        """
        states: dict[int, pb.GetSiteResponse] = {}
        for id_, place in self._wanted.servers:
            try:
                states[id_] = self._ask(place)
            except CallFailed as failed:
                if not silent_allowed or failed.reason:
                    raise
                self._silent[id_] = failed
        for id_, state in states.items():
            self._check(id_, state)
        under_way = [state.next for state in states.values() if state.stage]
        if self._silent and not under_way:
            raise next(iter(self._silent.values()))
        self.current = self._current(states)
        self.next = under_way[0] if under_way else self._next(states)
        if any(other != self.next for other in under_way) or not self._leads_to(self.next):
            raise _unfit("another change of the site is under way: finish or cancel it with its own servers file")
        if self.next.registry_server not in {server.id for server in self.next.servers}:
            raise _unfit(
                f"server {self.next.registry_server} takes changes of the registry and is not among the servers: list "
                "it too"
            )
        for server in self.current.servers:
            self._places.setdefault(server.id, server.grpc)

    def _check(self, id_: int, state: pb.GetSiteResponse) -> None:
        """Raise CallFailed unless a server is the one that is meant, and tells its state to this caller."""
        place = self._places[id_]
        if not state.settle_ms:
            raise _denied(
                f"server {id_} at {place} tells only node administrators and mirrors how the site is shared, and this "
                "credential is neither: use the token of an administrator"
            )
        if state.server not in {0, id_}:
            raise _unfit(f"what answers at {place} is server {state.server}, not {id_}: correct the servers file")
        if not state.own_site:
            raise _unfit(
                f"server {id_} at {place} has no Handle or HTTP door, and so no site record: start it with --hdl"
            )

    def _current(self, states: dict[int, pb.GetSiteResponse]) -> pb.SiteLayout:
        for state in states.values():
            if state.HasField("previous"):
                return state.previous
        knowing = [state for state in states.values() if state.layout.servers]
        if knowing:  # who follows the registry may not have the last layout yet
            return min(knowing, key=_follows_registry).layout
        alone = [id_ for id_, state in states.items() if not _follows_registry(state)]
        if len(alone) != 1:
            raise _unfit(
                "exactly one of the servers must be the node that has the handles and the registry now; the others are "
                "made with idis site join"
            )
        state = states[alone[0]]
        first = pb.SiteServer(id=alone[0], grpc=self._places[alone[0]], site=state.own_site)
        serial = state.site_serial or 1
        return pb.SiteLayout(serial=serial, hash=self._wanted.hash, registry_server=alone[0], servers=[first])

    def _next(self, states: dict[int, pb.GetSiteResponse]) -> pb.SiteLayout:
        serial = max(self.current.serial, *(state.site_serial for state in states.values())) % SERIAL_MAX + 1
        return pb.SiteLayout(
            serial=serial,
            hash=self._wanted.hash,
            registry_server=self._wanted.registry or self.current.registry_server,
            servers=[
                pb.SiteServer(id=id_, grpc=place, site=states[id_].own_site) for id_, place in self._wanted.servers
            ],
        )

    def _leads_to(self, layout: pb.SiteLayout) -> bool:
        return (layout.hash, [(each.id, each.grpc) for each in layout.servers]) == (
            self._wanted.hash,
            list(self._wanted.servers),
        )

    @property
    def changes_nothing(self) -> bool:
        """Whether the site is so already, and no change is under way."""
        if any(self._ask(place).stage for place in self._places.values()):
            return False
        one, other = pb.SiteLayout(), pb.SiteLayout()
        one.CopyFrom(self.current)
        other.CopyFrom(self.next)
        one.serial = other.serial = 0
        return one == other

    # The plan

    def plan(self) -> list[Move]:
        """What would go where, by asking every server that has handles to count. Raises CallFailed."""
        found: list[Move] = []
        count = len(self.next.servers)
        for origin in self.current.servers:
            sums = [[0, 0] for _ in range(count)]
            token = ""
            while True:
                request = pb.CountSharesRequest(servers=count, hash=self.next.hash, page_token=token)
                page = self._client(self._places[origin.id]).call(methods.COUNT_SHARES, request)
                for total, share in zip(sums, page.shares, strict=True):
                    total[0] += share.handles
                    total[1] += share.octets
                token = page.next_page_token
                if not token:
                    break
            found += [
                Move(origin.id, target.id, handles, octets)
                for target, (handles, octets) in zip(self.next.servers, sums, strict=True)
            ]
        return found

    # The change

    def move(self) -> None:
        """Change the site. Raises CallFailed; the same again goes on."""
        if not self._is_switched():
            self._prepare()
            self._hold()
        self._finish()

    def cancel(self) -> list[int]:
        """Give the change up; the ids of servers that did not answer, to be told later by the same call.

        Refused when no change is under way, and once a server has switched. The server with the registry switches first
        and must answer: while it has not switched, none has.
        """
        untold: list[int] = []
        open_ = []
        for id_ in self._ids():
            try:
                state = self._ask(self._places[id_])
            except CallFailed as failed:
                if failed.reason or id_ == self.next.registry_server:
                    raise
                untold.append(id_)
                continue
            if state.stage in _SWITCHED or (state.stage and state.layout == self.next):
                raise _unfit("servers have switched already: go on with idis site move")
            if state.stage:
                open_.append(id_)
        if not open_:
            raise _unfit("no change of the site is under way: there is nothing to cancel")
        for id_ in open_:
            self._step(id_, pb.SITE_STEP_CANCEL)
        return untold

    def _ids(self) -> list[int]:
        """All servers there are before or after, the one with the registry first: what it says others take over."""
        ids = {server.id for layout in (self.current, self.next) for server in layout.servers}
        return sorted(ids, key=lambda id_: (id_ != self.next.registry_server, id_))

    def _is_switched(self) -> bool:
        states = [self._ask(self._places[id_]) for id_ in self._ids()]
        return any(state.stage in _SWITCHED or state.layout == self.next for state in states)

    def _prepare(self) -> None:
        for id_ in self._ids():
            self._wait_for_layout(id_)
            self._step(id_, pb.SITE_STEP_PREPARE, server=id_, current=self.current)
        self._say("copying what goes to other servers")
        before, told_s = b"", self._now_s()
        since_s = told_s
        while not self._is_copied(lag_max=1_000):
            self._sleep(LOOK_S * 4)
            states = [self._ask(self._places[id_]) for id_ in self._ids()]
            if any(not state.stage and state.layout != self.next for state in states):
                raise _unfit("the change was given up meanwhile, by idis site cancel: idis site show tells how it is")
            if self._now_s() - told_s > TELL_S:
                told_s = self._now_s()
                held = (f"server {id_} {state.handle_count:,}" for id_, state in zip(self._ids(), states, strict=True))
                self._say(f"still copying; handles held: {', '.join(held)}")
            now = b"".join(pull.SerializeToString() for state in states for pull in state.pulls if not pull.registry)
            if now != before:
                before, since_s = now, self._now_s()
            elif self._now_s() - since_s > IDLE_MAX_S:
                raise _unfit(
                    "a server copies nothing: its log says why; every server needs credentials/site.token, and reaches "
                    "the others where the servers file says. Then give the command again"
                )

    def _wait_for_layout(self, id_: int) -> None:
        """Wait until a server has heard which servers the site has: that comes to it with the registry."""
        until_s = self._now_s() + IDLE_MAX_S
        while True:
            state, registry = (self._ask(self._places[each]) for each in (id_, self.current.registry_server))
            if state.stage or state.layout == registry.layout:
                return
            if self._now_s() > until_s:
                raise _unfit(
                    f"server {id_} does not follow the registry and has not heard which servers the site has: its log "
                    "says why. Then give the command again"
                )
            self._sleep(LOOK_S)

    def _is_copied(self, *, lag_max: int) -> bool:
        """Whether every server holds what others have for it, but for so many changes of each.

        Where no share changes, only the places of servers, there is nothing to hold.
        """
        if [(self.current.hash, each.id) for each in self.current.servers] == [
            (self.next.hash, each.id) for each in self.next.servers
        ]:
            return True
        states = {id_: self._ask(self._places[id_]) for id_ in self._ids()}
        for id_, state in states.items():
            pulls = {pull.server: pull for pull in state.pulls if not pull.registry}
            if not any(server.id == id_ for server in self.next.servers):
                continue
            for origin in self.current.servers:
                pull = pulls.get(origin.id)
                if origin.id == id_:
                    continue
                if pull is None or not pull.complete or states[origin.id].serial - pull.held.serial > lag_max:
                    return False
        return True

    def _hold(self) -> None:
        """Stop changes everywhere and see that everything is copied; again when that takes too long."""
        while True:
            self._say("stopping changes of handles for a moment")
            for id_ in self._ids():
                self._step(id_, pb.SITE_STEP_FENCE, lease_s=self._lease_s)
            until_s = self._now_s() + self._lease_s * 0.6
            while not self._is_copied(lag_max=0) and self._now_s() < until_s:
                self._sleep(LOOK_S)
            if self._is_held():
                return
            self._sleep(LOOK_S)

    def _is_held(self) -> bool:
        """Hold every server where its journal ends, and look once more whether everything is copied."""
        try:
            for id_ in self._ids():
                serial = self._ask(self._places[id_]).serial
                self._step(id_, pb.SITE_STEP_HOLD, expected_serial=serial)
        except CallFailed as failed:
            if failed.reason != "INVALID_TRANSITION":
                raise
            return False
        until_s = self._now_s() + self._lease_s
        while not self._is_copied(lag_max=0):
            if self._now_s() > until_s:
                raise _unfit("a server does not copy what others have for it: see its log, then give the command again")
            self._sleep(LOOK_S)
        return True

    def _finish(self) -> None:
        """Switch, one server after another, and take changes again."""
        for step, word in (
            (pb.SITE_STEP_SWITCH, "switching"),
            (pb.SITE_STEP_STRICT, "every server answers for its own handles"),
            (pb.SITE_STEP_SERVE, "changes are taken again"),
        ):
            ids = self._ids()
            if step == pb.SITE_STEP_SERVE:  # those that leave come first, since only the others know of them
                ids.sort(key=lambda id_: any(server.id == id_ for server in self.next.servers))
            states = {id_: self._ask(self._places[id_]) for id_ in ids}
            self._sleep(max(state.settle_ms for state in states.values()) / 1_000)  # all have noticed the step before
            for id_, state in states.items():
                if not _is_past(state, step, self.next):
                    self._step(id_, step)
            self._say(word)

    # Asking

    def _client(self, place: str) -> Client:
        if place not in self._clients:
            self._clients[place] = self._open(place)
        return self._clients[place]

    def _ask(self, place: str) -> pb.GetSiteResponse:
        return self._client(place).call(methods.GET_SITE, pb.GetSiteRequest())

    def _step(
        self,
        id_: int,
        step: pb.SiteStep,
        *,
        server: int = 0,
        current: pb.SiteLayout | None = None,
        lease_s: float = 0.0,
        expected_serial: int = 0,
    ) -> None:
        request = pb.ChangeSiteRequest(
            step=step,
            server=server,
            next=self.next,
            current=current,
            lease_ms=int(lease_s * 1_000),
            expected_serial=expected_serial,
        )
        self._client(self._places[id_]).call(methods.CHANGE_SITE, request)


def _follows_registry(state: pb.GetSiteResponse) -> bool:
    return any(pull.registry for pull in state.pulls)


def _is_past(state: pb.GetSiteResponse, step: pb.SiteStep, layout: pb.SiteLayout) -> bool:
    """Whether a server has taken a step of the finish before."""
    if state.layout != layout:
        return False
    if state.stage == pb.SITE_STAGE_UNSPECIFIED:
        return True
    reached = {pb.SITE_STEP_SWITCH: _SWITCHED, pb.SITE_STEP_STRICT: {pb.SITE_STAGE_STRICT}}
    return state.stage in reached.get(step, ())


def _denied(message: str) -> CallFailed:
    import grpc  # noqa: PLC0415 - for the code only

    return failure(grpc.StatusCode.PERMISSION_DENIED, message, reason="PERMISSION_DENIED")


def _unfit(message: str) -> CallFailed:
    import grpc  # noqa: PLC0415 - for the code only

    return failure(grpc.StatusCode.FAILED_PRECONDITION, message, reason="INVALID_TRANSITION")
