"""What schemathesis has to know of protobuf's JSON mapping beside the document: null means that a field is not set."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:
    """Leave out bodies with null in them: the document does not tell of it, and it is no violation."""
    return not _has_null(body)


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """The same for requests that are made otherwise."""
    return not _has_null(case.body)


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    if isinstance(value, list):
        return any(map(_has_null, value))
    return value is None
