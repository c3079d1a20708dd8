"""The tree of failures and the table of what each is called are the same size, and no entry is a slip."""

import re

import grpc
import pytest

from resolver.errors import DOMAIN, MEANINGS, Refused, Unavailable, WireError, leaves
from resolver.handle.codes import ResponseCode

GRPC_CODES = {code.value[0] for code in grpc.StatusCode}


def test_table_is_total():
    assert set(leaves()) == set(MEANINGS)


@pytest.mark.parametrize("reason", MEANINGS)
def test_each_leaf(reason):
    leaf, meaning = leaves()[reason], MEANINGS[reason]
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", reason)
    assert leaf.__doc__
    assert leaf.__doc__.endswith(".")
    assert issubclass(leaf, (WireError, Refused, Unavailable))
    assert meaning.grpc in GRPC_CODES - {0}
    assert meaning.handle in set(ResponseCode) - {0, 1}
    assert 400 <= meaning.http < 600
    assert meaning.snms in {-1, -2, -3, -4}
    assert (meaning.http >= 500) == (meaning.snms == -4) or reason == "NOT_IMPLEMENTED"
    error = leaf("what and what to do", field="f", retry_after_s=0.5, details={"a": "b"})
    assert (error.meaning, error.response_code) == (meaning, meaning.handle)
    assert (error.message, str(error)) == ("what and what to do",) * 2


def test_retryable_codes_are_ours_to_mend():
    """UNAVAILABLE tells clients to retry: nothing that a retry cannot help may say it."""
    for reason, meaning in MEANINGS.items():
        if meaning.grpc == grpc.StatusCode.UNAVAILABLE.value[0]:
            assert issubclass(leaves()[reason], Unavailable), reason
        if issubclass(leaves()[reason], WireError):
            assert meaning.grpc in {3, 8}, reason


def test_domain_is_stable():
    assert DOMAIN == "idis-node"
