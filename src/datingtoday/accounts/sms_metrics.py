"""Numbers on SMS for Prometheus, read from SQL when they are asked for: the same from every process and host."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import case, func, select

from datingtoday.accounts.models import SmsCode
from datingtoday.accounts.send_limits import SmsRules
from datingtoday.infra.db import Database, DatabaseDown

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger(__name__)

MAX_PREFIXES = 50
"""Those with the most messages; a time series each."""
ALL = "all"


class SmsNumbers:
    """A reader for `Metrics.register`: messages of the last 24 hours, and how many became a login."""

    def __init__(self, database: Database, rules: SmsRules) -> None:
        self._database = database
        self._rules = rules

    def read(self, now: datetime) -> Iterator[Metric]:
        """Nothing while the database is down."""
        from prometheus_client.core import GaugeMetricFamily

        try:
            counts = self._counts(now)
        except DatabaseDown as error:
            log.warning("sms_numbers_not_read", reason=str(error))
            return
        sent = GaugeMetricFamily(
            "datingtoday_sms_sent_day", "Codes sent in the last 24 hours.", labels=["prefix"]
        )
        converted = GaugeMetricFamily(
            "datingtoday_sms_login_ratio",
            "Share of the login codes of the last 24 hours that became a login.",
            labels=["prefix"],
        )
        used = GaugeMetricFamily(
            "datingtoday_sms_ceiling_ratio",
            "Codes sent in the last 24 hours by the ceiling of the prefix or of all; 1: refused.",
            labels=["prefix"],
        )
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
        with self._database.transaction(write=False) as session:
            rows = [(prefix, int(a), int(b), int(c)) for prefix, a, b, c in session.execute(statement)]
        counts = {prefix: (codes, logins, used) for prefix, codes, logins, used in rows[:MAX_PREFIXES]}
        counts[ALL] = (sum(row[1] for row in rows), sum(row[2] for row in rows), sum(row[3] for row in rows))
        return counts
