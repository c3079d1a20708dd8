"""Mappings from TOML and from templates: what they say, and what is wrong with them."""

from __future__ import annotations

import pytest

from resolver.intake.mapping import Pattern, mapping_from_columns, mapping_from_template, mapping_from_toml
from resolver.intake.plan import Plan
from resolver.intake.rows import IntakeError
from resolver.v1 import template_pb2

TEMPLATE = template_pb2.Template(
    template_id="bearing-1",
    items=[
        template_pb2.TemplateItem(index=2000, type="NAME", name="产品名称", required=True),
        template_pb2.TemplateItem(index=2001, type="MODEL", name="型号"),
        template_pb2.TemplateItem(index=2002, type="OLD", name="旧码", disabled=True, required=True),
    ],
)


def test_a_whole_mapping():
    mapping = mapping_from_toml("""
name = {column = "标识"}
template = "t"
[[values]]
index = 1
type = "URL"
text = "https://x/{sn}"
ttl = 60
permissions = "1100"
required = true
""")
    assert mapping.name == Pattern.of_column("标识")
    assert mapping.template_id == "t"
    (value,) = mapping.values
    assert (value.index, value.type, value.required, value.permissions, value.ttl.seconds) == (1, "URL", True, 12, 60)
    assert value.source == Pattern((("https://x/", "sn"),))


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("plain", Pattern((), "plain")),
        ("{a}{b}", Pattern((("", "a"), ("", "b")))),
        ("x{{{a}}}y", Pattern((("x{", "a"),), "}y")),
        ("{a:b!r}", Pattern((("", "a:b!r"),))),
    ],
)
def test_patterns(text, pattern):
    assert Pattern.from_text(text, "text") == pattern


VALUE = '[[values]]\nindex = 1\ntype = "A"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = ", "not TOML"),
        ('nmae = "x"', "unknown key 'nmae'; the nearest known is 'name'"),
        ("name = 5", "name must be a text"),
        ('name = {colum = "a"}', "name must be a text"),
        ('name = "x/{sn"', "brace without a column at position 2"),
        ('name = "x/{}"', "brace without a column"),
        ("template = 5", "template must be a text"),
        ("values = 5", "write [[values]]"),
        (VALUE + 'colum = "x"', "[[values]] number 1 has the unknown key 'colum'; the nearest known is 'column'"),
        (VALUE, "needs either column or text"),
        (VALUE + 'column = "a"\ntext = "b"', "needs either column or text"),
        (VALUE + 'column = "a"\nttl = "1"', "ttl is '1': write it as ttl = 86400"),
        (VALUE + 'column = "a"\nttl = true', "ttl is True"),
        (VALUE + 'column = "a"\nttl = -1', "TTL -1"),
        (VALUE + 'column = "a"\npermissions = "2222"', "four digits"),
        (VALUE + 'column = "a"\n' + VALUE + 'column = "b"', "index 1 is given twice"),
        ('[[values]]\nindex = 0\ntype = "A"\ncolumn = "a"', "index 0"),
        ('[[values]]\ntype = "A"\ncolumn = "a"', "has no index"),
        ('[[values]]\nindex = 1\ncolumn = "a"', "has no type"),
    ],
)
def test_a_wrong_mapping_names_the_key(text, sentence):
    with pytest.raises(IntakeError) as caught:
        mapping_from_toml(text)
    assert sentence in caught.value.message


def test_columns_say_what_they_are():
    mapping = mapping_from_columns(["name", "1:URL", " 2000 : 产品 名称 "])
    assert [(value.index, value.type) for value in mapping.values] == [(1, "URL"), (2000, "产品 名称")]


@pytest.mark.parametrize("column", ["产品名称", "NAME_", "2000", "2000:NAME"])
def test_template_items_are_found_by_name_type_and_index(column):
    template = template_pb2.Template()
    template.CopyFrom(TEMPLATE)
    template.items[0].type = "NAME_"
    if column == "2000:NAME":
        column = "2000:name_"
    mapping = mapping_from_template(template, ["标识", column, "型号"])
    assert [(value.index, value.type, value.required) for value in mapping.values] == [
        (2000, "NAME_", True),
        (2001, "MODEL", False),
    ]
    assert mapping.template_id == "bearing-1"


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (["name", "产品名"], "column '产品名' is no item of template 'bearing-1'; the nearest known is '产品名称'"),
        (["name", "型号"], "requires 产品名称: add a column"),
        (["name", "产品名称", "旧码"], "may no longer be registered"),
        (["name", "产品名称", "2000"], "index 2000 is given twice"),
    ],
)
def test_columns_that_do_not_fit_a_template(columns, sentence):
    with pytest.raises(IntakeError) as caught:
        mapping_from_template(TEMPLATE, columns)
    assert sentence in caught.value.message


def test_a_plan_by_template_fills_the_template_id():
    plan = Plan(["标识", "产品名称", "型号"], TEMPLATE)
    handle = plan.new_handle(["88.300.1/A", "轴承", ""])
    assert handle.template_id == "bearing-1"
    assert [(value.index, value.data.decode()) for value in handle.values] == [(2000, "轴承")]
