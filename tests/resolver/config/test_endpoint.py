"""HOST:PORT both ways."""

import pytest

from resolver.config.endpoint import Endpoint


@pytest.mark.parametrize("text", ["127.0.0.1:2640", "[::1]:0", "node.example:65535", "0.0.0.0:1"])
def test_text_both_ways(text):
    assert Endpoint.from_text(text).to_text() == text


@pytest.mark.parametrize("text", ["", "2640", ":2640", "::1:2640", "host:", "host:-1", "host:65536", "host:٣", "[]:1"])
def test_what_is_not_an_endpoint(text):
    with pytest.raises(ValueError, match=r"is not HOST:PORT|has no port"):
        Endpoint.from_text(text)


def test_wildcards_are_reached_by_loopback():
    assert Endpoint.from_text("0.0.0.0:5").reachable().to_text() == "127.0.0.1:5"
    assert Endpoint.from_text("[::]:5").reachable().to_text() == "[::1]:5"
    assert Endpoint.from_text("10.0.0.1:5").reachable().to_text() == "10.0.0.1:5"
    assert Endpoint.from_text("127.9.9.9:5").is_loopback
    assert not Endpoint.from_text("0.0.0.0:5").is_loopback
