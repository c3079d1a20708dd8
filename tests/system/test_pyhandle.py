"""pyhandle, the client of research data centres, against real processes over TLS: password, certificate, search.

Its own integration tests run here too; those that no server can make pass are named in ``conformance/pyhandle.py``.
"""

import pytest

from conformance.pyhandle import (
    PREFIX,
    SECRET,
    USER,
    certificate_of,
    key_pem,
    ready,
    run_tests,
    test_values,
    unexpected,
)

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore")]

test_values.__test__ = False


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pyhandle")
    with ready(directory) as place:
        yield place


def by_password(place):
    from pyhandle.handleclient import PyHandleClient

    client = PyHandleClient("rest")
    verify = str(place.ca)
    return client.instantiate_with_username_and_password(place.base, f"300:{USER}", SECRET, HTTPS_verify=verify)


def by_certificate(place, directory):
    from pyhandle.client.resthandleclient import RESTHandleClient
    from pyhandle.clientcredentials import PIDClientCredentials

    certificate, key = directory / "user.crt", directory / "user.key"
    certificate.write_bytes(certificate_of(f"301:{USER}", place.user_key))
    key.write_bytes(key_pem(place.user_key))
    credentials = PIDClientCredentials(
        client="rest",
        handle_server_url=place.base,
        certificate_only=str(certificate),
        private_key=str(key),
        handleowner=f"301:{USER}",
    )
    return RESTHandleClient.instantiate_with_credentials(credentials, HTTPS_verify=str(place.ca))


@pytest.mark.parametrize("way", ["password", "certificate"])
def test_a_handle_lives_through_pyhandle(place, tmp_path, way):
    client = by_password(place) if way == "password" else by_certificate(place, tmp_path)
    name = f"{PREFIX}/lives-by-{way}"
    made = client.register_handle(name, location="https://a.example/产品?q=1", checksum="00ff", NAME="轴承")
    assert made == name
    record = client.retrieve_handle_record(name)
    assert (record["URL"], record["CHECKSUM"], record["NAME"]) == ("https://a.example/产品?q=1", "00ff", "轴承")
    client.modify_handle_value(name, NAME="滚动轴承", ORIGIN="Suzhou")
    assert client.get_value_from_handle(name, "NAME") == "滚动轴承"
    client.delete_handle_value(name, "CHECKSUM")
    assert client.get_value_from_handle(name, "CHECKSUM") is None
    client.delete_handle(name)
    assert client.retrieve_handle_record_json(name) is None


def test_pyhandle_finds_handles_by_their_values(place):
    client = by_password(place)
    names = [f"{PREFIX}/found-{number}" for number in range(3)]
    for number, name in enumerate(names):
        client.register_handle(name, location=f"https://found.example/{number}", checksum=f"c{number}")
    from pyhandle.client.resthandleclient import RESTHandleClient

    searcher = RESTHandleClient.instantiate_for_read_and_search(
        place.base,
        f"300:{USER}",
        SECRET,
        reverselookup_baseuri=place.base,
        HTTPS_verify=str(place.ca),
    )
    assert sorted(searcher.search_handle(URL="*found.example*")) == names
    assert searcher.search_handle(URL="https://found.example/*", CHECKSUM="c1") == [names[1]]
    client.delete_handle(names[1])
    assert searcher.search_handle(CHECKSUM="c1") == []


def test_a_wrong_password_changes_nothing(place):
    from pyhandle.client.resthandleclient import RESTHandleClient
    from pyhandle.handleexceptions import HandleAuthenticationError

    verify = str(place.ca)
    client = RESTHandleClient.instantiate_with_username_and_password(
        place.base, f"300:{USER}", "wrong", HTTPS_verify=verify
    )
    with pytest.raises(HandleAuthenticationError):
        client.register_handle(f"{PREFIX}/never", location="https://a.example/")
    assert client.retrieve_handle_record_json(f"{PREFIX}/never") is None


def test_the_integration_tests_of_pyhandle_pass(place, tmp_path):
    rows = run_tests(tmp_path / "copy", test_values(place.base, place.ca), ["read", "write", "search"])
    assert unexpected(rows) == []
    assert sum(outcome == "ok" for _, outcome, _ in rows) >= 29
