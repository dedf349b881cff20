"""A phone logs in over HTTP: nothing of the server is known but its address, its appkey and its appsecret."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.accounts.at_once import at_once
from tests.blackbox.client import Client, code_on_terminal, generated_secrets
from tests.blackbox.conftest import Serve
from tests.cli.running_server import RunningServer
from tests.plugins.api import new_phone
from tests.plugins.backend import Backend


def client_of(server: RunningServer, method: str = "md5") -> Client:
    return Client(server.url, *generated_secrets(server.data), method)


def test_from_the_code_to_the_logout_and_nothing_of_it_is_in_the_logs(serve: Serve) -> None:
    server = serve(LOG_LEVEL="debug").wait_until_ready()
    seen: set[str] = set()
    for method in ("md5", "hmac-sha256"):
        client, phone = client_of(server, method), new_phone()

        sent = client.call("POST", "/api/auth/sendsms", phone=phone)
        assert sent["data"]["phone"] == phone
        code = sent["data"]["code"]
        assert code == code_on_terminal(server.log, phone)
        login = client.log_in(phone, code, device="black box")

        profile = client.call("GET", "/api/user/show", login)["data"]
        assert (profile["user_id"], profile["phone"]) == (login.user_id, f"+86{phone}")
        (session,) = client.call("GET", "/api/auth/sessions", login)["data"]
        assert (session["device"], session["current"]) == ("black box", True)

        assert client.call("POST", "/api/auth/login", phone=phone, code=code)["code"] == 503
        assert client.call("POST", "/api/auth/logout", login) == {"code": 0, "msg": "success", "status": 200}
        assert client.code_of_show(login) == 1101
        seen |= {phone, code, login.token}

    logged = [line for line in server.printed.splitlines() if not line.startswith("SMS to ")]
    assert any('"path":"/api/auth/login"' in line for line in logged), "nothing was logged"
    times = re.compile(r'"(timestamp|duration_ms|request_id)":("[^"]*"|[\d.]+),?')
    text = "\n".join(times.sub("", line) for line in logged)
    assert [secret for secret in seen if secret in text] == []


def test_a_login_outlives_a_restart(serve: Serve) -> None:
    server = serve().wait_until_ready()
    client, phone = client_of(server), new_phone()
    code = client.call("POST", "/api/auth/sendsms", phone=phone)["data"]["code"]
    kept = client.log_in(phone, code)
    other = new_phone()
    ended = client.log_in(other, client.call("POST", "/api/auth/sendsms", phone=other)["data"]["code"])
    client.call("POST", "/api/auth/logout", ended)
    assert server.stop() == 0

    again = serve(server.data).wait_until_ready()
    client = client_of(again)
    assert [client.code_of_show(login) for login in (kept, ended)] == [0, 1101]
    # The number's limits and the code's end were kept, too.
    assert client.call("POST", "/api/auth/sendsms", phone=phone)["status"] == 429
    assert client.call("POST", "/api/auth/login", phone=phone, code=code)["code"] == 503


@dataclass
class Side:
    """One of the servers, and its client."""

    client: Client
    log: Path

    def ask(self, phone: str) -> str:
        """A new code, read off this server's terminal."""
        assert self.client.call("POST", "/api/auth/sendsms", phone=phone)["code"] == 0
        return code_on_terminal(self.log, phone)


@pytest.fixture
def sides(serve: Serve, backend: Backend) -> list[Side]:
    """Two servers on one database and one Redis, each with its own data folder and two workers."""
    settings = {
        "DATABASE_URI": backend.database_uri,
        "REDIS_URI": backend.redis_uri,
        "APP_APPKEY": "BLACKBOX",
        "APP_APPSECRET": secrets.token_hex(16),
        "SECURITY_SECRET_KEY": secrets.token_hex(32),
        "SMS_ALLOW_CONSOLE": "1",
        "LIMITS_ENABLED": "0",
    }
    # Started together on an empty database: one makes the tables, the other waits.
    servers = [serve(**settings), serve(**settings)]
    return [
        Side(Client(server.wait_until_ready().url, "BLACKBOX", settings["APP_APPSECRET"]), server.log)
        for server in servers
    ]


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_two_servers_are_one_service(sides: list[Side]) -> None:
    """One start of the two for all of it: that is what takes the time."""
    codes_logins_and_logouts_are_shared(sides)
    a_code_works_once(sides)
    the_oldest_of_six_devices_goes(sides)


def codes_logins_and_logouts_are_shared(sides: list[Side]) -> None:
    phone, (here, there) = new_phone(), sides
    # The code is asked for at one server and used at the other.
    logins = [there.client.log_in(phone, here.ask(phone)), here.client.log_in(phone, there.ask(phone))]
    assert len({login.user_id for login in logins}) == 1
    # Every worker of both has them in its hands, more than once.
    assert {side.client.code_of_show(login) for _ in range(4) for login in logins for side in sides} == {0}
    for side in sides:
        assert len(side.client.call("GET", "/api/auth/sessions", logins[0])["data"]) == 2

    there.client.call("POST", "/api/auth/logout", logins[0])
    assert [side.client.code_of_show(logins[0]) for _ in range(4) for side in sides] == [1101] * 8
    assert here.client.code_of_show(logins[1]) == 0


def a_code_works_once(sides: list[Side]) -> None:
    phone = new_phone()
    log_in = {"phone": phone, "code": sides[0].ask(phone)}
    tries = [partial(side.client.call, "POST", "/api/auth/login", None, **log_in) for side in sides * 3]
    assert sorted(answer["code"] for answer in at_once(tries)) == [0] + [503] * 5


def the_oldest_of_six_devices_goes(sides: list[Side]) -> None:
    phone = new_phone()
    logins = [side.client.log_in(phone, side.ask(phone)) for side in sides * 3]
    for side in sides:
        assert [side.client.code_of_show(login) for login in logins] == [1101] + [0] * 5
