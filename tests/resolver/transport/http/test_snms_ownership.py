"""Over the SNMS OpenAPI, enterprise A and strangers neither change nor see what is private to enterprise B.

Every method of every path is tried with requests that touch something of B; what B has is compared octet by octet, and
whatever is private to B holds the word "bravo". That each path is tried is itself tested.
"""

import asyncio
import json
import re

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver import methods
from resolver.registry import passwords
from resolver.transport.http import snms
from resolver.transport.http.calls import HttpOptions
from storage.memory_engine import MemoryEngine
from storage.tables import Table
from tests.resolver.transport.http.snms_door import ITEMS, door, identifier, template, value
from tests.resolver.transport.http.test_snms_enterprises import JPEG, application
from tests.support.builders import PREFIX_A, PREFIX_B, dump
from tests.support.clock import FakeClock, seeded_randomness
from tests.support.node import World

CALLERS = ("a", "app", "nobody", "liar")
B_NAME = f"{PREFIX_B}/Open"
COUNTED = {"STATISTICS", "SOURCES", "ACTIVITY", "OUTCOMES", "LOGINS", "SESSIONS"}


def spelled(text):
    return st.sampled_from([text, text.lower(), text.upper(), text.replace("/", "//")])


names = st.sampled_from([B_NAME, f"{PREFIX_B}/new", f"{PREFIX_B}.7/x", f"0.NA/{PREFIX_B}", PREFIX_B]).flatmap(spelled)
versions = st.sampled_from(["1.0", "2.0", "", PREFIX_B])
rows = st.builds(lambda name, version: identifier(name, version=version), names, versions)
prefixes = st.sampled_from([PREFIX_B, f"0.NA/{PREFIX_B}", f"{PREFIX_B}.5"])
templates = st.builds(
    lambda prefix, version, state: template(prefix, version, items=[{**ITEMS[0], "state": state}]),
    prefixes,
    versions,
    st.sampled_from([0, 1]),
)
named = st.fixed_dictionaries({"prefix": prefixes, "version": versions})
places = st.builds(
    lambda prefix, hosted: {
        **({"proxyServerId": 1} if hosted else {}),
        "entPrefixConfig": {"entPrefix": prefix, "hdlType": "HS_SITE", "ipType": 4, "ip": "192.0.2.1", "tcpPort": 1},
    },
    prefixes,
    st.booleans(),
)
applications = st.builds(
    lambda prefix, code, user: application("B-FILE", prefix=prefix, code=code, user=user),
    prefixes,
    st.sampled_from(["bravo-code", "new"]),
    st.sampled_from(["b", "bravo user", "new user"]),
)
nothing = st.none()

ATTEMPTS = {
    ("POST", "/identity/token"): st.fixed_dictionaries({"username": st.just("b"), "password": st.just("guess guess")}),
    ("POST", "/identity/token/v1"): st.fixed_dictionaries({"username": st.just("b"), "password": st.just("0" * 64)}),
    ("GET", "/identityv2/data/detail"): st.fixed_dictionaries({"handle": names}),
    ("POST", "/identityv2/data"): rows,
    ("PUT", "/identityv2/data"): rows,
    ("DELETE", "/identityv2/data"): st.fixed_dictionaries({"handle": names}),
    ("POST", "/identityv2/data/batchCreate"): st.lists(rows, min_size=1, max_size=4),
    ("PUT", "/identityv2/data/batchUpdate"): st.lists(rows, min_size=1, max_size=4),
    ("DELETE", "/identityv2/data/batchDelete"): st.lists(names, min_size=1, max_size=4),
    ("GET", "/snms/api/template/v1"): named,
    ("POST", "/snms/api/template/v1"): templates,
    ("DELETE", "/snms/api/template/v1"): named,
    ("GET", "/snms/api/v3/template"): named,
    ("GET", "/snms/api/v5/template"): named,
    ("POST", "/snms/api/v3/template"): templates,
    ("POST", "/snms/api/v5/template"): templates,
    ("PUT", "/snms/api/v5/template"): templates,
    ("DELETE", "/snms/api/v3/template"): named,
    ("DELETE", "/snms/api/v5/template"): named,
    ("GET", "/snms/api/prefix/query"): st.fixed_dictionaries({"prefix": prefixes}),
    ("GET", "/snms/api/prefix/page"): st.fixed_dictionaries({"entPrefix": prefixes, "entName": st.just("bravo")}),
    ("POST", "/snms/api/ent/config"): places,
    ("POST", "/snms/api/v3/ent/apply"): applications,
    ("POST", "/snms/api/v3/ent/upgrade-apply"): applications,
    ("GET", "/snms/api/v3/ent/page"): st.fixed_dictionaries({"orgName": st.sampled_from(["", "bravo"])}),
    ("GET", "/snms/api/v3/ent/detail"): st.one_of(
        st.fixed_dictionaries({"id": st.just("ent-b")}), st.fixed_dictionaries({"entPrefix": prefixes})
    ),
    ("POST", "/snms/api/file/upload"): nothing,
}

ANSWERED = {"/identityv2/data/detail", "/snms/api/template/v1", "/snms/api/v3/template", "/snms/api/v5/template"}
"""Paths of public things: to read them is no fault of anybody who is known."""

OWN_LISTS = {"/snms/api/prefix/page", "/snms/api/v3/ent/page"}
"""Paths that answer with what is the caller's own."""


class Scene:
    """A running node where B has something of everything."""

    def __init__(self, patch, files_dir):
        patch.setattr(passwords, "LOG2_N", 4)
        patch.setattr(passwords, "PARALLEL_P", 1)
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.world = World(MemoryEngine(), FakeClock(), seeded_randomness())
        self._door = door(self.world, files_dir)
        self.node = self.runner.run(self._door.__aenter__())
        self.runner.run(self._furnish())
        self.b_rows = self.rows_of_b()

    async def _furnish(self):
        node = self.node
        await node.asker.ask("administrator", methods.UPDATE_PREFIX, prefix=PREFIX_B, description="bravo prefix")
        answer = await node.b.ask("POST", "/snms/api/file/upload", files={"file": ("x", JPEG)})
        self.b_file = answer["data"]["id"]
        filed = application(self.b_file, prefix=f"{PREFIX_B}.1", code="bravo-code", orgName="bravo works")
        assert (await node.b.ask("POST", "/snms/api/v3/ent/upgrade-apply", filed))["status"] == 1
        second = await node.b.ask("POST", "/snms/api/file/upload", files={"file": ("x", JPEG)})
        self.b_file = second["data"]["id"]
        assert (await node.b.ask("POST", "/identityv2/data", identifier(B_NAME)))["status"] == 1
        node.liar = type(node.nobody)(node.client, "idis_" + "x" * 43)

    def rows_of_b(self):
        found = dump(self.world.engine, [table for table in Table if table.name not in COUNTED])
        marks = re.compile(rb"(?i)bravo|ent-b|user-b|88\.300\.20")
        return [row for row in found if marks.search(row[1] + row[2])]

    def ask(self, who, method, path, drawn):
        erp = getattr(self.node, who)
        text = json.dumps(drawn).replace("B-FILE", self.b_file)
        if path.endswith("upload"):
            return self.runner.run(erp.ask(method, path, files={"file": ("x", JPEG)}))
        if method == "GET":
            return self.runner.run(erp.ask(method, path, params=drawn))
        return self.runner.run(erp.ask(method, path, json.loads(text)))

    def close(self):
        self.runner.run(self._door.__aexit__(None, None, None))
        self.runner.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        scene = Scene(patch, tmp_path_factory.mktemp("files"))
        yield scene
        scene.close()


def test_every_path_is_tried(scene):
    routes = snms.DOOR.routes(scene.node.asker.service, HttpOptions("88.300"))
    found = {(method, route.path) for route in routes for method in route.methods - {"HEAD"}}
    assert found == set(ATTEMPTS)


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("place", ATTEMPTS, ids=" ".join)
@settings(max_examples=7, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_of_b_is_out_of_reach(scene, place, who, data):
    method, path = place
    answer = scene.ask(who, method, path, data.draw(ATTEMPTS[place]))
    if path.startswith("/identity/"):
        assert answer["status"] == -2
    elif who in {"nobody", "liar"}:
        assert (answer["status"], answer["data"]) == (-1, None)
    elif method == "GET" and path in ANSWERED:
        assert answer["status"] in {1, -2}
    elif path in OWN_LISTS:
        assert [row.get("entId", row["id"]) for row in answer["data"]["content"]] in ([], ["ent-a"])
    elif "batch" in path and who == "a":
        assert all(row["msg"] != "success" for row in answer["data"])
    elif path.endswith("upload"):
        assert answer["status"] == (1 if who == "a" else -3) or answer["message"] == "超出配额"
    else:
        assert answer["status"] in {-2, -3}, answer
    shown = json.dumps(answer, ensure_ascii=False)
    assert "bravo" not in shown
    assert scene.rows_of_b() == scene.b_rows


def test_the_owner_is_let_in(scene):
    """The canary: the same paths do reach B's things in B's hands."""
    own = scene.ask("b", "GET", "/snms/api/v3/ent/detail", {})
    assert own["data"]["entBasicInfo"]["orgName"] == "bravo works"
    assert scene.ask("b", "PUT", "/identityv2/data", identifier(B_NAME, value(text="新值")))["status"] == 1
    changed = scene.rows_of_b()
    assert changed != scene.b_rows
    scene.b_rows = changed
    assert PREFIX_A not in json.dumps(scene.ask("b", "GET", "/snms/api/prefix/page", {}))
