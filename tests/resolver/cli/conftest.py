import pytest
from cli_node import serving


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("cli") / "data") as running:
        yield running
