"""A Handle server follows this node: everything, changes, shares, through another worker, and who may not."""

import asyncio
import json
import socket
import time

import pytest

from resolver.federation.client import AnswerRefused
from resolver.federation.identity import SecretIdentity
from resolver.handle.codes import OpCode
from resolver.node import site_role
from resolver.node.ledger import last_serial
from resolver.registry import prefixes
from resolver.service.hdl_peer import Peer
from resolver.telemetry.calls import REST
from resolver.transport.hdl_relay import Relay
from resolver.v1 import registry_pb2
from resolver.wire import replication_records as records
from resolver.wire.hash_selection import server_index
from resolver.wire.message import Message
from resolver.wire.replication_requests import DumpHandles, RetrieveByState, RetrieveSince, RetrieveTransactions
from tests.resolver.transport.hdl_follower import NAMES, all_of, filled, kinds, raw, remove, stored
from tests.resolver.transport.hdl_node import (
    ADMIN,
    SECRET,
    handle_node,
    read_frame,
    rsa_key,
    value,
)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One for all tests that change nothing."""
    with filled(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture
def own_node(tmp_path):
    """One whose followers nobody has been before; it may be changed."""
    with filled(tmp_path) as running:
        yield running


def test_a_dump_is_everything_restricted_values_too(node):
    found = all_of(node, lambda client: client.dump())
    expected = stored(node)
    assert {record.handle: record.values for record in kinds(found, records.DumpedHandle)} == expected
    assert any(b"s3cret" in octets for octets in expected["88.300.1/秘密"])
    with node.engine.read() as reader:
        newest = last_serial(reader)
    assert [record.transaction_id for record in kinds(found, records.Position)] == [newest]
    dates = {record.handle: record.date_ms for record in kinds(found, records.HandleDate)}
    assert set(dates) == {*expected, NAMES[0]}, "the deleted one has a date too"
    assert [name for name, date in dates.items() if abs(time.time() * 1e3 - date) > 600_000] == []
    homed = {record.handle for record in kinds(found, records.HomedPrefix)}
    assert homed >= {f"0.NA/88.300.{number}" for number in range(1, 11)}
    assert isinstance(found[-1], records.DumpEnds)


@pytest.mark.parametrize("version", [(2, 7), (2, 11)])
@pytest.mark.parametrize(("owner", "asked"), [(0, 1), (1, 0)])
def test_a_stream_is_passed_on_between_workers(node, owner, asked, version):
    body = DumpHandles(2, 1, 0)
    _, found = raw(node, OpCode.DUMP_HANDLES, body, worker=owner, answer_at=asked, version=version)
    assert {record.handle: record.values for record in kinds(found, records.DumpedHandle)} == stored(node)


@pytest.mark.parametrize("option", [0, 1, 2])
def test_shares_are_disjoint_and_together_everything(node, option):
    parts = []
    for number in range(3):
        _, found = raw(node, OpCode.DUMP_HANDLES, DumpHandles(option, 3, number))
        names = [record.handle for record in kinds(found, records.DumpedHandle)]
        assert all(server_index(name, option, 3) == number for name in names)
        assert kinds(found, records.HomedPrefix), "what is homed is for all"
        parts += names
    assert sorted(parts) == sorted(stored(node))


def test_a_dump_goes_on_where_it_was(node):
    found = all_of(node, lambda client: client.dump())
    names = [record.handle for record in kinds(found, records.DumpedHandle)]
    middle = names[len(names) // 2]
    rest = all_of(node, lambda client: client.dump(middle, records.StartKind.HANDLES))
    assert [record.handle for record in kinds(rest, records.DumpedHandle)] == names[len(names) // 2 + 1 :]
    assert kinds(rest, records.Position) == [], "the position of the beginning holds"
    assert kinds(rest, records.HomedPrefix) == kinds(found, records.HomedPrefix)
    assert kinds(rest, records.HandleDate) == []


def test_transactions_lead_from_nothing_to_what_is_stored(own_node):
    node = own_node
    found = all_of(node, lambda client: client.transactions(0, 0))
    assert found[0] == records.TransactionsBegin(1, records.Status.SENDING)
    state, ids = {}, []
    for record in kinds(found, records.Transaction):
        ids.append(record.id)
        if record.action in records.WITH_VALUES:
            state[record.handle] = record.values
        elif record.action == records.Action.DELETE:
            state.pop(record.handle, None)
    assert state == stored(node)
    assert ids == sorted(ids)
    homed = {record.handle for record in kinds(found, records.Transaction) if record.action == records.Action.HOME}
    assert "0.NA/88.300.7" in homed


def test_only_what_is_new_is_sent_and_homes_only_when_they_may_have_changed(own_node):
    node = own_node
    all_of(node, lambda client: client.transactions(0, 0), worker=1)
    with node.engine.read() as reader:
        newest = last_serial(reader)
    now_ms = node.clock.now_us() // 1_000
    nothing = all_of(node, lambda client: client.transactions(newest, now_ms), worker=1)
    assert kinds(nothing, records.Transaction) == []
    end = nothing[-1].date_ms
    assert end >= now_ms
    node.store("88.300.2/新", value(1, "URL", "new"))
    with node.engine.write() as writer:
        row = registry_pb2.Prefix(prefix="88.300.11")
        prefixes.create(writer, ADMIN, row, node.clock.now_us())
    found = kinds(all_of(node, lambda client: client.transactions(newest, end), worker=1), records.Transaction)
    changed = [record for record in found if record.action in {records.Action.CREATE, records.Action.UPDATE}]
    assert [record.handle for record in changed] == ["88.300.2/新"]
    assert "0.NA/88.300.11" in [record.handle for record in found if record.action == records.Action.HOME]


@pytest.mark.parametrize(("id_", "date_ms"), [(1 << 40, 0), (1 << 62, 0), (5, 1_000)])
def test_a_place_the_journal_does_not_lead_on_from_means_dump_again(node, id_, date_ms):
    """Followers read the end of the stream before they believe that they have to dump."""
    found = all_of(node, lambda client: client.transactions(id_, date_ms))
    assert found == [
        records.TransactionsBegin(1, records.Status.MUST_REDUMP),
        records.TransactionsEnd(date_ms),
    ]


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (-1, 1 << 41)])
def test_a_follower_that_has_seen_an_empty_answer_tells_minus_one(node, place):
    found = all_of(node, lambda client: client.transactions(*place))
    assert found[0] == records.TransactionsBegin(1, records.Status.SENDING)
    made = {record.handle for record in kinds(found, records.Transaction) if record.action in records.WITH_VALUES}
    assert made == set(stored(node))


def test_a_follower_whose_first_stream_broke_tells_a_transaction_and_no_date(node):
    with node.engine.read() as reader:
        newest = last_serial(reader)
    found = all_of(node, lambda client: client.transactions(newest - 1, -1))
    assert found[0] == records.TransactionsBegin(1, records.Status.SENDING)


def test_dates_go_by_the_names_that_followers_look_for(tmp_path):
    with handle_node(tmp_path) as node:
        node.store("88.300.1/small", value(1, "URL", "u"))
        node.store("88.300.1/gone", value(1, "URL", "u"))
        remove(node, "88.300.1/gone")
        found = all_of(node, lambda client: client.dump())
        dated = {record.handle for record in kinds(found, records.HandleDate)}
        assert {"88.300.1/SMALL", "88.300.1/GONE"} <= dated
        assert "88.300.1/small" in {record.handle for record in kinds(found, records.DumpedHandle)}
        rest = all_of(node, lambda client: client.dump("88.300.1/SMALL", records.StartKind.HANDLE_DATES))
        assert "88.300.1/SMALL" not in {record.handle for record in kinds(rest, records.HandleDate)}


def test_a_handle_that_is_there_again_is_never_sent_as_deleted(tmp_path):
    with handle_node(tmp_path) as node:
        for round_ in range(2):
            node.store("88.300.1/AGAIN", value(1, "URL", f"u{round_}"))
            node.store("88.300.1/GONE", value(1, "URL", f"u{round_}"))
            remove(node, "88.300.1/GONE")
            if not round_:
                remove(node, "88.300.1/AGAIN")
        sent = kinds(all_of(node, lambda client: client.transactions(0, 0)), records.Transaction)
        again = [record for record in sent if record.handle == "88.300.1/AGAIN"]
        assert [record.action for record in again] == [records.Action.CREATE] * 2
        assert {record.values for record in again} == {stored(node)["88.300.1/AGAIN"]}
        gone = [record.action for record in sent if record.handle == "88.300.1/GONE"]
        assert set(gone) == {records.Action.DELETE}


def state_of(**queues):
    states = {name: {"lastTxnId": place[0], "lastTimestamp": place[1]} for name, place in queues.items()}
    return json.dumps({"replicationServerStates": states, "ownName": "0:1:0.NA/MIRROR"}).encode()


@pytest.mark.parametrize(
    ("state", "queue", "status"),
    [
        (state_of(), "0:1:0.NA/88.300", 2),
        (state_of(**{"3:1:0.na/88.300": (1, 0), "0:1:0.NA/OTHER": (9, 9)}), "3:1:0.na/88.300", 2),
        (state_of(**{"0:sources": (1, 0)}), "0:sources", 2),
        (state_of(**{"0:1:0.NA/A": (1, 0), "0:1:0.NA/B": (9, 9)}), "0:1:0.NA/88.300", 2),
        (state_of(**{"0:1:0.NA/A": (1 << 40, 0)}), "0:1:0.NA/88.300", 2),
        (state_of(**{"0:1:0.NA/88.300": (-1, 0), "1:1:0.NA/88.300": (9, 9)}), "0:1:0.NA/88.300", 2),
        (state_of(**{"0:1:0.NA/88.300": (1 << 40, 0), "1:1:0.NA/88.300": (9, 9)}), "0:1:0.NA/88.300", 1),
        (b"{", None, 1),
        (b'{"replicationServerStates":{"a":{"lastTxnId":"x","lastTimestamp":0}}}', None, 1),
        (b'{"replicationServerStates":{"0:1:0.NA/88.300":{"lastTxnId":Infinity,"lastTimestamp":0}}}', None, 1),
        (b'{"replicationServerStates":{"0:1:0.NA/88.300":{"lastTxnId":0,"lastTimestamp":1e300}}}', None, 1),
        (b"[" * 100_000, None, 1),
    ],
)
def test_a_state_names_our_queue(node, state, queue, status):
    message, found = raw(node, OpCode.RETRIEVE_TRANSACTION_LOG, RetrieveTransactions(RetrieveByState(state, 2, 1, 0)))
    assert not message.body.keeps_alive
    assert found[0] == records.TransactionsBegin(2, status)
    assert found[-1] == records.TransactionsEnd()
    if status == records.Status.SENDING:
        assert found[1] == records.QueueBegins(queue)
        assert isinstance(found[-2], records.QueueEnds)


@pytest.mark.parametrize("minor", [7, 8])
def test_old_mirrors_ask_without_the_form(node, minor):
    _, found = raw(node, OpCode.RETRIEVE_TRANSACTION_LOG, RetrieveSince(0, 0, 2, 1, 0), version=(2, minor))
    assert found[0] == records.TransactionsBegin(1, 2)


@pytest.mark.parametrize(("option", "servers", "number"), [(2, 0, 0), (2, 3, 3), (3, 1, 0), (2, 1 << 31, 0)])
def test_a_share_that_cannot_be_is_refused(node, option, servers, number):
    message, _ = raw(node, OpCode.DUMP_HANDLES, DumpHandles(option, servers, number))
    assert message.header.response_code == 4


def test_others_may_not_follow(tmp_path):
    with handle_node(tmp_path, replication_admins=("301:0.NA/88.300",)) as node:
        node.store("88.300.1/A", value(1, "URL", "u"))
        for question in (lambda client: client.dump(), lambda client: client.transactions(0, 0)):
            with pytest.raises(AnswerRefused, match=r"400 .*only administrators of replication"):
                all_of(node, question)
            assert all_of(node, question, identity=SecretIdentity("0.NA/88.300", 301, SECRET))
        with pytest.raises(AnswerRefused, match="402"):
            all_of(node, lambda client: client.dump(), identity=None)


def test_a_reader_that_stops_holds_nothing_and_one_that_leaves_ends_the_stream(node):
    client = node.client(0)
    request = client.request(OpCode.DUMP_HANDLES, DumpHandles(2, 1, 0))
    for _ in range(6):  # more than run at a time: each has to end when its client has gone
        challenge = Message.from_frame(client.frames(request.to_wire())[0])
        answer = client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin"))
        with socket.create_connection(("127.0.0.1", node.ports[1]), timeout=60) as connection:
            connection.sendall(answer.to_wire())
            frame = read_frame(connection)
            assert frame.header.response_code in {1, 3}
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message, found = raw(node, OpCode.DUMP_HANDLES, DumpHandles(2, 1, 0))
        if message.header.response_code == 1:
            break
        time.sleep(0.05)
    assert isinstance(found[-1], records.DumpEnds)


def test_a_server_that_is_no_primary_is_not_followed(tmp_path):
    with handle_node(tmp_path) as node:
        with node.engine.write() as writer:
            site_role.fence(writer, 2, "192.0.2.1:2640")
        for question in (lambda client: client.dump(), lambda client: client.transactions(0, 0)):
            with pytest.raises(AnswerRefused, match=r"301 .*not a primary"):
                all_of(node, question)


def test_a_worker_that_dies_in_a_stream_ends_the_connection_and_nothing_is_said_twice(tmp_path):
    with handle_node(tmp_path, workers=2) as node:
        client = node.client(0)
        request = client.request(OpCode.DUMP_HANDLES, DumpHandles(2, 1, 0))
        challenge = Message.from_frame(client.frames(request.to_wire())[0])
        answer = client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin"))
        said = node.protocols[0].undecodable(None, 1).to_wire()

        async def dying(reader, writer):
            await reader.read(1 << 16)
            part = b"a part of the stream"
            writer.write(len(said).to_bytes(4, "big") + said)
            writer.write((1 << 31 | len(part)).to_bytes(4, "big") + part)
            writer.write((1 << 31 | 500).to_bytes(4, "big") + b"cut")
            await writer.drain()
            writer.close()

        async def take_the_place_of_worker_0():
            path = tmp_path / "relay" / "0.sock"
            path.unlink()
            return await asyncio.start_unix_server(dying, path)

        server = node.on_loop(take_the_place_of_worker_0())
        with socket.create_connection(("127.0.0.1", node.ports[1]), timeout=60) as connection:
            connection.sendall(answer.to_wire())
            found = b""
            try:
                while octets := connection.recv(1 << 16):
                    found += octets
            except ConnectionResetError:
                pass
        assert (said + b"a part of the stream").startswith(found)
        node._loop.call_soon_threadsafe(server.close)


@pytest.mark.parametrize("worker", [0, 1])
def test_a_stream_is_not_put_into_an_answer_over_http(node, worker):
    client = node.client(0)
    request = client.request(OpCode.DUMP_HANDLES, DumpHandles(2, 1, 0))
    challenge = Message.from_frame(client.frames(request.to_wire())[0])
    answer = client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin"))
    kept = []

    async def ask():
        peer = Peer.of("127.0.0.1", is_stream=True)
        peer.door = REST

        async def keep(frame):
            kept.append(frame)

        await Relay(node.directory / "relay", 9, node.protocols[worker]).pass_on(answer.to_frame(), peer, keep)

    node.on_loop(ask())
    assert [frame.header.response_code for frame in kept] == [5]
