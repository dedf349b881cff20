"""Grafana dashboard: `deploy/grafana/datingtoday.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_COLUMNS = 2
_WIDTH, _HEIGHT = 24 // _COLUMNS, 8


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. :param queries: PromQL by legend. :param unit: of Grafana."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    options: dict[str, Any] = field(default_factory=dict)


PANELS: tuple[Panel, ...] = (
    Panel("Parts / 各部分", {"{{part}}": "min by (part) (datingtoday_part_up)"}, kind="stat"),
    Panel(
        "Latency of parts / 各部分延迟",
        {"{{part}}": "max by (part) (datingtoday_part_latency_seconds)"},
        unit="s",
    ),
    Panel(
        "Requests by outcome / 请求（按结果）",
        {"{{status}} {{code}}": "sum by (status, code) (rate(datingtoday_requests_total[$__rate_interval]))"},
        unit="reqps",
    ),
    Panel(
        "Requests by endpoint / 请求（按接口）",
        {"{{endpoint}}": "topk(10, sum by (endpoint) (rate(datingtoday_requests_total[$__rate_interval])))"},
        unit="reqps",
    ),
    Panel(
        "Duration / 耗时",
        {
            f"p{round(share * 100)}": f"histogram_quantile({share}, "
            "sum by (le) (rate(datingtoday_request_seconds_bucket[$__rate_interval])))"
            for share in (0.5, 0.95, 0.99)
        },
        unit="s",
    ),
    Panel(
        "Slowest endpoints, mean / 最慢接口（平均）",
        {
            "{{endpoint}}": "topk(10, sum by (endpoint) (rate(datingtoday_request_seconds_sum[$__rate_interval])) "
            "/ sum by (endpoint) (rate(datingtoday_request_seconds_count[$__rate_interval])))"
        },
        unit="s",
    ),
    Panel(
        "Refused: signature, replay, limit / 拒绝：签名、重放、限流",
        {
            f"{code} {name}": f'sum(rate(datingtoday_requests_total{{code="{code}"}}[$__rate_interval]))'
            for code, name in (("1001", "signature"), ("1002", "replay"), ("429", "limit"))
        },
        unit="reqps",
    ),
    Panel(
        "Cache hits / 缓存命中率",
        {
            "{{memory}}": 'sum by (memory) (rate(datingtoday_memory_reads_total{result="hit"}[$__rate_interval])) '
            "/ sum by (memory) (rate(datingtoday_memory_reads_total[$__rate_interval]))"
        },
        unit="percentunit",
    ),
    Panel(
        "SMS by outcome / 短信（按结果）",
        {"{{outcome}}": "sum by (outcome) (increase(datingtoday_sms_messages_total[1h]))"},
    ),
    Panel(
        "SMS: logins and ceiling / 短信：登录转化与上限",
        {
            "login {{prefix}}": "max by (prefix) (datingtoday_sms_login_ratio)",
            "ceiling {{prefix}}": "max by (prefix) (datingtoday_sms_ceiling_ratio)",
        },
        unit="percentunit",
    ),
    Panel("SMS, 24 h / 24 小时短信", {"{{prefix}}": "max by (prefix) (datingtoday_sms_sent_day)"}),
    Panel(
        "Database connections / 数据库连接",
        {
            "{{process}} {{state}}": "sum by (process, state) (datingtoday_database_connections)",
            "{{process}} max": "sum by (process) (datingtoday_database_connections_max)",
        },
    ),
    Panel(
        "Jobs: overdue / 任务：逾期",
        {"{{job}}": "max by (job) (datingtoday_job_overdue_seconds)"},
        unit="s",
    ),
    Panel(
        "Jobs: failures, age of success / 任务：失败与距上次成功",
        {
            "failures {{job}}": "max by (job) (datingtoday_job_failures) > 0",
            "age {{job}}": "time() - max by (job) (datingtoday_job_last_success_seconds > 0)",
            "took {{job}}": "max by (job) (datingtoday_job_duration_seconds)",
        },
    ),
    Panel(
        "Streams / 流",
        {
            "lag {{stream}}": "max by (stream) (datingtoday_stream_lag_seconds)",
            "waiting {{stream}}": "max by (stream) (datingtoday_stream_waiting)",
            "{{stream}} {{outcome}}": "sum by (stream, outcome) "
            "(rate(datingtoday_stream_entries_total[$__rate_interval]))",
        },
    ),
    Panel(
        "Workers / 后台进程",
        {"worker": "max(datingtoday_worker_up)"},
        kind="stat",
    ),
    Panel(
        "Push connections / 推送连接", {"{{instance}}": "sum by (instance) (datingtoday_push_connections)"}
    ),
    Panel(
        "Push lag / 推送延迟",
        {"{{instance}}": "max by (instance) (datingtoday_push_lag_seconds)"},
        unit="s",
    ),
    Panel(
        "Push events / 推送事件",
        {
            "{{outcome}}": "sum by (outcome) (rate(datingtoday_push_total[$__rate_interval]))",
            "events {{outcome}}": "sum by (outcome) (rate(datingtoday_push_events_total[$__rate_interval]))",
        },
    ),
    Panel(
        "Orders, 24 h / 24 小时订单",
        {"{{channel}} {{state}}": "max by (channel, state) (datingtoday_orders_day)"},
    ),
    Panel(
        "Payment notifications / 支付通知",
        {
            "{{channel}} {{verdict}}": "sum by (channel, verdict) (increase(datingtoday_pay_notices_total[1h]))"
        },
    ),
    Panel("Refunds / 退款", {"{{channel}} {{state}}": "max by (channel, state) (datingtoday_refunds)"}),
    Panel("Media waiting / 等待审核", {"uploads": "max(datingtoday_media_waiting)"}),
    Panel("Media waiting, oldest / 最久等待", {"oldest": "max(datingtoday_media_waiting_seconds)"}, unit="s"),
)


def dashboard_json() -> str:
    """The file, for Grafana's import."""
    document = {
        "title": "DatingToday",
        "uid": "datingtoday",
        "description": "Made by `datingtoday docs write`. 由 `datingtoday docs write` 生成。",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "tags": ["datingtoday"],
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "datasource": source,
        "gridPos": {
            "x": number % _COLUMNS * _WIDTH,
            "y": number // _COLUMNS * _HEIGHT,
            "w": _WIDTH,
            "h": _HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": panel.options,
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": source, "expr": query, "legendFormat": legend}
            for at, (legend, query) in enumerate(panel.queries.items())
        ],
    }
