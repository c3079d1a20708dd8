"""An operator hears of the end of a certificate before the clients do."""

import pytest
from structlog.testing import capture_logs

from resolver.app.certificates import LOOK_S, CertificateWatch
from resolver.config.settings import Tls
from tests.resolver.transport.test_tls import NOW, issue

DAY_S = 86_400


class Clock:
    def __init__(self, days):
        self.at_s = 100.0
        self.days = days

    def monotonic_s(self):
        return self.at_s

    def now_us(self):
        return int((NOW.timestamp() + self.days * DAY_S) * 1e6)


@pytest.fixture
def tls(tmp_path):
    issue(tmp_path, "node", days=100)
    return Tls(certificate_file=str(tmp_path / "node.crt"), key_file=str(tmp_path / "node.key"))


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (50, []),
        (90, ["the certificate expires soon: renew it"]),
        (101, ["the certificate has expired, clients refuse it: renew it"]),
    ],
)
def test_the_end_of_a_certificate_is_told_once_an_hour(tls, days, told):
    clock = Clock(days)
    watch = CertificateWatch(clock)
    with capture_logs() as logs:
        watch.look(tls)
        clock.at_s += LOOK_S - 1
        watch.look(tls)
        assert [log["event"] for log in logs] == told
        clock.at_s += 2
        watch.look(tls)
        assert [log["event"] for log in logs] == told * 2


def test_files_that_broke_meanwhile_are_told_too(tls, tmp_path):
    (tmp_path / "node.key").write_text("none")
    with capture_logs() as logs:
        CertificateWatch(Clock(1)).look(tls)
    assert [log["log_level"] for log in logs] == ["error"]


def test_without_tls_there_is_nothing_to_look_at():
    with capture_logs() as logs:
        CertificateWatch(Clock(1)).look(Tls())
    assert logs == []
