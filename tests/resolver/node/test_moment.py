"""What is written by hand is octet for octet what protobuf writes."""

import random

from resolver.node import record_octets
from resolver.node.moment import Moment
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import registration_pb2 as registration
from resolver.v1 import resolution_pb2
from tests.support.builders import value

SERIALS = [1, 2, 127, 128, 129, 255, 256, 16_383, 16_384, 16_385, 2**21, 2**28 - 1, 2**28, 2**40, 2**63]


def test_records_are_those_of_protobuf():
    chance = random.Random(3)
    for now_us in (1, 1_790_000_000_000_000):
        moment = Moment(now_us)
        for serial in [*SERIALS, *reversed(SERIALS)]:
            whole = pb.HandleRecord(
                name="88.300.1/" + "零件" * chance.randrange(200),
                values=[value(1, chance.randbytes(chance.randrange(400)))],
                version=chance.choice([1, 2, 300, 2**40]),
                serial=serial,
                create_time_us=now_us,
                template_id=chance.choice(["", "模板-1", "t" * 128]),
            )
            head = record_octets.head(whole.name, whole.values)
            body = moment.record(head, whole.version, moment.number(serial), whole.template_id)
            assert body == resolution_pb2.ResolveResponse(record=whole).SerializeToString(deterministic=True)


def test_entries_are_those_of_protobuf():
    chance = random.Random(4)
    moment = Moment(1_790_000_000_000_000)
    for serial in SERIALS:
        for operation in (changes.OPERATION_CREATE, changes.OPERATION_DELETE, changes.OPERATION_MODIFY):
            entry = changes.Change(
                serial=serial,
                time_us=1_790_000_000_000_000,
                operation=operation,
                name="88.300.1/" + "件" * chance.choice([1, 40, 60, 680]),
                version=chance.choice([1, 127, 128, 2**63]),
                record_digest=chance.randbytes(32),
                principal_id=chance.choice(["administrator", "p" * 64, ""]),
                template_id=chance.choice(["", "模板"]),
            )
            number = moment.number(serial)
            octets = moment.entry(
                operation,
                number,
                entry.name,
                entry.version,
                entry.record_digest,
                entry.principal_id,
                entry.template_id,
            )
            assert octets == entry.SerializeToString(deterministic=True)


def test_receipts_and_results_are_those_of_protobuf():
    moment = Moment(1_790_000_000_000_000)
    for serial in [0, *SERIALS]:
        for name in ("88.300.1/x", "88.300.1/" + "零件" * 60):
            for version in (1, 127, 128, 2**40):
                receipt = registration.WriteReceipt(
                    name=name, version=version, serial=serial, commit_time_us=1_790_000_000_000_000
                )
                expected = registration.CreateHandleResponse(receipt=receipt).SerializeToString(deterministic=True)
                assert moment.receipt(name, version, serial) == expected
        for row in (0, 1, 127, 128, 1_999):
            result = registration.RowResult(row=row, reason="CREATED", version=1, serial=serial)
            assert moment.row(row, b"CREATED", 1, serial) == result.SerializeToString(deterministic=True)
