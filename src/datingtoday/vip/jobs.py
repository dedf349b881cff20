"""Work without a request: orders expire, providers are asked again, payments go back, old ledgers are purged.

Every job scans SQL, may be stopped at any time and run twice at once: what it does to an order goes through the state
table under the order's lock. No provider is called inside a transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, Select, and_, delete, select
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.infra.payments.provider import Fact, FactKind, PaymentFailed, Refund, RefundLookup
from datingtoday.vip.channels import Channels
from datingtoday.vip.models import (
    OrderRefund,
    OrderState,
    PayNotice,
    RefundState,
    RefundTask,
    UserOrder,
    VipGrant,
    VipInfo,
)
from datingtoday.vip.order_states import OrderStates, RefundReason, add_refund_task
from datingtoday.vip.orders import Orders

log = structlog.get_logger(__name__)

BATCH = 100
"""Orders that one run looks at; the rest is the next run's."""
POLL_AFTER = tuple(timedelta(seconds=s) for s in (30, 120, 300, 900))
"""From one poll to the next; then hourly."""
POLL_HOURLY = timedelta(hours=1)
POLLED_FOR = timedelta(days=1)
"""After an order's time is over: for so long a late payment is looked for."""
CLOSE_WITHIN = timedelta(days=1)
"""Time after which an order that cannot be closed at its provider is marked as expired all the same."""
MAX_FAILURES = 5
"""Failures of one channel in one run; the rest is left for the next run."""
MAX_REFUND_RETRY = timedelta(hours=6)
REFUND_TRIES = 40


@dataclass(frozen=True, slots=True)
class PaymentJobs:
    """Jobs of orders and payments.

    :param ledger: how long payments of deleted accounts are kept.
    """

    database: Database
    channels: Channels
    orders: Orders
    states: OrderStates
    ledger: timedelta

    def has_expired(self, now: datetime) -> bool:
        """True if `expire` would find anything."""
        return self._any(
            select(UserOrder.id).where(UserOrder.state == OrderState.UNPAID, UserOrder.expire_at <= now)
        )

    def has_polls(self, now: datetime) -> bool:
        """True if `poll` would find anything."""
        return self._any(select(UserOrder.id).where(UserOrder.poll_at <= now))

    def has_refunds(self, now: datetime) -> bool:
        """True if `refund` would find anything."""
        return self._any(select(RefundTask.id).where(_is_due(now)))

    def _any(self, statement: Select[int]) -> bool:
        with self.database.reading() as session:
            return bool(session.scalar(select(statement.exists())))

    def expire(self, now: datetime) -> int:
        """Close unpaid orders whose time is over, at the provider first, and write them down; how many."""
        with self.database.reading() as session:
            due = session.scalars(
                select(UserOrder)
                .where(UserOrder.state == OrderState.UNPAID, UserOrder.expire_at <= now)
                .order_by(UserOrder.expire_at)
                .limit(BATCH)
            ).all()
        expired, failures = 0, Counter[str]()
        for order in due:
            if failures[order.channel] >= MAX_FAILURES:
                continue
            is_closed = self.orders.close_at_provider(order, now)
            if is_closed is None:
                failures[order.channel] += 1
                if order.expire_at > now - CLOSE_WITHIN:
                    # By rule it is expired already; that it was paid in time may still be found out.
                    continue
            expired += self.database.retried(
                lambda session, order_id=order.id, is_closed=is_closed: self._end(  # type: ignore[misc]
                    session, order_id, now, is_closed=bool(is_closed)
                )
            )
        return expired

    def _end(self, session: Session, order_id: int, now: datetime, *, is_closed: bool) -> int:
        order = session.get_one(UserOrder, order_id, with_for_update=True)
        if order.state != OrderState.UNPAID or order.expire_at > now:
            return 0
        self.states.end_unpaid(order, OrderState.EXPIRED, is_closed=is_closed)
        return 1

    def poll(self, now: datetime) -> int:
        """Ask providers about orders of which no notification came; how many were asked about."""
        with self.database.reading() as session:
            due = session.scalars(
                select(UserOrder).where(UserOrder.poll_at <= now).order_by(UserOrder.poll_at).limit(BATCH)
            ).all()
        for order in due:
            self._ask(order, now)
            self.database.retried(
                lambda session, order_id=order.id: self._plan(session, order_id, now)  # type: ignore[misc]
            )
        return len(due)

    def _ask(self, order: UserOrder, now: datetime) -> None:
        channel = self.channels.find(order.channel)
        if channel is None or not channel.traits.queries_open:
            return
        try:
            # Orders that were paid are not polled, so there is no transaction to name.
            fact = channel.query(order.trade_no, "", now)
        except PaymentFailed as error:
            log.warning("payment_not_polled", channel=error.channel, reason=error.reason)
            return
        if fact is not None:
            self.orders.take_in(order.id, fact, now)
            return
        # Cancelled while the provider was down: nobody shall pay it any more.
        is_open = order.state_at(now) is not OrderState.UNPAID and not order.is_closed
        if is_open and self.orders.close_at_provider(order, now):
            self.orders.take_in(order.id, Fact(FactKind.CLOSED, order.trade_no), now)

    @staticmethod
    def _plan(session: Session, order_id: int, now: datetime) -> None:
        order = session.get_one(UserOrder, order_id, with_for_update=True)
        if order.poll_at is None:
            return
        is_over = order.state in (OrderState.PAID, OrderState.REFUNDED)
        if is_over or order.is_closed or now >= order.expire_at + POLLED_FOR:
            order.poll_at = None
            return
        wait = POLL_AFTER[order.polls] if order.polls < len(POLL_AFTER) else POLL_HOURLY
        order.polls += 1
        order.poll_at = now + wait

    def refund(self, now: datetime) -> int:
        """Give payments back that paid nothing, or that operators gave back; how many are done."""
        with self.database.reading() as session:
            due = session.execute(
                select(RefundTask, UserOrder.trade_no, UserOrder.fee_fen)
                .join(UserOrder, UserOrder.id == RefundTask.order_id)
                .where(_is_due(now))
                .order_by(RefundTask.try_at)
                .limit(BATCH)
            ).all()
        return sum(self._give_back(task, trade_no, fee_fen, now) for task, trade_no, fee_fen in due)

    def _give_back(self, task: RefundTask, trade_no: str, fee_fen: int, now: datetime) -> int:
        channel = self.channels.find(task.channel)
        is_done, reason, is_final = False, "channel_off", False
        if channel is not None:
            try:
                is_done, reason = (
                    channel.refund(
                        Refund(
                            trade_no,
                            task.transaction_id,
                            task.refund_no,
                            task.fee_fen,
                            fee_fen,
                            reason=task.reason,
                        )
                    ),
                    "processing",
                )
            except PaymentFailed as error:
                reason, is_final = error.reason, error.is_final
        if is_done:
            fact = Fact(
                FactKind.REFUNDED,
                trade_no,
                task.transaction_id,
                fee_fen,
                refund_id=task.refund_no,
                refunded_fen=task.fee_fen,
            )
            self.orders.take_in(task.order_id, fact, now)
            return 1
        log.warning("refund_not_done", channel=task.channel, trade_no=trade_no, reason=reason)
        self.database.retried(
            lambda session: self._try_later(session, task.id, now, is_final=is_final, reason=reason)
        )
        return 0

    @staticmethod
    def _try_later(session: Session, task_id: int, now: datetime, *, is_final: bool, reason: str) -> None:
        task = session.get_one(RefundTask, task_id, with_for_update=True)
        if task.state in (RefundState.DONE, RefundState.FAILED):
            return
        task.tries += 1
        task.try_at = now + _refund_pause(task.tries)
        if reason == "processing":
            task.state = RefundState.PROCESSING
        elif is_final or task.tries >= REFUND_TRIES:
            task.state = RefundState.FAILED
            log.error("refund_given_up", task_id=task_id, reason=reason)

    def order_refund(self, trade_no: str, now: datetime) -> UserOrder | None:
        """An operator gives an order's payment back: the job does it. None: there is no paid order of this trade_no."""

        def work(session: Session) -> UserOrder | None:
            order = session.scalars(
                select(UserOrder).where(UserOrder.trade_no == trade_no).with_for_update()
            ).one_or_none()
            if order is None or order.state != OrderState.PAID or order.transaction_id is None:
                return None
            if not self.channels.traits_of(order.channel).refunds:
                return None
            task = add_refund_task(
                session, order, order.transaction_id, order.fee_fen, RefundReason.OPERATOR, now
            )
            if task.state == RefundState.FAILED:
                task.state, task.try_at, task.tries = RefundState.DUE, now, 0
            return order

        return self.database.retried(work)

    def find_refund(self, trade_no: str, refund_no: str, now: datetime) -> str | None:
        """Ask the provider for a refund that was made in its console, and apply it; the outcome.

        None: the provider tells of none.

        :param refund_no: the merchant's number of the refund; empty: what the order's query says, if it tells how much.
        :raises PaymentFailed:
        """
        with self.database.reading() as session:
            order = session.scalars(select(UserOrder).where(UserOrder.trade_no == trade_no)).one_or_none()
        channel = None if order is None else self.channels.find(order.channel)
        if order is None or channel is None:
            return None
        fact: Fact | None = None
        if refund_no:
            fact = channel.find_refund(refund_no) if isinstance(channel, RefundLookup) else None
        elif channel.traits.queries_open or order.transaction_id:
            fact = channel.query(trade_no, order.transaction_id or "", now)
        is_told = fact is not None and fact.kind is FactKind.REFUNDED and not fact.is_part_unknown
        if fact is None or not is_told or fact.trade_no not in ("", trade_no):
            return None
        return self.orders.take_in(order.id, fact, now)

    def purge(self, now: datetime) -> int:
        """Remove payments of deleted accounts after the legal period, in small transactions; how many orders."""
        removed = 0
        while done := self.database.retried(lambda session: self._purge_some(session, now - self.ledger)):
            removed += done
        return removed

    @staticmethod
    def _purge_some(session: Session, before: datetime) -> int:
        old = session.execute(
            select(UserOrder.id, UserOrder.trade_no, UserOrder.user_id)
            .join(VipInfo, VipInfo.user_id == UserOrder.user_id)
            .where(VipInfo.left_at.is_not(None), UserOrder.order_time < before)
            .limit(BATCH)
        ).all()
        ids = [row.id for row in old]
        if ids:
            session.execute(delete(PayNotice).where(PayNotice.trade_no.in_([row.trade_no for row in old])))
            for table in (OrderRefund, RefundTask, VipGrant):
                session.execute(delete(table).where(table.order_id.in_(ids)))
            session.execute(delete(UserOrder).where(UserOrder.id.in_(ids)))
        _forget_people(session, before)
        return len(ids)


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(RefundTask.state.in_((RefundState.DUE, RefundState.PROCESSING)), RefundTask.try_at <= now)


def _refund_pause(tries: int) -> timedelta:
    """Time after so many tries until the next."""
    return min(timedelta(seconds=30 * 2 ** min(tries, REFUND_TRIES)), MAX_REFUND_RETRY)


def _forget_people(session: Session, before: datetime) -> None:
    """Rows of people who left, and of whom no order is kept any more."""
    has_order = select(UserOrder.id).where(UserOrder.user_id == VipInfo.user_id).exists()
    gone: Sequence[int] = session.scalars(
        select(VipInfo.user_id).where(VipInfo.left_at < before, ~has_order).limit(BATCH)
    ).all()
    if gone:
        session.execute(delete(VipGrant).where(VipGrant.user_id.in_(gone)))
        session.execute(delete(VipInfo).where(VipInfo.user_id.in_(gone)))
