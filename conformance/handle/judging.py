"""A server judged by all rules, as an administrator of it or as anybody."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from conformance.handle import administration, malformed, order, reference, replay, resolution, sdks, sharing, versions
from conformance.handle.client import Peer, Who
from conformance.handle.rules import RULES
from conformance.suite import judge

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.suite import Verdict

MODULES = (resolution, administration, order, reference, sdks, versions, malformed, replay, sharing)
"""The modules whose rules are tried, in this order."""


class Judged(Peer):
    """A server and what may be tried of it."""

    @cached_property
    def share(self) -> sharing.Share | None:
        """Its share of a site of several servers; None when it has all."""
        return sharing.share_of(self)

    @property
    def is_one_of_several(self) -> bool:
        """Whether other servers of its site have handles that it has not."""
        return self.share is not None

    def fresh(self, mark: str = "C") -> str:
        """A name nobody has used, one of its own."""
        name = super().fresh(mark)
        while self.share is not None and not self.share.holds(name):
            self._made.pop()
            name = super().fresh(mark)
        return name

    @property
    def logs_in(self) -> bool:
        """Whether a login can be signed: IDIS clients have key pairs."""
        return self.who is not None and self.who.key is not None

    @property
    def replays(self) -> bool:
        """Whether the recorded exchanges can be sent: the administrator of 88.300 homes their prefixes."""
        is_it = self.logs_in and self.who is not None and self.who.handle.upper() == replay.NODE
        return is_it and not self.is_one_of_several  # recorded names may be another server's

    @property
    def place(self) -> int:
        """Place of the server in its site, from 0."""
        return self.share.place if self.share is not None else 0


def who_of(auth: str, key_file: Path | None, secret: str) -> Who | None:
    """The administrator that the command line names; None for nobody."""
    if not auth:
        return None
    index, _, handle = auth.partition(":")
    if key_file is None:
        return Who(handle, int(index), secret=secret.encode())
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey), f"{key_file} is no RSA key"
    return Who(handle, int(index), key)


def judge_handle(where: str, prefix: str, who: Who | None) -> list[Verdict]:
    """Try every rule on a server."""
    host, _, port = where.rpartition(":")
    peer = Judged(host.strip("[]"), int(port), prefix, who)
    try:
        return judge(peer, RULES)
    finally:
        peer.clean()
