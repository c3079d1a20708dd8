"""``idis migrate`` from a server that says what a test tells it: odd orders, refusals, rows that cannot be taken."""

import asyncio
import csv
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from resolver.handle.codes import OpCode
from resolver.handle.value import HandleValue, Permission
from resolver.node.site_info import site_of
from resolver.wire import answers, responses, signatures
from resolver.wire import replication_records as records
from resolver.wire.credential import SIGNED, Credential, signed_octets
from resolver.wire.header import OpFlag
from resolver.wire.message import Frame, Message, frame_of
from resolver.wire.private_keys import private_key_from_der
from resolver.wire.replication_records import Action
from resolver.wire.replication_stream import StreamWriter
from resolver.wire.values import value_to_wire
from resolver.wire.versions import OWN, Version

NATIVE = rsa.generate_private_key(65_537, 2_048)
KEY = private_key_from_der(NATIVE.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
NOW_MS = 1_700_000_000_000
PREFIX = "88.300.77"
NOTHING = [records.DumpBegins(), records.Position(NOW_MS, 5), records.DumpEnds()]


def url(text, index=1, **fields):
    return value_to_wire(HandleValue(index, "URL", text.encode(), timestamp_s=1_600_000_000, **fields))


def change(id_, name, action, *values, after_ms=0):
    return records.Transaction(id_, name, action, NOW_MS + after_ms, values)


def transactions(*found, end_ms=10):
    return [records.TransactionsBegin(1, 2), *found, records.TransactionsEnd(NOW_MS + end_ms)]


class Source:
    """A Handle server that dumps ``dump`` and answers questions for transactions by one of ``readings`` each."""

    def __init__(self, dump, readings):
        self.dump, self.readings, self.asked = dump, list(readings), []
        self.key = KEY
        self.port = 0
        self.unsigned_version = OWN
        self.versions = []

    def answer(self, frame):
        request = Message.from_frame(frame)
        op_code, found = request.header.op_code, []
        if op_code == OpCode.GET_SITE_INFO:
            site = site_of("127.0.0.1", self.port, self.port, self.key.public.to_wire(), "old")
            is_signed = request.header.has(OpFlag.CERTIFIED)
            body = responses.SiteInfo(site if is_signed else replace(site, version=self.unsigned_version))
        elif op_code == OpCode.DUMP_HANDLES:
            body, found = responses.Done(), self.dump
            self.asked.append(("dump", request.body.start, request.body.start_kind))
            self.versions.append(frame.envelope.version)
        else:
            since = request.body.since
            self.asked.append((since.transaction_id, since.query_date_ms))
            body = responses.StreamFollows(keeps_alive=False)
            found = self.readings.pop(0) if self.readings else transactions()
        message = answers.answer(request, 1, body, site_serial=1, expiration_s=int(time.time()) + 60)
        algorithm = signatures.preferred_hash(message.envelope.version, "RSA")
        covered = signed_octets(message.envelope, message.header_and_body, 0)
        made = Credential(SIGNED, algorithm, signatures.sign(self.key, algorithm, covered))
        octets = frame_of(message.envelope, message.header_and_body, made).to_wire()
        native = self.key.to_native()  # once: it checks the numbers of the key each time
        writer = StreamWriter(b"SHA1", lambda block: native.sign(block, PKCS1v15(), SHA1()))
        return octets + (writer.head() + writer.blocks(found) if found else b"")

    async def serve(self, reader, writer):
        head = await reader.readexactly(20)
        octets = head + await reader.readexactly(int.from_bytes(head[16:], "big"))
        writer.write(self.answer(Frame.from_wire(octets)))
        await writer.drain()
        writer.close()


@contextmanager
def source(dump, *readings):
    running = Source(list(dump), readings)
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def main():
        server = await asyncio.start_server(running.serve, "127.0.0.1", 0)
        running.port = server.sockets[0].getsockname()[1]
        running.stop = asyncio.Event()
        ready.set()
        await running.stop.wait()
        server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(running.stop.set)
        thread.join(60)
        loop.close()


@pytest.fixture
def migrate(node, tmp_path):
    key = tmp_path / "key.pem"
    key.write_bytes(NATIVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def run(server, *options):
        fixed = ["--from", f"hdl://127.0.0.1:{server.port}", "--auth", "300:0.NA/OLD", "--key", key, "--once", "--json"]
        return node("migrate", *fixed, "--result", tmp_path / "out.csv", *options)

    run.rows = lambda: list(csv.DictReader((tmp_path / "out.csv").read_text("utf-8").splitlines()))
    return run


def values(node, name):
    found = node("resolve", name, "--json").json()
    return {each["index"]: str(each) for each in found["values"]}


def test_the_latest_by_date_wins_and_the_place_is_the_last_that_was_read(node, migrate):
    name = f"{PREFIX}/轴承"
    reading = transactions(
        change(6, f"0.NA/{PREFIX}", Action.HOME),
        change(7, name, Action.CREATE, url("later"), after_ms=5),
        change(8, name, Action.UPDATE, url("earlier"), after_ms=1),
        change(9, f"{PREFIX}/GONE", Action.CREATE, url("x"), after_ms=2),
        change(10, f"{PREFIX}/GONE", Action.DELETE, after_ms=3),
        change(11, f"{PREFIX}/NEVER-HERE", Action.DELETE, after_ms=3),
        change(12, "", Action.PLACEHOLDER),
        change(13, name, Action.UPDATE, url("earlier still")),
    )
    with source(NOTHING, reading) as server:
        done = migrate(server)
    assert done.code == 0, done.err
    assert server.asked == [("dump", None, 0), (5, NOW_MS), (13, NOW_MS + 10)]
    assert "later" in values(node, name)[1]
    assert node("resolve", f"{PREFIX}/GONE").code == 5
    assert [row["reason"] for row in migrate.rows()] == ["CREATED", "UNCHANGED", "UNCHANGED"]
    assert done.lines()[-1]["transaction_id"] == 13


def test_rows_that_cannot_be_taken_do_not_stop_the_others(node, migrate):
    dump = [
        records.DumpBegins(),
        records.Position(NOW_MS, 5),
        records.DumpedHandle(f"{PREFIX}/GOOD", (url("good"), url("hidden", 2, permissions=Permission(12)))),
        records.DumpedHandle("99.1/FOREIGN", (url("x"),)),
        records.DumpedHandle(f"{PREFIX}/BROKEN", (b"\0" * 40,)),
        records.DumpedHandle(f"{PREFIX}/\udcff", (url("x"),)),
        records.DumpedHandle(f"{PREFIX}/EMPTY", ()),
        records.DumpedHandle("0.NA/88.300", (url("not our own"),)),
        records.DumpedHandle(
            f"0.NA/{PREFIX}", (url("of the prefix", 50), value_to_wire(HandleValue(1, "HS_SITE", b"s")))
        ),
        records.HomedPrefix(f"0.NA/{PREFIX}8"),
        records.DumpEnds(),
    ]
    deleting = transactions(change(6, "", Action.DELETE_ALL), change(7, f"0.NA/{PREFIX}8", Action.UNHOME))
    with source(dump, deleting) as server:
        done = migrate(server)
    assert done.code == 1, done.err
    rows = {row["name"]: row for row in migrate.rows()}
    assert rows[f"{PREFIX}/GOOD"]["code"] == "OK"
    assert rows["99.1/FOREIGN"]["code"] != "OK"
    assert rows["0.NA/99.1"]["reason"] == "INVALID_PREFIX"
    assert rows[f"{PREFIX}/BROKEN"]["code"] == "INVALID_ARGUMENT"
    assert rows[f"{PREFIX}/\\udcff"]["code"] == "INVALID_ARGUMENT"
    assert rows[f"{PREFIX}/EMPTY"]["reason"] == "SKIPPED"
    assert rows["0.NA/88.300"]["reason"] == "SKIPPED"
    assert rows[f"0.NA/{PREFIX}"]["reason"] == "UPDATED"
    assert rows[f"0.NA/{PREFIX}8"]["reason"] == "SKIPPED"
    assert rows[""]["reason"] == "NOT_IMPLEMENTED"
    assert "good" in values(node, f"{PREFIX}/GOOD")[1]
    assert "of the prefix" in values(node, f"0.NA/{PREFIX}")[50]
    assert values(node, f"0.NA/{PREFIX}").get(1) != "s"
    assert node("prefix", "get", f"{PREFIX}8", "--json").json()["homed"]


def test_a_source_that_cannot_lead_on_is_dumped_again(node, migrate):
    again = [records.TransactionsBegin(1, 1)]
    with source(NOTHING, again) as server:
        done = migrate(server)
    assert done.code == 0, done.err
    assert server.asked == [("dump", None, 0), (5, NOW_MS), ("dump", None, 0), (5, NOW_MS)]
    assert "dumped again" in done.err


def test_a_source_that_never_leads_on_is_not_dumped_for_ever(migrate):
    with source(NOTHING, *([[records.TransactionsBegin(1, 1)]] * 9)) as server:
        done = migrate(server)
    assert done.code == 1
    assert "from its own dump" in done.err
    assert [each[0] for each in server.asked].count("dump") == 2


def test_what_is_known_without_the_node_is_noted_on_the_way(migrate):
    """A server of prefix handles alone has nothing for the node to import: all of it was kept until the end."""
    empty = [records.DumpedHandle(f"{PREFIX}/{number}", ()) for number in range(600)]
    with source([*NOTHING[:2], *empty]) as server:
        assert migrate(server).code == 3
        assert len(migrate.rows()) == 500
        server.dump = [*NOTHING[:2], *empty[500:], NOTHING[2]]
        done = migrate(server)
    assert done.code == 0, done.err
    assert server.asked[:2] == [("dump", None, 0), ("dump", f"{PREFIX}/499".encode(), 2)]
    assert [row["name"] for row in migrate.rows()] == [record.handle for record in empty]


def test_a_server_whose_key_has_changed_is_another(migrate):
    with source(NOTHING) as server:
        assert migrate(server).code == 0
        native = rsa.generate_private_key(65_537, 2_048)
        server.key = private_key_from_der(native.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        done = migrate(server)
        assert done.code == 6
        assert "another key" in done.err
        assert migrate(server, "--restart").code == 0


def test_the_version_of_the_source_is_what_its_key_has_signed(migrate):
    """Somebody in between says 2.7: the server would send its stream in clear."""
    with source(NOTHING) as server:
        server.unsigned_version = Version(2, 7)
        assert migrate(server).code == 0
        assert server.versions == [OWN]


@pytest.mark.parametrize("where", ["hdl://", "hdl://[::1", "hdl://127.0.0.1:99999"])
def test_a_source_that_is_none_is_a_wrong_command_line(node, tmp_path, where):
    key = tmp_path / "key.pem"
    key.write_bytes(NATIVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    done = node("migrate", "--from", where, "--auth", "300:0.NA/OLD", "--key", key, "--result", tmp_path / "out.csv")
    assert done.code == 2, done.err


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes.fromhex("0000120400000000000003000000800004")]
)
def test_a_port_of_another_protocol_is_told_as_that(node, tmp_path, said):
    """Of an HTTP and a gRPC door: it was said how many million octets they answer with."""
    key = tmp_path / "key.pem"
    key.write_bytes(NATIVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with source([]) as server:
        server.answer = lambda _: said.ljust(40, b"\0")
        where = ["--from", f"hdl://127.0.0.1:{server.port}", "--auth", "300:0.NA/OLD", "--key", key]
        done = node("migrate", *where, "--result", tmp_path / "out.csv", "--once")
    assert done.code == 1
    assert "does not answer in the Handle protocol" in done.err
    assert not (tmp_path / "out.csv").exists()
