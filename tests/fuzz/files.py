"""What every reader of import files is held to."""

from resolver.intake.rows import IntakeError


def check_rows(rows, octets):
    """The rows of a file; each is a registration or an error with words, numbered upwards."""
    found, last = [], 0
    try:
        for row in rows():
            assert (row.handle is None) != (row.error is None)
            assert row.number >= last, "rows are numbered upwards"
            last = row.number
            if row.error is not None:
                assert row.error.message
                assert row.error.code
                row.error.message.encode()  # it is printed
            else:
                assert row.handle.name
                row.handle.SerializeToString()
            found.append(row)
    except IntakeError as error:
        assert error.message
    assert len(found) <= octets.count(b"\n") + octets.count(b"\r") + 1
    return found
