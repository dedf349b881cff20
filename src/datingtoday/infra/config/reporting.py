"""Settings of what a server tells its operators and developers: logs, metrics, API documentation."""

from typing import Literal

from datingtoday.infra.config.fields import Section, key
from datingtoday.infra.config.value_types import HttpUrl, Name


class LogSection(Section):
    """JSON lines on stderr."""

    level: Literal["debug", "info", "warning", "error"] = key(
        "info", en="Minimum log level.", zh="最低日志级别。"
    )
    access: bool = key(True, en="Log one line per request.", zh="每个请求记录一行。")


class MetricsSection(Section):
    """/metrics, for Prometheus; to loopback and [SERVER] internal_addresses only."""

    enabled: bool = key(
        True,
        en="Count requests by endpoint and outcome, and measure their duration.",
        zh="按接口和结果统计请求数及耗时。",
    )


class DocsSection(Section):
    """/docs and /openapi.json."""

    enabled: bool = key(True, en="Serve the API documentation.", zh="提供 API 文档页面。")


class TracingSection(Section):
    """Traces by OpenTelemetry (docs/operations.md)."""

    otlp_endpoint: HttpUrl = key(
        "",
        en="Collector that takes OTLP over HTTP; traces go to /v1/traces below it.",
        zh="接收 OTLP/HTTP 的采集器地址，链路数据发往其下的 /v1/traces。",
        example="http://127.0.0.1:4318",
        unset=("no traces", "不记录链路"),
    )
    sample_ratio: float = key(
        0.05, ge=0, le=1, en="Share of the requests that are traced.", zh="记录链路的请求比例。"
    )
    service_name: Name = key("datingtoday", en="Name of this service in traces.", zh="链路中的服务名。")


class SentrySection(Section):
    """Reports of unexpected errors to Sentry (docs/operations.md)."""

    dsn: HttpUrl = key(
        "",
        en="DSN of the project in Sentry.",
        zh="Sentry 项目的 DSN。",
        secret=True,
        example="https://examplekey@sentry.example.com/1",
        unset=("no reports", "不上报"),
    )
    environment: Name = key("production", en="Environment in the reports.", zh="上报中的环境名。")
