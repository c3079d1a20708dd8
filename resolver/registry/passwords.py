"""Passwords: what is stored of them, and whether a text or an SNMS digest proves one.

What is hashed by scrypt (RFC 7914) is the lower-case hex of the password's SHA-256, because national enterprise
applications send a password in that form only; so a password set either way is proven by either. The digest form of
the SNMS token request, sha256(sha256(password) + date), cannot be checked against a scrypt hash: it needs the SHA-256
itself. Where a login accepts it, that is stored too, and whoever reads the store can log in with it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from resolver.errors import InvalidField
from resolver.v1 import stored_pb2 as stored

if TYPE_CHECKING:
    from collections.abc import Callable

CHARACTERS_MIN = 8
"""Characters of a password: the least that Chinese classified protection guidance asks for."""

CHARACTERS_MAX = 64
"""Characters of a password: the field length of the SNMS token request."""

LOG2_N, BLOCK_R, PARALLEL_P = 15, 8, 3
"""Cost of scrypt: 32 MiB and about 0.2 s, one of the settings the OWASP password storage guidance lists."""

MEMORY_MAX = 128 << 20
"""Octets scrypt may take for a stored cost; the store is not trusted to ask for more."""

DATE_TOLERANCE = timedelta(minutes=10)
"""How far the clock of a client may be off around midnight for its date to count."""

SALT_OCTETS = 16

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")


def check(password: str) -> None:
    """Raise InvalidField for a text that is no password."""
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX or not password.isprintable():
        raise InvalidField(
            f"the password has {CHARACTERS_MIN} to {CHARACTERS_MAX} printable characters: choose another one",
            field="password",
        )


def sha256_of(password: str) -> str:
    """Lower-case hex of the SHA-256 of a password."""
    return hashlib.sha256(password.encode("utf-8", "surrogatepass")).hexdigest()


def check_sha256(text: str, field: str) -> str:
    """The SHA-256 of a password as its owner sent it, in lower case. Raises InvalidField."""
    if not _HEX_SHA256.fullmatch(text.lower()):
        raise InvalidField(f"{field} is not the SHA-256 of a password: 64 hexadecimal digits", field=field)
    return text.lower()


def scrypt(secret: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    """The hash of a secret; it takes long on purpose and gives the interpreter free meanwhile."""
    return hashlib.scrypt(secret.encode(), salt=salt, n=1 << log2_n, r=r, p=p, maxmem=MEMORY_MAX, dklen=32)


def to_stored(sha256_hex: str, randomness: Callable[[int], bytes], *, digest_login: bool) -> stored.StoredLogin:
    """What is kept of a password, given by its SHA-256: call it outside transactions, it takes its time."""
    salt = randomness(SALT_OCTETS)
    return stored.StoredLogin(
        salt=salt,
        hash=scrypt(sha256_hex, salt, LOG2_N, BLOCK_R, PARALLEL_P),
        log2_n=LOG2_N,
        r=BLOCK_R,
        p=PARALLEL_P,
        password_sha256=bytes.fromhex(sha256_hex) if digest_login else b"",
    )


def proves(row: stored.StoredLogin, password: str) -> bool:
    """Whether a clear password is the one stored; call it outside transactions, it takes its time."""
    return hmac.compare_digest(scrypt(sha256_of(password), row.salt, row.log2_n, row.r, row.p), row.hash)


def digest_of(sha256_hex: str, date: str) -> str:
    """The digest form of a password on a date ``yyyy-MM-dd`` (SNMS OpenAPI, /identity/token/v1)."""
    return hashlib.sha256((sha256_hex + date).encode()).hexdigest()


def proves_by_digest(row: stored.StoredLogin, digest: str, now_us: int, utc_offset_s: float) -> bool:
    """Whether a digest is that of the stored password for today, in the time zone of the offset."""
    if not row.password_sha256:
        return False
    now = datetime.fromtimestamp(now_us / 1_000_000, UTC) + timedelta(seconds=utc_offset_s)
    dates = {(now + shift).strftime("%Y-%m-%d") for shift in (-DATE_TOLERANCE, timedelta(), DATE_TOLERANCE)}
    found = False
    for date in sorted(dates):
        found |= hmac.compare_digest(digest_of(row.password_sha256.hex(), date).encode(), digest.lower().encode())
    return found
