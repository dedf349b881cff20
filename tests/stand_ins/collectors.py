"""Collectors that observability data is sent to: OTLP over HTTP, and Sentry's envelope endpoint."""

from __future__ import annotations

import gzip
import json
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.stand_ins.http_server import Answer, HttpStandIn, Received


def content_of(request: Received) -> bytes:
    """The body as it was before its compression."""
    return (
        gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
    )


class OtlpCollector(HttpStandIn):
    """Takes protobuf at /v1/traces, as OTLP/HTTP has it; refuses what is not."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []

    def answer(self, request: Received) -> Answer:
        if request.path != "/v1/traces" or request.headers.get("content-type") != "application/x-protobuf":
            return Answer(415, b"")
        export = ExportTraceServiceRequest.FromString(content_of(request))
        for batch in export.resource_spans:
            self.resources.append({it.key: it.value.string_value for it in batch.resource.attributes})
            for scope in batch.scope_spans:
                self.spans += scope.spans
        body = ExportTraceServiceResponse().SerializeToString()
        return Answer(200, body, {"Content-Type": "application/x-protobuf"})

    @property
    def raw(self) -> bytes:
        """Everything that arrived."""
        return b"".join(content_of(it) + repr(it.headers).encode() for it in self.requests)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


def attributes_of(span: Span) -> dict[str, Any]:
    return {it.key: it.value.string_value or it.value.int_value for it in span.attributes}


class SentryCollector(HttpStandIn):
    """Takes envelopes of project 1."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.log = ""
        """The log of the program that reported."""

    @property
    def dsn(self) -> str:
        return f"http://publickey@127.0.0.1:{self.port}/1"

    def answer(self, request: Received) -> Answer:
        if request.path != "/api/1/envelope/" or "sentry_key=publickey" not in request.headers.get(
            "x-sentry-auth", ""
        ):
            return Answer(403, b"")
        lines = content_of(request).split(b"\n")
        for head, body in zip(lines[1::2], lines[2::2], strict=False):
            if json.loads(head)["type"] == "event":
                self.events.append(json.loads(body))
        return Answer.of_json(200, {"id": "0" * 32})

    @property
    def raw(self) -> bytes:
        """Everything that arrived."""
        return b"".join(content_of(it) for it in self.requests)
