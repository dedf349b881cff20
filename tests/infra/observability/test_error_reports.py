"""Sentry: unexpected errors arrive at its endpoint, without anything that is personal or secret."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk

from datingtoday.cli.main import run
from datingtoday.infra import error_reports
from tests.stand_ins.collectors import SentryCollector

PHONE, TOKEN = "13912345678", "0123456789abcdef" * 4

_SCRIPT = """
import logging, sys, structlog
from datingtoday.infra.config.reporting import SentrySection
from datingtoday.infra.error_reports import reporter_of
from datingtoday.infra.logs import configure_logs

configure_logs("info", reporter_of(SentrySection(dsn=sys.argv[1], environment="test")))
log = structlog.get_logger("x")
phone, token, password = sys.argv[2:5]

def fail(phone, token, password):
    secret_local = password + "-local"
    raise ValueError(f"phone={phone} token={token} mysql://root:{password}@db/x code: '123456'")

log.info("harmless", phone=phone)
log.error("no_exception", token=token)
structlog.contextvars.bind_contextvars(request_id="req12345", trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
try:
    try:
        fail(phone, token, password)
    except ValueError as error:
        raise RuntimeError(f"Duplicate entry '+86{phone}' for key") from error
except RuntimeError:
    log.exception("unexpected_error", path="/api/x")
structlog.contextvars.clear_contextvars()
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("library").exception("failed with %s", token)
    log.warning("expected", exc_info=True)
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[SentryCollector]:
    with SentryCollector() as collector:
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, collector.dsn, PHONE, TOKEN, "hunter2secret"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        collector.log = done.stderr
        yield collector


def event_of(collector: SentryCollector, name: str) -> dict[str, Any]:
    (event,) = (it for it in collector.events if it["exception"]["values"][-1]["type"] == name)
    return event


class TestReports:
    def test_exceptions_only_and_each_once(self, collector: SentryCollector) -> None:
        found = [it["exception"]["values"][-1]["type"] for it in collector.events]
        assert sorted(found) == ["RuntimeError", "ZeroDivisionError"]

    def test_a_report_has_its_stack_and_how_to_find_it_in_the_log(self, collector: SentryCollector) -> None:
        event = event_of(collector, "RuntimeError")
        cause, error = event["exception"]["values"]
        assert (cause["type"], error["type"]) == ("ValueError", "RuntimeError")
        assert [frame["function"] for frame in cause["stacktrace"]["frames"]] == ["<module>", "fail"]
        assert event["tags"] == {
            "event": "unexpected_error",
            "request_id": "req12345",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        }
        for frame in [*cause["stacktrace"]["frames"], *error["stacktrace"]["frames"]]:
            assert not frame.keys() & {"vars", "context_line", "pre_context", "post_context"}
        assert event["environment"] == "test"
        assert event["release"].startswith("datingtoday@")

    def test_nothing_personal_or_secret_leaves_the_process(self, collector: SentryCollector) -> None:
        assert len(collector.events) == 2
        for secret in (PHONE, TOKEN, "hunter2secret", "123456", "secret_local", "harmless", "no_exception"):
            assert secret.encode() not in collector.raw, secret
        text = json.dumps(collector.events)
        assert "<number>" in text and "phone=***" in text
        for event in collector.events:
            assert not {"request", "user", "breadcrumbs", "modules"} & {
                key for key, value in event.items() if value and value != {"values": []}
            }

    def test_the_log_is_the_same_as_without(self, collector: SentryCollector) -> None:
        lines = [json.loads(line) for line in collector.log.splitlines()]
        assert [line["event"] for line in lines][:3] == ["harmless", "no_exception", "unexpected_error"]
        assert not any("report_failed" in line for line in lines)
        assert PHONE not in collector.log


def test_an_endpoint_that_is_away_disturbs_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, "http://publickey@127.0.0.1:1/1", PHONE, TOKEN, "x"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "unexpected_error" in done.stderr


def test_tags_are_cut_to_what_sentry_takes_and_empty_ones_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tags: dict[str, str] = {}
    monkeypatch.setattr(sentry_sdk.Scope, "set_tag", lambda _, name, value: tags.update({name: value}))
    error_reports._report(
        {"event": "e" * 300, "request_id": "r" * 200, "trace_id": "", "job": 7, "exc_info": ValueError()}
    )
    assert tags == {"event": "e" * 200, "request_id": "r" * 200, "job": "7"}


def test_records_without_an_exception_are_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[BaseException] = []
    monkeypatch.setattr(sentry_sdk.Scope, "capture_exception", lambda _, error: reported.append(error))
    for exc_info in (None, False, True, (None, None, None)):
        error_reports._report({"event": "x", "exc_info": exc_info})
    assert reported == []
    error = ValueError()
    try:
        raise error
    except ValueError:
        error_reports._report({"exc_info": True})
    error_reports._report({"exc_info": (ValueError, error, None)})
    error_reports._report({"exc_info": error})
    assert reported == [error] * 3


def test_what_identifies_a_report_is_kept_and_every_other_text_is_masked() -> None:
    number = "13912345678"
    names = ("event_id", "trace_id", "span_id", "request_id", "release", "platform", "timestamp", "sdk")
    kept = dict.fromkeys(names, TOKEN)
    texts: dict[Any, Any] = {"message": number, "tags": [("a", number)], 7: {"x": [number]}, "level": 1}
    masked = error_reports._masked({**kept, **texts}, {})
    assert {name: masked.pop(name) for name in names} == kept
    assert masked == {
        "message": "<number>",
        "tags": [["a", "<number>"]],
        7: {"x": ["<number>"]},
        "level": 1,
    }


class TestLibraries:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize(
        ("section", "key", "value", "module"),
        [
            ("TRACING", "otlp_endpoint", "http://127.0.0.1:4318", "opentelemetry.exporter.otlp.proto.http"),
            ("SENTRY", "dsn", "https://abc@sentry.example.org/7", "sentry_sdk"),
        ],
    )
    def test_one_that_is_missing_is_refused_with_the_command_that_installs_it(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        section: str,
        key: str,
        value: str,
        module: str,
    ) -> None:
        monkeypatch.setenv(f"DATINGTODAY_{section}_{key.upper()}", value)
        assert run(["config", "check"]) == 0
        from importlib.util import find_spec as real

        def missing(name: str) -> Any:
            if name == module:
                raise ModuleNotFoundError(name)
            return real(name)

        monkeypatch.setattr("datingtoday.infra.config.serving.find_spec", missing)
        capsys.readouterr()
        for words in (["config", "check"], ["serve", "--port", "1"], ["worker"]):
            assert run(words) == 2, words
            printed = capsys.readouterr().err
            assert printed.startswith(f"datingtoday: [{section}] {key}: ")
            assert (
                "pip install -r requirements-observability.txt" in printed
                and "datingtoday[observability]" in printed
            )
            assert printed.count("\n") == 1

    def test_the_dsn_is_a_secret(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("DATINGTODAY_SENTRY_DSN", "https://hunter2secret@sentry.example.org/7")
        assert run(["config", "show"]) == 0
        assert "hunter2secret" not in capsys.readouterr().out
