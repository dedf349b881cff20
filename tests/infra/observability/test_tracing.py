"""Traces: what arrives at a collector, what does not, and that nothing is there when they are off."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import socketio
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from datingtoday.infra import tracing as tracing_module
from datingtoday.infra.config.reporting import TracingSection
from datingtoday.infra.db import Base
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.redis import RedisRole
from datingtoday.infra.stream_reader import StreamReader
from datingtoday.infra.tracing import Tracing, operation_of, wrapped_job
from datingtoday.protocol.errors import AppError
from datingtoday.protocol.guard import Guard
from datingtoday.protocol.parts import make_guard
from datingtoday.push.admission import Workers, admit
from tests.chat.talking import send, two
from tests.cli.running_server import RunningServer
from tests.plugins.api import Api, User, new_phone
from tests.plugins.polling import wait_until
from tests.stand_ins.collectors import OtlpCollector, attributes_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    with OtlpCollector() as collector:
        yield collector


@pytest.fixture
def traced(collector: OtlpCollector, app_of: Callable[..., Api]) -> Api:
    return app_of(TRACING_OTLP_ENDPOINT=collector.url, TRACING_SAMPLE_RATIO=1, LOG_ACCESS=1)


def flush(api: Api) -> None:
    assert api.parts.base.tracing is not None
    api.parts.base.tracing.flush()


class TestSpans:
    def test_a_request_with_its_statements_and_round_trips(
        self, traced: Api, collector: OtlpCollector
    ) -> None:
        traced.new_user()
        flush(traced)
        assert collector.resources[0]["service.name"] == "datingtoday"
        (login,) = collector.named("POST /api/auth/login")
        assert login.kind == Span.SPAN_KIND_SERVER
        found = attributes_of(login)
        assert found["http.route"] == "/api/auth/login"
        assert (found["http.request.method"], found["http.response.status_code"]) == ("POST", 200)
        below = [span for span in collector.spans if span.trace_id == login.trace_id and span is not login]
        assert {span.parent_span_id for span in below} == {login.span_id}
        systems = {attributes_of(span)["db.system.name"] for span in below}
        assert "redis" in systems
        assert systems & {"sqlite", "mysql"}
        assert any(span.name.startswith("SELECT ") for span in below)
        assert any(span.name.startswith("INSERT ") for span in below)
        for span in below:
            assert login.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano

    @pytest.mark.parametrize("backend", ["real"], indirect=True)
    def test_statements_that_are_sent_together_are_one_span(
        self, traced: Api, collector: OtlpCollector
    ) -> None:
        user, peer = two(traced)
        assert send(traced, user, peer).code == 0
        flush(traced)
        (sent,) = collector.named("POST /api/message/send")
        packets = [it for it in collector.named("packet") if it.parent_span_id == sent.span_id]
        assert packets
        for packet in packets:
            assert attributes_of(packet)["db.system.name"] in ("mysql", "mariadb")
        assert max(attributes_of(packet)["db.operation.batch.size"] for packet in packets) > 1

    def test_the_callers_trace_is_continued_and_is_in_the_log(
        self, traced: Api, collector: OtlpCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        traced.send(
            "GET", "/healthz", address="127.0.0.1", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}
        )
        traced.send("GET", "/healthz", address="127.0.0.1")
        flush(traced)
        spans = collector.named("GET /healthz")
        assert spans[0].trace_id.hex() == TRACE and spans[0].parent_span_id.hex() == PARENT
        assert spans[1].trace_id.hex() != TRACE and not spans[1].parent_span_id
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if '"request"' in line]
        assert [line["trace_id"] for line in lines] == [span.trace_id.hex() for span in spans]

    def test_errors_are_marked_by_their_type(self, traced: Api, collector: OtlpCollector) -> None:
        from sqlalchemy import text
        from sqlalchemy.exc import DBAPIError

        tracing, database = traced.parts.base.tracing, traced.parts.base.database
        assert tracing is not None
        with tracing.root("test"), pytest.raises(DBAPIError), database.transaction() as session:
            session.execute(text("SELECT hunter2secret FROM no_such_table"))
        flush(traced)
        (span,) = collector.named("SELECT no_such_table")
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert span.status.message == attributes_of(span)["error.type"]

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_work_that_fails_is_marked_by_the_type_alone(self, traced: Api, collector: OtlpCollector) -> None:
        tracing = traced.parts.base.tracing
        assert tracing is not None
        with pytest.raises(ValueError, match="hunter2secret"), tracing.root("test"):
            raise ValueError("hunter2secret")
        flush(traced)
        (span,) = collector.named("test")
        assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "ValueError")
        assert attributes_of(span) == {"error.type": "ValueError"}
        assert not span.events and not span.parent_span_id

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_paths_that_clients_make_up_are_not_told(self, traced: Api, collector: OtlpCollector) -> None:
        traced.send("GET", "/api/nothing/hunter2secret")
        flush(traced)
        assert [attributes_of(span)["http.route"] for span in collector.named("GET other")] == ["other"]

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_work_of_a_job(self, traced: Api, collector: OtlpCollector) -> None:
        from sqlalchemy import text

        base = traced.parts.base
        tracing = base.tracing
        assert tracing is not None

        def run(now: datetime) -> None:
            with base.database.transaction(write=False) as session:
                session.execute(text("SELECT 1"))

        base.jobs.register(Job("traced_test", 60, run))
        base.jobs.wrap(lambda name, work: wrapped_job(tracing, name, work))
        base.jobs["traced_test"].run(datetime.now(UTC))
        flush(traced)
        (span,) = collector.named("job traced_test")
        below = [it.name for it in collector.spans if it.parent_span_id == span.span_id]
        # On SQLite the beginning of a transaction is a statement.
        assert [name for name in below if name != "BEGIN"] == ["SELECT"]

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_work_of_push(self, traced: Api, collector: OtlpCollector) -> None:
        base = traced.parts.base
        guard = make_guard(base, traced.parts.protocol, traced.parts.accounts.sessions)
        params = traced.params("GET", "/socket.io", {}, user=traced.new_user())

        async def connect() -> None:
            workers = Workers(base.tracing)
            for _ in range(2):
                await workers.run("connect", lambda: admit(guard, params, {"REMOTE_ADDR": "127.0.0.1"}, "en"))

        with pytest.raises(AppError):
            asyncio.run(connect())
        flush(traced)
        first, repeated = collector.named("push connect")
        below = [it for it in collector.spans if it.parent_span_id == first.span_id]
        assert {attributes_of(it)["db.system.name"] for it in below} >= {"redis"}
        assert first.status.code == Status.STATUS_CODE_UNSET
        assert attributes_of(repeated)["error.type"] == "RequestReplayed"

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_a_batch_of_a_stream(self, traced: Api, collector: OtlpCollector) -> None:
        base = traced.parts.base
        viewer, peer = traced.new_user(), traced.new_user()
        traced.get("/api/user/show", viewer, peerId=peer.user_id)
        base.streams.flush()
        for stream in base.streams.all():
            StreamReader(base.streams, stream, "t", idle_ms=60_000, tracing=base.tracing).step()
        flush(traced)
        (span,) = collector.named("stream visits")
        below = [it.name for it in collector.spans if it.parent_span_id == span.span_id]
        assert any(name.startswith("INSERT ") for name in below)

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_a_share_is_recorded_and_clients_cannot_raise_it(
        self, collector: OtlpCollector, app_of: Callable[..., Api]
    ) -> None:
        api = app_of(TRACING_OTLP_ENDPOINT=collector.url, TRACING_SAMPLE_RATIO=0)
        for _ in range(20):
            header = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            assert api.send("GET", "/healthz", address="127.0.0.1", headers=header).status == 200
        flush(api)
        assert collector.spans == []

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_a_collector_that_is_away_disturbs_nobody(self, app_of: Callable[..., Api]) -> None:
        api = app_of(TRACING_OTLP_ENDPOINT="http://127.0.0.1:1", TRACING_SAMPLE_RATIO=1)
        assert api.new_user().token


class TestSecrets:
    def test_no_value_leaves_the_process(self, traced: Api, collector: OtlpCollector) -> None:
        phone = new_phone()
        user: User = traced.new_user(phone)
        peer = traced.new_user()
        traced.get("/api/user/show", user, peerId=peer.user_id)
        traced.get("/api/user/hot/list", user)
        traced.post("/api/user/update", user, intro="hunter2secret 我的秘密")
        traced.post(
            "/api/message/send",
            user,
            peerId=peer.user_id,
            type="text",
            text="hunter2secret",
            clientId="t1234567",
        )
        traced.get("/api/user/show", User(user.user_id, "ab" * 32, phone), peerId=peer.user_id)
        flush(traced)
        assert len(collector.spans) > 20
        settings = traced.parts.base.settings
        code = traced.sms.sent[f"+86{phone}"][0]
        for secret in (
            phone, user.token, peer.token, "ab" * 32, "hunter2secret", "我的秘密", settings.app.appsecret, code,
            settings.app.appkey, settings.security.secret_key, settings.database.uri, "nonce", "sign=", "timestamp=",
        ):  # fmt: skip
            assert secret.encode() not in collector.raw, secret
        vocabulary = {
            "http.request.method": r"GET|POST",
            "http.route": r"/[a-z/]+",
            "http.response.status_code": r"200",
            "url.scheme": r"http",
            "datingtoday.code": r"[0-9]{1,4}",
            "db.system.name": r"redis|sqlite|mysql",
            "db.operation.name": r"[A-Z]+( [A-Z]+)*",
            "db.collection.name": "|".join(Base.metadata.tables),
            "db.operation.batch.size": r"[0-9]+",
            "error.type": r"[A-Za-z]+",
        }
        for span in collector.spans:
            for name, value in attributes_of(span).items():
                assert re.fullmatch(vocabulary[name], str(value)), (span.name, name, value)
            assert not span.events
            assert span.status.message in ("", attributes_of(span).get("error.type"))


class TestExporter:
    @pytest.fixture
    def tracing(self) -> Iterator[Tracing]:
        made = Tracing(TracingSection(otlp_endpoint="http://127.0.0.1:1/", sample_ratio=0))
        yield made
        if made._provider is not None:
            made._provider.shutdown()

    def test_it_gives_up_after_five_seconds_and_holds_up_no_end(self, tracing: Tracing) -> None:
        assert tracing._provider is None, "a fork may come first"
        assert tracing.tracer is not None
        provider: Any = tracing._provider
        assert provider._atexit_handler is None
        (processor,) = provider._active_span_processor._span_processors
        exporter = processor.span_exporter
        assert (exporter._client._timeout, exporter._endpoint) == (5, "http://127.0.0.1:1/v1/traces")

    def test_one_is_made_and_a_forked_child_makes_its_own(self, tracing: Tracing) -> None:
        assert tracing.tracer is not None
        provider = tracing._provider
        assert tracing.tracer is not None
        assert tracing._provider is provider
        assert tracing._making.acquire(blocking=False), "as a thread of the parent might hold it"
        tracing_module._after_fork(tracing)
        assert tracing._provider is None
        assert tracing.tracer is not None
        assert tracing._provider is not provider
        provider.shutdown()

    def test_what_waits_is_sent_by_a_thread_that_holds_up_no_end(self, tracing: Tracing) -> None:
        tracing.flush()
        sent: list[tuple[str, bool]] = []

        def send() -> None:
            thread = threading.current_thread()
            sent.append((thread.name, thread.daemon))

        made: Any = SimpleNamespace(force_flush=send, shutdown=lambda: None)
        tracing._provider = made
        tracing_module._at_exit(tracing)
        assert sent == [("traces", True)]
        tracing_module._at_exit(None)
        tracing_module._after_fork(None)

    def test_at_the_end_of_the_interpreter_it_is_sent_without_a_thread(
        self, tracing: Tracing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[str] = []

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't create new thread at interpreter shutdown")

        made: Any = SimpleNamespace(
            force_flush=lambda: sent.append(threading.current_thread().name), shutdown=lambda: None
        )
        tracing._provider = made
        monkeypatch.setattr(threading.Thread, "start", refuse)
        tracing.flush()
        assert sent == [threading.current_thread().name]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("SELECT a FROM user_info WHERE x = 'secret'", ("SELECT", "user_info")),
        ("\nINSERT INTO `user_order` (a) VALUES (1)", ("INSERT", "user_order")),
        ("update media set x=1", ("UPDATE", "media")),
        ("DELETE FROM t", ("DELETE", "t")),
        ("WITH a AS (SELECT 1) SELECT * FROM b", ("SELECT", "b")),
        ("SELECT 1", ("SELECT", "")),
        ("", ("SQL", "")),
    ],
)
def test_the_names_of_statements(statement: str, found: tuple[str, str]) -> None:
    assert operation_of(statement) == found


def test_nothing_is_in_the_way_when_it_is_off(api: Api) -> None:
    base = api.parts.base
    assert base.tracing is None
    assert type(base.guard_redis) is RedisRole
    assert isinstance(api.app.wsgi_app, Guard)
    assert not base.database.engine.dispatch.before_cursor_execute


def test_the_libraries_are_not_imported_when_they_are_off(tmp_path: object) -> None:
    script = (
        "import sys, datingtoday.app, datingtoday.worker, datingtoday.push.server\n"
        "from datingtoday.infra.config.settings import load_settings\n"
        f"datingtoday.app.create_app(load_settings(None, {str(tmp_path)!r}, {{}}, create_secrets=True)"
        ".with_redis_uri('unix:///nonexistent'))\n"
        # redis-py imports some of OpenTelemetry itself, wherever it is installed.
        "ours = ('opentelemetry.exporter', 'opentelemetry.sdk.trace', 'opentelemetry.proto', 'sentry_sdk')\n"
        "print([name for name in sys.modules if name.startswith(ours)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=str(tmp_path)
    )
    assert done.stdout == "[]\n"


@pytest.mark.long
def test_a_live_server_sends_the_spans_of_all_its_processes(collector: OtlpCollector, tmp_path: Path) -> None:
    """Each worker makes its exporter after the fork, and what waits is sent when the server is stopped."""
    server = RunningServer(
        tmp_path / "data",
        TRACING_OTLP_ENDPOINT=collector.url,
        TRACING_SAMPLE_RATIO="1",
        TRACING_SERVICE_NAME="live",
    )
    try:
        server.wait_until_ready()
        server.wait_for_workers()
        for _ in range(30):
            server.get("/readyz", headers={"Connection": "close"})
        wait_until(lambda: collector.named("job heartbeat"), "a span of the worker", deadline_s=40)
        with pytest.raises(socketio.exceptions.ConnectionError):
            socketio.Client(reconnection=False).connect(
                f"http://127.0.0.1:{server.wanted_port}", auth={"appkey": "x"}, transports=["websocket"]
            )
        wait_until(lambda: collector.named("push connect"), "a span of push", deadline_s=40)
        before = len(collector.named("GET /readyz"))
        server.get("/readyz")
        assert server.stop() == 0
    finally:
        server.end()
    assert len(collector.named("GET /readyz")) > before
    assert {it["service.name"] for it in collector.resources} == {"live"}
