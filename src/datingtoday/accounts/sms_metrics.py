"""Numbers on SMS for Prometheus, read from SQL when they are asked for: the same from every process and host."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import case, func, select

from datingtoday.accounts.models import SmsCode
from datingtoday.accounts.send_limits import SmsRules
from datingtoday.infra.db import Database
from datingtoday.infra.metric_declarations import declare, process_counter

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MESSAGES = declare(
    "datingtoday_sms_messages",
    "counter",
    en="Messages handed to the SMS provider, by outcome: sent, or the kind of failure (throttled, number, settings, "
    "unavailable, unexpected).",
    zh="交给短信服务商的短信，按结果：sent，或失败类型（throttled、number、settings、unavailable、unexpected）。",
    labels=("outcome",),
)
SENT = declare(
    "datingtoday_sms_sent_day",
    "gauge",
    en="Codes sent in the last 24 hours, by prefix of the number; all: of all numbers.",
    zh="最近 24 小时发送的验证码数，按号码前缀；all 为全部。",
    labels=("prefix",),
)
CONVERTED = declare(
    "datingtoday_sms_login_ratio",
    "gauge",
    en="Share of the login codes of the last 24 hours that became a login. Low: an attacker sends codes to numbers "
    "that are not theirs, or messages do not arrive.",
    zh="最近 24 小时登录验证码转化为登录的比例。过低说明有人在刷短信，或短信未送达。",
    labels=("prefix",),
)
CEILING = declare(
    "datingtoday_sms_ceiling_ratio",
    "gauge",
    en="Codes sent in the last 24 hours by the ceiling of the prefix or of all; 1: further ones are refused.",
    zh="最近 24 小时发送数与（前缀或全部）上限之比；达到 1 后拒绝发送。",
    labels=("prefix",),
)
MAX_PREFIXES = 50
"""Providers with the most messages; a time series each."""
ALL = "all"


def count_message(outcome: str) -> None:
    """Count one message."""
    process_counter(MESSAGES).labels(outcome).inc()


class SmsNumbers:
    """A reader for `Metrics.register`: messages of the last 24 hours, and how many became a login."""

    def __init__(self, database: Database, rules: SmsRules) -> None:
        self._database = database
        self._rules = rules

    def read(self, now: datetime) -> Iterator[Metric]:
        """:raises DatabaseDown:"""
        counts = self._counts(now)
        sent, converted, used = SENT.family(), CONVERTED.family(), CEILING.family()
        for prefix, (codes, logins, successes) in counts.items():
            sent.add_metric([prefix], codes)
            if logins:
                converted.add_metric([prefix], successes / logins)
            ceiling = self._rules.in_all_per_day if prefix == ALL else self._rules.per_prefix_per_day
            if ceiling:
                used.add_metric([prefix], codes / ceiling)
        yield from (sent, converted, used)

    def _counts(self, now: datetime) -> dict[str, tuple[int, int, int]]:
        """By prefix: codes, codes for logins, and those of them that were used."""
        is_login = SmsCode.purpose == "login"
        statement = (
            select(
                SmsCode.prefix,
                func.count(),
                func.sum(case((is_login, 1), else_=0)),
                func.sum(case((is_login & SmsCode.used_at.is_not(None), 1), else_=0)),
            )
            .where(SmsCode.sent_at > now - timedelta(days=1))
            .group_by(SmsCode.prefix)
            .order_by(func.count().desc(), SmsCode.prefix)
        )
        with self._database.reading() as session:
            rows = [(prefix, int(a), int(b), int(c)) for prefix, a, b, c in session.execute(statement)]
        counts = {prefix: (codes, logins, used) for prefix, codes, logins, used in rows[:MAX_PREFIXES]}
        counts[ALL] = (sum(row[1] for row in rows), sum(row[2] for row in rows), sum(row[3] for row in rows))
        return counts
