"""Settings of what a server tells its operators and developers: logs, metrics, API documentation."""

from typing import Literal

from datingtoday.infra.config.fields import Section, key


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
