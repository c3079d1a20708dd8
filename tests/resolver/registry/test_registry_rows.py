"""Enterprises, prefixes, principals, keys and the first start: every rule of the registry."""

import asyncio
import errno

import pytest

from resolver import methods
from resolver.errors import (
    AlreadyExists,
    CredentialInvalid,
    InvalidField,
    InvalidPrefix,
    InvalidTransition,
    NotFound,
    PermissionDenied,
    QuotaExhausted,
    VersionMismatch,
)
from resolver.node.authorize import ANONYMOUS
from resolver.registry import enterprises, keys, prefixes, principals
from resolver.registry.directory import Directory
from resolver.registry.first_start import first_start
from resolver.v1 import registry_pb2 as pb
from resolver.v1 import stored_pb2
from storage.tables import Table
from tests.support.builders import ADMIN, APP_A, PREFIX_A, USER_A, dump, enterprise
from tests.support.clock import seeded_randomness

CODE = "91350100M000100Y43"
STATUSES = [1, 2, 3, 4, 5]


def write(world, change, *arguments):
    with world.engine.write() as writer:
        return change(writer, *arguments)


def read(world, look, *arguments):
    with world.engine.read() as reader:
        return look(reader, *arguments)


def add_enterprise(world, **fields):
    return write(world, enterprises.create, ADMIN, enterprise(**fields), 1, world.randomness)


def test_credit_codes():
    enterprises.check_credit_code(CODE)
    for place in range(18):
        for letter in "07AY":
            wrong = CODE[:place] + letter + CODE[place + 1 :]
            if wrong != CODE:
                with pytest.raises(InvalidField, match="wrong check character"):
                    enterprises.check_credit_code(wrong)
    for wrong in ("", CODE[:-1], CODE + "0", CODE.replace("Y", "I"), CODE.lower()):
        with pytest.raises(InvalidField, match="is not a unified"):
            enterprises.check_credit_code(wrong)


def test_a_credit_code_names_one_enterprise(memory_world):
    world = memory_world
    add_enterprise(world, enterprise_id="e1", credit_code=CODE)
    with pytest.raises(AlreadyExists, match="'e1'"):
        add_enterprise(world, enterprise_id="e2", credit_code=CODE)
    assert read(world, enterprises.get, ADMIN, "", CODE).enterprise_id == "e1"
    write(world, enterprises.update, ADMIN, enterprise("e1"), None)
    add_enterprise(world, enterprise_id="e2", credit_code=CODE)
    with pytest.raises(AlreadyExists):
        add_enterprise(world, enterprise_id="e1")
    with pytest.raises(VersionMismatch):
        write(world, enterprises.update, ADMIN, enterprise("e1"), 1)
    for look in ((USER_A, "", CODE), (USER_A, "", "unknown"), (USER_A, "e2")):
        with pytest.raises(PermissionDenied) as refusal:
            read(world, enterprises.get, *look)
        assert len(look) == 2 or "e2" not in refusal.value.message
    with pytest.raises(NotFound):
        read(world, enterprises.get, ADMIN, "", "unknown")


@pytest.mark.parametrize(
    "fields", [{"name": " "}, {"name": "x" * 256}, {"description": "x" * 1_025}, {"status": 9}, {"name": "a\x00"}]
)
def test_enterprises_that_are_none(memory_world, fields):
    with pytest.raises(InvalidField):
        add_enterprise(memory_world, enterprise_id="e1", **fields)


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_life_cycle_of_a_prefix(memory_world, before, after):
    allowed = {(1, 2), (1, 3), (1, 4), (1, 5), (2, 1), (2, 3), (2, 4), (2, 5), (3, 4), (3, 5), (4, 3), (4, 5), (5, 3)}
    row = pb.Prefix(prefix="88.300.30", enterprise_id="ent-a", status=before)
    write(memory_world, prefixes.create, ADMIN, row, 1)
    change = pb.UpdatePrefixRequest(prefix="88.300.30", status=after)
    if before == after or (before, after) in allowed:
        assert write(memory_world, prefixes.update, ADMIN, change).status == after
    else:
        with pytest.raises(InvalidTransition, match="possible are"):
            write(memory_world, prefixes.update, ADMIN, change)


def test_prefixes_asked_for_and_allotted(memory_world):
    world = memory_world

    def create(caller, prefix, owner="ent-a", **fields):
        return write(world, prefixes.create, caller, pb.Prefix(prefix=prefix, enterprise_id=owner, **fields), 1)

    assert create(USER_A, "88.300.30", status=3).status == pb.PREFIX_STATUS_APPLIED
    assert create(USER_A, f"{PREFIX_A}.1").prefix == f"{PREFIX_A}.1"
    for prefix, owner in (("88.300.20.1", "ent-a"), ("88.300.1.9", "ent-a"), ("88.300.31", "ent-b"), ("88.300.31", "")):
        with pytest.raises(PermissionDenied):
            create(USER_A, prefix, owner)
    with pytest.raises(PermissionDenied):
        create(APP_A, "88.300.31")
    for prefix in ("88.301.1", "88.300", "88.3000.1", "88.300.", "88.300." + "1" * 60, "88.300.1/x"):
        with pytest.raises(InvalidPrefix):
            create(ADMIN, prefix)
    with pytest.raises(AlreadyExists):
        create(ADMIN, PREFIX_A)
    for fields in ({"status": 9}, {"hosting": 9}, {"hosting": 2}, {"routes": [pb.Route(address="x", tcp_port=1)]}):
        with pytest.raises(InvalidField):
            create(ADMIN, "88.300.40", **fields)
    for number in range(prefixes.OPEN_APPLICATIONS_MAX - 2):
        create(USER_A, f"88.300.5{number}")
    with pytest.raises(QuotaExhausted):
        create(USER_A, "88.300.60")
    assert create(ADMIN, "88.300.0042").homed
    create(ADMIN, "88.300.42")
    with pytest.raises(InvalidField):
        write(world, prefixes.update, ADMIN, pb.UpdatePrefixRequest(prefix=PREFIX_A, status=99))


def test_principals(memory_world):
    world = memory_world

    def create(**fields):
        return write(world, principals.create, ADMIN, pb.Principal(**fields), 1, world.randomness)

    for fields in ({}, {"role": 9}, {"role": 1, "enterprise_id": "ent-a"}, {"role": 1, "principal_id": "Ä"}):
        with pytest.raises(InvalidField):
            create(**fields)
    with pytest.raises(NotFound):
        create(role=2, enterprise_id="none")
    with pytest.raises(AlreadyExists):
        create(role=1, principal_id="user-a")
    assert create(role=1).principal_id.startswith("pri-")
    with pytest.raises(InvalidTransition, match="yourself"):
        write(world, principals.update, ADMIN, pb.UpdatePrincipalRequest(principal_id="administrator", disabled=True))
    assert read(world, principals.get, USER_A, "").principal_id == "user-a"
    assert read(world, principals.get, USER_A, "app-a").principal_id == "app-a"
    for other in ("user-b", "administrator", "none"):
        with pytest.raises(PermissionDenied):
            read(world, principals.get, USER_A, other)


def test_who_a_token_belongs_to(memory_world):
    world, directory = memory_world, Directory()
    now = world.clock.now_us()

    def find(token, at=now):
        return read(world, directory.by_token, token, at)

    assert find(world.tokens["user_a"]) == USER_A
    request = pb.CreateKeyRequest(principal_id="user-a", kind=1, expire_time_us=now + 10)
    made = write(world, keys.create, ADMIN, request, now, world.randomness)
    assert find(made.token, now + 9) == USER_A
    with pytest.raises(CredentialInvalid, match="expired"):
        find(made.token, now + 10)
    write(world, keys.revoke, ADMIN, made.key.key_id)
    assert find(made.token) == USER_A, "known until dropped"
    directory.drop()
    sentences = set()
    write(world, principals.update, ADMIN, pb.UpdatePrincipalRequest(principal_id="app-a", disabled=True))
    write(world, enterprises.update, ADMIN, enterprise("ent-b", status=2), None)
    for token in (made.token, "unknown", world.tokens["app_a"], world.tokens["user_b"]):
        with pytest.raises(CredentialInvalid) as refusal:
            find(token)
        sentences.add(refusal.value.message)
    assert len(sentences) == 1, "the sentence tells why: that can be probed"
    with pytest.raises(InvalidField):
        write(
            world, keys.create, ADMIN, pb.CreateKeyRequest(principal_id="user-a", kind=1, expire_time_us=1), now, bytes
        )
    with pytest.raises(InvalidField):
        write(world, keys.create, ADMIN, pb.CreateKeyRequest(principal_id="user-a"), now, world.randomness)


def test_tokens_are_nowhere_on_disk(world, tmp_path):
    async def main():
        async with world.serving() as asker:
            fields = {"principal_id": "user-a", "kind": 1, "request_id": "one"}
            made = await asker.ask("administrator", methods.CREATE_KEY, **fields)
            again = await asker.ask("administrator", methods.CREATE_KEY, **fields)
            assert (again.key, again.token) == (made.key, "")
            return made.token

    tokens = [asyncio.run(main()), *world.tokens.values()]
    octets = b"".join(path.read_bytes() for path in (tmp_path / "store").iterdir())
    assert b"user-a" in octets
    for token in tokens:
        assert token.startswith("idis_")
        assert token.removeprefix("idis_").encode() not in octets


def test_the_first_token_is_kept_before_the_store_knows_it(engine):
    """Committed first, a crash in between would leave a node whose only token nobody has."""

    def full(_):
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        first_start(engine, "88.300", 5, seeded_randomness(), keep=full)
    kept = []
    assert first_start(engine, "88.300", 5, seeded_randomness(), keep=kept.append) == kept[0]
    assert first_start(engine, "88.300", 5, seeded_randomness(), keep=kept.append) is None
    assert len(kept) == 1


def test_first_start_happens_once(memory_world):
    world = memory_world
    before = dump(world.engine)
    assert first_start(world.engine, "88.300", 5, world.randomness) is None
    assert dump(world.engine) == before
    with pytest.raises(InvalidField, match=r"belongs to node prefix '88\.300'"):
        first_start(world.engine, "88.301", 5, world.randomness)
    with pytest.raises(InvalidPrefix):
        first_start(world.engine, "88..3", 5, world.randomness)
    assert read(world, prefixes.get, ADMIN, "88.300.1").status == pb.PREFIX_STATUS_ENABLED


def test_pages_of_rows(memory_world):
    world = memory_world
    for number in range(25):
        add_enterprise(world, enterprise_id=f"e{number:02}")

    def walk(page, caller, *arguments):
        found, token = [], ""
        while True:
            rows, token = read(world, page, caller, *arguments, 3, token)
            assert len(rows) <= 3
            found += rows
            if not token:
                return found

    ids = [row.enterprise_id for row in walk(enterprises.page, ADMIN)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 27
    assert [row.enterprise_id for row in walk(enterprises.page, USER_A)] == ["ent-a"]
    assert [row.principal_id for row in walk(principals.page, USER_A, "")] == ["app-a", "user-a"]
    assert [row.prefix for row in walk(prefixes.page, USER_A, "ent-a")] == [PREFIX_A]


class Counting:
    """A reader that counts the rows it hands out."""

    def __init__(self, reader):
        self._reader, self.rows = reader, 0

    def get(self, table, key):
        self.rows += 1
        return self._reader.get(table, key)

    def scan(self, table, start=b"", stop=None):
        for row in self._reader.scan(table, start, stop):
            self.rows += 1
            yield row


def test_a_page_of_an_owner_costs_what_it_holds(memory_world):
    """Once, each page read the whole table and kept what belonged to the owner."""
    world = memory_world
    add_enterprise(world, enterprise_id="many")
    for number in range(300):
        row = pb.Prefix(prefix=f"88.300.{1000 + number}", enterprise_id="many")
        write(world, prefixes.create, ADMIN, row, 1)
        world.add_principal(f"p_{number}", "many", pb.ROLE_APPLICATION)
    looks = {
        "prefixes": lambda reader, token: prefixes.page(reader, ADMIN, "ent-a", 10, token),
        "prefixes of many": lambda reader, token: prefixes.page(reader, ADMIN, "many", 10, token),
        "principals": lambda reader, token: principals.page(reader, ADMIN, "ent-a", 10, token),
        "principals of many": lambda reader, token: principals.page(reader, ADMIN, "many", 10, token),
        "keys": lambda reader, token: keys.page(reader, ADMIN, "p-7", 10, token),
    }
    for what, look in looks.items():
        with world.engine.read() as reader:
            counting, token, found = Counting(reader), "", []
            rows, token = look(counting, token)
            assert counting.rows <= 2 * 10 + 3, what
            found += rows
            while token:
                rows, token = look(reader, token)
                found += rows
        names = [row.SerializeToString() for row in found]
        assert len(set(names)) == len(names) == {"many": 300}.get(what.rpartition(" ")[2], len(names)), what
        assert found


def test_keys_come_newest_first_page_by_page(memory_world):
    world = memory_world
    for _ in range(5):
        world.clock.advance(1)
        request = pb.CreateKeyRequest(principal_id="user-a", kind=pb.KEY_KIND_API_TOKEN)
        write(world, keys.create, ADMIN, request, world.clock.now_us(), world.randomness)
    whole, rest = read(world, keys.page, ADMIN, "user-a", 100, "")
    assert rest == ""
    assert [key.create_time_us for key in whole] == sorted((key.create_time_us for key in whole), reverse=True)
    first, token = read(world, keys.page, ADMIN, "user-a", 2, "")
    second, token = read(world, keys.page, ADMIN, "user-a", 2, token)
    assert [*first, *second] == whole[:4]
    assert token


def test_an_older_store_gets_its_lists_by_owner_at_the_next_start(memory_world):
    world = memory_world
    before = dump(world.engine, (Table.MEMBERS, Table.HELD))
    assert before
    with world.engine.write() as writer:
        for table in (Table.MEMBERS, Table.HELD):
            for key, _ in list(writer.scan(table)):
                writer.delete(table, key)
        writer.delete(Table.META, b"registry_indexes")
    assert read(world, keys.page, ADMIN, "user-a", 10, "")[0] == []
    assert first_start(world.engine, "88.300", 1, world.randomness) is None
    assert dump(world.engine, (Table.MEMBERS, Table.HELD)) == before


def test_a_certificate_that_is_nobodys_is_anonymous_and_a_revoked_one_is_refused(memory_world):
    """With mutual TLS even public questions were refused to clients whose certificate was not registered here."""
    world, directory = memory_world, Directory()
    digest = keys.certificate_digest(b"der")

    def find():
        return read(world, directory.by_certificate, digest, world.clock.now_us())

    assert find() is ANONYMOUS
    row = stored_pb2.StoredKey(key_id="key-1", principal_id="user-a", kind=pb.KEY_KIND_CERTIFICATE)
    with world.engine.write() as writer:
        writer.put(Table.KEYS, digest, row.SerializeToString())
    directory.drop()
    assert find() == USER_A
    row.revoked = True
    with world.engine.write() as writer:
        writer.put(Table.KEYS, digest, row.SerializeToString())
    directory.drop()
    with pytest.raises(CredentialInvalid, match="revoked"):
        find()
