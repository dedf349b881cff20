"""Alert rules for Prometheus: `deploy/prometheus/alerts.yml`, and their table in docs/metrics.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from datingtoday.infra.text import Text

Severity = Literal["page", "ticket"]
"""page: wake a person up; ticket: look at it during the day."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule.

    :param expression: PromQL. :param lasts: for how long it must hold, as Prometheus writes it.
    :param action: what to do.
    """

    name: str
    severity: Severity
    expression: str
    lasts: str
    summary: Text
    action: Text


ALERTS: tuple[AlertRule, ...] = (
    AlertRule(
        "DatingTodayDown",
        "page",
        'up{job="datingtoday"} == 0',
        "2m",
        Text("an API host does not answer Prometheus", "有 API 主机不应答 Prometheus"),
        Text(
            "look at the host: `supervisorctl status`, then `datingtoday doctor`",
            "检查该主机：`supervisorctl status`，然后 `datingtoday doctor`",
        ),
    ),
    AlertRule(
        "DatingTodayPartDown",
        "page",
        'min by (part) (datingtoday_part_up{part=~"database|schema|redis"}) == 0',
        "1m",
        Text(
            "a part without which no request is answered is down: {{ $labels.part }}",
            "请求必需的部分不可用：{{ $labels.part }}",
        ),
        Text(
            "`datingtoday doctor --only database --only schema --only redis`",
            "`datingtoday doctor --only database --only schema --only redis`",
        ),
    ),
    AlertRule(
        "DatingTodayDegraded",
        "ticket",
        'min by (part) (datingtoday_part_up{part=~"cache|queues|push|worker"}) == 0',
        "5m",
        Text(
            "requests are answered, but {{ $labels.part }} is down",
            "请求仍可应答，但 {{ $labels.part }} 不可用",
        ),
        Text(
            "`datingtoday doctor --only redis --only processes`; start what is missing",
            "`datingtoday doctor --only redis --only processes`，启动缺少的进程",
        ),
    ),
    AlertRule(
        "DatingTodayServerErrors",
        "page",
        'sum(rate(datingtoday_requests_total{status=~"5.."}[5m])) / sum(rate(datingtoday_requests_total[5m])) > 0.01',
        "5m",
        Text("more than 1 % of the answers are server errors", "超过 1% 的应答为服务端错误"),
        Text(
            "`/readyz` tells which part is down; search the logs for `unexpected_error`",
            "`/readyz` 说明哪部分不可用；在日志中搜索 `unexpected_error`",
        ),
    ),
    AlertRule(
        "DatingTodaySlow",
        "ticket",
        "histogram_quantile(0.99, sum by (le) (rate(datingtoday_request_seconds_bucket[5m]))) > 1",
        "10m",
        Text("one request in a hundred takes longer than a second", "百分之一的请求耗时超过 1 秒"),
        Text(
            "find the endpoint on the dashboard; look at pool use and at the database's slow log",
            "在看板上找出接口；查看连接池使用率与数据库慢日志",
        ),
    ),
    AlertRule(
        "DatingTodayClockWrong",
        "page",
        'sum(rate(datingtoday_requests_total{code="1001"}[5m])) / sum(rate(datingtoday_requests_total[5m])) > 0.2',
        "5m",
        Text(
            "every fifth request is refused for its signature or time (1001)",
            "五分之一的请求因签名或时间被拒绝（1001）",
        ),
        Text(
            "`datingtoday doctor --only clock`; if clocks are right, a client program was released with a wrong secret",
            "`datingtoday doctor --only clock`；若时钟正常，则是客户端发布了错误的密钥",
        ),
    ),
    AlertRule(
        "DatingTodayReplays",
        "ticket",
        'sum(rate(datingtoday_requests_total{code="1002"}[10m])) > 1',
        "10m",
        Text("requests are replayed, more than one per second (1002)", "每秒有一个以上的重放请求（1002）"),
        Text(
            "look for the addresses in nginx's access log; a client that repeats without a new nonce looks the same",
            "在 nginx 访问日志中查找来源地址；重试时未换 nonce 的客户端也会如此",
        ),
    ),
    AlertRule(
        "DatingTodayPoolExhausted",
        "page",
        'sum by (process) (datingtoday_database_connections{state="used"}) '
        "/ sum by (process) (datingtoday_database_connections_max) > 0.9",
        "5m",
        Text(
            "database connections of {{ $labels.process }} are nearly used up",
            "{{ $labels.process }} 的数据库连接即将用尽",
        ),
        Text(
            "look for slow statements (SHOW PROCESSLIST) before raising [DATABASE] pool_size",
            "先用 SHOW PROCESSLIST 查慢语句，再考虑调大 [DATABASE] pool_size",
        ),
    ),
    AlertRule(
        "DatingTodaySmsFailing",
        "page",
        'sum(rate(datingtoday_sms_messages_total{outcome!="sent"}[10m])) '
        "/ sum(rate(datingtoday_sms_messages_total[10m])) > 0.2",
        "10m",
        Text("every fifth SMS fails: people cannot log in", "五分之一的短信发送失败，用户无法登录"),
        Text(
            "search the logs for `sms_failed`: its `reason` is the provider's code (balance, signature, template)",
            "在日志中搜索 `sms_failed`：`reason` 为服务商错误码（余额、签名、模板）",
        ),
    ),
    AlertRule(
        "DatingTodaySmsPumping",
        "page",
        'datingtoday_sms_ceiling_ratio > 0.8 or (datingtoday_sms_login_ratio{prefix="all"} < 0.3 '
        'and on (prefix) datingtoday_sms_sent_day{prefix="all"} > 200)',
        "15m",
        Text(
            "codes are sent that nobody logs in with ({{ $labels.prefix }})",
            "大量验证码未转化为登录（{{ $labels.prefix }}）",
        ),
        Text(
            "an attacker may be running up the SMS bill: narrow [ACCOUNTS] regions, lower the limits (docs/sms.md)",
            "可能有人在刷短信：缩小 [ACCOUNTS] regions，降低限额（见 docs/sms.zh-CN.md）",
        ),
    ),
    AlertRule(
        "DatingTodayWorkerDown",
        "page",
        "max(datingtoday_worker_up) == 0",
        "2m",
        Text("no background worker runs", "没有后台进程在运行"),
        Text("`supervisorctl start datingtoday-worker`", "`supervisorctl start datingtoday-worker`"),
    ),
    AlertRule(
        "DatingTodayJobFailing",
        "ticket",
        "max by (job) (datingtoday_job_failures) > 3 or max by (job) (datingtoday_job_overdue_seconds) > 600",
        "5m",
        Text("the job {{ $labels.job }} fails or is late", "任务 {{ $labels.job }} 失败或延迟"),
        Text("`datingtoday jobs` shows the error", "`datingtoday jobs` 会显示错误"),
    ),
    AlertRule(
        "DatingTodayStreamLag",
        "ticket",
        "max by (stream) (datingtoday_stream_lag_seconds) > 60",
        "5m",
        Text(
            "entries of the stream {{ $labels.stream }} wait for more than a minute",
            "流 {{ $labels.stream }} 的条目等待超过一分钟",
        ),
        Text("start another worker, or look at its log", "再启动一个后台进程，或查看其日志"),
    ),
    AlertRule(
        "DatingTodayRecordsLost",
        "ticket",
        'sum by (stream) (increase(datingtoday_stream_entries_total{outcome=~"lost|refused"}[15m])) > 0',
        "0m",
        Text("records of the stream {{ $labels.stream }} were lost", "流 {{ $labels.stream }} 丢失了记录"),
        Text(
            "search the logs for `stream_entries_lost`: SQL and Redis were down together",
            "在日志中搜索 `stream_entries_lost`：SQL 与 Redis 曾同时不可用",
        ),
    ),
    AlertRule(
        "DatingTodayPushLag",
        "page",
        "max(datingtoday_push_lag_seconds) > 2",
        "5m",
        Text("events take more than two seconds to reach a push process", "事件到达推送进程超过 2 秒"),
        Text("look at the CPU of the push processes; run more of them", "查看推送进程的 CPU，并增加进程数"),
    ),
    AlertRule(
        "DatingTodayPushNotPublished",
        "ticket",
        'sum(rate(datingtoday_push_events_total{outcome="failed"}[5m])) > 0',
        "5m",
        Text(
            "events do not reach Redis: devices learn of messages only when they sync",
            "事件无法写入 Redis：设备只能在同步时得知消息",
        ),
        Text("`datingtoday doctor --only redis`", "`datingtoday doctor --only redis`"),
    ),
    AlertRule(
        "DatingTodayPaymentsRefused",
        "page",
        'sum by (channel) (increase(datingtoday_pay_notices_total{verdict="refused"}[15m])) > 3',
        "0m",
        Text(
            "notifications of {{ $labels.channel }} are refused: people pay and get nothing",
            "{{ $labels.channel }} 的通知被拒绝：用户付款后未到账",
        ),
        Text(
            "keys may have changed: `datingtoday doctor --only payments`, then `datingtoday pay reconcile`",
            "密钥可能已更换：`datingtoday doctor --only payments`，然后 `datingtoday pay reconcile`",
        ),
    ),
    AlertRule(
        "DatingTodayRefundsStuck",
        "ticket",
        'sum by (channel) (datingtoday_refunds{state="failed"}) > 0',
        "1h",
        Text("refunds of {{ $labels.channel }} were given up", "{{ $labels.channel }} 有退款已放弃"),
        Text(
            "`datingtoday pay reconcile` finds them; refund by hand at the provider",
            "`datingtoday pay reconcile` 会列出；请在支付平台手工退款",
        ),
    ),
    AlertRule(
        "DatingTodayModerationLate",
        "ticket",
        "max(datingtoday_media_waiting_seconds) > 3600",
        "10m",
        Text("uploads wait for moderation for more than an hour", "有上传等待审核超过一小时"),
        Text("`datingtoday media moderate list`", "`datingtoday media moderate list`"),
    ),
)


def alerts_yaml() -> str:
    """The file. Scalars are written as JSON, which is YAML."""
    lines = [
        "# Alert rules of DatingToday, made by `datingtoday docs write`; do not edit.",
        "# DatingToday 的告警规则，由 `datingtoday docs write` 生成，请勿手工修改。",
        "# prometheus.yml: rule_files: [/etc/prometheus/datingtoday/alerts.yml]; the scrape job is called datingtoday.",
        "groups:",
        "  - name: datingtoday",
        "    rules:",
    ]
    for rule in ALERTS:
        lines += [
            f"      - alert: {rule.name}",
            f"        expr: {_scalar(rule.expression)}",
            f"        for: {rule.lasts}",
            "        labels:",
            f"          severity: {rule.severity}",
            "        annotations:",
            f"          summary: {_scalar(rule.summary.en)}",
            f"          summary_zh: {_scalar(rule.summary.zh)}",
            f"          action: {_scalar(rule.action.en)}",
            f"          action_zh: {_scalar(rule.action.zh)}",
        ]
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
