"""The table of methods is the contract in proto, no more and no less."""

import pytest

from resolver import limits, methods
from resolver.methods import METHODS, Shape
from resolver.v1 import (
    changes_pb2,
    login_pb2,
    mirror_pb2,
    node_pb2,
    registration_pb2,
    registry_pb2,
    resolution_pb2,
    site_pb2,
    template_pb2,
)

FILES = [
    changes_pb2,
    login_pb2,
    mirror_pb2,
    node_pb2,
    registration_pb2,
    registry_pb2,
    resolution_pb2,
    site_pb2,
    template_pb2,
]
TURNS = {methods.PROMOTE_MIRROR, methods.FENCE_PRIMARY, methods.CHANGE_SITE}
"""Turns of who is primary, and steps of a change of the site: none is done twice, and none can be tried."""
CONTRACT = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def test_every_method_of_the_contract_is_in_the_table():
    assert set(METHODS) == set(CONTRACT)


@pytest.mark.parametrize("path", METHODS)
def test_a_row_says_what_the_contract_says(path):
    row, contract = METHODS[path], CONTRACT[path]
    assert row.path == path
    assert row.request.DESCRIPTOR is contract.input_type
    assert row.response.DESCRIPTOR is contract.output_type
    streams = {Shape.UNARY: (False, False), Shape.SERVER_STREAM: (False, True), Shape.BIDIRECTIONAL: (True, True)}
    assert (contract.client_streaming, contract.server_streaming) == streams[row.shape]
    assert 0 < row.octets_max <= limits.MESSAGE_OCTETS_MAX


@pytest.mark.parametrize("path", METHODS)
def test_writes_can_be_tried_and_retried(path):
    row = METHODS[path]
    fields = set(row.request.DESCRIPTOR.fields_by_name)
    if row in TURNS:
        assert row.writes
        return
    assert row.writes == ("validate_only" in fields)
    if row.writes and row is not methods.IMPORT_HANDLES:
        assert "request_id" in fields
