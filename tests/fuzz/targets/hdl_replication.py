"""The streams that a followed server sends: cut anywhere they are the same, and nothing is kept for a lie."""

from resolver.errors import WireError
from resolver.handle.value import HandleValue
from resolver.wire import replication_records as records
from resolver.wire.replication_stream import TLS, Contents, StreamReader, StreamWriter
from resolver.wire.values import value_to_wire

INSTRUMENT = ("resolver.wire.replication_stream", "resolver.wire.replication_records")
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


def _signature(octets):
    return len(octets).to_bytes(2, "big") + octets[-1:]


def _written(found, *, signed):
    writer = StreamWriter(b"SHA1", _signature) if signed else StreamWriter()
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
    """The first octet chooses the contents, the second how the stream is cut."""
    contents = Contents.DUMP if (octets[:1] or b"\0")[0] & 1 else Contents.TRANSACTIONS
    step, data = (octets[1:2] or b"\0")[0] + 1, octets[2:]
    whole = _records(contents, [data])
    assert whole == _records(contents, [data[at : at + step] for at in range(0, len(data), step)])


def _records(contents, pieces):
    """The records that come out, and how the stream ended."""
    reader = StreamReader(contents, lambda _, made, octets: made == _signature(octets), takes_unsigned=True)
    found, message = [], ""
    for piece in pieces:
        try:
            found += reader.receive_data(piece)
        except WireError as error:
            message = error.message
            break
    for record in found:
        try:
            records.values_of(getattr(record, "values", ()))
        except WireError as error:
            assert error.message
    # What came whole with the octets that broke the stream is not handed out: only the end is the same then.
    return (message,) if message else (found, reader.is_done, reader.wants_tls)
