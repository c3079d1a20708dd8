"""What README.md prints for enterprises and applications, run as it stands there."""

import re
import subprocess
import sys

from tests.resolver.cli.cli_node import ROOT, environment

README = (ROOT / "README.md").read_text("utf-8")


def block(language, word):
    """The first block of a language in which a word stands."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if word in text)


def test_the_python_example_runs(node):
    node("register", "88.300.1/HELLO", "--value", "1:URL:https://example.com/", "--value", "2000:产品名称:轴承")
    example = block("python", "resolve_many").replace("127.0.0.1:2640", node.target)
    ran = subprocess.run(
        [sys.executable, "-c", example],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=True,
    )
    lines = ran.stdout.splitlines()
    assert lines[:3] == ["1 URL https://example.com/", "2000 产品名称 轴承", "88.300.1/HELLO"]
    assert lines[3].startswith("handle '88.300.1/NONE' is not registered")


def test_the_mapping_takes_a_table_of_another_shape(node, tmp_path):
    (tmp_path / "mapping.toml").write_text(block("toml", "column =").replace("88.300.2", "88.300.1"), "utf-8")
    (tmp_path / "products.csv").write_bytes("序列号,产品名称\nS77,轴承七\n".encode("gb18030"))
    ran = node("import", "products.csv", "--mapping", "mapping.toml", cwd=tmp_path)
    assert ran.code == 0, ran.err
    record = node("resolve", "88.300.1/S77", "--json").json()
    assert [value["data"] for value in record["values"]] == ["https://acme.example/S77", "轴承七"]


def test_the_template_makes_a_form_that_goes_in(node, tmp_path):
    printed = block("toml", "template_id").replace("88.300.2", "88.300.1").replace('"bearing"', '"readme"')
    printed = printed.replace('label = "1.0"', 'label = "readme-1.0"')
    (tmp_path / "bearing.toml").write_text(printed, "utf-8")
    for words in (
        ("template", "create", "bearing.toml"),
        ("template", "history", "readme"),
        ("template", "export", "readme", "--xlsx", "form.xlsx"),
        ("import", "form.xlsx", "--template", "readme"),
    ):
        ran = node(*words, cwd=tmp_path)
        assert ran.code == 0, (words, ran.err)
