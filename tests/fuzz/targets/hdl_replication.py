"""The streams that a followed server sends: cut anywhere they are the same, and nothing is kept for a lie."""

from resolver.errors import WireError
from resolver.handle.value import HandleValue
from resolver.wire import replication_records as records
from resolver.wire.replication_stream import TLS, Contents, StreamWriter
from resolver.wire.values import value_from_wire, value_to_wire
from tests.fuzz import followed, lengths

INSTRUMENT = ("resolver.wire.replication_stream", "resolver.wire.replication_records")
_PIECES_MAX = 128
_VALUE = value_to_wire(HandleValue(1, "URL", b"u"))
_STREAMS = (
    (
        Contents.TRANSACTIONS,
        [
            records.TransactionsBegin(2, 2),
            records.QueueBegins("0:1:0.NA/88"),
            records.Transaction(7, "88.1/a", records.Action.UPDATE, 9, (_VALUE,)),
            records.Transaction(8, "88.1/a", records.Action.DELETE, 9),
            records.QueueEnds(10),
            records.TransactionsEnd(),
        ],
    ),
    (Contents.TRANSACTIONS, [records.TransactionsBegin(1, 2), records.TransactionsEnd(3)]),
    (Contents.TRANSACTIONS, [records.TransactionsBegin(1, 1)]),
    (
        Contents.DUMP,
        [
            records.DumpBegins(),
            records.OtherPositions("{}"),
            records.Position(1, 2),
            records.HandleDate("88.1/a", 1, 1),
            records.PrefixDate("0.NA/88.1", 1, 1),
            records.DumpedHandle("88.1/a", (_VALUE, _VALUE)),
            records.HomedPrefix("0.NA/88.1"),
            records.DumpEnds(),
        ],
    ),
)


def _written(found, *, signed):
    writer = StreamWriter(b"SHA1", followed.signature_of) if signed else StreamWriter()
    return writer.head() + writer.blocks(found)


SEEDS = (
    *(
        bytes([contents is Contents.DUMP, step]) + _written(found, signed=signed)
        for step, (contents, found) in enumerate(_STREAMS)
        for signed in (True, False)
    ),
    b"\0\0" + TLS + b"\x16\3\1",
)


def feed(octets):
    """The first octet chooses the contents, the second how the stream is cut; also with lengths that agree."""
    contents = Contents.DUMP if (octets[:1] or b"\0")[0] & 1 else Contents.TRANSACTIONS
    step, data = (octets[1:2] or b"\0")[0] + 1, octets[2:]
    for given in {data, followed.mended(contents, data)}:
        whole = _records(contents, [given])
        size = max(step, len(given) // _PIECES_MAX + 1)
        assert whole == _records(contents, [given[at : at + size] for at in range(0, len(given), size)])


def _records(contents, pieces):
    """The records that come out, and how the stream ended."""
    reader = followed.reader_of(contents)
    found, message = [], ""
    for piece in pieces:
        try:
            found += reader.receive_data(piece)
        except WireError as error:
            message = error.message
            break
    for record in found:
        for octets in getattr(record, "values", ()):
            _check_value(octets)
            _check_value(lengths.mended(value_from_wire, octets))
    _check_again(contents, found)
    # What came whole with the octets that broke the stream is not handed out: only the end is the same then.
    return (message,) if message else (found, reader.is_done, reader.wants_tls)


def _check_value(octets):
    try:
        records.values_of((octets,))
    except WireError as error:
        assert error.message


def _check_again(contents, found):
    """What was read is written so that the same is read."""
    if found and contents is Contents.TRANSACTIONS:
        again = followed.reader_of(contents).receive_data(_written(found, signed=True))
        assert again == found
