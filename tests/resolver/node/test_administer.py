"""Creating, changing and deleting handles: every operation, and every way it is refused."""

import pytest

from resolver.errors import (
    CredentialMissing,
    HandleAlreadyExists,
    HandleNotFound,
    InvalidField,
    InvalidName,
    NotFound,
    PermissionDenied,
    PrefixElsewhere,
    PrefixNotEnabled,
    PrefixNotServed,
    RecordTooLarge,
    TooManyItems,
    ValueAlreadyExists,
    ValuesNotFound,
    VersionMismatch,
)
from resolver.node import administer, values
from resolver.node.administer import Target
from resolver.node.authorize import ANONYMOUS
from resolver.v1 import registration_pb2 as pb
from resolver.v1 import registry_pb2
from tests.support.builders import (
    ADMIN,
    APP_A,
    HIDDEN,
    PREFIX_A,
    USER_A,
    USER_B,
    add_prefix,
    dump,
    ledger_on,
    recount,
    register,
    tallies,
    value,
)

NAME = f"{PREFIX_A}/Widget"
MOST = 1 << 20


class Desk:
    """The operations, each in a transaction of its own, as enterprise A's user unless told otherwise."""

    def __init__(self, engine, clock):
        self.engine, self.clock = engine, clock

    def create(self, name=NAME, given=None, caller=USER_A, **options):
        return register(self.engine, self.clock, name, given, caller, **options)

    def update(self, name=NAME, given=None, caller=USER_A, if_version=None, template_id="", *, keep=True):
        draft = administer.prepare(name, given or [value()], template_id, self.clock.now_us() // 10**6, MOST)
        with ledger_on(self.engine, self.clock) as ledger:
            return administer.update(ledger, caller, Target.of(name, if_version), draft, keep_template=keep)

    def put(self, *given, name=NAME, caller=USER_A, if_version=None, mode=0, most=MOST):
        complete = values.complete(list(given), self.clock.now_us() // 10**6)
        with ledger_on(self.engine, self.clock) as ledger:
            return administer.put_values(ledger, caller, Target.of(name, if_version), complete, mode, most)

    def remove(self, *indexes, name=NAME, caller=USER_A, if_version=None):
        with ledger_on(self.engine, self.clock) as ledger:
            return administer.remove_values(ledger, caller, Target.of(name, if_version), indexes, MOST)

    def delete(self, name=NAME, caller=USER_A, if_version=None):
        with ledger_on(self.engine, self.clock) as ledger:
            return administer.delete(ledger, caller, Target.of(name, if_version))

    def stored(self, name=NAME):
        with ledger_on(self.engine, self.clock) as ledger:
            found = ledger.find(Target.of(name, None).key)
        return None if found is None else found.all_values()


@pytest.fixture
def desk(store, clock):
    return Desk(store, clock)


CHANGES = {
    "create": lambda desk, name, caller: desk.create(name, caller=caller),
    "update": lambda desk, name, caller: desk.update(name, [value(1, "new")], caller),
    "put": lambda desk, name, caller: desk.put(value(2), name=name, caller=caller),
    "remove": lambda desk, name, caller: desk.remove(1, name=name, caller=caller),
    "delete": lambda desk, name, caller: desk.delete(name, caller),
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def test_create_then_again(desk):
    outcome = desk.create()
    assert (outcome.name, outcome.reason, outcome.version, outcome.serial) == (NAME, "CREATED", 1, 1)
    with pytest.raises(HandleAlreadyExists, match="version 1") as refusal:
        desk.create(NAME.lower())
    assert refusal.value.details == {"version": "1"}


def test_keep_and_replace(desk):
    desk.create(given=[value(1, "a"), value(2, "b", permissions=HIDDEN)])
    same = [value(2, "b", permissions=HIDDEN), value(1, "a")]
    before = dump(desk.engine)
    for mode in (pb.ON_EXISTING_KEEP, pb.ON_EXISTING_REPLACE):
        outcome = desk.create(
            given=list(map(type(same[0]).FromString, [v.SerializeToString() for v in same])), on_existing=mode
        )
        assert (outcome.reason, outcome.version, outcome.serial) == ("UNCHANGED", 1, 0)
    assert dump(desk.engine) == before
    with pytest.raises(HandleAlreadyExists, match="other values"):
        desk.create(given=[value(1, "c")], on_existing=pb.ON_EXISTING_KEEP)
    outcome = desk.create(NAME.upper(), given=[value(1, "c")], on_existing=pb.ON_EXISTING_REPLACE)
    assert (outcome.name, outcome.reason, outcome.version) == (NAME, "UPDATED", 2)
    assert [one.data for one in desk.stored()] == [b"c"]


def test_update_keeps_spelling_creation_time_and_equal_timestamps(desk, clock):
    desk.create(given=[value(1, "a"), value(2, "b")])
    first = desk.stored()[0].timestamp_s
    clock.advance(10)
    assert desk.update(NAME.upper(), [value(1, "a"), value(3, "c")]).reason == "UPDATED"
    assert [(one.index, one.timestamp_s - first) for one in desk.stored()] == [(1, 0), (3, 10)]
    assert desk.update(NAME, [value(3, "c"), value(1, "a")]).reason == "UNCHANGED"
    assert recount(desk.engine) == tallies(desk.engine)


def test_put_and_its_modes(desk):
    desk.create(given=[value(1, "a")])
    assert desk.put(value(2, "b"), mode=pb.PUT_MODE_ADD).version == 2
    with pytest.raises(ValueAlreadyExists):
        desk.put(value(3), value(2), mode=pb.PUT_MODE_ADD)
    with pytest.raises(ValuesNotFound):
        desk.put(value(1, "x"), value(3), mode=pb.PUT_MODE_MODIFY)
    assert [one.data for one in desk.stored()] == [b"a", b"b"], "a refused put changed something"
    assert desk.put(value(1, "x"), mode=pb.PUT_MODE_MODIFY).version == 3
    assert desk.put(value(1, "x"), value(2, "b")).reason == "UNCHANGED"
    assert desk.put(value(1, "y"), value(9)).version == 4
    assert [one.index for one in desk.stored()] == [1, 2, 9]


def test_put_beyond_the_limits(desk):
    desk.create(given=[value(index) for index in range(1, 2_049)])
    with pytest.raises(TooManyItems):
        desk.put(value(5_000))
    with pytest.raises(RecordTooLarge):
        desk.put(value(1, "x" * 100), most=100)


def test_remove(desk):
    desk.create(given=[value(1, "a"), value(2, "b", permissions=HIDDEN), value(3, "c")])
    with pytest.raises(ValuesNotFound, match="index 9: nothing was removed"):
        desk.remove(1, 9)
    assert len(desk.stored()) == 3
    assert desk.remove(1, 2).version == 2
    assert [one.index for one in desk.stored()] == [3]
    with pytest.raises(InvalidField, match="delete the handle instead"):
        desk.remove(3)


def test_delete(desk):
    desk.create()
    outcome = desk.delete(NAME.upper())
    assert (outcome.name, outcome.reason, outcome.version, outcome.serial) == (NAME, "DELETED", 2, 2)
    assert desk.stored() is None


@pytest.mark.parametrize("change", list(CHANGES.values())[1:], ids=list(CHANGES)[1:])
def test_nothing_to_change(desk, change):
    with pytest.raises(HandleNotFound):
        change(desk, NAME, USER_A)


@pytest.mark.parametrize(
    "change",
    [
        lambda desk: desk.update(if_version=2),
        lambda desk: desk.put(value(2), if_version=2),
        lambda desk: desk.remove(1, if_version=0),
        lambda desk: desk.delete(if_version=2**64 - 1),
    ],
)
def test_version_expected(desk, change):
    desk.create(given=[value(1), value(5)])
    before = dump(desk.engine)
    with pytest.raises(VersionMismatch) as refusal:
        change(desk)
    assert refusal.value.details == {"version": "1"}
    assert dump(desk.engine) == before
    assert desk.put(value(2), if_version=1).version == 2


@every_change
@pytest.mark.parametrize(
    ("caller", "error"), [(USER_B, PermissionDenied), (APP_A, PermissionDenied), (ANONYMOUS, CredentialMissing)]
)
def test_who_may_not(desk, change, caller, error):
    desk.create(given=[value(1), value(7)])
    before = dump(desk.engine)
    for name in (NAME, f"{PREFIX_A}/OTHER"):
        with pytest.raises(error):
            change(desk, name, caller)
    assert dump(desk.engine) == before


@every_change
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"status": registry_pb2.PREFIX_STATUS_APPLIED}, PrefixNotEnabled),
        ({"status": registry_pb2.PREFIX_STATUS_IN_AUDIT}, PrefixNotEnabled),
        ({"status": registry_pb2.PREFIX_STATUS_DISABLED}, PrefixNotEnabled),
        ({"status": registry_pb2.PREFIX_STATUS_DELETED}, PrefixNotEnabled),
        (
            {
                "hosting": registry_pb2.HOSTING_ELSEWHERE,
                "routes": [registry_pb2.Route(address="192.0.2.7", tcp_port=2641)],
            },
            PrefixElsewhere,
        ),
        ({"homed": False}, PrefixNotServed),
    ],
)
def test_prefix_out_of_service(desk, change, fields, error):
    with desk.engine.write() as writer:
        add_prefix(writer, "88.300.30", "ent-a", **fields)
    for caller in (USER_A, ADMIN):
        with pytest.raises(error) as refusal:
            change(desk, "88.300.30/x", caller)
        assert refusal.value.field == "name"


@every_change
def test_unknown_prefixes_belong_to_nobody(desk, change):
    for name in ("88.300.99/x", "10.1000/x", "1" * 600 + "/x"):
        with pytest.raises(PrefixNotServed):
            change(desk, name, USER_A)
        with pytest.raises(PermissionDenied):
            change(desk, name, APP_A)


def test_prefix_handles_are_for_administrators(desk):
    with pytest.raises(PermissionDenied):
        desk.create(f"0.NA/{PREFIX_A}")
    for name in ("0.NA/88.300.99", "0.na/" + "9" * 600):
        with pytest.raises(PrefixNotServed, match="not known"):
            desk.create(name, caller=ADMIN)
    assert desk.create(PREFIX_A, caller=ADMIN).name == f"0.NA/{PREFIX_A}"


@pytest.mark.parametrize("name", ["", "/x", "88.300.10/", f"{PREFIX_A}/a\nb", f"{PREFIX_A}/\x85", "x" * 2_049])
def test_names_nobody_may_register(desk, name):
    with pytest.raises(InvalidName):
        desk.create(name)


def test_templates_asked_for(desk):
    with pytest.raises(NotFound):
        desk.create(template_id="tpl-none")
    for too_long in ("x" * 129, "标" * 128):
        with pytest.raises(InvalidField):
            desk.create(template_id=too_long)


def test_case_and_zeros(desk):
    desk.create(f"{PREFIX_A}/abc")
    with pytest.raises(HandleAlreadyExists):
        desk.create(f"{PREFIX_A}/ABC")
    desk.create(f"{PREFIX_A}/é")
    desk.create(f"{PREFIX_A}/É")
    with pytest.raises(PrefixNotServed):
        desk.create("88.300.010/abc")


def test_long_handles_that_share_448_octets(desk):
    start = f"{PREFIX_A}/" + "L" * 600
    desk.create(start + "a", [value(1, "a")])
    desk.create(start + "b", [value(1, "b")])
    with pytest.raises(HandleAlreadyExists):
        desk.create(start + "A")
    assert [desk.stored(start + end)[0].data for end in "ab"] == [b"a", b"b"]
    desk.delete(start + "a")
    assert desk.stored(start + "b")
