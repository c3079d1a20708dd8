"""What a gRPC door says of each failure."""

import pytest
from google.rpc import error_details_pb2, status_pb2

from resolver.errors import MEANINGS, InvalidName, leaves
from resolver.transport.outcome import failure_of


def details_of(failure):
    """The details by name, unpacked."""
    found = {}
    for packed in status_pb2.Status.FromString(failure.details).details:
        kind = getattr(error_details_pb2, packed.TypeName().rpartition(".")[2])
        message = kind()
        assert packed.Unpack(message)
        found[kind.__name__] = message
    return found


@pytest.mark.parametrize("reason", MEANINGS)
def test_every_leaf_is_told_whole(reason):
    error = leaves()[reason]("sentence", field="name", retry_after_s=1.25, details={"key": "text"})
    failure = failure_of(error, "/m")
    status = status_pb2.Status.FromString(failure.details)
    assert (failure.code, failure.message) == (status.code, status.message) == (MEANINGS[reason].grpc, "sentence")
    details = details_of(failure)
    info = details["ErrorInfo"]
    assert (info.reason, info.domain, dict(info.metadata)) == (reason, "idis-node", {"key": "text"})
    assert details["BadRequest"].field_violations[0].field == "name"
    assert details["RetryInfo"].retry_delay.ToNanoseconds() == 1_250_000_000


def test_only_what_is_known_is_told():
    assert set(details_of(failure_of(InvalidName("x"), "/m"))) == {"ErrorInfo"}


def test_defect_is_told_without_its_trace(capsys):
    failure = failure_of(ZeroDivisionError("secret of the house"), "/m")
    assert failure.code == 13
    assert b"secret" not in failure.details
    assert details_of(failure)["ErrorInfo"].reason == "INTERNAL"


@pytest.mark.parametrize("letter", ["a", "标", "\U0001f600", "\ud800"])
def test_long_sentences_fit_the_trailers(letter):
    error = InvalidName(letter * 2_000, field="name", details={"name": letter * 2_000})
    failure = failure_of(error, "/m")
    percent_encoded = len(failure.message.encode()) * (3 if letter != "a" else 1)
    assert percent_encoded + len(failure.details) * 4 // 3 < 7_500
