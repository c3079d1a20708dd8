"""User names and passwords: what proves them, what is stored of them, how long tokens live, how guessing is slowed."""

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from resolver import methods
from resolver.errors import (
    AlreadyExists,
    CredentialInvalid,
    CredentialMissing,
    InvalidField,
    NotFound,
    Overloaded,
    PermissionDenied,
    RequestIdReused,
)
from resolver.registry import logins, passwords
from resolver.service import Credential, Service
from storage.tables import Table
from tests.support.builders import dump
from tests.support.node import options

NAME, PASSWORD = "张三", "correct horse"
HOME = "192.0.2.1"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(passwords, "LOG2_N", 4)
    monkeypatch.setattr(passwords, "PARALLEL_P", 1)


def run(world, main, **changes):
    async def body():
        async with world.serving(**changes) as asker:
            fields = {"principal_id": "user-a", "user_name": NAME, "password": PASSWORD}
            await asker.ask("administrator", methods.SET_PASSWORD, **fields)
            return await main(asker)

    return asyncio.run(body())


def who(service, token):
    return service.call_from(HOME, Credential(token=token)).caller.principal_id


@contextmanager
def refused(match="wrong"):
    with pytest.raises(CredentialInvalid, match=match):
        yield


def test_the_vector_of_the_national_interface():
    digest = passwords.digest_of(passwords.sha256_of("123456"), "2019-08-15")
    assert digest == "58e2c92c46485fdbc35fdcd0814d6c0f000cad5aa156848ca5edaf29406b7661"


def test_a_password_gives_a_token_that_any_worker_knows_after_a_restart(world):
    async def main(asker):
        answer = await asker.ask("", methods.LOG_IN, user_name=NAME, password=PASSWORD)
        assert answer.principal_id == "user-a"
        assert answer.expire_time_us == world.clock.now_us() + 86_400 * 10**6
        return answer.token

    token = run(world, main)
    other = Service(world.engine, world.clock, world.randomness, options(), version="other")
    assert who(other, token) == "user-a"
    world.clock.advance(86_401)
    with refused("expired"):
        who(other, token)


def test_nothing_on_disk_gives_password_or_token_away(world):
    async def main(asker):
        fields = {"principal_id": "user-a", "user_name": "two", "password": "other password", "request_id": "r"}
        await asker.ask("administrator", methods.SET_PASSWORD, **fields)
        assert (await asker.ask("administrator", methods.SET_PASSWORD, **fields)).login.user_name == "two"
        with pytest.raises(RequestIdReused):
            await asker.ask("administrator", methods.SET_PASSWORD, **(fields | {"password": "another one"}))
        return (await asker.ask("", methods.LOG_IN, user_name="two", password="other password")).token

    token = run(world, main)
    octets = b"".join(key + body for _, key, body in dump(world.engine))
    for secret in (PASSWORD, "other password"):
        sha256 = passwords.sha256_of(secret)
        for form in (secret.encode(), sha256.encode(), bytes.fromhex(sha256)):
            assert form not in octets
    assert token.encode() not in octets
    assert NAME.encode() in octets


@pytest.mark.parametrize(
    ("name", "password"),
    [(NAME, "wrong"), ("nobody", PASSWORD), ("", PASSWORD), (NAME, ""), (NAME, "x" * 65), ("x" * 51, PASSWORD)],
)
def test_what_is_wrong_is_told_in_one_sentence(world, name, password):
    async def main(asker):
        with refused():
            await asker.ask("", methods.LOG_IN, user_name=name, password=password)
        assert dump(world.engine, [Table.SESSIONS]) == []

    run(world, main)


def test_the_digest_form_is_for_those_who_enabled_it(world):
    east_8 = 8 * 3_600

    async def main(asker):
        login = asker.service.logins.log_in
        fields = {"principal_id": "user-b", "user_name": "erp", "password": "12345678", "digest_login": True}
        await asker.ask("administrator", methods.SET_PASSWORD, **fields)

        async def with_date(date, name="erp", password="12345678"):
            digest = passwords.digest_of(passwords.sha256_of(password), date)
            return (await login(name, digest, HOME, digest=True, utc_offset_s=east_8)).principal_id

        # The fake clock stands somewhere on a day; go to 23:55 in the east.
        day_s = 86_400
        world.clock.advance((15 * 3_600 + 55 * 60 - world.clock.now_us() // 10**6) % day_s)
        here = datetime.fromtimestamp(world.clock.now_us() // 10**6, UTC) + timedelta(hours=8)
        assert here.strftime("%H:%M") == "23:55"
        today, tomorrow = (f"{here + timedelta(days=days):%Y-%m-%d}" for days in (0, 1))
        assert await with_date(today) == "user-b"
        assert await with_date(tomorrow) == "user-b"
        world.clock.advance(-3_600)
        with refused():
            await with_date(tomorrow)
        for name, password in ((NAME, PASSWORD), ("erp", "87654321"), ("nobody", "x")):
            with refused():
                await with_date(today, name, password)

    run(world, main)


def test_a_new_password_ends_the_tokens_of_the_old_one(world):
    async def main(asker):
        async def opened(password=PASSWORD):
            return (await asker.ask("", methods.LOG_IN, user_name=NAME, password=password)).token

        first, second = await opened(), await opened()
        assert who(asker.service, first) == who(asker.service, second) == "user-a"
        await asker.service.logins.log_out(asker.service.call_from(HOME, Credential(token=first)), None)
        with refused("unknown"):
            who(asker.service, first)
        listed = await asker.ask("administrator", methods.LIST_LOGINS)
        assert [(row.user_name, row.token_count, row.digest_login) for row in listed.logins] == [(NAME, 1, False)]
        fields = {"principal_id": "user-a", "user_name": NAME, "password": "another horse"}
        await asker.ask("administrator", methods.SET_PASSWORD, **fields)
        with refused("unknown"):
            who(asker.service, second)
        with refused():
            await opened()
        third = await opened("another horse")
        await asker.ask("administrator", methods.REMOVE_LOGIN, user_name=NAME)
        with refused("unknown"):
            who(asker.service, third)
        with refused():
            await opened("another horse")
        with pytest.raises(NotFound):
            await asker.ask("administrator", methods.REMOVE_LOGIN, user_name=NAME)
        assert dump(world.engine, [Table.SESSIONS, Table.LOGINS]) == []
        with pytest.raises(CredentialMissing):
            await asker.ask("", methods.LOG_OUT)

    run(world, main)


def test_who_is_disabled_logs_in_no_more(world):
    async def main(asker):
        token = (await asker.ask("", methods.LOG_IN, user_name=NAME, password=PASSWORD)).token
        await asker.ask("administrator", methods.UPDATE_PRINCIPAL, principal_id="user-a", disabled=True)
        with refused("unknown"):
            who(asker.service, token)
        with refused():
            await asker.ask("", methods.LOG_IN, user_name=NAME, password=PASSWORD)
        await asker.ask("administrator", methods.UPDATE_PRINCIPAL, principal_id="user-a", disabled=False)
        assert who(asker.service, token) == "user-a"

    run(world, main)


def test_tokens_of_a_login_are_bounded(world, monkeypatch):
    monkeypatch.setattr(logins, "SESSIONS_MAX", 3)

    async def main(asker):
        tokens = []
        for _ in range(5):
            tokens.append((await asker.ask("", methods.LOG_IN, user_name=NAME, password=PASSWORD)).token)
            assert who(asker.service, tokens[-1]) == "user-a"
        async with asyncio.timeout(60):
            while "sessions that were pushed out are known":
                try:
                    who(asker.service, tokens[1])
                except CredentialInvalid:
                    break
                await asyncio.sleep(0.005)
        for token in tokens[:2]:
            with refused("unknown"):
                who(asker.service, token)
        assert {who(asker.service, token) for token in tokens[2:]} == {"user-a"}
        world.clock.advance(86_400)
        await asker.ask("", methods.LOG_IN, user_name=NAME, password=PASSWORD)
        assert len(dump(world.engine, [Table.SESSIONS])) == 1

    run(world, main)


def test_guessing_waits_where_it_comes_from_and_nowhere_else(world, monkeypatch):
    monkeypatch.setattr("resolver.service.logins.NETWORK_FAILURES", 30)

    async def main(asker):
        login = asker.service.logins.log_in
        for number in range(10):
            with refused():
                await login(NAME, f"guess {number}", "198.51.100.7")
        with refused("too many"):
            await login(NAME, PASSWORD, "198.51.100.8")
        assert (await login(NAME, PASSWORD, "203.0.113.5")).principal_id == "user-a"
        for number in range(20):
            with refused():
                await login(f"user {number}", "guess", "198.51.100.7")
        with refused("too many"):
            await login("somebody else", "guess", "198.51.100.7")
        world.clock.advance(3_700)
        assert (await login(NAME, PASSWORD, "198.51.100.7")).principal_id == "user-a"

    run(world, main)


def test_only_so_many_wait_to_be_checked(world, monkeypatch):
    monkeypatch.setattr("resolver.service.logins.WAITING_MAX", 4)

    async def main(asker):
        calls = [asker.service.logins.log_in(NAME, PASSWORD, HOME) for _ in range(12)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(end, Overloaded) for end in ends) == 8
        assert sum(getattr(end, "principal_id", "") == "user-a" for end in ends) == 4

    run(world, main)


def test_what_is_no_user_name_or_password_is_refused(world):
    async def main(asker):
        def attempt(caller="administrator", **fields):
            given = {"principal_id": "user-a", "user_name": "name", "password": PASSWORD} | fields
            return asker.ask(caller, methods.SET_PASSWORD, **given)

        for fields in (
            {"user_name": ""},
            {"user_name": " "},
            {"user_name": "x" * 51},
            {"user_name": "a\nb"},
            {"password": "short"},
            {"password": "x" * 65},
            {"password": "with\x00nul."},
        ):
            with pytest.raises(InvalidField):
                await attempt(**fields)
        with pytest.raises(AlreadyExists):
            await attempt(principal_id="user-b", user_name=NAME)
        with pytest.raises(NotFound):
            await attempt(principal_id="nobody")
        with pytest.raises(PermissionDenied):
            await attempt("user_a")
        with pytest.raises(CredentialMissing):
            await attempt("")

    run(world, main)
