"""Looks once in a while whether the certificate of the doors still serves, and tells the log before clients do.

Workers go on with the certificate they have when its files break; the next worker could not start with them. And
nothing breaks when a certificate expires: every client refuses it, and the node notices nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from resolver.app.data_dir import StartRefused

if TYPE_CHECKING:
    from resolver.clock import Clock
    from resolver.config.settings import Tls

LOOK_S = 3_600.0
"""Seconds between two looks."""

SOON_DAYS = 14
"""Days before the end from which on it is told: those who renew by hand need some, and ACME renews sooner."""

_DAY_S = 86_400.0

log = structlog.get_logger()


class CertificateWatch:
    """``look`` every second or so; it looks at the files once an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._again_s = clock.monotonic_s()

    def look(self, tls: Tls) -> None:
        """Tell the log what is wrong with the certificate, if anything."""
        if not tls.certificate_file or self._clock.monotonic_s() < self._again_s:
            return
        self._again_s = self._clock.monotonic_s() + LOOK_S
        try:
            not_after_s = _end_of(tls)
        except StartRefused as error:
            log.error("the certificate could not be read again: no new worker could start", why=str(error))  # noqa: TRY400 - the sentence says it all
            return
        left_s = not_after_s - self._clock.now_us() / 1e6
        if left_s <= 0:
            log.error("the certificate has expired, clients refuse it: renew it", file=tls.certificate_file)
        elif left_s < SOON_DAYS * _DAY_S:
            log.warning("the certificate expires soon: renew it", file=tls.certificate_file, days=int(left_s // _DAY_S))


def require_certificate(tls: Tls) -> None:
    """Raise StartRefused when doors cannot use the certificate that is set, if one is."""
    if tls.certificate_file:
        _end_of(tls)


def own_certificate(tls: Tls) -> tuple[Path, Path] | tuple[None, None]:
    """The files of chain and key that the node shows other nodes of its site; none without TLS."""
    return (Path(tls.certificate_file), Path(tls.key_file)) if tls.certificate_file else (None, None)


def _end_of(tls: Tls) -> float:
    """When the certificate expires, seconds since 1970. Raises StartRefused."""
    from resolver.transport.tls import CertificateUnusable, load  # noqa: PLC0415 - loads gRPC, needed with TLS only

    authorities = Path(tls.client_ca_file) if tls.client_ca_file else None
    try:
        return load(Path(tls.certificate_file), Path(tls.key_file), authorities).not_after_s
    except CertificateUnusable as error:
        raise StartRefused(str(error)) from error
