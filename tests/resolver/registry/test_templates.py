"""Metadata templates: what they may say, how they change, what stays of them, and what follows them at any write."""

import pytest

from resolver import limits
from resolver.errors import (
    AlreadyExists,
    InvalidField,
    InvalidTransition,
    NotFound,
    PermissionDenied,
    QuotaExhausted,
    TemplateNotFollowed,
    VersionMismatch,
)
from resolver.node import administer, templates
from resolver.node.administer import Target
from resolver.node.item_kinds import CHECKS
from resolver.registry import templates as registry
from resolver.v1 import template_pb2 as pb
from tests.support.builders import (
    ADMIN,
    APP_A,
    PREFIX_A,
    PREFIX_B,
    RECORD_OCTETS_MAX,
    USER_A,
    USER_B,
    ledger_on,
    register,
    value,
)

ITEMS = [
    pb.TemplateItem(index=2000, type="NAME", name="名称", required=True, minimum=2, maximum=4),
    pb.TemplateItem(index=2001, type="WEIGHT", kind="ITEM_KIND_NUMBER", maximum=10),
]
GOOD = [value(2000, "标识", "NAME"), value(2001, "9.5", "WEIGHT")]


class Book:
    """Templates of a store, changed and read in transactions of their own."""

    def __init__(self, world):
        self.world = world

    def _write(self, change, *arguments):
        with self.world.engine.write() as writer:
            return change(writer, *arguments)

    def create(self, caller=USER_A, **fields):
        fields.setdefault("prefix", PREFIX_A)
        return self._write(registry.create, caller, pb.Template(**fields), 1_000_000, self.world.randomness)

    def update(self, caller=USER_A, if_version=None, **fields):
        return self._write(registry.update, caller, pb.Template(**fields), if_version, 2_000_000)

    def delete(self, template_id, caller=USER_A, if_version=None):
        return self._write(registry.delete, caller, template_id, if_version, 3_000_000)

    def get(self, caller=USER_A, **fields):
        with self.world.engine.read() as reader:
            return registry.get(reader, caller, pb.GetTemplateRequest(**fields))

    def page(self, **fields):
        with self.world.engine.read() as reader:
            return registry.page(reader, USER_A, pb.ListTemplatesRequest(**fields))

    def history(self, **fields):
        with self.world.engine.read() as reader:
            return registry.history(reader, USER_A, pb.ListTemplateVersionsRequest(**fields))

    def register(self, name=f"{PREFIX_A}/x", values=None, template_id="t", caller=USER_A):
        given = [value(v.index, v.data, v.type) for v in (GOOD if values is None else values)]
        return register(self.world.engine, self.world.clock, name, given, caller, template_id)


@pytest.fixture
def book(memory_world):
    return Book(memory_world)


def refusal_of(act, *arguments, **fields):
    with pytest.raises(TemplateNotFollowed) as caught:
        act(*arguments, **fields)
    return caught.value.details["rule"]


def test_a_template_that_says_nothing_is_refused(book):
    with pytest.raises(InvalidField) as caught:
        book.create(ADMIN, prefix="")
    assert caught.value.field == "template"


def test_values_follow_the_template_or_are_refused_by_a_rule(book):
    book.create(template_id="t", label="1.0", items=ITEMS)
    book.register()
    name, weight = GOOD
    bad = {
        "REQUIRED": [weight],
        "LENGTH_MIN": [value(2000, "x", "NAME")],
        "LENGTH_MAX": [value(2000, "标识标识标", "NAME")],
        "TYPE": [value(2000, "xx", "OTHER")],
        "KIND": [value(2000, b"\xff\xfe", "NAME")],
        "VALUE_MAX": [name, value(2001, "10.1", "WEIGHT")],
        "UNKNOWN_INDEX": [name, value(2002, "x", "NEW")],
        "RESERVED": [name, value(1001, "2.0", "TEMPLATE")],
    }
    for rule, values in bad.items():
        assert refusal_of(book.register, f"{PREFIX_A}/bad", values) == rule
    book.register(f"{PREFIX_A}/free", [name, value(1, "https://a.cn"), value(1001, "1.0", "ANY"), value(100, "x", "Y")])
    book.register(f"{PREFIX_A}/case", [value(2000, "xx", "name")])


KINDS = {
    "ITEM_KIND_UNSPECIFIED": ({}, ["", "任何"], []),
    "ITEM_KIND_TEXT": ({"minimum": 1, "maximum": 2}, ["a", "标识"], ["", "abc"]),
    "ITEM_KIND_NUMBER": (
        {"minimum": 0, "upper_bound": "99.5", "decimals": 2},
        ["0", "99.50", "+1.25", "-0.00", "007"],
        ["-0.01", "99.51", "1.255", "1e1", "", "NaN", "Infinity", "１", "1" * 39, " 1", "1."],
    ),
    "ITEM_KIND_DATE": (
        {"lower_bound": "2024-02-29", "upper_bound": "2026-12-31 12:00:00"},
        ["2024-02-29", "2026-12-31 12:00:00"],
        ["2024-02-28 23:59:59", "2026-12-31 12:00:01", "2025-02-29", "2025-1-1", "20250101", "2025-01-01T00:00:00"],
    ),
    "ITEM_KIND_BOOLEAN": ({}, ["true", "false"], ["True", "1", "", "yes"]),
    "ITEM_KIND_ENUM": ({"options": ["红", "绿"]}, ["红"], ["蓝", "", "红 "]),
    "ITEM_KIND_URL": (
        {"maximum": 40},
        ["https://a.cn/产品?x=1", "ftp://[::1]:21/"],
        ["a.cn", "javascript:alert(1)", "https://", "https://a b/", "http://a.cn:99999/", "https://a.cn/" + "x" * 40],
    ),
    "ITEM_KIND_LIST": (
        {"element": "ITEM_KIND_NUMBER", "minimum": 1, "maximum": 2, "upper_bound": "5"},
        ['["1", "5"]'],
        ["[]", '["6"]', "[1]", '["1","2","3"]', "1", "{", "[" * 100_000, '["x"]'],
    ),
    "ITEM_KIND_HANDLE": ({}, ["88.300.1/abc"], ["", "abc", "/x"]),
}


def test_every_kind_has_its_examples():
    assert set(KINDS) == set(pb.ItemKind.keys())
    assert set(CHECKS) == set(pb.ItemKind.values())


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(book, kind):
    rules, good, bad = KINDS[kind]
    book.create(template_id="t", items=[pb.TemplateItem(index=2000, type="X", name="值", kind=kind, **rules)])
    for number, text in enumerate(good):
        book.register(f"{PREFIX_A}/{number}", [value(2000, text, "X")])
    for text in bad:
        assert refusal_of(book.register, f"{PREFIX_A}/bad", [value(2000, text, "X")])


@pytest.mark.parametrize(
    "item",
    [
        {"index": 1999},
        {"index": 0},
        {"type": ""},
        {"type": "x" * 129},
        {"kind": 99},
        {"element": 1},
        {"kind": 7, "element": 7},
        {"kind": 5},
        {"options": ["a"]},
        {"kind": 5, "options": ["a", "a"]},
        {"kind": 5, "options": [""]},
        {"decimals": 1},
        {"kind": 2, "decimals": 39},
        {"minimum": 3, "maximum": 2},
        {"lower_bound": "1"},
        {"kind": 2, "lower_bound": "x"},
        {"kind": 3, "lower_bound": "2026-13-01"},
        {"kind": 2, "lower_bound": "10", "upper_bound": "9"},
    ],
)
def test_items_that_make_no_sense_are_refused(book, item):
    with pytest.raises(InvalidField, match=r"items\[0\]|template\.items"):
        book.create(items=[pb.TemplateItem(**({"index": 2000, "type": "X"} | item))])


def test_a_template_is_of_its_prefix(book):
    book.create(template_id="t", items=ITEMS)
    assert refusal_of(book.register, f"{PREFIX_B}/x", caller=USER_B) == "PREFIX"
    assert refusal_of(book.register, f"{PREFIX_B}/x", caller=ADMIN) == "PREFIX"
    book.create(ADMIN, template_id="everybody", prefix="", items=ITEMS)
    book.register(f"{PREFIX_B}/x", template_id="everybody", caller=USER_B)
    for caller, prefix in ((USER_A, ""), (USER_A, PREFIX_B), (APP_A, PREFIX_A), (USER_A, "88.300.99")):
        with pytest.raises(PermissionDenied):
            book.create(caller, prefix=prefix, items=ITEMS)
    with pytest.raises(PermissionDenied):
        book.delete("t", USER_B)
    with pytest.raises(NotFound):
        book.create(ADMIN, prefix="88.300.99", items=ITEMS)


def test_labels_find_templates(book):
    book.create(template_id="t", label="1.0", items=ITEMS)
    book.create(ADMIN, template_id="all", prefix="", label="1.0")
    book.create(ADMIN, template_id="all2", prefix="", label="2.0")
    assert book.get(prefix=PREFIX_A, label="1.0").template_id == "t"
    with pytest.raises(NotFound):
        book.get(prefix=PREFIX_A, label="2.0")
    with book.world.engine.read() as reader:
        found = [
            templates.id_of_label(reader, place, label) for place in (PREFIX_A, "") for label in ("1.0", "2.0", "3")
        ]
    assert found == ["t", "all2", None, "all", "all2", None]
    with pytest.raises(AlreadyExists, match="'t'"):
        book.create(template_id="t2", label="1.0")
    with pytest.raises(AlreadyExists):
        book.create(template_id="t", label="1.1")
    assert book.create(template_id="plain").label == "plain"


def test_items_stay_and_every_version_is_kept(book):
    book.create(template_id="t", label="1.0", items=ITEMS)
    book.update(template_id="t", description="second", items=[pb.TemplateItem(index=2002, type="NEW")])
    gone = pb.TemplateItem(index=2001, type="WEIGHT", kind=2, disabled=True)
    third = book.update(template_id="t", items=[gone], if_version=2)
    assert [(item.index, item.disabled) for item in third.items] == [(2000, False), (2001, True), (2002, False)]
    assert (third.version, third.create_time_us, third.update_time_us) == (3, 1_000_000, 2_000_000)
    assert refusal_of(book.register) == "DISABLED"
    book.register(values=GOOD[:1])
    versions, token = book.history(template_id="t", page_size=2)
    assert [row.version for row in versions] == [3, 2]
    rest, end = book.history(template_id="t", page_size=2, page_token=token)
    assert ([row.version for row in rest], end) == ([1], "")
    assert [len(book.get(template_id="t", version=number).items) for number in (1, 2, 3)] == [2, 3, 3]
    assert book.get(template_id="t", version=2).description == "second"
    for version in (4, 2**64 - 1):
        with pytest.raises(NotFound, match="newest is 3"):
            book.get(template_id="t", version=version)
    with pytest.raises(VersionMismatch):
        book.update(template_id="t", if_version=2)
    for changes in ({"prefix": PREFIX_B}, {"label": "2.0"}):
        with pytest.raises(InvalidTransition, match="for good"):
            book.update(ADMIN, template_id="t", **changes)
    for item in ({"type": "OTHER"}, {"type": "NAME", "kind": 2}):
        with pytest.raises(InvalidTransition):
            book.update(template_id="t", items=[pb.TemplateItem(index=2000, **item)])
    with pytest.raises(InvalidField, match="repeats"):
        book.update(template_id="t", items=[gone, gone])


def test_what_was_registered_is_still_checked_when_it_changes(book):
    book.create(template_id="t", items=ITEMS)
    book.register()
    book.update(template_id="t", items=[pb.TemplateItem(index=2001, type="WEIGHT", kind=2, disabled=True)])
    book.update(template_id="t", items=[pb.TemplateItem(index=2005, type="MADE", kind=3, required=True)])
    target = Target.of(f"{PREFIX_A}/x", None)

    def put(*values):
        with ledger_on(book.world.engine, book.world.clock) as ledger:
            complete = [value(v.index, v.data, v.type, ttl_s=1, permissions=14) for v in values]
            return administer.put_values(ledger, USER_A, target, complete, 0, RECORD_OCTETS_MAX)

    assert refusal_of(put, value(2000, "new", "NAME")) == "REQUIRED"
    put(value(2000, "new", "NAME"), value(2005, "2026-01-01", "MADE"))
    with ledger_on(book.world.engine, book.world.clock) as ledger, pytest.raises(TemplateNotFollowed, match="requires"):
        administer.remove_values(ledger, USER_A, target, [2005], RECORD_OCTETS_MAX)


def test_a_deleted_template_takes_nothing_new_and_can_come_back(book):
    book.create(template_id="t", label="1.0", items=ITEMS)
    book.register()
    assert book.delete("t").deleted
    assert book.delete("t").version == 2
    assert refusal_of(book.register, f"{PREFIX_A}/y") == "WITHDRAWN"
    with pytest.raises(NotFound):
        book.get(prefix=PREFIX_A, label="1.0")
    with pytest.raises(NotFound, match="deleted"):
        book.update(template_id="t")
    assert book.page()[0] == []
    assert [row.template_id for row in book.page(include_deleted=True, prefix=PREFIX_A)[0]] == ["t"]
    with pytest.raises(InvalidTransition):
        book.create(label="1.0", items=[pb.TemplateItem(index=2000, type="OTHER")])
    back = book.create(label="1.0", items=ITEMS[:1])
    assert (back.template_id, back.version, back.deleted) == ("t", 3, False)
    assert [item.disabled for item in back.items] == [False, True]
    book.register(f"{PREFIX_A}/y", GOOD[:1])


def test_pages_of_one_prefix_and_of_all(book):
    for number in range(5):
        book.create(template_id=f"a{number}")
        book.create(ADMIN, template_id=f"b{number}", prefix=PREFIX_B if number % 2 else "")
    book.delete("a3")
    of_a = {"a0", "a1", "a2", "a4"}
    for prefix, wanted in ((PREFIX_A, of_a), ("", of_a | {f"b{number}" for number in range(5)})):
        found, token = [], ""
        while True:
            rows, token = book.page(prefix=prefix, page_size=2, page_token=token)
            found += [row.template_id for row in rows]
            if not token:
                break
        assert len(found) == len(set(found))
        assert set(found) == wanted


def test_bounds(book, monkeypatch):
    monkeypatch.setattr(registry, "TEMPLATES_MAX", 2)
    monkeypatch.setattr(registry, "VERSIONS_MAX", 3)
    book.create(template_id="t")
    book.create()
    with pytest.raises(QuotaExhausted, match="has 2 templates"):
        book.create()
    book.create(ADMIN, prefix=PREFIX_B)
    for _ in range(2):
        book.update(template_id="t")
    with pytest.raises(QuotaExhausted, match="3 versions"):
        book.update(template_id="t")
    too_many = [pb.TemplateItem(index=2000 + number, type="X") for number in range(501)]
    with pytest.raises(InvalidField, match="500 items"):
        book.create(ADMIN, prefix=PREFIX_B, items=too_many)
    for unknown in ("", "t" * 129, "标" * 200):
        with pytest.raises(NotFound):
            book.get(template_id=unknown, label=unknown)


def test_a_page_ends_where_it_fills_an_answer(book, monkeypatch):
    """A thousand templates may have a mebibyte each: a page of them was read and sent whole."""
    monkeypatch.setattr(limits, "ANSWER_OCTETS_MAX", 4_000)
    for number in range(6):
        book.create(template_id=f"t{number}", description="x" * 1_000)
    for _ in range(5):
        book.update(template_id="t0", description="x" * 1_000)
    for ask, wanted in (
        (book.page, [f"t{number}" for number in range(6)]),
        (lambda **more: book.page(prefix=PREFIX_A, **more), [f"t{number}" for number in range(6)]),
        (lambda **more: book.history(template_id="t0", **more), ["t0"] * 6),
    ):
        found, token, pages = [], "", 0
        while token or not pages:
            rows, token = ask(page_token=token)
            assert 1 <= len(rows) <= 2
            found += [row.template_id for row in rows]
            pages += 1
        assert sorted(found) == wanted


def test_each_version_is_measured_once(book, monkeypatch):
    """All of a page were measured again for each."""
    book.create(template_id="t")
    for _ in range(9):
        book.update(template_id="t")
    measured = []

    class Row:
        parse = pb.Template.FromString

        def __init__(self, body):
            self.version = Row.parse(body).version

        def ByteSize(self):  # noqa: N802 - protobuf's name
            measured.append(self)
            return 100

    with book.world.engine.read() as reader:
        monkeypatch.setattr(templates, "template_row", lambda *_: pb.Template(template_id="t"))
        monkeypatch.setattr(registry.pb.Template, "FromString", Row)
        rows, _ = registry.history(reader, USER_A, pb.ListTemplateVersionsRequest(template_id="t"))
    assert [row.version for row in rows] == list(range(10, 0, -1))
    assert len(measured) <= 10


def test_changes_together_make_no_template_that_is_larger_than_one_request(book, monkeypatch):
    monkeypatch.setattr(limits, "RECORD_OCTETS_MAX", 5_000)

    def large(index):
        return pb.TemplateItem(index=index, type="A", definition="x" * 1_000)

    book.create(template_id="t", items=[large(2_000 + number) for number in range(4)])
    with pytest.raises(InvalidField, match="with all its items"):
        book.update(template_id="t", items=[large(2_010)])
    small = book.update(template_id="t", items=[pb.TemplateItem(index=2_000, type="A")])
    assert (small.version, len(small.items)) == (2, 4)
    monkeypatch.setattr(limits, "RECORD_OCTETS_MAX", 100)
    assert book.delete("t").deleted
