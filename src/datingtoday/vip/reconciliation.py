"""Reconciliation: the ledger, the orders and the providers compared; every difference has a name.

It changes nothing. docs/payments.md says what to do about each finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.infra.payments.provider import (
    Fact,
    FactKind,
    PaymentChannel,
    PaymentFailed,
    RefundLookup,
)
from datingtoday.vip.channels import Channels
from datingtoday.vip.membership import replayed
from datingtoday.vip.models import (
    OrderRefund,
    OrderState,
    RefundState,
    RefundTask,
    UserOrder,
    VipGrant,
    VipInfo,
)

log = structlog.get_logger(__name__)

NIGHTLY_DAYS = 3
PEOPLE_AT_ONCE = 500
MAX_FAILURES_IN_A_ROW = 5
"""Failures of one channel after which its later orders are not asked about."""
REFUND_PATIENCE = timedelta(days=1)
"""A refund that takes longer is a finding."""


class FindingKind(StrEnum):
    """Kinds of differences."""

    PAID_WITHOUT_GRANT = "paid_without_grant"
    GRANT_WITHOUT_PAYMENT = "grant_without_payment"
    GRANT_OF_OTHER = "grant_of_other_person"
    DEADLINE_DIFFERS = "deadline_differs"
    REFUND_FAILED = "refund_failed"
    REFUND_SLOW = "refund_slow"
    REFUNDED_IN_PART = "refunded_in_part"
    PAID_AT_PROVIDER_ONLY = "paid_at_provider_only"
    PAID_HERE_ONLY = "paid_here_only"
    REFUNDED_AT_PROVIDER_ONLY = "refunded_at_provider_only"
    REFUND_AMOUNT_UNKNOWN = "refund_amount_unknown"
    AMOUNT_DIFFERS = "amount_differs"
    TRANSACTION_DIFFERS = "transaction_differs"
    PROVIDER_UNREACHABLE = "provider_unreachable"
    CHANNEL_OFF = "channel_off"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference."""

    kind: FindingKind
    channel: str = ""
    trade_no: str = ""
    user_id: int = 0
    detail: str = ""


class Reconciliation:
    """The comparison."""

    def __init__(self, database: Database, channels: Channels) -> None:
        self._database = database
        self._channels = channels

    def run(
        self,
        now: datetime,
        *,
        days: int,
        report_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Finding]:
        """All differences.

        :param days: orders of so many days are asked about at their providers; the ledger is compared as a whole.
        :param report_progress: called after every order with how many were compared, and of how many.
        """
        with self._database.reading() as session:
            found = [*_ledger(session), *_deadlines(session), *_refunds(session, now)]
            recent = session.scalars(
                select(UserOrder)
                .where(UserOrder.order_time >= now - timedelta(days=days))
                .order_by(UserOrder.id)
            ).all()
            tasks = {(it.channel, it.transaction_id): it for it in session.scalars(select(RefundTask))}
        return [*found, *self._providers(_counted(recent, report_progress), tasks, now)]

    def report(self, now: datetime) -> int:
        """The nightly job: findings are logged as warnings; how many."""
        found = self.run(now, days=NIGHTLY_DAYS)
        for finding in found:
            log.warning(
                "pay_reconcile",
                kind=finding.kind.value,
                channel=finding.channel,
                trade_no=finding.trade_no,
                user_id=finding.user_id,
                detail=finding.detail,
            )
        return len(found)

    def _providers(
        self, orders: Iterable[UserOrder], tasks: Mapping[tuple[str, str], RefundTask], now: datetime
    ) -> Iterator[Finding]:
        failures = Counter[str]()
        for order in orders:
            channel = self._channels.find(order.channel)
            if channel is None:
                if order.state in (OrderState.PAID, OrderState.REFUNDED):
                    yield _about(FindingKind.CHANNEL_OFF, order)
                continue
            if failures[order.channel] >= MAX_FAILURES_IN_A_ROW:
                continue
            if not channel.traits.queries_open and order.transaction_id is None:
                continue
            try:
                fact = channel.query(order.trade_no, order.transaction_id or "", now)
                task = None if fact is None else tasks.get((order.channel, fact.transaction_id))
                fact = _with_amount(channel, fact, task)
            except PaymentFailed as error:
                failures[order.channel] += 1
                is_last = failures[order.channel] == MAX_FAILURES_IN_A_ROW
                detail = f"{error.reason}; later orders were not compared" if is_last else error.reason
                yield _about(FindingKind.PROVIDER_UNREACHABLE, order, detail)
                continue
            failures[order.channel] = 0
            if is_comparable(task, fact):
                yield from _compared(order, fact)


def _counted(orders: Sequence[UserOrder], report_progress: Callable[[int, int], None]) -> Iterator[UserOrder]:
    for done, order in enumerate(orders, start=1):
        yield order
        report_progress(done, len(orders))


def _with_amount(channel: PaymentChannel, fact: Fact | None, task: RefundTask | None) -> Fact | None:
    """The fact; of a refund of unknown amount, what our own refund gave back, if we asked for one and it is done.

    :raises PaymentFailed:
    """
    if fact is None or not fact.is_part_unknown or task is None or task.state != RefundState.FAILED:
        return fact
    return (channel.find_refund(task.refund_no) if isinstance(channel, RefundLookup) else None) or fact


def is_comparable(task: RefundTask | None, fact: Fact | None) -> bool:
    """False while our refund is under way, and where it is done and the provider says so too."""
    if task is None or fact is None:
        return True
    if task.state == RefundState.DONE:
        return fact.kind is FactKind.PAID
    return task.state == RefundState.FAILED and fact.kind is FactKind.REFUNDED


def _compared(order: UserOrder, fact: Fact | None) -> Iterator[Finding]:
    """Differences between an order and its provider's record."""
    kind = None if fact is None else fact.kind
    if fact is None or kind is FactKind.CLOSED:
        if order.state in (OrderState.PAID, OrderState.REFUNDED):
            yield _about(FindingKind.PAID_HERE_ONLY, order)
        return
    if fact.amount_fen is not None and fact.amount_fen != order.fee_fen:
        yield _about(FindingKind.AMOUNT_DIFFERS, order, f"{order.fee_fen} here, {fact.amount_fen} there")
    if kind is FactKind.PAID:
        if order.state == OrderState.REFUNDED:
            yield _about(FindingKind.PAID_AT_PROVIDER_ONLY, order, "refunded here")
        elif order.state != OrderState.PAID:
            yield _about(FindingKind.PAID_AT_PROVIDER_ONLY, order, f"{order.state} here")
    is_whole = fact.refunded_fen is None or fact.refunded_fen >= order.fee_fen
    if kind is FactKind.REFUNDED and order.state == OrderState.PAID and is_whole:
        yield _about(FindingKind.REFUNDED_AT_PROVIDER_ONLY, order, fact.refund_id)
    if fact.is_part_unknown and order.state != OrderState.REFUNDED:
        yield _about(
            FindingKind.REFUND_AMOUNT_UNKNOWN, order, f"{order.state} here, a part or all gone there"
        )
    if order.transaction_id and fact.transaction_id and order.transaction_id != fact.transaction_id:
        yield _about(FindingKind.TRANSACTION_DIFFERS, order, f"{fact.transaction_id} there")


def _ledger(session: Session) -> Iterator[Finding]:
    """Every paid order has exactly one grant in force, and no other order any."""
    in_force = VipGrant.revoked_at.is_(None)
    for order in session.scalars(
        select(UserOrder)
        .outerjoin(VipGrant, (VipGrant.order_id == UserOrder.id) & in_force)
        .where(UserOrder.state == OrderState.PAID, VipGrant.order_id.is_(None))
    ):
        yield _about(FindingKind.PAID_WITHOUT_GRANT, order)
    rows = session.execute(
        select(VipGrant, UserOrder)
        .outerjoin(UserOrder, UserOrder.id == VipGrant.order_id)
        .where(
            in_force,
            (UserOrder.id.is_(None))
            | (UserOrder.state != OrderState.PAID)
            | (UserOrder.user_id != VipGrant.user_id),
        )
    )
    for grant, granted_for in rows:
        found: UserOrder | None = granted_for
        if found is not None and found.state == OrderState.PAID:
            yield _about(FindingKind.GRANT_OF_OTHER, found, f"granted to {grant.user_id}")
        else:
            yield Finding(
                FindingKind.GRANT_WITHOUT_PAYMENT,
                "" if found is None else found.channel,
                "" if found is None else found.trade_no,
                grant.user_id,
                f"order {grant.order_id}" if found is None else str(found.state),
            )


def _deadlines(session: Session) -> Iterator[Finding]:
    """Everybody's deadline is what replaying the ledger gives."""
    last_id = 0
    while infos := session.scalars(
        select(VipInfo).where(VipInfo.user_id > last_id).order_by(VipInfo.user_id).limit(PEOPLE_AT_ONCE)
    ).all():
        last_id = infos[-1].user_id
        grants: dict[int, list[VipGrant]] = {}
        for grant in session.scalars(
            select(VipGrant)
            .where(VipGrant.user_id.in_([info.user_id for info in infos]), VipGrant.revoked_at.is_(None))
            .order_by(VipGrant.granted_at, VipGrant.order_id)
        ):
            grants.setdefault(grant.user_id, []).append(grant)
        for info in infos:
            deadline = replayed(grants.get(info.user_id, []))
            if deadline != info.vip_deadline:
                yield Finding(
                    FindingKind.DEADLINE_DIFFERS,
                    user_id=info.user_id,
                    detail=f"{info.vip_deadline} stored, {deadline} by the ledger",
                )


def _refunds(session: Session, now: datetime) -> Iterator[Finding]:
    """Refunds that failed or take too long, and payments of which only a part went back."""
    for task, order in session.execute(
        select(RefundTask, UserOrder)
        .join(UserOrder, UserOrder.id == RefundTask.order_id)
        .where(RefundTask.state != RefundState.DONE)
    ):
        if task.state == RefundState.FAILED:
            yield _about(FindingKind.REFUND_FAILED, order, task.transaction_id)
        elif task.created_at < now - REFUND_PATIENCE:
            yield _about(FindingKind.REFUND_SLOW, order, f"{task.tries} tries")
    gone = func.sum(OrderRefund.amount_fen)
    for order, amount_fen in session.execute(
        select(UserOrder, gone)
        .join(OrderRefund, OrderRefund.order_id == UserOrder.id)
        .where(UserOrder.state == OrderState.PAID, OrderRefund.transaction_id == UserOrder.transaction_id)
        .group_by(UserOrder.id)
    ):
        if amount_fen < order.fee_fen:
            yield _about(FindingKind.REFUNDED_IN_PART, order, f"{amount_fen} of {order.fee_fen} fen")


def _about(kind: FindingKind, order: UserOrder, detail: str = "") -> Finding:
    return Finding(kind, order.channel, order.trade_no, order.user_id, detail)
