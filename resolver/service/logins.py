"""Logging in by user name and password: hashing beside the loop, guessing made slow, tokens written by the lane.

scrypt takes a fifth of a second and 32 MiB, so one runs at a time, behind everything else, and few wait. An unknown
name costs the same as a wrong password. A name that was guessed wrongly waits at the network the guesses came from, and
so does a network that guesses many names; the owner elsewhere notices nothing.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from resolver import methods
from resolver.errors import CredentialInvalid, CredentialMissing, Overloaded
from resolver.node.authorize import Action, require
from resolver.node.lockout import Lockout
from resolver.registry import logins, passwords
from resolver.service.hdl_peer import network_of
from resolver.service.registry_jobs import write_row
from resolver.v1 import login_pb2 as pb
from resolver.v1 import stored_pb2 as stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.node.ledger import Ledger
    from resolver.service.call import Call
    from resolver.service.core import Core

T = TypeVar("T")

NICENESS = 10
"""How far hashing stands back behind the loop and the write lane for the processor."""

WAITING_MAX = 32
"""Logins that may wait for their turn in a worker: some seconds of hashing."""

NETWORK_FAILURES = 100
"""Wrong passwords for any names after which a network waits: an office behind one address mistypes too."""


def _nobody() -> stored.StoredLogin:
    """What the password of an unknown name is compared with, at the same cost; no hash is empty."""
    return stored.StoredLogin(
        salt=bytes(passwords.SALT_OCTETS),
        log2_n=passwords.LOG2_N,
        r=passwords.BLOCK_R,
        p=passwords.PARALLEL_P,
    )


def _stand_back() -> None:
    """Make this thread wait behind others: strangers can ask for hashes, and must not take the processor by it."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


@dataclass(frozen=True)
class Opened:
    """A token that was given out."""

    token: str
    expire_time_us: int
    principal_id: str


@dataclass
class _Job:
    """A write of the lane that is no request of somebody known."""

    decide: Callable[[Ledger], str]
    cost: int = 1
    frees_space: bool = False

    def prepare(self) -> None:
        """Nothing needs to be checked before."""

    def apply(self, ledger: Ledger) -> str:
        """Decide and write."""
        return self.decide(ledger)


class Logins:
    """Handlers of LoginService, and ``log_in`` for doors with a login of their own."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lockout = core.lockout
        self._networks = Lockout(core.failures, free_failures=NETWORK_FAILURES)
        self._hashing = ThreadPoolExecutor(1, "hashing", _stand_back)
        self._waiting = 0

    async def _hash(self, work: Callable[[], T]) -> T:
        """Do slow work in a thread, when it is its turn. Raises Overloaded."""
        if self._waiting >= WAITING_MAX:
            raise Overloaded("too many passwords wait to be checked: try again", retry_after_s=2.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hashing, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the thread go."""
        self._hashing.shutdown(wait=False, cancel_futures=True)

    async def log_in(
        self, user_name: str, secret: str, source: str, *, digest: bool = False, utc_offset_s: float = 0.0
    ) -> Opened:
        """A token for a user name and its password, or the SNMS digest of it.

        Raises CredentialInvalid, Overloaded, NotThisServer.
        """
        self._core.require_registry()
        network = network_of(source)
        identity = f"login {user_name[: logins.USER_NAME_CHARACTERS_MAX]}"
        self._refuse_when_locked(identity, network)
        row, is_right = await self._prove(user_name, secret, digest=digest, utc_offset_s=utc_offset_s)
        now_s = self._core.clock.now_us() / 1_000_000
        # Guesses that were under way while the lock fell count as wrong, right or not.
        self._refuse_when_locked(identity, network)
        if row is None or not is_right:
            self._lockout.failed(identity, network, now_s)
            self._networks.failed("", network, now_s)
            raise logins.refusal()
        token = logins.mint_token(self._core.randomness)
        expire_time_us = self._core.clock.now_us() + int(self._core.options.session_s * 1_000_000)

        def decide(ledger: Ledger) -> str:
            return logins.open_session(ledger.writer, user_name, row, expire_time_us, ledger.now_us, token)

        principal_id = await self._core.lane.submit(_Job(decide))
        self._lockout.succeeded(identity, network)
        return Opened(token, expire_time_us, principal_id)

    async def _prove(
        self, user_name: str, secret: str, *, digest: bool, utc_offset_s: float
    ) -> tuple[stored.StoredLogin | None, bool]:
        with self._core.reading() as reader:
            row = logins.find(reader, user_name)
        if digest:
            now_us = self._core.clock.now_us()
            return row, row is not None and passwords.proves_by_digest(row, secret, now_us, utc_offset_s)
        known = _nobody() if row is None else row
        if len(secret) > passwords.CHARACTERS_MAX:
            return row, False
        return row, await self._hash(lambda: passwords.proves(known, secret))

    def _refuse_when_locked(self, identity: str, network: str) -> None:
        now_s = self._core.clock.now_us() / 1_000_000
        if self._lockout.is_locked(identity, network, now_s) or self._networks.is_locked("", network, now_s):
            raise CredentialInvalid(
                "too many wrong passwords came from your network: wait a while before you try again",
                retry_after_s=10.0,
                details={"rule": "LOCKED"},
            )

    async def to_stored(self, sha256_hex: str, *, digest_login: bool) -> stored.StoredLogin:
        """What is kept of a password, given by its SHA-256."""
        return await self._hash(
            lambda: passwords.to_stored(sha256_hex, self._core.randomness, digest_login=digest_login)
        )

    async def slow_hash(self, sha256_hex: str, request_id: str) -> bytes:
        """What stands for a password in the digest of a request that is remembered: it must not be guessable there."""
        salt = b"retry" + request_id.encode()
        cost = (passwords.LOG2_N, passwords.BLOCK_R, passwords.PARALLEL_P)
        return await self._hash(lambda: passwords.scrypt(sha256_hex, salt, *cost))

    async def set_password(self, call: Call, request: pb.SetPasswordRequest) -> bytes:
        """Give a principal a user name and password."""
        require(call.caller, Action.ADMINISTER, "", "user names")
        logins.check_user_name(request.user_name)
        passwords.check(request.password)
        sha256 = passwords.sha256_of(request.password)
        new = await self.to_stored(sha256, digest_login=request.digest_login)
        remembered = pb.SetPasswordRequest()
        remembered.CopyFrom(request)
        if request.request_id:
            remembered.password = (await self.slow_hash(sha256, request.request_id)).hex()

        def decide(ledger: Ledger) -> pb.SetPasswordResponse:
            login = logins.set_password(
                ledger.writer, call.caller, request.principal_id, request.user_name, new, ledger.now_us
            )
            return pb.SetPasswordResponse(login=login)

        return await write_row(self._core, call, methods.SET_PASSWORD, remembered, decide)

    def list_logins(self, call: Call, request: pb.ListLoginsRequest) -> pb.ListLoginsResponse:
        """A page of user names."""
        with self._core.reading() as reader:
            now_us = self._core.clock.now_us()
            found, token = logins.page(reader, call.caller, request.page_size, request.page_token, now_us)
        return pb.ListLoginsResponse(logins=found, next_page_token=token)

    async def remove_login(self, call: Call, request: pb.RemoveLoginRequest) -> bytes:
        """Take a user name away."""

        def decide(ledger: Ledger) -> pb.RemoveLoginResponse:
            logins.remove(ledger.writer, call.caller, request.user_name)
            return pb.RemoveLoginResponse()

        return await write_row(self._core, call, methods.REMOVE_LOGIN, request, decide, frees_space=True)

    async def log_in_by_rpc(self, call: Call, request: pb.LogInRequest) -> pb.LogInResponse:
        """A token for a user name and password."""
        opened = await self.log_in(request.user_name, request.password, call.source)
        return pb.LogInResponse(
            token=opened.token, expire_time_us=opened.expire_time_us, principal_id=opened.principal_id
        )

    async def log_out(self, call: Call, _: pb.LogOutRequest) -> pb.LogOutResponse:
        """End the token of the call."""
        token = call.credential.token if call.credential else ""
        if not token:
            raise CredentialMissing("there is no token to end: send the one you were given")
        self._core.require_registry()

        def decide(ledger: Ledger) -> str:
            logins.close_session(ledger.writer, token)
            return ""

        await self._core.lane.submit(_Job(decide, frees_space=True))
        self._core.poll()
        return pb.LogOutResponse()
