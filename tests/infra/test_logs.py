"""Logs carry nothing personal, and what an operator needs stays readable."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from datingtoday.infra import logs
from datingtoday.infra.logs import hide_personal_data


def hidden(**record: object) -> dict[str, object]:
    return hide_personal_data(None, "info", dict(record))


@pytest.mark.parametrize(
    "text",
    [
        "18922986865",
        "+8618922986865",
        "INSERT ... ('+8618922986865', 'x')",
        "phone=18922986865&code=1",
        "x18922986865",
    ],
)
def test_phone_numbers_are_masked_in_any_text(text: str) -> None:
    shown = str(hidden(reason=text)["reason"])
    assert "18922986865" not in shown
    assert "<number>" in shown or "phone=***" in shown


@pytest.mark.parametrize("token", ["575f680ddbd0d494a1b5fad8497293d2", "ab" * 32])
def test_tokens_and_their_hashes_are_masked(token: str) -> None:
    assert token not in str(hidden(exception=f"... token_hash = '{token}' ...")["exception"])


@pytest.mark.parametrize("key", ["token", "sign", "appsecret", "phone", "password"])
def test_telling_keys_hide_their_value_whatever_it_is(key: str) -> None:
    assert hidden(**{key: "short"}) == {key: "***"}


def test_what_an_operator_needs_stays() -> None:
    record = {
        "event": "sms_sent",
        "request_id": "86fd7c6acd02d55386fd7c6acd02d553",
        "message_id": "900619746936498440",
        "duration_ms": 12.5,
        "user_id": 100785,
        "path": "/api/auth/login",
    }
    assert hidden(**record) == record


@pytest.mark.parametrize(("value", "shown"), [(None, None), (0, "***"), (False, "***"), (1.5, "***")])
def test_numbers_under_telling_keys_are_hidden_and_nothing_is_nothing(value: object, shown: object) -> None:
    assert hidden(phone=value) == {"phone": shown}
    assert hidden(age=value) == {"age": value}


class TestReporting:
    @pytest.mark.parametrize("method", ["error", "exception", "critical"])
    def test_errors_with_an_exception_are_reported(self, method: str) -> None:
        reported: list[dict[str, Any]] = []
        record = {"event": "x", "exc_info": True}
        assert logs._Reporting(reported.append)(None, method, record) is record
        assert reported == [record] and "report_failed" not in record

    @pytest.mark.parametrize(
        ("method", "record"), [("warning", {"exc_info": True}), ("info", {}), ("error", {"exc_info": None})]
    )
    def test_nothing_else_is(self, method: str, record: dict[str, Any]) -> None:
        reported: list[dict[str, Any]] = []
        assert logs._Reporting(reported.append)(None, method, record) is record
        assert reported == []

    def test_a_report_that_fails_is_told_in_the_line(self) -> None:
        def fail(_: dict[str, Any]) -> None:
            raise ConnectionError("away")

        record = {"event": "x", "exc_info": True}
        assert logs._Reporting(fail)(None, "error", record) == {**record, "report_failed": "ConnectionError"}


class TestUncaught:
    def test_an_interrupt_is_left_to_python_and_anything_else_is_logged(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left: list[tuple[object, ...]] = []
        monkeypatch.setattr(sys, "__excepthook__", lambda *args: left.append(args))
        stop, error = KeyboardInterrupt(), ValueError("x")
        with capture_logs() as logged:
            logs._log_uncaught(KeyboardInterrupt, stop, None)
            assert (left, logged) == ([(KeyboardInterrupt, stop, None)], [])
            logs._log_uncaught(ValueError, error, None)
        assert len(left) == 1
        trace = (ValueError, error, None)
        assert logged == [{"event": "uncaught_error", "exc_info": trace, "log_level": "error"}]

    def test_that_of_a_thread_is_logged_with_its_name(self) -> None:
        error = ValueError("x")
        worker = SimpleNamespace(name="worker 3")
        with capture_logs() as logged:
            for value, thread in ((error, worker), (None, None)):
                failed = threading.ExceptHookArgs((ValueError, value, None, thread))
                logs._log_uncaught_in_thread(failed)
        assert [it["thread"] for it in logged] == ["worker 3", None]
        assert {it["event"] for it in logged} == {"uncaught_error_in_thread"}
        assert logged[0]["exc_info"] == (ValueError, error, None)
        assert isinstance(logged[1]["exc_info"][1], ValueError)


def test_what_is_written_goes_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    logs._STDERR.flush()
    assert (logs._STDERR.write("abc"), stream.getvalue(), stream.flushed) == (3, "abc", 1)


def test_lines_of_the_program_and_warnings_of_libraries_have_the_time_in_utc() -> None:
    script = (
        "import logging, warnings, structlog\n"
        "from datingtoday.infra.logs import configure_logs\n"
        "configure_logs('info')\n"
        "log, library = structlog.get_logger(), logging.getLogger('library')\n"
        "log.debug('1'), log.info('2', n={3: 4})\n"
        "library.info('3'), library.warning('4')\n"
        "warnings.warn('5')\n"
        "log.info('6', exc_info=ValueError('seven'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "TZ": "Asia/Shanghai"},
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"].partition("Warning: ")[2][:1] or line["event"], line["level"]) for line in lines] == [
        ("2", "info"), ("4", "warning"), ("5", "warning"), ("6", "info"),
    ]  # fmt: skip
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert lines[0]["n"] == {"3": 4}
    assert lines[3]["exception"].endswith("ValueError: seven")
