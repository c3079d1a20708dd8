"""The administrator's tokens give way to one new one; nobody else's do, and nothing is changed without its file."""

import pytest

from resolver.errors import CredentialInvalid, InvalidTransition
from resolver.node.audit import audit
from resolver.node.ledger import Ledger
from resolver.registry import keys, principals
from resolver.registry.admin_token import renew
from resolver.registry.directory import Directory
from resolver.registry.first_start import ADMINISTRATOR_ID, first_start
from resolver.registry.keys import token_digest
from resolver.registry.undo import HalfDone
from resolver.v1 import registry_pb2 as pb
from storage.check import CheckReport
from storage.tables import Table
from tests.support.builders import ADMIN
from tests.support.damage import damage


@pytest.fixture
def engine(lmdb_engine, clock, randomness):
    first_start(lmdb_engine, "88.300", clock.now_us(), randomness)
    return lmdb_engine


@pytest.fixture
def first(engine, clock, randomness):
    """A token of the administrator."""
    return make(engine, clock, randomness, ADMINISTRATOR_ID)


def make(engine, clock, randomness, principal_id):
    request = pb.CreateKeyRequest(principal_id=principal_id, kind=pb.KEY_KIND_API_TOKEN)
    with engine.write() as writer:
        return keys.create(writer, ADMIN, request, clock.now_us(), randomness).token


def another(engine, clock, randomness):
    row = pb.Principal(principal_id="second", role=pb.ROLE_NODE_ADMINISTRATOR)
    with engine.write() as writer:
        principals.create(writer, ADMIN, row, clock.now_us(), randomness)
    return make(engine, clock, randomness, "second")


def renewed(engine, clock, randomness, keep=None):
    """What was done, and the token that was kept."""
    kept = []
    with engine.write() as writer:
        ledger = Ledger(writer, clock.now_us())
        done = renew(ledger, randomness, keep or kept.append)
        ledger.close()
    return done, *kept


def who(engine, token):
    with engine.read() as reader:
        try:
            return Directory().by_token(reader, token, 0).principal_id
        except CredentialInvalid:
            return None


def findings(engine):
    report = CheckReport()
    audit(engine, report)
    return report.findings


def test_all_tokens_of_the_administrator_give_way_and_nobody_elses(engine, first, clock, randomness):
    of_another = another(engine, clock, randomness)
    old = [first, make(engine, clock, randomness, ADMINISTRATOR_ID)]
    done, token = renewed(engine, clock, randomness)
    assert [who(engine, each) for each in (*old, token, of_another)] == [None, None, ADMINISTRATOR_ID, "second"]
    assert (len(done.revoked), done.enabled) == (3, False)  # that of the first start is another
    again, other = renewed(engine, clock, randomness)
    assert again.revoked == (done.key_id,)
    assert (who(engine, token), who(engine, other)) == (None, ADMINISTRATOR_ID)
    assert findings(engine) == []


def test_a_token_missing_in_the_list_is_revoked_and_a_damaged_one_is_in_nobodys_way(engine, first, clock, randomness):
    damaged = make(engine, clock, randomness, ADMINISTRATOR_ID)
    with engine.write() as writer:
        for key in [key for key, _ in writer.scan(Table.HELD)]:
            writer.delete(Table.HELD, key)
    damage(engine, Table.KEYS, token_digest(damaged))
    _, token = renewed(engine, clock, randomness)
    assert (who(engine, first), who(engine, token)) == (None, ADMINISTRATOR_ID)


def test_an_administrator_that_was_disabled_is_enabled(engine, first, clock, randomness):
    with engine.write() as writer:
        second = type(ADMIN)("second", ADMIN.role)
        request = pb.UpdatePrincipalRequest(principal_id=ADMINISTRATOR_ID, disabled=True)
        principals.update(writer, second, request)
    assert who(engine, first) is None
    done, token = renewed(engine, clock, randomness)
    assert done.enabled
    assert who(engine, token) == ADMINISTRATOR_ID


def test_nothing_is_changed_when_the_file_cannot_be_written(engine, first, clock, randomness):
    def keep(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(HalfDone, match="No space left on device"):
        renewed(engine, clock, randomness, keep)
    assert who(engine, first) == ADMINISTRATOR_ID


def test_a_store_that_has_not_begun_is_refused(lmdb_engine, clock, randomness):
    with pytest.raises(InvalidTransition, match="no administrator yet"):
        renewed(lmdb_engine, clock, randomness)
