"""Numbers on orders and refunds for Prometheus, and the count of notifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from datingtoday.infra.db import Database
from datingtoday.infra.metric_declarations import declare, process_counter
from datingtoday.vip.models import OrderState, RefundTask, UserOrder

if TYPE_CHECKING:
    from prometheus_client.core import Metric

NOTICES = declare(
    "datingtoday_pay_notices",
    "counter",
    en="Notifications of payment providers, by verdict (granted, refunded, repeated, refused, …).",
    zh="支付平台的通知，按处理结果（granted、refunded、repeated、refused 等）。",
    labels=("channel", "verdict"),
)
ORDERS = declare(
    "datingtoday_orders_day",
    "gauge",
    en="Orders of the last 24 hours by channel and state.",
    zh="最近 24 小时的订单数，按渠道和状态。",
    labels=("channel", "state"),
)
REFUNDS = declare(
    "datingtoday_refunds",
    "gauge",
    en="Refunds that are not over (due, processing) or were given up (failed).",
    zh="未完成（due、processing）或已放弃（failed）的退款数。",
    labels=("channel", "state"),
)


def count_notice(channel: str, verdict: str) -> None:
    """Count one notification."""
    process_counter(NOTICES).labels(channel, verdict).inc()


class PaymentNumbers:
    """A reader for `Metrics.register`; :raises DatabaseDown: from `read`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, now: datetime) -> Iterator[Metric]:
        """Orders whose time is over count as expired, whether that is written down or not."""
        is_over = UserOrder.expire_at <= now
        orders_by_state = (
            select(UserOrder.channel, UserOrder.state, is_over, func.count())
            .where(UserOrder.order_time > now - timedelta(days=1))
            .group_by(UserOrder.channel, UserOrder.state, is_over)
        )
        refunds_by_state = (
            select(RefundTask.channel, RefundTask.state, func.count())
            .where(RefundTask.state.in_(("due", "processing", "failed")))
            .group_by(RefundTask.channel, RefundTask.state)
        )
        counts: Counter[tuple[str, str]] = Counter()
        with self._database.reading() as session:
            for channel, state, over, number in session.execute(orders_by_state):
                is_expired = state == OrderState.UNPAID and over
                counts[channel, OrderState.EXPIRED if is_expired else state] += number
            refunds = session.execute(refunds_by_state).all()
        orders = ORDERS.family()
        for (channel, state), number in counts.items():
            orders.add_metric([channel, str(state)], number)
        yield orders
        family = REFUNDS.family()
        for channel, state, number in refunds:
            family.add_metric([channel, str(state)], number)
        yield family
