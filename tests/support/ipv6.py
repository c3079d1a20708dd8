"""For tests that need IPv6: kernels can be built, started or told to be without it, and containers often are."""

import socket

import pytest


def _is_there():
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _is_there(), reason="this machine has no IPv6")
