"""The commands of README and of the command contract against a real node."""

import re
import stat

import openpyxl
import pytest
from cli_node import idis
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

BROKEN_FILES = {
    "no_such_key = 1": "unknown key 'no_such_key'",
    'prefx = "88.300.1"': "the nearest known is 'prefix'",
    "items = [{index = 2000, kind = 'txt'}]": "give one of text, number, date",
    "label = 5": "label = 5",
    "[": "no TOML",
}


def test_an_enterprise_registers_under_its_prefix_and_nowhere_else(node, tmp_path):
    made = node("enterprise", "create", "--id", "acme", "--name", "某某轴承有限公司", "--json")
    assert made.json()["name"] == "某某轴承有限公司"
    assert "某某轴承有限公司" in made.out
    assert node("prefix", "create", "88.300.2", "--enterprise", "acme").code == 0
    assert (
        node("principal", "create", "--id", "acme-user", "--role", "enterprise-user", "--enterprise", "acme").code == 0
    )
    token = tmp_path / "acme.token"
    assert node("key", "create", "acme-user", "--out", token).code == 0
    assert stat.S_IMODE(token.stat().st_mode) == 0o600

    good = node("register", "88.300.2/SN-1", "--value", "1:URL:https://acme.example/1", token_file=token)
    assert (good.code, good.out.split()[:2]) == (0, ["88.300.2/SN-1", "registered,"])
    bad = node("--json", "register", "88.300.1/SN-1", "--value", "1:URL:x", token_file=token)
    assert bad.code == 4
    assert "PERMISSION_DENIED" in bad.err
    assert node("enterprise", "list", token_file=token, stdin="").out.split("\t")[0] == "acme"

    assert node("key", "create", "acme-user", "--out", token).code == 2, "a token file is never written over"
    (listed,) = node("key", "list", "acme-user", "--json").lines()
    assert node("key", "revoke", listed["key_id"], "--json").json()["revoked"] is True
    assert node("list", "88.300.2", token_file=token).code == 4


def test_a_user_gets_keys_for_the_handle_doors(node, tmp_path):
    assert node("enterprise", "create", "--id", "hdl", "--name", "H").code == 0
    assert node("prefix", "create", "88.300.34", "--enterprise", "hdl").code == 0
    assert node("principal", "create", "--id", "hdl-user", "--role", "enterprise-user", "--enterprise", "hdl").code == 0
    public = tmp_path / "key.pub.pem"
    native = rsa.generate_private_key(65_537, 2_048).public_key()
    public.write_bytes(native.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    made = node("key", "create", "hdl-user", "--public-key", public, "--json")
    assert made.json()["identities"] == ["300:0.NA/88.300.34"]
    secret = node("key", "create", "hdl-user", "--secret", "--out", tmp_path / "secret")
    assert "301:0.NA/88.300.34" in secret.err
    assert len((tmp_path / "secret").read_text().strip()) > 40
    found = node("resolve", "0.NA/88.300.34", "--json").json()
    assert "HS_PUBKEY" in str(found)
    assert "HS_SECKEY" not in str(found)
    assert node("key", "create", "hdl-user", "--secret", "--public-key", public).code == 2
    ignored = tmp_path / "ignored"
    assert node("key", "create", "hdl-user", "--public-key", public, "--out", ignored).code == 2
    assert not ignored.exists()


def test_a_prefix_goes_through_its_life_cycle(node):
    assert node("enterprise", "create", "--id", "life", "--name", "L").code == 0
    applied = node("prefix", "apply", "88.300.33", "--enterprise", "life", "--json")
    assert applied.json()["status"] == "applied"
    assert node("register", "88.300.33/A", "--value", "1:URL:x").code == 6
    assert node("prefix", "audit", "88.300.33", "--json").json()["status"] == "in-audit"
    assert node("prefix", "enable", "88.300.33", "--json").json()["status"] == "enabled"
    routed = node("prefix", "route", "88.300.33", "--to", "10.0.0.1,tcp=2641,http=8000", "--json").json()
    assert (routed["hosting"], routed["routes"][0]["http_port"]) == ("elsewhere", 8000)
    assert node("prefix", "route", "88.300.33", "--here", "--json").json()["hosting"] == "here"
    assert node("prefix", "delete", "88.300.33", "--json").json()["status"] == "deleted"
    refused = node("prefix", "audit", "88.300.33")
    assert (refused.code, refused.err.count("\n")) == (6, 1)


def test_fields_of_an_enterprise_that_are_not_given_stay(node):
    node("enterprise", "create", "--id", "stay", "--name", "甲", "--contact-phone", "010-1")
    changed = node("enterprise", "update", "stay", "--contact-email", "a@example.com", "--json").json()
    assert changed["name"] == "甲"
    assert changed["contact"] == {"name": "", "phone": "010-1", "email": "a@example.com"}
    assert node("enterprise", "update", "stay", "--name", "乙", "--if-version", "1").code == 6
    assert node("enterprise", "disable", "stay", "--json").json()["status"] == "disabled"
    assert node("enterprise", "enable", "stay", "--json").json()["name"] == "甲"


def test_a_principal_that_is_disabled_is_refused(node, tmp_path):
    node("principal", "create", "--id", "second", "--role", "node-administrator")
    token = tmp_path / "second.token"
    node("key", "create", "second", "--out", token)
    assert node("principal", "get", "--json", token_file=token).json()["principal_id"] == "second"
    assert node("principal", "disable", "second", "--json").json()["disabled"] is True
    assert node("principal", "get", token_file=token).code == 4


def test_a_secret_is_not_called_a_token(node):
    node("enterprise", "create", "--id", "with-secret", "--name", "S")
    node("prefix", "create", "88.300.58", "--enterprise", "with-secret")
    node("principal", "create", "--id", "secretive", "--role", "enterprise-user", "--enterprise", "with-secret")
    ran = node("key", "create", "secretive", "--secret")
    assert "the secret is shown this once only:" in ran.err
    assert len(ran.out.split()) == 1


def test_a_token_without_a_file_is_the_only_thing_on_standard_output(node):
    node("principal", "create", "--id", "third", "--role", "node-administrator")
    made = node("key", "create", "third", "--expires", "2999-01-01")
    assert made.out.startswith("idis_"), made.err
    assert made.out.count("\n") == 1


def test_a_template_from_toml_checks_what_is_registered(node, tmp_path):
    file = tmp_path / "bearing.toml"
    file.write_text(
        'template_id = "bearing"\nprefix = "88.300.1"\n[[items]]\nindex = 2000\ntype = "MODEL"\nname = "型号"\n'
        'required = true\nkind = "text"\nmaximum = 4\n',
        "utf-8",
    )
    assert node("template", "create", file, "--json").json()["items"][0]["name"] == "型号"
    good = node("register", "88.300.1/T-1", "--template", "bearing", "--value", "2000:MODEL:6204")
    assert good.code == 0
    assert node("register", "88.300.1/T-2", "--template", "bearing", "--value", "2000:MODEL:62045").code == 2
    table = tmp_path / "t.csv"
    table.write_text("name,型号\n88.300.1/T-3,6205\n88.300.1/T-4,\n", "utf-8")
    ran = node("import", table, "--template", "bearing", "--result", tmp_path / "o.jsonl", "--json")
    assert (ran.code, ran.json()["created"], ran.json()["failed"]) == (1, 1, 1)
    assert "bearing" in node("template", "list").out


@pytest.mark.parametrize(("text", "told"), BROKEN_FILES.items())
def test_a_broken_template_file_is_told_in_one_line(tmp_path, text, told):
    file = tmp_path / "t.toml"
    file.write_text(text)
    ran = idis("--target", "127.0.0.1:9", "template", "create", file)
    assert ran.code == 2
    assert told in ran.err
    assert ran.err.count("\n") == 1


def test_user_names_and_passwords(node, tmp_path):
    file = tmp_path / "password"
    file.write_text("正确的密码 12\nsecond line\n", "utf-8")
    set_ = node("login", "set", "administrator", "--user", "张三", "--password-file", file, "--digest", "--json")
    assert (set_.json()["user_name"], set_.json()["digest_login"]) == ("张三", True)
    assert "whoever reads the store" in set_.err
    assert node("login", "list").out.split("\t")[:4] == ["张三", "administrator", "0", "digest"]
    assert node("login", "remove", "张三").code == 0
    assert node("login", "list").out == ""
    file.write_text("short")
    assert node("login", "set", "administrator", "--user", "x", "--password-file", file).code == 2


def test_the_history_of_a_template(node, tmp_path):
    file = tmp_path / "t.toml"
    file.write_text('template_id = "h"\nprefix = "88.300.1"\nlabel = "1.0"\n[[items]]\nindex = 2000\ntype = "A"\n')
    assert node("template", "create", file).code == 0
    file.write_text('template_id = "h"\n[[items]]\nindex = 2001\ntype = "B"\nkind = "enum"\noptions = ["x", "y"]\n')
    assert node("template", "update", file, "--if-version", "1").code == 0
    assert node("template", "delete", "h").code == 0
    lines = [line.split("\t") for line in node("template", "history", "h").out.splitlines()]
    assert [(line[0], line[2], line[3], line[4]) for line in lines] == [
        ("3", "administrator", "2", "deleted"),
        ("2", "administrator", "2", "in use"),
        ("1", "administrator", "1", "in use"),
    ]
    assert len(node("template", "get", "h", "--version", "1", "--json").json()["items"]) == 1
    assert "h\t88.300.1" not in node("template", "list").out
    assert "h\t88.300.1" in node("template", "list", "--deleted", "--prefix", "88.300.1").out


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_a_form_of_a_template_goes_in_once_it_is_filled(node, tmp_path, kind):
    file, form = tmp_path / "t.toml", tmp_path / f"form.{kind}"
    file.write_text(
        f'template_id = "f-{kind}"\nprefix = "88.300.1"\n[[items]]\nindex = 2000\ntype = "NAME"\nname = "名称"\n'
        'required = true\n[[items]]\nindex = 2001\ntype = "GRADE"\nname = "等级"\nkind = "enum"\noptions = ["P0"]\n',
        "utf-8",
    )
    assert node("template", "create", file).code == 0
    made = node("template", "export", f"f-{kind}", f"--{kind}", form, "--json")
    assert made.json()["columns"] == ["标识", "名称", "等级"]
    assert node("template", "export", f"f-{kind}", f"--{kind}", form).code == 2
    assert node("template", "export", f"f-{kind}").code == 2
    rows = [
        [f"88.300.1/F-{kind}-1", "轴承", "P0"],
        [f"88.300.1/F-{kind}-2", "轴承", ""],
        [f"88.300.1/F-{kind}-3", "x", "P9"],
    ]
    if kind == "csv":
        with form.open("a", encoding="utf-8") as stream:
            stream.writelines(",".join(row) + "\n" for row in rows)
    else:
        book = openpyxl.load_workbook(form)
        for number, row in enumerate(rows, 2):
            for column, text in enumerate(row, 1):
                book["标识"].cell(number, column).value = text or None
        book.save(form)
    ran = node("import", form, "--template", f"f-{kind}", "--result", tmp_path / "o.jsonl", "--json")
    assert (ran.json()["created"], ran.json()["failed"]) == (2, 1)


def test_times_are_shown_as_people_read_them_and_as_numbers_in_json(node):
    name = "times-of-day"
    shown = node("enterprise", "create", "--id", name, "--name", "T")
    assert shown.code == 0, shown.err
    assert re.search(r"create_time +20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown.out)
    assert node("enterprise", "get", name, "--json").json()["create_time_us"] > 1_700_000_000_000_000
