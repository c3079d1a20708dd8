"""Whatever a body or query is, the SNMS door answers in its envelope and never with a defect of the node.

Bodies are good ones with some places replaced by anything JSON can say; administrators send them, so that nothing is
stopped by the policy before it is looked at.
"""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.resolver.transport.http.snms_door import identifier, template, value
from tests.resolver.transport.http.test_snms_enterprises import application
from tests.resolver.transport.http.test_snms_ownership import Scene
from tests.support.builders import PREFIX_A

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "\x00", "\ud800", "/", "//", "0.NA/", f"{PREFIX_A}/", "9" * 300, "é" * 200, "\u202e", "%2F"]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
ITEM = {**template(PREFIX_A)["items"][0], "state": 1}
PLACE = {"entPrefix": PREFIX_A, "hdlType": "HS_SITE", "ipType": 4, "ip": "192.0.2.1", "tcpPort": 1}
BODIES = [
    ("POST", "/identity/token", {"username": "admin", "password": "guess"}),
    ("POST", "/identity/token/v1", {"username": "admin", "password": "guess"}),
    ("POST", "/identityv2/data", identifier(f"{PREFIX_A}/f", value(), value(2001, "x", "MODEL", auth="x"))),
    ("PUT", "/identityv2/data", identifier(f"{PREFIX_A}/f")),
    ("DELETE", "/identityv2/data", {"handle": f"{PREFIX_A}/f"}),
    ("POST", "/identityv2/data/batchCreate", [identifier(f"{PREFIX_A}/g"), identifier(f"{PREFIX_A}/h")]),
    ("PUT", "/identityv2/data/batchUpdate", [identifier(f"{PREFIX_A}/g"), identifier(f"{PREFIX_A}/h")]),
    ("DELETE", "/identityv2/data/batchDelete", [f"{PREFIX_A}/g", f"{PREFIX_A}/h"]),
    ("DELETE", "/identityv2/data/batchDelete", {"handles": [f"{PREFIX_A}/g"]}),
    ("POST", "/snms/api/v3/template", template(PREFIX_A, "3", description="d")),
    ("POST", "/snms/api/v5/template", template(PREFIX_A, "5", description="d")),
    ("PUT", "/snms/api/v5/template", template(PREFIX_A, "1.0", items=[ITEM])),
    ("DELETE", "/snms/api/v5/template", {"prefix": PREFIX_A, "version": "5"}),
    (
        "POST",
        "/snms/api/ent/config",
        {
            "entPrefixConfig": {
                "entPrefix": PREFIX_A,
                "hdlType": "HS_SITE",
                "ipType": 4,
                "ip": "192.0.2.1",
                "tcpPort": 1,
            }
        },
    ),
    ("POST", "/snms/api/ent/config", {"proxyServerId": 1, "entPrefixConfig": {"entPrefix": PREFIX_A}}),
    ("POST", "/snms/api/v3/ent/apply", application("file-x")),
    ("POST", "/snms/api/v3/ent/upgrade-apply", application("file-x")),
]
QUERIES = [
    ("/identityv2/data/detail", {"handle": f"{PREFIX_A}/f"}),
    ("/snms/api/v3/template", {"prefix": PREFIX_A, "version": "1.0"}),
    ("/snms/api/v5/template", {"prefix": PREFIX_A, "version": "1.0"}),
    ("/snms/api/prefix/query", {"prefix": PREFIX_A}),
    ("/snms/api/prefix/page", {"entName": "x", "entPrefix": PREFIX_A, "startDate": "2026-01-01", "currentPage": "1"}),
    ("/snms/api/v3/ent/page", {"orgName": "x", "endDate": "2026-01-01", "pageSize": "10"}),
    ("/snms/api/v3/ent/detail", {"id": "ent-a", "entPrefix": PREFIX_A}),
]


def places(node, path=()):
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(node, path, content):
    if not path:
        return content
    node = copy.deepcopy(node)
    place = node
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = content
    return node


@st.composite
def mutated(draw, body):
    for _ in range(draw(st.integers(1, 3))):
        body = replaced(body, draw(st.sampled_from(list(places(body)))), draw(JUNK))
        if not isinstance(body, (dict, list)):
            break
    return body


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        scene = Scene(patch, tmp_path_factory.mktemp("files"))
        yield scene
        scene.close()


def judge(scene, method, path, **options):
    async def send():
        return await scene.node.admin.send(method, path, **options)

    response = scene.runner.run(send())
    envelope = response.json()
    assert set(envelope) == {"message", "status", "data"}
    assert response.status_code in {200, 503} or envelope["status"] != 1
    assert response.status_code < 500, response.text
    assert envelope["status"] in {1, -1, -2, -3}
    assert envelope["status"] != -1 or path.startswith("/identity/")


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_bodies(scene, method, path, body, data):
    octets = json.dumps(data.draw(mutated(body))).encode()
    judge(scene, method, path, content=octets, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(("path", "query"), QUERIES)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_queries(scene, path, query, data):
    drawn = {
        name: data.draw(st.one_of(st.just(content), st.text(st.characters(exclude_categories=["Cs"]), max_size=300)))
        for name, content in query.items()
        if data.draw(st.booleans())
    }
    judge(scene, "GET", path, params=drawn)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                b"--b",
                b"\r\n",
                b"--",
                b"--b--",
                b'Content-Disposition: form-data; name="file"',
                b"\r\n\r\n",
                b"%PDF-",
                b"\xff\xd8\xff",
                b"x" * 9_000,
                b"\n",
                b":",
            ]
        ),
        max_size=14,
    ),
    boundary=st.sampled_from(["b", '"b"', "", "x", '"', "b;c=d"]),
)
def test_uploads(scene, pieces, boundary):
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    judge(scene, "POST", "/snms/api/file/upload", content=b"".join(pieces), headers=kind)
