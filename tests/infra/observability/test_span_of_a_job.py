"""A span of work without a request, looked at in memory: it ends, and a failure is told by its type alone."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from datingtoday.infra.config.reporting import TracingSection
from datingtoday.infra.tracing import Tracing, root_span, spanned


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> Tracing:
    made = Tracing(TracingSection(otlp_endpoint="http://127.0.0.1:1"))
    made._provider = TracerProvider()
    made._provider.add_span_processor(SimpleSpanProcessor(spans))
    return made


def test_work_and_what_it_asks(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    assert tracing.child("nobody records", {}) is None
    with root_span(tracing, "stream visits"):
        assert get_current_span().is_recording()
        with spanned(tracing.child("GET", {"db.system.name": "redis"})):
            assert len(spans.get_finished_spans()) == 0
    child, root = spans.get_finished_spans()
    assert (child.name, child.kind, dict(child.attributes or {})) == (
        "GET",
        SpanKind.CLIENT,
        {"db.system.name": "redis"},
    )
    assert child.parent is not None and child.parent.span_id == root.context.span_id
    assert (root.name, root.status.status_code) == ("stream visits", StatusCode.UNSET)
    with root_span(None, "off"), spanned(None):
        assert not get_current_span().is_recording()


def test_a_failure_is_told_by_its_type(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    with (
        pytest.raises(ValueError, match="13912345678"),
        tracing.root("job x"),
        spanned(tracing.child("GET", {})),
    ):
        raise ValueError("13912345678")
    for span in spans.get_finished_spans():
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
        assert dict(span.attributes or {}) == {"error.type": "ValueError"}
        assert list(span.events) == [], "no text and no stack of it"
    assert len(spans.get_finished_spans()) == 2
