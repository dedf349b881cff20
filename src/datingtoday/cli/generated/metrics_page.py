"""docs/metrics.md: every metric and alert with its meaning, made from their declarations."""

from __future__ import annotations

from typing import Literal

from datingtoday.cli.generated.alert_rules import ALERTS
from datingtoday.infra.metric_declarations import declared_metrics
from datingtoday.infra.text import Text

Language = Literal["en", "zh"]

_INTRO = Text(
    """# Metrics and alerts

Made from the code by `datingtoday docs write`; do not edit. [中文](metrics.zh-CN.md)

`GET /metrics` answers loopback and `[SERVER] internal_addresses`. It covers all processes of the host (API, push,
worker); jobs, streams, SMS, orders and uploads are read from SQL and Redis, so they are the same from every host: take
`max`, not `sum`.

    scrape_configs:
      - job_name: datingtoday
        static_configs: [{targets: ["10.0.0.5:8000", "10.0.0.6:8000"]}]

Dashboard: `deploy/grafana/datingtoday.json`. Alert rules: `deploy/prometheus/alerts.yml`.
See [operations.md](operations.md).

## Metrics

| series | kind | labels | meaning |
| --- | --- | --- | --- |
""",
    """# 指标与告警

由 `datingtoday docs write` 从代码生成，请勿手工修改。[English](metrics.md)

`GET /metrics` 只对本机和 `[SERVER] internal_addresses` 开放，包含本机所有进程（API、推送、后台）的数据；
任务、流、短信、订单和上传读自 SQL 与 Redis，各主机结果相同：请用 `max` 而不是 `sum`。

    scrape_configs:
      - job_name: datingtoday
        static_configs: [{targets: ["10.0.0.5:8000", "10.0.0.6:8000"]}]

看板：`deploy/grafana/datingtoday.json`。告警规则：`deploy/prometheus/alerts.yml`。
参见 [operations.zh-CN.md](operations.zh-CN.md)。

## 指标

| 序列 | 类型 | 标签 | 含义 |
| --- | --- | --- | --- |
""",
)
_ALERTS = Text(
    """
## Alerts

`page`: wake a person up. `ticket`: look at it during the day.

| alert | severity | for | condition | what to do |
| --- | --- | --- | --- | --- |
""",
    """
## 告警

`page`：立即通知值班人员。`ticket`：工作时间处理。

| 告警 | 级别 | 持续 | 条件 | 处理 |
| --- | --- | --- | --- | --- |
""",
)


def metrics_page(language: Language) -> str:
    """The page."""
    # Metrics are declared where they are counted.
    import datingtoday.app
    import datingtoday.push.metrics
    import datingtoday.worker  # noqa: F401

    rows = [
        f"| {' '.join(f'`{name}`' for name in metric.series)} | {metric.kind} | "
        f"{', '.join(f'`{label}`' for label in metric.labels) or '–'} | {metric.help.within(language)} |"
        for metric in declared_metrics()
    ]
    alerts = [
        f"| `{rule.name}` | {rule.severity} | {rule.lasts} | {_plain(rule.summary.within(language))} | "
        f"{_plain(rule.action.within(language))} |"
        for rule in ALERTS
    ]
    return (
        _INTRO.within(language) + "\n".join(rows) + "\n" + _ALERTS.within(language) + "\n".join(alerts) + "\n"
    )


def _plain(text: str) -> str:
    """A template of Prometheus as people read it."""
    return text.replace("{{ $labels.", "`").replace(" }}", "`").replace("|", "\\|")
