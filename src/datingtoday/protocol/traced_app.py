"""A span around each request, as W3C trace context and OpenTelemetry's conventions for HTTP want it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from flask import Flask

from datingtoday.infra.tracing import Tracing
from datingtoday.protocol.call import Environ
from datingtoday.protocol.endpoint_labels import EndpointLabels


class TracedApp:
    """WSGI middleware around the guard; made only where traces are on.

    The trace of the caller is continued (``traceparent``), and its id is in every log line of the request.
    """

    def __init__(self, app: Flask, tracing: Tracing) -> None:
        self._inner = app.wsgi_app
        self._labels = EndpointLabels(app)
        self._tracing = tracing

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        from opentelemetry.trace import SpanKind, StatusCode, use_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {
            name: str(environ[variable])
            for name, variable in (("traceparent", "HTTP_TRACEPARENT"), ("tracestate", "HTTP_TRACESTATE"))
            if environ.get(variable)
        }
        method = str(environ.get("REQUEST_METHOD", ""))
        span = self._tracing.tracer.start_span(
            method,
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.scheme": str(environ.get("wsgi.url_scheme"))},
        )
        status = 0

        def respond(status_line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status
            status = int(status_line.partition(" ")[0])
            return (
                start_response(status_line, headers, exc_info)
                if exc_info
                else start_response(status_line, headers)
            )

        trace_id = f"{span.get_span_context().trace_id:032x}"
        try:
            with use_span(span), structlog.contextvars.bound_contextvars(trace_id=trace_id):
                return self._inner(environ, respond)
        finally:
            route = self._labels.of(environ)
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", status)
            span.set_attribute("datingtoday.code", environ.get("datingtoday.code", 0))
            if status >= 500:
                span.set_status(StatusCode.ERROR)
            span.end()


def install_tracing(app: Flask, tracing: Tracing | None) -> None:
    """Trace the requests of an application, if that is on."""
    if tracing is not None:
        app.wsgi_app = TracedApp(app, tracing)  # type: ignore[method-assign]
