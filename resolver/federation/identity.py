"""What a client proves itself with: a key pair or a secret key, and the handle value that holds its other half."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from resolver.wire import challenges, signatures
from resolver.wire.challenges import PBKDF2_SALT_OCTETS, PUBLIC_KEY, SECRET_KEY, KeyPairAnswer
from resolver.wire.requests import ChallengeAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.wire.private_keys import PrivateKey
    from resolver.wire.versions import Version


class Identity(Protocol):
    """Who a client is. ``reference`` is ``(handle, index)``."""

    @property
    def reference(self) -> tuple[str, int]:
        """The handle value that holds the public or the secret key."""

    def answer(
        self, nonce: bytes, digest: bytes, version: Version, randomness: Callable[[int], bytes]
    ) -> ChallengeAnswer:
        """The answer to a challenge, in the form a version knows."""


@dataclass(frozen=True, slots=True)
class KeyIdentity:
    """Proven by a private key."""

    handle: str
    index: int
    key: PrivateKey

    @property
    def reference(self) -> tuple[str, int]:
        """The handle value that holds the public key."""
        return self.handle, self.index

    def answer(
        self, nonce: bytes, digest: bytes, version: Version, randomness: Callable[[int], bytes]
    ) -> ChallengeAnswer:
        """A signature of nonce and digest."""
        del randomness
        algorithm = signatures.preferred_hash(version, self.key.kind)
        made = KeyPairAnswer(algorithm, signatures.sign(self.key, algorithm, nonce + digest))
        return ChallengeAnswer(PUBLIC_KEY, self.handle, self.index, made.to_wire())


@dataclass(frozen=True, slots=True)
class SecretIdentity:
    """Proven by a secret key, which is not shown in ``repr``."""

    handle: str
    index: int
    secret: bytes

    def __repr__(self) -> str:
        return f"SecretIdentity({self.handle!r}, {self.index})"

    @property
    def reference(self) -> tuple[str, int]:
        """The handle value that holds the secret."""
        return self.handle, self.index

    def answer(
        self, nonce: bytes, digest: bytes, version: Version, randomness: Callable[[int], bytes]
    ) -> ChallengeAnswer:
        """A MAC of nonce and digest."""
        code = challenges.secret_answer_code(version)
        salt = randomness(PBKDF2_SALT_OCTETS)
        made = challenges.answer_by_secret(self.secret, nonce, digest, code, salt=salt)
        return ChallengeAnswer(SECRET_KEY, self.handle, self.index, made.to_wire())
