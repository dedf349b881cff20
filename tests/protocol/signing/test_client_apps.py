"""Client programs: secrets that overlap, changes that are noticed, and what happens without SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.protocol.signing import client_apps
from datingtoday.protocol.signing.client_apps import ClientApps, KnownApp
from tests.plugins.api import APPKEY, APPSECRET, Api
from tests.plugins.polling import wait_until
from tests.protocol.lab import Lab

ECHO = "/api/probe/echo"
WITHIN_S = 3.0
"""For a change to be noticed, on a machine that does other things meanwhile."""
CONFIGURED = KnownApp(APPKEY, ((APPSECRET, None),), False)


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def changing(lab: Lab) -> Iterator[Session]:
    with lab.database.transaction() as session:
        yield session


def made(lab: Lab, name: str = "app", **options: bool) -> Api:
    """A client of a new program."""
    with changing(lab) as session:
        app, secret = client_apps.create(session, name, hmac_only=options.get("hmac_only", False), now=now())
        client = lab.client()
        client.appkey, client.appsecret = app.appkey, secret
    wait_for(client, 0, **options)
    return client


def code_of(client: Api, *, hmac_only: bool = False) -> int:
    method = "hmac-sha256" if hmac_only else None
    return client.send("GET", ECHO, client.params("GET", ECHO, {}, sign_method=method)).code


def wait_for(client: Api, code: int, **options: bool) -> None:
    wait_until(lambda: code_of(client, **options) == code, f"code {code}", deadline_s=WITHIN_S)


def test_the_one_of_the_settings_works_without_a_row(lab: Lab) -> None:
    assert code_of(lab.client()) == 0
    with changing(lab) as session:
        assert client_apps.all_apps(session) == []
        assert client_apps.is_only_in_settings(session, APPKEY, CONFIGURED)
        assert not client_apps.is_only_in_settings(session, "OTHER", CONFIGURED)


def test_a_new_one_is_noticed_and_knows_its_own_secret_only(lab: Lab) -> None:
    first, second = made(lab), made(lab)
    assert first.appkey != second.appkey
    first.appsecret, second.appsecret = second.appsecret, first.appsecret
    assert code_of(first) == code_of(second) == 500


def test_two_secrets_live_during_a_rotation_and_the_old_one_ends(lab: Lab) -> None:
    old = made(lab)
    lab.clock.stop()
    new = lab.client()
    new.appkey = old.appkey
    with changing(lab) as session:
        at = datetime.fromtimestamp(lab.clock.ms / 1000, UTC)
        new.appsecret = client_apps.rotate(session, old.appkey, overlap=timedelta(hours=1), now=at)
    wait_for(new, 0)
    assert code_of(old) == 0
    lab.clock.advance(3599)
    assert code_of(old) == code_of(new) == 0
    lab.clock.advance(2)
    assert code_of(old) == 500
    assert code_of(new) == 0


def test_a_third_secret_must_wait(lab: Lab) -> None:
    client = made(lab)
    with changing(lab) as session:
        client_apps.rotate(session, client.appkey, overlap=timedelta(hours=1), now=now())
    with (
        pytest.raises(client_apps.ClientAppError, match="--finish") as refused,
        changing(lab) as session,
    ):
        client_apps.rotate(session, client.appkey, overlap=timedelta(hours=1), now=now())
    assert client.appkey in refused.value.zh
    with changing(lab) as session:
        assert client_apps.finish_rotation(session, client.appkey, now=now()) == 1
        assert client_apps.finish_rotation(session, client.appkey, now=now()) == 0
    wait_for(client, 500)
    with changing(lab) as session:
        client.appsecret = client_apps.rotate(session, client.appkey, overlap=timedelta(hours=1), now=now())
    wait_for(client, 0)


def test_no_overlap_ends_all_others_at_once(lab: Lab) -> None:
    first = made(lab)
    second, third = lab.client(), lab.client()
    second.appkey = third.appkey = first.appkey
    with changing(lab) as session:
        second.appsecret = client_apps.rotate(session, first.appkey, overlap=timedelta(days=1), now=now())
    wait_for(second, 0)
    with changing(lab) as session:
        third.appsecret = client_apps.rotate(session, first.appkey, overlap=timedelta(), now=now())
    wait_for(third, 0)
    assert code_of(first) == code_of(second) == 500


def test_a_disabled_one_is_unknown_until_it_is_enabled(lab: Lab) -> None:
    client = made(lab)
    for disabled, code in ((True, 1003), (False, 0)):
        with changing(lab) as session:
            client_apps.set_disabled(session, client.appkey, disabled=disabled, now=now())
        wait_for(client, code)


def test_the_one_of_the_settings_can_be_disabled_and_rotated(lab: Lab) -> None:
    client = lab.client()
    with changing(lab) as session:
        # Nothing to take back: no row is made.
        client_apps.set_disabled(session, APPKEY, disabled=False, now=now(), configured=CONFIGURED)
        assert client_apps.finish_rotation(session, APPKEY, now=now(), configured=CONFIGURED) == 0
        assert client_apps.all_apps(session) == []
    with changing(lab) as session:
        client_apps.set_disabled(session, APPKEY, disabled=True, now=now(), configured=CONFIGURED)
    wait_for(client, 1003)
    with changing(lab) as session:
        client_apps.set_disabled(session, APPKEY, disabled=False, now=now(), configured=CONFIGURED)
        new = client_apps.rotate(
            session, APPKEY, overlap=timedelta(hours=1), now=now(), configured=CONFIGURED
        )
    wait_for(client, 0)
    client.appsecret = new
    assert code_of(client) == 0


def test_hmac_only(lab: Lab) -> None:
    client = made(lab, hmac_only=True)
    answer = client.send("GET", ECHO, client.params("GET", ECHO, {}))
    assert answer.code == 300
    assert answer.msg.startswith("sign_method")
    assert "hmac-sha256" in answer.msg
    for hmac_only, code in ((False, 0), (True, 300)):
        with changing(lab) as session:
            client_apps.set_hmac_only(session, client.appkey, hmac_only=hmac_only, now=now())
        wait_for(client, code)
        assert code_of(client, hmac_only=True) == 0


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "\x1b[31m"])
def test_a_name_is_a_line_of_text(lab: Lab, name: str) -> None:
    with pytest.raises(client_apps.ClientAppError), changing(lab) as session:
        client_apps.create(session, name, hmac_only=False, now=now())


def test_an_unknown_one_cannot_be_changed(lab: Lab) -> None:
    changes: list[Any] = [
        lambda session: client_apps.rotate(
            session, "NOBODY", overlap=timedelta(1), now=now(), configured=CONFIGURED
        ),
        lambda session: client_apps.finish_rotation(session, "NOBODY", now=now(), configured=CONFIGURED),
        lambda session: client_apps.set_disabled(
            session, "NOBODY", disabled=True, now=now(), configured=CONFIGURED
        ),
        lambda session: client_apps.set_hmac_only(session, "NOBODY", hmac_only=True, now=now()),
    ]
    for change in changes:
        with pytest.raises(client_apps.ClientAppError, match="app list"), changing(lab) as session:
            change(session)


def test_a_flood_of_unknown_appkeys_costs_no_sql_per_request(lab: Lab) -> None:
    statements: list[str] = []
    event.listen(lab.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    client = lab.client()
    assert code_of(client) == 0
    statements.clear()
    began = now()
    for number in range(500):
        client.appkey = f"UNKNOWN{number}"
        assert code_of(client) == 1003
    refreshes = (now() - began).total_seconds() / client_apps.REFRESH_S + 1
    assert len([text for text in statements if "client_app" in text]) <= 2 * refreshes


def test_without_sql_what_was_read_last_stays_in_force(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    client = made(lab)
    tried = 0

    def down(*_: object, **__: object) -> Any:
        nonlocal tried
        tried += 1
        raise DatabaseDown("gone")

    with monkeypatch.context() as patch:
        patch.setattr(lab.database, "transaction", down)
        wait_until(lambda: code_of(client) == 0 and tried > 1, "a second attempt", deadline_s=WITHIN_S)
        client.appkey, appkey = "UNKNOWN1", client.appkey
        assert code_of(client) == 1003
    client.appkey = appkey
    with changing(lab) as session:
        client_apps.set_disabled(session, appkey, disabled=True, now=now())
    wait_for(client, 1003)


def test_without_sql_from_the_start_nothing_can_be_judged() -> None:
    apps = ClientApps(Database("mysql+pymysql://nobody@127.0.0.1:1/none", timeout_s=1), CONFIGURED)
    with pytest.raises(DatabaseDown):
        apps.find(APPKEY)


def test_names_and_keys_have_their_form(lab: Lab) -> None:
    with changing(lab) as session:
        for name in ("a", "n" * 64, " 应用 "):
            app, secret = client_apps.create(session, name, hmac_only=False, now=now())
            assert app.name == name.strip() and not app.disabled
            assert re.fullmatch("[0-9A-F]{12}", app.appkey) and re.fullmatch("[0-9a-f]{48}", secret)
        for name in ("", " ", "n" * 65, "a\nb"):
            with pytest.raises(client_apps.ClientAppError, match="1 to 64 characters"):
                client_apps.create(session, name, hmac_only=False, now=now())


def test_a_secret_ends_at_its_moment() -> None:
    ends_at = now()
    app = KnownApp("K", (("ends", ends_at), ("stays", None)), False)
    assert app.live_secrets(ends_at - timedelta(microseconds=1)) == ["ends", "stays"]
    assert app.live_secrets(ends_at) == ["stays"]
