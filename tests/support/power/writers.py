"""Clients that change a node through every door, each knowing what its next change leads to.

A writer makes one change after the other until it fails. ``again`` makes the change that was left in doubt a second
time under its request id, after the power is back: it must be made once, whatever the first attempt did.
"""

import asyncio
import hashlib
import itertools
from abc import ABC, abstractmethod
from contextlib import aclosing

import httpx

from conformance.handle import octets as hdl
from resolver import methods
from resolver.client import CallFailed
from resolver.client.values import new_handle
from resolver.registry.files import UNLINKED_MAX
from resolver.v1 import registration_pb2, registry_pb2
from resolver.v1.handle_pb2 import HandleValue
from tests.support.power.promises import Doubt, State

PREFIX = "88.300.1"
ROWS = 40


def values(*data):
    """Values with indexes from 1."""
    return [HandleValue(index=index, type="URL", data=text.encode()) for index, text in enumerate(data, 1)]


def state(version, found):
    """The state of a record with these values."""
    return State(version, frozenset((each.index, each.type, bytes(each.data)) for each in found))


class Writer(ABC):
    """One client. ``doors`` are those of the running node."""

    def __init__(self, name, chance, promises):
        self.name, self.chance, self.promises = name, chance, promises
        self.numbers = itertools.count()
        self.request = None

    def fresh(self):
        """A name nobody has used, anywhere among the others."""
        return f"{PREFIX}/{self.chance.getrandbits(40):010X}-{self.name}"

    def some(self):
        """Octets to write: mostly short."""
        return f"https://example.com/{'x' * self.chance.choice((1, 60, 300, 3_000))}/{self.chance.getrandbits(64)}"

    def in_doubt(self, what, after):
        """From now on a change may have been made."""
        self.promises.doubts[self.name] = Doubt(after, f"{self.name} {what}")

    def settle(self, after=None):
        """It was."""
        self.promises.settle(self.promises.doubts.pop(self.name).after if after is None else after)
        self.promises.doubts.pop(self.name, None)
        self.request = None

    async def run(self, doors):
        """Change after change, until one fails."""
        while True:
            await self.change(doors)

    @abstractmethod
    async def change(self, doors):
        """One change."""

    @abstractmethod
    async def again(self, doors):
        """The power is back: settle what is in doubt."""


class Repeating(Writer):
    """One that can say a change twice."""

    async def again(self, doors):
        if self.request is not None:
            await self.send(doors)

    @abstractmethod
    async def send(self, doors):
        """The change that ``request`` says."""


class Single(Repeating):
    """Handles one by one: created under random names, their values put, replaced and removed, deleted."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.mine = {}

    async def change(self, doors):
        name = self.chance.choice(sorted(self.mine)) if self.mine and self.chance.random() < 0.5 else self.fresh()
        before, request_id = self.mine.get(name), f"{self.name}-{next(self.numbers)}"
        made = values(self.some(), self.some())
        if before is None:
            self.request = (methods.CREATE_HANDLE, {"name": name, "values": made, "request_id": request_id})
            self.in_doubt("creation", {name: state(1, made)})
        elif self.chance.random() < 0.2:
            self.request = (methods.DELETE_HANDLE, {"name": name, "request_id": request_id})
            self.in_doubt("deletion", {name: None})
        elif len(before.values) > 1 and self.chance.random() < 0.5:
            self.request = (methods.REMOVE_VALUES, {"name": name, "indexes": [2], "request_id": request_id})
            left = frozenset(each for each in before.values if each[0] != 2)
            self.in_doubt("removal", {name: State(before.version + 1, left)})
        else:
            method = self.chance.choice((methods.PUT_VALUES, methods.UPDATE_HANDLE))
            self.request = (method, {"name": name, "values": made, "request_id": request_id})
            self.in_doubt("replacement", {name: state(before.version + 1, made)})
        await self.send(doors)

    async def send(self, doors):
        method, fields = self.request
        await doors.client.call(method, method.request(**fields))
        after = self.promises.doubts[self.name].after
        self.mine.update(after)
        for name in [name for name, found in after.items() if found is None]:
            del self.mine[name]
        self.settle()


class Minted(Repeating):
    """Handles whose names the node chooses; only its answer tells them."""

    async def change(self, doors):
        made = values(self.some())
        request_id = f"{self.name}-{next(self.numbers)}"
        fields = {"name": f"{PREFIX}/", "mint_suffix": True, "values": made, "request_id": request_id}
        self.request = fields
        self.in_doubt("minting", {})
        await self.send(doors)

    async def send(self, doors):
        request = registration_pb2.CreateHandleRequest(**self.request)
        receipt = (await doors.client.call(methods.CREATE_HANDLE, request)).receipt
        self.settle({receipt.name: state(receipt.version, request.values)})


class Batch(Repeating):
    """Batches: created, then replaced or deleted as a whole."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.before = None

    async def change(self, doors):
        request_id = f"{self.name}-{next(self.numbers)}"
        if self.before is None or self.chance.random() < 0.5:
            rows = [(self.fresh(), values(self.some())) for _ in range(ROWS)]
            handles = [new_handle(name, made) for name, made in rows]
            self.request = (methods.BATCH_CREATE_HANDLES, {"handles": handles, "request_id": request_id})
            self.in_doubt("batch of creations", {name: state(1, made) for name, made in rows})
        elif self.chance.random() < 0.5:
            rows = [(name, values(self.some())) for name in self.before]
            handles = [new_handle(name, made) for name, made in rows]
            self.request = (methods.BATCH_UPDATE_HANDLES, {"handles": handles, "request_id": request_id})
            after = {name: state(self.before[name].version + 1, made) for name, made in rows}
            self.in_doubt("batch of replacements", after)
        else:
            self.request = (methods.BATCH_DELETE_HANDLES, {"names": list(self.before), "request_id": request_id})
            self.in_doubt("batch of deletions", dict.fromkeys(self.before))
        await self.send(doors)

    async def send(self, doors):
        method, fields = self.request
        answer = await doors.client.call(method, method.request(**fields))
        wrong = [result for result in answer.results if result.code]
        if wrong:
            raise RuntimeError(f"a row was refused: {wrong[0]}")
        after = self.promises.doubts[self.name].after
        self.before = None if None in after.values() else after
        self.settle()


class Import(Writer):
    """One import without end: chunks are acknowledged in order, and resumed behind the last one that was."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.open, self.acknowledged = {}, 0

    def chunks(self):
        """Those in doubt first, as they were, then new ones."""
        for number in itertools.count(self.acknowledged + 1):
            if number not in self.open:
                self.open[number] = [(self.fresh(), values(self.some())) for _ in range(ROWS)]
                after = {name: state(1, made) for name, made in self.open[number]}
                self.promises.doubts[self.name, number] = Doubt(after, f"chunk {number} of {self.name}")
            yield number, [new_handle(name, made) for name, made in self.open[number]]

    async def run(self, doors):
        session = doors.client.import_session(self.name, window=4)
        durable = await session.durable_sequence()
        if durable < self.acknowledged:
            self.promises.lost.append(f"chunk {self.acknowledged} of {self.name}: the node knows {durable}")
        async with aclosing(session.run(self.chunks())) as answers:
            async for answer in answers:
                wrong = [result for result in answer.results if result.code]
                if wrong or len(answer.results) != ROWS:
                    raise RuntimeError(f"chunk {answer.sequence}: {answer.results}")
                self.acknowledged = answer.sequence
                del self.open[answer.sequence]
                self.promises.settle(self.promises.doubts.pop((self.name, answer.sequence)).after)

    async def change(self, doors):
        """Chunks follow each other without waiting: see ``run``."""

    async def again(self, doors):
        """Chunks in doubt are sent by the next run, which knows them."""


class Handles(Writer):
    """The Handle door: creation, addition, modification, removal, deletion, each challenged. There is no request id."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.before = None

    async def change(self, doors):
        name, made = self.fresh(), [hdl.value(1, "URL", self.some())]
        after = State(1, _of_wire(made))
        step = hdl.CREATE
        if self.before is not None:
            name, now = self.before
            found = {each[0]: each for each in now.values}
            step = self.chance.choice((hdl.MODIFY, hdl.DELETE, hdl.REMOVE if 2 in found else hdl.ADD))
            made = [hdl.value(2 if step == hdl.ADD else 1, "URL", self.some())]
            found |= {each[0]: each for each in _of_wire(made)} if step in {hdl.MODIFY, hdl.ADD} else {}
            if step == hdl.REMOVE:
                del found[2]
            after = None if step == hdl.DELETE else State(now.version + 1, frozenset(found.values()))
        body = hdl.with_values(name, *made)
        if step in {hdl.DELETE, hdl.REMOVE}:
            body = hdl.text(name) + (hdl.integers((2,)) if step == hdl.REMOVE else b"")
        self.in_doubt(f"operation {step}", {name: after})
        answers = await asyncio.to_thread(doors.handle.do, step, body)
        if answers[0].code != 1:
            raise RuntimeError(f"operation {step} is answered with {answers[0].code}: {answers[0].body[:200]!r}")
        self.before = None if after is None else (name, after)
        self.settle()

    async def again(self, doors):
        """Whatever became of it: it cannot be asked again."""
        self.before = None


def _of_wire(made):
    return frozenset((each.index, each.type, each.data) for each in map(_value, made))


def _value(octets):
    return hdl.Octets(octets).value()


PAUSE_S = 4.0
"""Greatest pause before an upload: no record names them, so there may be ``UNLINKED_MAX``, which are to last."""


class Uploads(Repeating):
    """Files over HTTP: what is acknowledged lies beside the store under its digest, and its row in the store.

    The token of its first login must hold to the end: logins are acknowledged too.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.files, self.token = {}, None

    async def change(self, doors):
        await asyncio.sleep(self.chance.uniform(0, PAUSE_S))
        if len(self.files) >= UNLINKED_MAX:
            return
        content = b"%PDF-1.7\n" + self.chance.randbytes(self.chance.choice((100, 5_000, 200_000)))
        self.request = (content, f"{self.name}-{next(self.numbers)}")
        await self.send(doors)

    async def send(self, doors):
        content, request_id = self.request
        async with httpx.AsyncClient(base_url=doors.http, timeout=20, verify=False) as client:
            if self.token is None:
                login = await client.post("/identity/token", json={"username": "admin", "password": doors.password})
                self.token = login.json()["data"]["token"]
            headers = {"authorization": f"Bearer {self.token}", "idempotency-key": request_id}
            answer = await client.post("/snms/api/file/upload", files={"file": ("a.pdf", content)}, headers=headers)
        if answer.json()["status"] != 1:
            raise RuntimeError(f"an upload is answered with {answer.text[:300]}")
        self.files[answer.json()["data"]["path"]] = hashlib.sha256(content).hexdigest()
        self.settle({})

    def check(self, data_dir):
        """Every acknowledged file is there."""
        for path, digest in self.files.items():
            file = data_dir / "files" / digest[:2] / digest[2:]
            if not path.endswith(f"{digest[:2]}/{digest[2:]}"):
                self.promises.faults.append(f"an upload of {digest} was answered with {path}")
            elif not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                self.promises.lost.append(f"{file.name}: the uploaded file is gone or damaged")


class Keys(Writer):
    """API tokens: one that was handed out is good ever after."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.tokens = []

    async def change(self, doors):
        await asyncio.sleep(0.1)
        request = registry_pb2.CreateKeyRequest(
            principal_id=doors.principal,
            kind=registry_pb2.KEY_KIND_API_TOKEN,
            request_id=f"{self.name}-{next(self.numbers)}",
        )
        self.tokens.append((await doors.client.call(methods.CREATE_KEY, request)).token)
        self.settle({})

    async def again(self, doors):
        """A token in doubt was never seen, and the node does not show it twice."""

    async def check(self, client_of):
        """Every acknowledged token is known."""
        for token in self.tokens:
            client = client_of(token)
            try:
                await client.call(methods.GET_NODE_INFO, methods.GET_NODE_INFO.request())
            except CallFailed as failed:
                self.promises.lost.append(f"a token of {self.name}: {failed}")
            finally:
                await client.close()
        self.tokens = self.tokens[-5:]
