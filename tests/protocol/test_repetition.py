"""Views that fail in the database: which are run again, how often, and what their callers are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from unittest.mock import Mock

import pytest
from flask import Blueprint
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from datingtoday.infra.text import Text
from datingtoday.protocol import guard
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.errors import AppError
from tests.protocol.lab import Lab

PATH = "/api/probe/fails"
GONE = 2006
LOST_A_RACE = 1213
NO_SUCH_TABLE = 1146


def failure(number: int, *, is_invalidated: bool = False) -> OperationalError:
    return OperationalError("SELECT 1", {}, Exception(number, "x"), connection_invalidated=is_invalidated)


class Stubborn(AppError):
    code = 9901
    en = zh = "no"
    cause = cure = Text("x", "x")
    commits = True


# Not an error of the product.
del AppError.registry[Stubborn.code, Stubborn.http_status]


class Views:
    """A view that fails as often as it is told, and others that ask for what they may not have."""

    def __init__(self) -> None:
        self.ran = 0
        self.fails: list[Exception] = []

    def blueprint(self, transaction: Literal["auto", "manual"], *, repeatable: bool) -> Blueprint:
        bp = Blueprint("fails", __name__)

        @bp.post(PATH)
        @endpoint("Fails", "失败", require_token=False, transaction=transaction, repeatable=repeatable)
        def fails(call: Call) -> dict[str, int]:
            self.ran += 1
            if transaction == "auto":
                call.session.execute(text("SELECT 1"))
            if self.fails:
                raise self.fails.pop(0)
            return {"ran": self.ran}

        @bp.get("/api/probe/forbidden")
        @endpoint("Asks", "请求", require_token=False, transaction=transaction)
        def forbidden(call: Call) -> dict[str, str]:
            said = {}
            for name in ("user_id", "session_id", "session", "packets"):
                try:
                    getattr(call, name)
                except RuntimeError as error:
                    said[name] = str(error)
            return said

        return bp


@pytest.mark.parametrize(
    ("transaction", "repeatable", "error", "times", "status", "ran"),
    [
        ("auto", False, failure(LOST_A_RACE), 2, 200, 3),
        ("auto", False, failure(LOST_A_RACE), 3, 503, 3),
        ("auto", False, failure(GONE, is_invalidated=True), 1, 503, 1),
        ("auto", True, failure(GONE, is_invalidated=True), 2, 200, 3),
        ("auto", True, failure(GONE, is_invalidated=True), 3, 503, 3),
        ("auto", True, failure(NO_SUCH_TABLE), 1, 500, 1),
        ("auto", True, failure(LOST_A_RACE), 1, 200, 2),
        ("manual", True, failure(LOST_A_RACE), 1, 503, 1),
        ("manual", False, failure(GONE, is_invalidated=True), 1, 503, 1),
        ("auto", True, ZeroDivisionError(), 1, 500, 1),
    ],
)
def test_which_failures_are_tried_again(
    lab_of: Callable[..., Lab],
    monkeypatch: pytest.MonkeyPatch,
    transaction: Literal["auto", "manual"],
    repeatable: bool,
    error: Exception,
    times: int,
    status: int,
    ran: int,
) -> None:
    views = Views()
    lab = lab_of(blueprint=views.blueprint(transaction, repeatable=repeatable))
    views.fails = [error] * times
    log = Mock()
    monkeypatch.setattr(guard, "log", log)
    assert lab.client().post(PATH).status == status
    assert views.ran == ran
    told = [call.args[0] for call in log.error.call_args_list]
    assert told == (["unexpected_error"] if status == 500 else [])


def test_a_refusal_that_cannot_be_committed_is_not_told(
    lab_of: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong try that is not counted must not tell that it was wrong."""
    views = Views()
    lab = lab_of(blueprint=views.blueprint("auto", repeatable=False))
    views.fails = [Stubborn()]
    assert lab.client().post(PATH).code == 9901
    for number, status in ((NO_SUCH_TABLE, 500), (GONE, 503)):
        views.fails = [Stubborn()]

        def refuse(_: Any, number: int = number) -> None:
            raise failure(number)

        with monkeypatch.context() as patch, capture_logs():
            patch.setattr(lab.database.engine.dialect, "do_commit", refuse)
            answer = lab.client().post(PATH)
        assert answer.status == status


@pytest.mark.parametrize(
    ("transaction", "names"),
    [("auto", {"user_id", "session_id"}), ("manual", {"user_id", "session_id", "session", "packets"})],
)
def test_a_view_that_asks_for_what_it_did_not_declare(
    lab_of: Callable[..., Lab], transaction: Literal["auto", "manual"], names: set[str]
) -> None:
    lab = lab_of(blueprint=Views().blueprint(transaction, repeatable=False))
    said = lab.client().get("/api/probe/forbidden").data
    assert set(said) == names
    assert said["user_id"] == "this endpoint does not require a token"
