"""A wrong code costs the same, whether a code was sent to the number or not."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, update

from datingtoday.accounts.models import SmsCode
from datingtoday.infra.redis import RedisRole
from tests.accounts.conftest import AppWith
from tests.plugins.api import Api, new_phone


def unknown(api: Api) -> str:
    return new_phone()


def in_force(api: Api) -> str:
    phone = new_phone()
    api.new_code(phone)
    return phone


def _old(api: Api, **columns: Any) -> str:
    phone = in_force(api)
    with api.parts.base.database.transaction() as session:
        session.execute(update(SmsCode).where(SmsCode.phone == f"+86{phone}").values(columns))
    return phone


def run_out(api: Api) -> str:
    return _old(api, expires_at=datetime.now(UTC) - timedelta(minutes=1))


def used(api: Api) -> str:
    return _old(api, used_at=datetime.now(UTC))


def tried_out(api: Api) -> str:
    return _old(api, tries=100)


def of_an_account(api: Api) -> str:
    return api.new_user().phone


NUMBERS: list[Callable[[Api], str]] = [unknown, in_force, run_out, used, tried_out, of_an_account]


@pytest.fixture
def api(app_with: AppWith) -> Api:
    return app_with()


def work_of(api: Api, phone: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Statements, Redis's commands and commits of a wrong login from an address of its own; ``+`` if rows changed."""
    done: list[str] = []
    engine = api.parts.base.database.engine
    talk = RedisRole._talk

    def note(_connection: Any, cursor: Any, text: str, *_: Any) -> None:
        changed = not text.startswith("SELECT") and "sms_decoy" in text and cursor.rowcount > 0
        done.append(re.sub(r"\s+", " ", text)[:60] + ("+" if changed else ""))

    def noting(role: RedisRole, connection: Any, commands: Any) -> Any:
        done.append(" ".join(str(command[0]) for command in commands))
        return talk(role, connection, commands)

    def committed(_connection: Any) -> None:
        done.append("COMMIT")

    with monkeypatch.context() as patch:
        patch.setattr(RedisRole, "_talk", noting)
        event.listen(engine, "after_cursor_execute", note)
        event.listen(engine, "commit", committed)
        try:
            stranger = Api(api.app, api.sms)
            answer = stranger.post("/api/auth/login", phone=phone, code="000000")
        finally:
            event.remove(engine, "after_cursor_execute", note)
            event.remove(engine, "commit", committed)
    assert (answer.status, answer.code) == (200, 503), answer.json
    # From the code on: client programs are read anew every few seconds.
    first = next(at for at, step in enumerate(done) if step.startswith("SELECT sms_code"))
    return [step for step in done[first:] if not step.startswith("BEGIN")]


def test_the_same_statements_and_commands(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    work_of(api, new_phone(), monkeypatch)
    found = {number.__name__: work_of(api, number(api), monkeypatch) for number in NUMBERS}
    assert set(map(tuple, found.values())) == {tuple(found["unknown"])}, found
    steps = found["unknown"]
    # A row is written, and brought to the disk, in every case.
    assert [step[-1] for step in steps if "sms_decoy" in step] == ["+"]
    assert steps.index("COMMIT") > next(at for at, step in enumerate(steps) if "sms_decoy" in step)
