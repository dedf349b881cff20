"""Traces by OpenTelemetry: spans for requests, jobs, streams and push, their SQL statements and Redis round trips.

They go to an OTLP collector, and are only made if `[TRACING] otlp_endpoint` is set; the library is not imported
otherwise. Spans carry names of operations, never values: no query strings, parameters, SQL texts, Redis keys, headers
or user ids leave the process.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

from sqlalchemy import Engine, event

from datingtoday.infra.config.reporting import TracingSection
from datingtoday.infra.packets import OPTION
from datingtoday.infra.redis import Command, RedisRole

FLUSH_S = 1.0
_SPANS = "datingtoday_spans"
_MAX_NAMES = 8
_STATEMENT = re.compile(r"\s*(?:WITH\b.*?\)\s*)?([A-Za-z]+)", re.DOTALL)
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+[`\"]?([a-z_][a-z0-9_]*)", re.IGNORECASE)


class Tracing:
    """The spans of one process; makes its connection at the first span, so that it may be made before a fork."""

    def __init__(self, section: TracingSection) -> None:
        self._section = section
        self._provider: Any = None
        self._making = threading.Lock()
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(this()))
        # For servers that are not ours: `gunicorn datingtoday.wsgi:application`.
        atexit.register(lambda: _at_exit(this()))

    def flush(self) -> None:
        """Send what is recorded, for at most `FLUSH_S`: a collector that is away must not hold up an end."""
        provider = self._provider
        if provider is None:
            return
        sender = threading.Thread(target=provider.force_flush, name="traces", daemon=True)
        try:
            sender.start()
        except RuntimeError:
            # The interpreter ends, and makes no thread any more.
            provider.force_flush()
        else:
            sender.join(FLUSH_S)

    def forget(self) -> None:
        """In a forked child: the exporter is the parent's."""
        self._provider = None
        self._making = threading.Lock()

    @property
    def tracer(self) -> Any:
        """The tracer of this process."""
        if self._provider is None:
            with self._making:
                if self._provider is None:
                    self._provider = _make_provider(self._section)
        return self._provider.get_tracer("datingtoday")

    def child(self, name: str, attributes: Mapping[str, Any]) -> Any:
        """A span below the current one; None if nothing is being recorded."""
        from opentelemetry.trace import SpanKind, get_current_span

        if not get_current_span().is_recording():
            return None
        return self.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=dict(attributes))

    @contextmanager
    def root(self, name: str) -> Iterator[None]:
        """A span of its own, for work without a request."""
        from opentelemetry.trace import use_span

        span = self.tracer.start_span(name)
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                yield
        except BaseException as error:
            fail(span, error)
            raise
        finally:
            span.end()

    def watch(self, engine: Engine) -> None:
        """Make a span of every statement of an engine."""
        engine.update_execution_options(**{OPTION: self})
        event.listen(engine, "before_cursor_execute", self._before_statement)
        event.listen(engine, "after_cursor_execute", _after_statement)
        event.listen(engine, "handle_error", _statement_failed)

    @contextmanager
    def packet(self, dialect_name: str, statements: int) -> Iterator[None]:
        """A span of several statements that are sent together."""
        attributes = {"db.system.name": dialect_name, "db.operation.batch.size": statements}
        with spanned(self.child("packet", attributes)):
            yield

    def _before_statement(
        self, connection: Any, _cursor: Any, statement: str, _params: Any, _context: Any, _many: bool
    ) -> None:
        operation, table = operation_of(statement)
        attributes = {"db.system.name": connection.dialect.name, "db.operation.name": operation}
        if table:
            attributes["db.collection.name"] = table
        span = self.child(f"{operation} {table}".rstrip(), attributes)
        connection.info.setdefault(_SPANS, []).append(span)


class TracedRedisRole(RedisRole):
    """A Redis role with a span for each round trip."""

    def __init__(self, tracing: Tracing, uri: str, *, timeout_s: float) -> None:
        super().__init__(uri, timeout_s=timeout_s)
        self._tracing = tracing

    def round_trip(self, commands: Sequence[Command]) -> list[Any]:
        names = " ".join(dict.fromkeys(str(command[0]) for command in commands[:_MAX_NAMES]))
        attributes = {"db.system.name": "redis", "db.operation.name": names}
        if len(commands) > 1:
            attributes["db.operation.batch.size"] = str(len(commands))
        with spanned(self._tracing.child(names, attributes)):
            return super().round_trip(commands)


@contextmanager
def spanned(span: Any) -> Iterator[None]:
    """End a span with the block. :param span: None if nothing is being recorded."""
    if span is None:
        yield
        return
    try:
        yield
    except BaseException as error:
        fail(span, error)
        raise
    finally:
        span.end()


def root_span(tracing: Tracing | None, name: str) -> AbstractContextManager[None]:
    """A span of its own, for work without a request. :param tracing: None: traces are off."""
    return nullcontext() if tracing is None else tracing.root(name)


def fail(span: Any, error: BaseException) -> None:
    """Mark a span as failed, by the error's type: its text may contain values."""
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR, type(error).__name__)
    span.set_attribute("error.type", type(error).__name__)


def operation_of(statement: str) -> tuple[str, str]:
    """Verb and first table of a statement; empty where there is none."""
    verb, table = _STATEMENT.match(statement), _TABLE.search(statement)
    return (verb[1].upper() if verb else "SQL"), (table[1] if table else "")


def wrapped_job(tracing: Tracing, name: str, run: Callable[..., object]) -> Callable[..., object]:
    """The job's work within a span."""

    def traced(*arguments: Any) -> object:
        with tracing.root(f"job {name}"):
            return run(*arguments)

    return traced


def _after_statement(connection: Any, *_: object) -> None:
    _end_statement(connection, None)


def _statement_failed(context: Any) -> None:
    if context.connection is not None:
        _end_statement(context.connection, context.original_exception)


def _end_statement(connection: Any, error: BaseException | None) -> None:
    spans = connection.info.get(_SPANS)
    span = spans.pop() if spans else None
    if span is not None:
        if error is not None:
            fail(span, error)
        span.end()


def _make_provider(section: TracingSection) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    share = TraceIdRatioBased(section.sample_ratio)
    # A client's wish to be recorded does not count: anybody could fill the collector.
    sampler = ParentBased(share, remote_parent_sampled=share, remote_parent_not_sampled=share)
    resource = Resource({"service.name": section.service_name, "service.version": version("datingtoday")})
    # Foundation.flush() sends what waits at the end; the library would wait for a collector that is away.
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{section.otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _at_exit(tracing: Tracing | None) -> None:
    if tracing is not None:
        tracing.flush()


def _after_fork(tracing: Tracing | None) -> None:
    if tracing is not None:
        tracing.forget()
