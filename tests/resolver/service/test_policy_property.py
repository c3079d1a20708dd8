"""Enterprise A, and nobody in particular, can neither change nor read what the policy keeps for enterprise B.

Every method of the table is tried with requests that touch something of B. What must happen is said by ``verdict``,
a model of the policy that shares nothing with the node's. Whatever private B has contains the word "bravo", so a leak
shows in any answer, sentence or page token; B's rows are compared octet by octet after every call.
"""

import asyncio
import base64
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver import methods
from resolver.errors import ResolverError
from resolver.methods import METHODS, Shape
from resolver.v1 import registration_pb2 as registration
from resolver.v1 import registry_pb2 as registry
from resolver.v1 import template_pb2 as template
from storage.memory_engine import MemoryEngine
from storage.tables import Table
from tests.support.builders import HIDDEN, PREFIX_B, dump, value
from tests.support.clock import FakeClock, seeded_randomness
from tests.support.node import World

CALLERS = {"user_a": "enterprise user", "app_a": "application", "": "anonymous"}
LONG = f"{PREFIX_B}/" + "L" * 600
B_NAMES = (f"{PREFIX_B}/Open", f"{PREFIX_B}/mixed", f"{PREFIX_B}/hidden", LONG)
B_CODE = "91110000MA01BRAV1X"
REFUSAL_CODES = {5, 6, 7, 9, 16}
ANSWER, REFUSE, ROWS_REFUSED = "answer", "refuse", "every row refused"


def verdict(role, method, request):  # noqa: PLR0911 - one line a rule
    """What the policy says of a request that touches enterprise B: the whole of it, for whoever is not B."""
    name = method.name
    if name in {"GetNodeInfo", "GetSite"}:
        return ANSWER
    if name in {"BatchResolve", "StreamResolve"}:
        return ROWS_REFUSED if request.include_restricted else ANSWER
    if name == "Resolve":
        return REFUSE if request.include_restricted else ANSWER
    if role == "anonymous":
        return REFUSE
    if name == "LogOut":
        return ANSWER  # it ends the caller's own token, and none of these was given for a password
    if name in {"GetTemplate", "ListTemplates", "ListTemplateVersions"}:
        return ANSWER  # templates describe public values: every known caller may read them
    if name == "GetPrincipal":
        return REFUSE if request.principal_id else ANSWER
    if name in {"ListPrefixes", "ListPrincipals"}:
        return REFUSE if request.enterprise_id else ANSWER
    if name == "ListEnterprises":
        return ANSWER
    if name == "GetStatistics":
        return REFUSE if request.prefix else ANSWER
    if name == "Watch":
        return REFUSE if request.prefixes else ANSWER
    if (
        name in {"BatchCreateHandles", "BatchUpdateHandles", "BatchDeleteHandles", "ImportHandles"}
        and role == "enterprise user"
    ):
        return ROWS_REFUSED
    return REFUSE


def spelled(text):
    return st.sampled_from([text, text.lower(), text.upper()])


names = st.sampled_from(B_NAMES).flatmap(spelled)
new_names = st.sampled_from([*B_NAMES, f"{PREFIX_B}/new", f"{PREFIX_B}.7/x", f"0.NA/{PREFIX_B}", PREFIX_B])
prefixes = st.sampled_from([PREFIX_B, f"0.NA/{PREFIX_B}"])
values = st.just([value(1, "alpha was here")])
principal_ids = st.sampled_from(["user-b", "app-b"])
versions = st.sampled_from([None, 0, 1, 2])
rows = st.lists(st.builds(lambda name: registration.NewHandle(name=name, values=[value()]), new_names), min_size=1)
existing = st.sampled_from([0, 1, 2, 3])


def build(method, **fields):
    """Requests of a method: fields drawn, None left out."""

    def make(drawn):
        return method.request(**{field: content for field, content in drawn.items() if content is not None})

    names_of = method.request.DESCRIPTOR.fields_by_name
    if "validate_only" in names_of:
        fields["validate_only"] = st.booleans()
    if "request_id" in names_of:
        fields["request_id"] = st.sampled_from(["", "of-b"])
    if "if_version" in names_of:
        fields["if_version"] = versions
    return st.fixed_dictionaries(fields).map(make)


def enterprise_row(enterprise_id):
    return registry.Enterprise(enterprise_id=enterprise_id, name="taken over")


def prefix_row(place):
    return registry.Prefix(prefix=place[0], enterprise_id=place[1])


filters = {"types": st.sampled_from([[], ["SECRET"]]), "indexes": st.sampled_from([[], [1], [2]])}
hidden = st.booleans()
prefix_rows = st.sampled_from(
    [
        (PREFIX_B, "ent-a"),
        (PREFIX_B, "ent-b"),
        (f"{PREFIX_B}.5", "ent-a"),
        (f"{PREFIX_B}.5.6", "ent-a"),
        ("88.300.77", "ent-b"),
    ]
).map(prefix_row)
template_rows = st.builds(
    template.Template, template_id=st.sampled_from(["tpl-b", "tpl-new"]), prefix=st.just(PREFIX_B)
)
known_template = st.builds(template.Template, template_id=st.just("tpl-b"), withdrawn=st.booleans())
token = st.sampled_from(["", base64.urlsafe_b64encode(b"enterprises\0ent-a").decode().rstrip("=")])

ATTEMPTS = {
    method.path: build(method, **fields)
    for method, fields in {
        methods.RESOLVE: {"name": names, "include_restricted": hidden, **filters},
        methods.BATCH_RESOLVE: {
            "names": st.lists(names, min_size=1, max_size=5),
            "include_restricted": hidden,
            **filters,
        },
        methods.STREAM_RESOLVE: {"name": names, "include_restricted": hidden, **filters},
        methods.LIST_HANDLES: {"prefix": prefixes, "include_restricted": hidden, "include_records": hidden},
        methods.CREATE_HANDLE: {"name": new_names, "values": values, "on_existing": existing},
        methods.UPDATE_HANDLE: {"name": names, "values": values, "template_values_only": st.booleans()},
        methods.PUT_VALUES: {"name": names, "values": values, "mode": st.sampled_from([0, 1, 2])},
        methods.REMOVE_VALUES: {"name": names, "indexes": st.sampled_from([[1], [2], [1, 2]])},
        methods.DELETE_HANDLE: {"name": names},
        methods.BATCH_CREATE_HANDLES: {"handles": rows, "on_existing": existing},
        methods.BATCH_UPDATE_HANDLES: {"handles": rows, "template_values_only": st.booleans()},
        methods.BATCH_DELETE_HANDLES: {"names": st.lists(new_names, min_size=1)},
        methods.IMPORT_HANDLES: {
            "import_id": st.sampled_from(["load-b", "load-a"]),
            "sequence": st.sampled_from([1, 2]),
            "handles": rows,
            "on_existing": existing,
        },
        methods.CREATE_ENTERPRISE: {"enterprise": st.sampled_from(["ent-b", "ent-new"]).map(enterprise_row)},
        methods.GET_ENTERPRISE: {"enterprise_id": st.sampled_from(["ent-b", ""]), "credit_code": st.just(B_CODE)},
        methods.LIST_ENTERPRISES: {"page_size": st.sampled_from([0, 1]), "page_token": token},
        methods.UPDATE_ENTERPRISE: {"enterprise": st.just(enterprise_row("ent-b"))},
        methods.CREATE_PREFIX: {"prefix": prefix_rows},
        methods.GET_PREFIX: {"prefix": spelled(PREFIX_B)},
        methods.LIST_PREFIXES: {"enterprise_id": st.sampled_from(["ent-b", ""]), "page_size": st.sampled_from([0, 1])},
        methods.UPDATE_PREFIX: {"prefix": spelled(PREFIX_B), "status": st.sampled_from([None, 4, 5])},
        methods.MOVE_PREFIX: {
            "prefix": spelled(PREFIX_B),
            "step": st.sampled_from([0, 1, 2]),
            "to": st.sampled_from([1, 2]),
        },
        methods.CREATE_PRINCIPAL: {
            "principal": st.sampled_from([1, 2, 3, 4]).map(
                lambda role: registry.Principal(
                    principal_id="mole", role=role, enterprise_id="" if role in {1, 4} else "ent-b"
                )
            )
        },
        methods.GET_PRINCIPAL: {"principal_id": st.sampled_from(["user-b", "app-b", "administrator", ""])},
        methods.LIST_PRINCIPALS: {
            "enterprise_id": st.sampled_from(["ent-b", ""]),
            "page_size": st.sampled_from([0, 1]),
        },
        methods.UPDATE_PRINCIPAL: {"principal_id": principal_ids, "disabled": st.booleans()},
        methods.CREATE_KEY: {"principal_id": principal_ids, "kind": st.just(1)},
        methods.LIST_KEYS: {"principal_id": principal_ids},
        methods.REVOKE_KEY: {"key_id": st.just("KEY-OF-B")},
        methods.CREATE_TEMPLATE: {"template": template_rows},
        methods.GET_TEMPLATE: {"template_id": st.just("tpl-b")},
        methods.LIST_TEMPLATES: {"prefix": st.sampled_from(["", PREFIX_B])},
        methods.LIST_TEMPLATE_VERSIONS: {"template_id": st.just("tpl-b")},
        methods.UPDATE_TEMPLATE: {"template": known_template},
        methods.DELETE_TEMPLATE: {"template_id": st.just("tpl-b")},
        methods.SET_PASSWORD: {
            "principal_id": principal_ids,
            "user_name": st.sampled_from(["bravo name", "alpha"]),
            "password": st.just("let me in, please"),
        },
        methods.LIST_LOGINS: {"page_size": st.sampled_from([0, 1])},
        methods.REMOVE_LOGIN: {"user_name": st.just("bravo name")},
        methods.LOG_IN: {"user_name": st.just("bravo name"), "password": st.sampled_from(["", "let me in, please"])},
        methods.LOG_OUT: {},
        methods.GET_NODE_INFO: {},
        methods.GET_STATISTICS: {
            "prefix": st.sampled_from([PREFIX_B, "0.NA", "88.300", "88.300.1", ""]),
            "from_day": st.just(20260101),
            "include_sources": hidden,
            "include_activity": hidden,
            "page_size": st.sampled_from([0, 1]),
        },
        methods.LIST_SOURCE_STATISTICS: {"prefix": st.sampled_from([PREFIX_B, "0.NA", "88.300", "88.300.1", ""])},
        methods.WATCH: {
            "prefixes": st.sampled_from([[PREFIX_B], [PREFIX_B, "88.300.10"], ["0.NA"], []]),
            "from_serial": st.just(1),
            "include_records": hidden,
            "stop_at_end": st.just(True),
        },
        methods.FOLLOW: {"mirror_id": st.just("mole"), "epoch": st.sampled_from([0, 1, 2])},
        methods.GET_MIRROR_STATUS: {},
        methods.PROMOTE_MIRROR: {"at_least_serial": st.sampled_from([0, 1])},
        methods.FENCE_PRIMARY: {"epoch": st.sampled_from([1, 2, 9]), "primary": st.just("127.0.0.1:1")},
        methods.READ_FILE: {"sha256": st.sampled_from(["0" * 64, ""]), "offset": st.sampled_from([0, 1 << 63])},
        methods.GET_SITE: {},
        methods.COUNT_SHARES: {"servers": st.sampled_from([1, 2]), "hash": st.just(3)},
        methods.CHANGE_SITE: {"step": st.sampled_from([1, 2, 7]), "lease_ms": st.just(1_000), "server": st.just(1)},
    }.items()
}


class Scene:
    """A running node where B has something of everything."""

    def __init__(self):
        self.runner = asyncio.Runner()
        self.world = World(MemoryEngine(), FakeClock(), seeded_randomness())
        self._serving = self.world.serving()
        self.asker = self.runner.run(self._serving.__aenter__())
        self.runner.run(self._furnish())
        self.b_rows = self.rows_of_b()

    async def _furnish(self):
        ask, secret = self.asker.ask, "bravo secret"
        row = registry.Enterprise(enterprise_id="ent-b", name="bravo works", description="bravo")
        row.contact.email = "bravo@example.com"
        await ask("administrator", methods.UPDATE_ENTERPRISE, enterprise=row)
        with self.world.engine.write() as writer:
            writer.put(Table.CREDIT_CODES, B_CODE.encode(), b"ent-b")
        await ask("administrator", methods.UPDATE_PRINCIPAL, principal_id="user-b", display_name="bravo user")
        key = await ask("administrator", methods.CREATE_KEY, principal_id="user-b", kind=1, description="bravo key")
        self.key_id = key.key.key_id
        login = {"principal_id": "user-b", "user_name": "bravo name", "password": "bravo bravo"}
        await ask("administrator", methods.SET_PASSWORD, **login)
        await ask("administrator", methods.UPDATE_PREFIX, prefix=PREFIX_B, description="bravo prefix")
        await ask("user_b", methods.CREATE_TEMPLATE, template=template.Template(template_id="tpl-b", prefix=PREFIX_B))
        await ask("user_b", methods.CREATE_HANDLE, name=B_NAMES[0], values=[value(1, "open")], request_id="of-b")
        both = [value(1, "open"), value(2, secret, "SECRET", permissions=HIDDEN)]
        for name in (B_NAMES[1], LONG):
            await ask("user_b", methods.CREATE_HANDLE, name=name, values=both)
        await ask("user_b", methods.CREATE_HANDLE, name=B_NAMES[2], values=[value(2, secret, "SECRET", permissions=0)])
        chunk = registration.ImportHandlesRequest(
            import_id="load-b", sequence=1, handles=[registration.NewHandle(name=f"{PREFIX_B}/i", values=[value()])]
        )
        await self.asker.answers("user_b", methods.IMPORT_HANDLES, [chunk])
        await ask("", methods.RESOLVE, name=B_NAMES[0])
        await ask("user_a", methods.CREATE_HANDLE, name="88.300.10/own", values=[value()], request_id="of-a")

    def rows_of_b(self):
        """B's rows and everything that names B, but for counts of what was asked and outcomes of A's requests."""
        counted = {Table.STATISTICS, Table.SOURCES, Table.OUTCOMES}
        found = dump(self.world.engine, [table for table in Table if table not in counted])
        marks = re.compile(rb"(?i)bravo|ent-b|user-b|app-b|load-b|88\.300\.20")
        own = b"user-a\0"  # imports of A may have any name
        return [row for row in found if not row[1].startswith(own) and marks.search(row[1] + row[2])]

    def rows_of_all(self):
        """Everything but what is counted of everybody's calls, which is written when statistics are asked for."""
        counted = {Table.STATISTICS, Table.SOURCES, Table.ACTIVITY}
        return dump(self.world.engine, [table for table in Table if table not in counted])

    def ask(self, who, method, request):
        """The responses, or the error."""
        return self.runner.run(self._ask(who, method, request))

    async def _ask(self, who, method, request):
        if method is methods.REVOKE_KEY:
            request.key_id = self.key_id
        try:
            if method.shape is Shape.UNARY:
                return [await self.asker.ask(who, method, request)]
            if method.shape is Shape.BIDIRECTIONAL:
                return await self.asker.answers(who, method, [request])
            return [answer async for answer in self.asker.stream(who, method, request)]
        except ResolverError as error:
            return error

    def close(self):
        self.runner.run(self._serving.__aexit__(None, None, None))
        self.runner.close()


@pytest.fixture(scope="module")
def scene():
    scene = Scene()
    yield scene
    scene.close()


def test_every_method_has_a_row():
    assert set(ATTEMPTS) == set(METHODS)


def leaks(outcome):
    """Private words in what a caller was told, page tokens opened."""
    if isinstance(outcome, ResolverError):
        texts = [outcome.message, *outcome.details.values()]
        return [text for text in texts if "bravo" in text]
    found = []
    for answer in outcome:
        octets = answer.SerializeToString()
        page_token = getattr(answer, "next_page_token", "")
        octets += base64.urlsafe_b64decode(page_token + "=" * (-len(page_token) % 4))
        private = [b"bravo"]
        if (
            type(answer).__name__.startswith(("List", "Watch", "GetStatistics"))
            and "Template" not in type(answer).__name__
        ):
            private += [b"ent-b", b"user-b", b"app-b", PREFIX_B.encode(), b"administrator"]
        found += [word for word in private if word in octets]
    return found


def rows_refused(answers):
    """Whether every row was refused, and no record came."""
    for answer in answers:
        if getattr(answer, "records", []):
            return False
        results = getattr(answer, "results", None)
        if any(row.code == 0 for row in (answer.misses if results is None else results)):
            return False
    return True


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("path", METHODS)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_of_b_is_out_of_reach(scene, path, who, data):
    method, role = METHODS[path], CALLERS[who]
    request = data.draw(ATTEMPTS[path])
    before = scene.rows_of_all()
    outcome = scene.ask(who, method, request)
    expected = verdict(role, method, request)
    if expected == REFUSE:
        assert isinstance(outcome, ResolverError), outcome
        assert outcome.meaning.grpc in REFUSAL_CODES or outcome.reason == "REQUEST_ID_REUSED", repr(outcome)
        if role == "anonymous":
            assert outcome.meaning.grpc == 16 or "Resolve" in method.name, repr(outcome)
    elif expected == ROWS_REFUSED:
        assert isinstance(outcome, ResolverError) or rows_refused(outcome), outcome
    elif isinstance(outcome, ResolverError):
        assert "Resolve" in method.name or outcome.reason == "INVALID_PAGE_TOKEN", repr(outcome)
        assert outcome.reason in {"VALUES_NOT_FOUND", "INVALID_PAGE_TOKEN"}
    assert leaks(outcome) == []
    assert scene.rows_of_b() == scene.b_rows
    if role != "enterprise user":
        assert scene.rows_of_all() == before, "who may write nothing has written something"


def test_the_owner_is_let_in(scene):
    """The canary: the same requests do reach B's things in B's hands."""
    request = methods.RESOLVE.request(name=B_NAMES[1], include_restricted=True)
    (answer,) = scene.ask("user_b", methods.RESOLVE, request)
    assert b"bravo" in answer.SerializeToString()
    assert leaks([answer]) == [b"bravo"]
    (listed,) = scene.ask("user_b", methods.LIST_PRINCIPALS, methods.LIST_PRINCIPALS.request())
    assert {row.principal_id for row in listed.principals} == {"user-b", "app-b"}
