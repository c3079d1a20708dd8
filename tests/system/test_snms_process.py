"""The SNMS OpenAPI of real processes: one record at every door, tokens and outcomes in every worker, a restart."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from resolver.wire import requests
from resolver.wire.keys import der_of_pem
from resolver.wire.private_keys import private_key_from_der
from tests.resolver.transport.hdl_node import HSJ_PUBLIC, HandleClient
from tests.resolver.transport.hdl_node import value as hdl_value
from tests.resolver.transport.http.snms_door import ITEMS, identifier, template, value
from tests.system.test_process_model import ROOT, channel_to, resolve, serving, wait_for

pytestmark = pytest.mark.system

DOORS = ("--hdl", "127.0.0.1:0", "--http", "127.0.0.1:0")
PREFIX = "88.300.1"
NAME = f"{PREFIX}/产品.001"


def idis(directory, *arguments, text=None):
    command = [sys.executable, "-m", "resolver", "--timeout", "120", "--data-dir", str(directory), *arguments]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True, timeout=200).stdout


def ask(node, method, path, body=None, token="", **headers):
    """A request over a connection of its own, so that any worker may get it."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with httpx.Client(base_url="http://" + node.endpoints["http"], timeout=120) as client:
        content = None if body is None else json.dumps(body)
        answer = client.request(method, path, content=content, headers={"content-type": "application/json"} | headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def told_by_workers(node, token):
    """What the workers make of a token: eight connections find their way to both."""
    page = f"/identityv2/data/detail?handle={NAME}"
    return {ask(node, "GET", page, token=token)["status"] for _ in range(8)}


def test_one_record_at_every_door_and_after_a_restart(tmp_path):
    directory = tmp_path / "data"
    key = {"idempotency-key": "order-4711"}
    made = identifier(NAME, value(), value(2001, "6204", "MODEL"))
    with serving(directory, *DOORS) as node:
        idis(directory, "enterprise", "create", "--id", "zc", "--name", "泉州轴承有限公司")
        idis(directory, "principal", "create", "--id", "zc-erp", "--role", "enterprise-user", "--enterprise", "zc")
        idis(directory, "prefix", "create", "88.300.77", "--enterprise", "zc")
        login = ("login", "set", "zc-erp", "--user", "泉州", "--password-file", "-")
        idis(directory, *login, text="correct horse\n")
        idis(
            directory,
            "login",
            "set",
            "administrator",
            "--user",
            "admin",
            "--password-file",
            "-",
            text="staple battery\n",
        )
        secret = {"username": "admin", "password": "staple battery"}
        token = ask(node, "POST", "/identity/token", secret)["data"]["token"]
        good = {"message": "success", "status": 1, "data": True}
        assert ask(node, "POST", "/snms/api/v5/template", template(PREFIX), token) == good
        assert ask(node, "POST", "/identityv2/data", made, token, **key) == good
        # Every worker knows the token: new connections are spread over both.
        for _ in range(8):
            assert ask(node, "GET", f"/identityv2/data/detail?handle={NAME}", token=token)["status"] == 1
        with channel_to(node) as channel:
            record = resolve(channel, NAME)
        values = {each.index: (each.type, each.data.decode()) for each in record.values}
        assert values == {1001: ("TEMPLATE", "1.0"), 2000: ("NAME", "轴承"), 2001: ("MODEL", "6204")}
        assert record.template_id
        port = int(node.endpoints["hdl_tcp"].rpartition(":")[2])
        answer = HandleClient(port).ask(1, requests.Resolution(NAME), flags=HSJ_PUBLIC)
        assert {each.index: (each.type, each.data.decode()) for each in answer.body.values} == values
        with httpx.Client(base_url="http://" + node.endpoints["http"], timeout=120) as client:
            rest = client.get(f"/api/handles/{NAME}").json()
        assert rest["responseCode"] == 1
        assert {each["index"]: (each["type"], each["data"]["value"]) for each in rest["values"]} == values
        # The rules of the template hold at the other doors too.
        key_of_node = private_key_from_der(der_of_pem((directory / "credentials" / "admin_rsa.pem").read_bytes()))
        for index, text in ((2005, "x"), (1001, "9.9"), (2000, "短")):
            wrong = requests.WithValues(NAME, (hdl_value(index, "NAME", text),))
            code = HandleClient(port).do(104 if index == 2000 else 102, wrong, key=key_of_node).header.response_code
            assert code in {201, 202}, (index, code)
        assert HandleClient(port).ask(1, requests.Resolution(NAME), flags=HSJ_PUBLIC).body.values == answer.body.values
        # A user of another enterprise may not touch it.
        stranger = ask(node, "POST", "/identity/token", {"username": "泉州", "password": "correct horse"})["data"][
            "token"
        ]
        assert ask(node, "DELETE", "/identityv2/data", {"handle": NAME}, stranger)["status"] == -3
        # A revoked token is refused by every worker as soon as it has looked.
        assert told_by_workers(node, stranger) == {1}
        idis(directory, "login", "remove", "泉州")
        wait_for(lambda: told_by_workers(node, stranger) == {-1})
        assert told_by_workers(node, stranger) == {-1}
    with serving(directory, *DOORS) as node:
        for _ in range(6):
            assert ask(node, "POST", "/identityv2/data", made, token, **key) == good
        assert ask(node, "POST", "/identityv2/data", made, token)["message"] == "标识已存在"
        assert len(ITEMS) == 2


def create_until_answered(node, name, token, outcomes):
    """Send a creation with its key until there is an answer, as an application does after a 504 or a broken line."""
    for _ in range(200):
        try:
            answer = ask(node, "POST", "/identityv2/data", identifier(name), token, **{"idempotency-key": name})
        except (httpx.HTTPError, AssertionError):
            time.sleep(0.05)
            continue
        outcomes.append(answer)
        return


@pytest.mark.slow
def test_creations_sent_again_through_killed_workers_are_made_once_and_told_as_made(tmp_path):
    directory = tmp_path / "data"
    with serving(directory, *DOORS) as node:
        token = node.token
        assert ask(node, "POST", "/snms/api/v5/template", template(PREFIX), token)["status"] == 1
        names = [f"{PREFIX}/K-{number}" for number in range(80)]
        outcomes, allowed = [], threading.Semaphore(16)

        def create(part):
            for name in names[part::4]:
                allowed.acquire()
                create_until_answered(node, name, token, outcomes)

        threads = [threading.Thread(target=create, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for kills in range(4):
            wait_for(lambda wanted=16 * (kills + 1): len(outcomes) == wanted and node.ready_workers())
            victim = min(node.workers())
            allowed.release(16)  # so that some are under way when it is killed
            os.kill(victim, signal.SIGKILL)
        for thread in threads:
            thread.join()
        assert [answer["message"] for answer in outcomes] == ["success"] * len(names)
        with channel_to(node) as channel:
            assert {resolve(channel, name).version for name in names} == {1}
