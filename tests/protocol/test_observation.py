"""Reports on a request to whoever watches the server: the access log, numbers, spans."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask import Flask
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client.core import GaugeMetricFamily, Metric
from structlog.testing import capture_logs

from datingtoday.infra.bounded_memory import BoundedMemory
from datingtoday.infra.config.reporting import TracingSection
from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.readiness import PartState, Readiness, State
from datingtoday.infra.redis import RedisDown
from datingtoday.infra.tracing import Tracing
from datingtoday.protocol.call import CALL, RULE, Call
from datingtoday.protocol.endpoint_labels import EndpointLabels
from datingtoday.protocol.metrics import FOLDER_VARIABLE, Metrics, Reader, count_across_processes
from datingtoday.protocol.traced_app import TracedApp, install_tracing
from tests.protocol.conftest import LabOn
from tests.protocol.lab import USER, Lab
from tests.web.test_metrics import samples


class TestAccessLog:
    def ask(self, lab: Lab, *requests: Callable[[], Any]) -> list[dict[str, Any]]:
        """The lines of these requests, held against the time that the test itself measured."""
        with capture_logs() as logs:
            started = time.perf_counter()
            for request in requests:
                request()
            elapsed_ms = (time.perf_counter() - started) * 1000
        lines = [dict(line) for line in logs if line["event"] == "request"]
        spent_ms = [line.pop("duration_ms") for line in lines]
        assert all(ms > 0 and ms == round(ms, 2) for ms in spent_ms)
        assert sum(spent_ms) <= elapsed_ms + 0.01 * len(lines)
        for line in lines:
            del line["event"], line["log_level"]
        return lines

    def test_a_line_a_request(self, lab_of: LabOn) -> None:
        lab = lab_of(access_log=True)
        client = lab.client()
        named = {"X-Request-Id": "client-0001"}
        params = client.params("GET", "/api/probe/mine", {}, user=USER)
        with capture_logs():
            client.get("/api/probe/echo")
        lines = self.ask(
            lab,
            lambda: client.send("GET", "/api/probe/mine", params, headers=named),
            lambda: client.send("GET", "/api/probe/mine", params, headers=named),
            lambda: client.send("GET", "/api/probe/open", headers=named),
            lambda: client.send("PUT", "/nowhere", headers=named),
            *[lambda: client.send("GET", "/api/probe/open", headers=named)] * 6,
        )
        of_all = {"request_id": "client-0001", "method": "GET"}
        mine = {**of_all, "path": "/api/probe/mine"}
        is_open = {
            **of_all, "path": "/api/probe/open", "status": 200, "code": 0, "user_id": None, "appkey": "",
        }  # fmt: skip
        appkey = params["appkey"]
        assert lines[:4] == [
            {**mine, "status": 200, "code": 0, "user_id": USER.user_id, "appkey": appkey},
            {**mine, "status": 200, "code": 1002, "user_id": None, "appkey": None},
            is_open,
            {
                **of_all, "method": "PUT", "path": "/nowhere", "status": 404, "code": 404, "user_id": None,
                "appkey": None,
            },
        ]  # fmt: skip
        assert lines[4:] == [is_open] * 6

    def test_none_unless_it_is_wanted(self, lab: Lab) -> None:
        assert self.ask(lab, lambda: lab.client().send("GET", "/api/probe/open")) == []

    def test_an_id_of_another_form_is_not_taken(self, lab_of: LabOn) -> None:
        client = lab_of(access_log=True).client()
        for given, is_taken in (
            ("a" * 8, True), ("a" * 64, True), ("a" * 7, False), ("a" * 65, False), ("a b-12345", False), ("", False)
        ):  # fmt: skip
            found = client.send("GET", "/api/probe/open", headers={"X-Request-Id": given})
            request_id = found.headers["X-Request-Id"]
            assert (request_id == given) is is_taken
            assert is_taken or (len(request_id) == 16 and int(request_id, 16) < 2**64)


def test_an_observer_is_told_of_every_answer_and_its_time(lab_of: LabOn) -> None:
    told: list[tuple[str, str, int]] = []

    def observe(environ: dict[str, Any], status_line: str, elapsed_ns: int) -> None:
        told.append((environ["PATH_INFO"], status_line, elapsed_ns))

    client = lab_of(observe=observe).client()
    started_ns = time.perf_counter_ns()
    for path in ("/api/probe/open", "/nowhere", "/api/probe/things/7"):
        client.get(path)
    elapsed_ns = time.perf_counter_ns() - started_ns
    assert [it[:2] for it in told] == [
        ("/api/probe/open", "200 OK"), ("/nowhere", "404 NOT FOUND"), ("/api/probe/things/7", "200 OK"),
    ]  # fmt: skip
    assert all(it[2] > 0 for it in told) and sum(it[2] for it in told) <= elapsed_ns


def test_a_call_tells_no_secret_of_itself(lab: Lab) -> None:
    calls: list[Call] = []
    inner = lab.flask.wsgi_app

    def watching(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer = inner(environ, start_response)
        calls.append(environ[CALL])
        return answer

    lab.flask.wsgi_app = watching  # type: ignore[method-assign]
    assert lab.client().get("/api/probe/mine", USER).code == 0
    [call] = calls
    told = repr(call)
    assert call.token_digest and call.token_digest not in told
    assert "_session" not in told and "_packets" not in told and "lang='en'" in told


class TestNumbers:
    @pytest.fixture(autouse=True)
    def _unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(FOLDER_VARIABLE, raising=False)

    def test_reads_of_a_memory_since_they_were_counted_last(self) -> None:
        metrics = Metrics(Flask("memories"))
        memory = BoundedMemory[str, int]("memory of this test", 10)

        def reads() -> tuple[float, float]:
            found = samples(metrics.text()[0].decode(), "datingtoday_memory_reads_total")
            return found[memory.name, "hit"], found[memory.name, "miss"]

        def read(hits: int, misses: int) -> None:
            memory.put("known", 1)
            for key in ["known"] * hits + ["unknown"] * misses:
                memory.get(key)

        read(3, 2)
        metrics.observe({"PATH_INFO": "/"}, "200 OK", 1)
        assert reads() == (3, 2), "all of a memory that is new"
        metrics.observe({"PATH_INFO": "/"}, "200 OK", 1)
        assert reads() == (3, 2)
        read(4, 1)
        metrics.observe({"PATH_INFO": "/"}, "200 OK", 1)
        assert reads() == (7, 3)
        # The application that had it has ended; the next one begins to count at zero.
        memory = BoundedMemory("memory of this test", 10)
        metrics.observe({"PATH_INFO": "/"}, "200 OK", 1)
        assert reads() == (7, 3)
        read(1, 0)
        metrics.observe({"PATH_INFO": "/"}, "200 OK", 1)
        assert reads() == (8, 3)

    def test_answers_and_their_time(self) -> None:
        metrics = Metrics(Flask("answers", static_folder=None))
        sampled: list[int] = []
        metrics.sample(lambda: sampled.append(1))
        for status, code, ms in (("200 OK", None, 2), ("200 OK", 300, 4), ("404 NOT FOUND", 404, 700)):
            environ = {"PATH_INFO": "/x"} | ({} if code is None else {"datingtoday.code": code})
            metrics.observe(environ, status, ms * 1_000_000)
        metrics.count_stream("visits", "queued", 4)
        metrics.count_push("published", 3)
        text, content_type = metrics.text()
        found = text.decode()
        assert content_type.startswith("text/plain")
        assert samples(found, "datingtoday_requests_total") == {
            ("0", "other", "200"): 1, ("300", "other", "200"): 1, ("404", "other", "404"): 1,
        }  # fmt: skip
        assert samples(found, "datingtoday_request_seconds_sum") == {("other",): pytest.approx(0.706)}
        buckets = samples(found, "datingtoday_request_seconds_bucket")
        assert [buckets["other", le] for le in ("0.001", "0.0025", "0.005", "0.5", "1.0", "+Inf")] == [
            0, 1, 2, 2, 3, 3,
        ]  # fmt: skip
        assert samples(found, "datingtoday_stream_entries_total") == {("queued", "visits"): 4}
        assert samples(found, "datingtoday_push_events_total")["published",] == 3
        assert sampled

    def test_the_folder_is_made_and_may_be_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "new" / "counts"
        monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
        count_across_processes(tmp_path)
        (folder / "note.txt").touch()
        count_across_processes(tmp_path)
        assert [path.name for path in folder.iterdir()] == ["note.txt"]

    def test_numbers_of_a_part_that_is_down_are_not_read(self) -> None:
        def reader(name: str, error: Exception | None = None) -> Reader:
            def read(_: datetime) -> Iterator[Metric]:
                if error is not None:
                    raise error
                family = GaugeMetricFamily(f"own_{name}", "of this test")
                family.add_metric([], 7)
                yield family

            return read

        def read(**states: State) -> set[str]:
            found = {part: PartState(state, 2) for part, state in states.items()}
            metrics.readiness = cast(Readiness, SimpleNamespace(check=lambda: found))
            text = metrics.text()[0].decode()
            ups = samples(text, "datingtoday_part_up")
            assert ups == {(part,): float(state == "up") for part, state in states.items()}
            return set(re.findall(r"^own_(\w+) 7", text, re.MULTILINE))

        metrics = Metrics(Flask("numbers"))
        metrics.register(reader("rows"))
        metrics.register(reader("keys"), needs="redis")
        metrics.register(reader("failing", DatabaseDown("gone")))
        metrics.register(reader("later", RedisDown("gone")), needs="redis")
        with capture_logs() as logs:
            assert read(database="up", schema="up", redis="up") == {"rows", "keys"}
        assert [(log["event"], log["part"]) for log in logs] == [
            ("metrics_not_read", "database"), ("metrics_not_read", "redis"),
        ]  # fmt: skip
        assert read(database="down", schema="up", redis="up") == {"keys"}
        assert read(database="up", schema="down", redis="up") == {"keys"}, "the tables may be missing"
        assert read(database="up", schema="up", redis="down") == {"rows"}


def test_paths_are_labels_if_an_endpoint_has_them() -> None:
    app = Flask("labels", static_folder=None)
    labels = EndpointLabels(app)
    app.add_url_rule("/plain", "plain", lambda: "")
    app.add_url_rule("/things/<thing>", "things", lambda thing: thing)
    assert labels.of({"PATH_INFO": "/plain", RULE: "/things/<thing>"}) == "/plain"
    assert labels.of({"PATH_INFO": "/things/7", RULE: "/things/<thing>"}) == "/things/<thing>"
    assert labels.of({"PATH_INFO": "/things/7", RULE: None}) == "other"
    assert labels.of({"PATH_INFO": "/things/<thing>"}) == "other"
    assert labels.of({}) == "other"


class TestSpans:
    @pytest.fixture
    def exporter(self) -> InMemorySpanExporter:
        return InMemorySpanExporter()

    @pytest.fixture
    def tracing(self, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Tracing:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        monkeypatch.setattr("datingtoday.infra.tracing._make_provider", lambda _: provider)
        return Tracing(TracingSection())

    def answering(self, status: str, code: int | None, **failing: Exception) -> Flask:
        app = Flask("traced", static_folder=None)
        app.add_url_rule("/plain", "plain", lambda: "")

        def inner(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if failing:
                raise failing["error"]
            if code is not None:
                environ["datingtoday.code"] = code
            start_response(status, [])
            return [b"body"]

        app.wsgi_app = inner  # type: ignore[method-assign]
        return app

    @pytest.mark.parametrize(
        ("status", "code", "is_failed"),
        [
            ("200 OK", None, False), ("200 OK", 300, False), ("499 X", 7, False), ("500 X", 500, True),
            ("503 X", 503, True),
        ],
    )  # fmt: skip
    def test_a_request(
        self,
        tracing: Tracing,
        exporter: InMemorySpanExporter,
        status: str,
        code: int | None,
        *,
        is_failed: bool,
    ) -> None:
        app = self.answering(status, code)
        install_tracing(app, tracing)
        started: list[Any] = []
        environ = {"PATH_INFO": "/plain", "REQUEST_METHOD": "GET", "wsgi.url_scheme": "https"}
        traced: Any = app.wsgi_app
        assert traced(environ, lambda *answer: started.append(answer)) == [b"body"]
        assert started == [(status, [])]
        [span] = exporter.get_finished_spans()
        assert (span.name, span.kind) == ("GET /plain", SpanKind.SERVER)
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "url.scheme": "https",
            "http.route": "/plain",
            "http.response.status_code": int(status[:3]),
            "datingtoday.code": code or 0,
        }
        assert (span.status.status_code is StatusCode.ERROR) is is_failed

    def test_a_request_without_an_answer(self, tracing: Tracing, exporter: InMemorySpanExporter) -> None:
        app = self.answering("", None, error=ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            TracedApp(app, tracing)({"PATH_INFO": "/x", "REQUEST_METHOD": "POST"}, print)
        [span] = exporter.get_finished_spans()
        assert span.name == "POST other" and (span.attributes or {})["http.response.status_code"] == 0

    def test_none_where_traces_are_off(self) -> None:
        app = self.answering("200 OK", None)
        inner = app.wsgi_app
        install_tracing(app, None)
        assert app.wsgi_app is inner
