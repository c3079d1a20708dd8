"""Whoever uses a list of the configuration takes what the check of the configuration takes, and nothing else."""

import pytest

from resolver.app.data_dir import StartRefused
from resolver.app.handle_service import administrators
from resolver.config.lists import faults_in
from resolver.federation.addresses import AddressPolicy
from resolver.transport.http.calls import networks_of

NETWORKS = [
    "",
    "10.0.0.0/8",
    " 10.0.0.0/8 ,, fd00::/8,",
    "10.0.0.1/8",
    "10.0.0.1",
    "::1",
    "10.20",
    "proxy",
    "10.0.0.0/33",
]
PORTS = ["", "2641", "2640-2645 , 8000", "2645-2640", "0", "65535", "65536", "-5", "5-", "1_000", "+5", "26 41", "x"]
REFERENCES = ["", "300:0.NA/88.300", "300:前缀/管理员, 301:A/B", "300", ":A/B", "300:", "٣:A/B", "-1:A/B", "x:A/B"]

USERS = {
    "federation.allow_networks": (NETWORKS, lambda text: AddressPolicy.from_text(text, "")),
    "federation.allow_ports": (PORTS, lambda text: AddressPolicy.from_text("", text)),
    "http.trusted_proxies": (NETWORKS, networks_of),
    "hdl.administrators": (REFERENCES, administrators),
    "hdl.replication_admins": (REFERENCES, administrators),
}


def takes(use, text):
    try:
        use(text)
    except (ValueError, StartRefused):
        return False
    return True


@pytest.mark.parametrize("setting", USERS)
def test_what_is_checked_is_what_is_taken(setting):
    texts, use = USERS[setting]
    found = {text: not faults_in(setting, text) for text in texts}
    assert found == {text: takes(use, text) for text in texts}
    assert set(found.values()) == {True, False}
