"""The state table of orders: what each verified fact does to an order, in one place.

| state | paid | refunded | cancelled | time over |
| --- | --- | --- | --- | --- |
| unpaid | paid, days granted | refunded, never granted | cancelled | expired |
| paid | same payment: nothing; another: given back | refunded, own days taken back | 1504 | |
| cancelled, expired | given back, stays | noted, stays | same answer | |
| refunded | same payment: nothing; another: given back | nothing | 1504 | |

On a channel where nobody but the provider refunds (Apple), a payment always counts: on an order that is unpaid,
cancelled or expired, else under an order of its own.

Notifications, polls, receipts, reconciliation and the sandbox all come through `apply`. Locks: the order, then the
person's ledger.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datingtoday.infra.payments.provider import ChannelTraits, Fact, FactKind
from datingtoday.vip.membership import Membership
from datingtoday.vip.models import OrderRefund, OrderState, RefundState, RefundTask, UserOrder

OWN_ORDER = "·payment:"
"""Begins the client id of an order that a payment made by itself; no client can send this character."""


class Outcome(StrEnum):
    """Effect of a fact; stored as the verdict on a notification."""

    GRANTED = "granted"
    GRANTED_ANEW = "granted_anew"
    REPEATED = "repeated"
    REFUND_DUE = "refund_due"
    REFUNDED = "refunded"
    REFUNDED_IN_PART = "refunded_in_part"
    REINSTATED = "reinstated"
    CLOSED = "closed"
    NOTHING = "nothing"


class FactRefused(Exception):
    """A fact that does not fit the order: nothing was changed. Raised with a short word: ``amount``, ``currency``, …"""

    @property
    def reason(self) -> str:
        """The word."""
        return str(self)


class RefundReason(StrEnum):
    """Reason of a refund."""

    LATE = "late"
    TWICE = "twice"
    ACCOUNT_DELETED = "account_deleted"
    OPERATOR = "operator"


class OrderStates:
    """The state table.

    :param traits_of: by the name of a channel.
    """

    def __init__(self, membership: Membership, traits_of: Callable[[str], ChannelTraits]) -> None:
        self._membership = membership
        self._traits_of = traits_of

    def apply(self, session: Session, order: UserOrder, fact: Fact, now: datetime) -> Outcome:
        """Let a verified fact change an order.

        :param order: its row, locked.
        :raises FactRefused:
        """
        match fact.kind:
            case FactKind.PAID:
                return self._paid(session, order, fact, now)
            case FactKind.REFUNDED:
                return self._refunded(session, order, fact, now)
            case FactKind.REINSTATED:
                return self._reinstated(session, order, fact, now)
            case FactKind.CLOSED:
                return self._closed(order, now)

    # --- paid

    def _paid(self, session: Session, order: UserOrder, fact: Fact, now: datetime) -> Outcome:
        self._check_payment(session, order, fact)
        task = _task_of(session, order.channel, fact.transaction_id)
        if task is not None and task.order_id != order.id:
            raise FactRefused("transaction")
        if task is not None or order.transaction_id == fact.transaction_id:
            return Outcome.REPEATED
        late = self._traits_of(order.channel).grants_late
        # What was paid in time counts, however late the news of it is.
        state = order.state_at(now if fact.at is None else min(now, fact.at))
        if state is not OrderState.UNPAID and not late:
            reason = RefundReason.TWICE if order.transaction_id else RefundReason.LATE
            add_refund_task(session, order, fact.transaction_id, order.fee_fen, reason, now)
            return Outcome.REFUND_DUE
        info = self._membership.lock(session, order.user_id)
        if info.left_at is not None and not late:
            add_refund_task(
                session, order, fact.transaction_id, order.fee_fen, RefundReason.ACCOUNT_DELETED, now
            )
            return Outcome.REFUND_DUE
        outcome = Outcome.GRANTED
        if state in (OrderState.PAID, OrderState.REFUNDED):
            order, outcome = _own_order(session, order, fact, now), Outcome.GRANTED_ANEW
        _set_paid(order, fact, now)
        self._membership.grant(session, info, order.id, order.vip_days, now)
        return outcome

    def _check_payment(self, session: Session, order: UserOrder, fact: Fact) -> None:
        if not fact.transaction_id:
            raise FactRefused("transaction")
        if fact.amount_fen is not None:
            if fact.currency != order.currency:
                raise FactRefused("currency")
            if fact.amount_fen != order.fee_fen:
                raise FactRefused("amount")
        other = session.scalar(
            select(UserOrder.id).where(
                UserOrder.channel == order.channel,
                UserOrder.transaction_id == fact.transaction_id,
                UserOrder.id != order.id,
            )
        )
        if other is not None:
            raise FactRefused("transaction")

    # --- refunded

    def _refunded(self, session: Session, order: UserOrder, fact: Fact, now: datetime) -> Outcome:
        if fact.amount_fen is not None and fact.currency != order.currency:
            raise FactRefused("currency")
        paid_by = order.transaction_id
        transaction_id = fact.transaction_id or paid_by or ""
        if not transaction_id:
            raise FactRefused("transaction")
        if fact.is_part_unknown:
            # Reconciliation reports it; a person's days are not taken back on a guess.
            return Outcome.NOTHING
        is_own = transaction_id == paid_by or (paid_by is None and order.state == OrderState.UNPAID)
        gone_fen = self._note_refund(session, order, transaction_id, fact, now)
        if gone_fen < order.fee_fen:
            return Outcome.REFUNDED_IN_PART
        task = _task_of(session, order.channel, transaction_id)
        if task is not None:
            task.state = RefundState.DONE
        if not is_own:
            if task is None:
                # The payment itself was not told of yet: when it is, it must pay nothing.
                task = add_refund_task(session, order, transaction_id, order.fee_fen, RefundReason.LATE, now)
                task.state = RefundState.DONE
            return Outcome.NOTHING
        if order.state == OrderState.REFUNDED:
            return Outcome.REPEATED
        info = self._membership.lock(session, order.user_id)
        order.state = OrderState.REFUNDED
        order.transaction_id = transaction_id
        order.refunded_time = now
        order.poll_at = None
        self._membership.revoke(session, info, order.id, now)
        return Outcome.REFUNDED

    @staticmethod
    def _note_refund(
        session: Session, order: UserOrder, transaction_id: str, fact: Fact, now: datetime
    ) -> int:
        """Remember a refund of this payment; how much of it went back in all, in fen."""
        amount_fen = order.fee_fen if fact.refunded_fen is None else fact.refunded_fen
        refund_id = fact.refund_id or f"all:{transaction_id}"
        row = session.scalars(
            select(OrderRefund).where(
                OrderRefund.channel == order.channel, OrderRefund.refund_id == refund_id
            )
        ).one_or_none()
        if row is None:
            session.add(
                OrderRefund(
                    order_id=order.id,
                    channel=order.channel,
                    refund_id=refund_id,
                    transaction_id=transaction_id,
                    amount_fen=amount_fen,
                    at=now,
                )
            )
        else:
            row.amount_fen = max(row.amount_fen, amount_fen)
        total_fen = session.scalars(
            select(func.sum(OrderRefund.amount_fen)).where(
                OrderRefund.channel == order.channel, OrderRefund.transaction_id == transaction_id
            )
        ).one()
        return int(total_fen)

    def _reinstated(self, session: Session, order: UserOrder, fact: Fact, now: datetime) -> Outcome:
        if order.state != OrderState.REFUNDED or order.transaction_id != fact.transaction_id:
            return Outcome.NOTHING
        info = self._membership.lock(session, order.user_id)
        order.state = OrderState.PAID
        order.refunded_time = None
        self._membership.reinstate(session, info, order.id, now)
        return Outcome.REINSTATED

    # --- closed

    @staticmethod
    def _closed(order: UserOrder, now: datetime) -> Outcome:
        order.is_closed = True
        if order.state != OrderState.UNPAID:
            return Outcome.NOTHING
        order.state = OrderState.EXPIRED if order.expire_at <= now else OrderState.CANCELLED
        return Outcome.CLOSED

    @staticmethod
    def end_unpaid(order: UserOrder, state: OrderState, *, is_closed: bool) -> None:
        """An unpaid order is cancelled or expires; the row is locked.

        :param is_closed: the provider takes no payment for it any more.
        """
        if order.state == OrderState.UNPAID:
            order.state = state
            order.is_closed = order.is_closed or is_closed


def add_refund_task(
    session: Session,
    order: UserOrder,
    transaction_id: str,
    fee_fen: int,
    reason: RefundReason,
    now: datetime,
) -> RefundTask:
    """Let the job give a payment back; for the same payment there is one task."""
    task = _task_of(session, order.channel, transaction_id)
    if task is None:
        task = RefundTask(
            order_id=order.id,
            channel=order.channel,
            transaction_id=transaction_id,
            refund_no=refund_no_of(order.channel, transaction_id),
            fee_fen=fee_fen,
            reason=reason,
            state=RefundState.DUE,
            created_at=now,
            try_at=now,
        )
        session.add(task)
    return task


def refund_no_of(channel: str, transaction_id: str) -> str:
    """Our number of a refund: the same for the same payment, so that asking twice refunds once."""
    return "R" + hashlib.sha256(f"{channel}|{transaction_id}".encode()).hexdigest()[:31]


def new_trade_no(now: datetime) -> str:
    """26 digits: the second, and chance."""
    return f"{now:%Y%m%d%H%M%S}{secrets.randbelow(10**12):012d}"


def _task_of(session: Session, channel: str, transaction_id: str) -> RefundTask | None:
    return session.scalars(
        select(RefundTask).where(RefundTask.channel == channel, RefundTask.transaction_id == transaction_id)
    ).one_or_none()


def _own_order(session: Session, first: UserOrder, fact: Fact, now: datetime) -> UserOrder:
    """The order of a further payment of the same product by the same person."""
    order = UserOrder(
        user_id=first.user_id,
        product_id=first.product_id,
        product_name=first.product_name,
        vip_days=first.vip_days,
        fee_fen=first.fee_fen,
        currency=first.currency,
        channel=first.channel,
        apple_id=first.apple_id,
        trade_no=new_trade_no(now),
        client_id=OWN_ORDER + refund_no_of(first.channel, fact.transaction_id),
        state=OrderState.UNPAID,
        order_time=now,
        expire_at=now,
    )
    session.add(order)
    session.flush()
    return order


def _set_paid(order: UserOrder, fact: Fact, now: datetime) -> None:
    order.state = OrderState.PAID
    order.transaction_id = fact.transaction_id
    order.paid_time = now if fact.at is None else min(now, fact.at)
    order.open_id = fact.payer or order.open_id
    order.pay_params = None
    order.poll_at = None
