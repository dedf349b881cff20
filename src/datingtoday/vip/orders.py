"""Orders: made, shown, cancelled and confirmed by the person whom they belong to."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.infra.payments.provider import Fact, NoticeRefused, Payment, PaymentChannel, PaymentFailed
from datingtoday.protocol.envelope import ReadyJson, to_json
from datingtoday.protocol.errors import ClientIdReused, Unavailable
from datingtoday.protocol.paging import Cursors, PageRequest, newest_first
from datingtoday.vip.channels import Channels
from datingtoday.vip.errors import (
    STATE_NAMES,
    OrderNotFound,
    OrderNotPayable,
    ProductNotFound,
    ReceiptRefused,
    channel_not_set_up,
    no_receipts,
)
from datingtoday.vip.membership import Membership
from datingtoday.vip.models import OrderState, UserOrder
from datingtoday.vip.order_states import FactRefused, OrderStates, new_trade_no
from datingtoday.vip.products import Products

log = structlog.get_logger(__name__)

FIRST_POLL = timedelta(seconds=10)
_LIST = "orders"
_APPLE_TOKENS = uuid.UUID("6f1d5a0e-5d1b-5a55-9d3c-0c8f6a3f4b21")


class Orders:
    """The rules of orders. Providers are called between transactions, never inside one.

    :param time_to_pay: how long an order can be paid.
    """

    def __init__(
        self,
        database: Database,
        channels: Channels,
        products: Products,
        membership: Membership,
        states: OrderStates,
        cursors: Cursors,
        *,
        time_to_pay: timedelta,
    ) -> None:
        self._database = database
        self._channels = channels
        self._products = products
        self._membership = membership
        self._states = states
        self._cursors = cursors
        self._time_to_pay = time_to_pay

    # --- making one

    def create(
        self, user_id: int, product_id: int, channel: str, client_id: str, now: datetime
    ) -> dict[str, Any]:
        """Make an order, in two transactions with the provider between them.

        The same client id answers with the same order; an order that the provider has not heard of yet (it was down,
        or this process ended) is told to it again, under the same trade_no.

        :raises ParameterError: the channel is not set up. :raises ProductNotFound: :raises ClientIdReused:
        :raises Unavailable: the provider failed; the order stays, and the same client id tries again.
        """
        paid_through = self._channels.find(channel)
        if paid_through is None:
            raise channel_not_set_up(self._channels.names)
        order = self._reserve(user_id, product_id, paid_through, client_id, now)
        if order.state_at(now) is OrderState.UNPAID and order.pay_params is None:
            order = self._prepare(order, paid_through, now)
        is_open = order.state_at(now) is OrderState.UNPAID
        params = json.loads(order.pay_params) if is_open and order.pay_params else None
        return {**wire_order(order, now), "pay_params": params}

    def _reserve(
        self, user_id: int, product_id: int, channel: PaymentChannel, client_id: str, now: datetime
    ) -> UserOrder:
        def work(session: Session) -> UserOrder:
            order = _by_client_id(session, user_id, client_id)
            if order is None:
                return self._new(session, user_id, product_id, channel, client_id, now)
            if (order.product_id, order.channel) != (product_id, channel.name):
                raise ClientIdReused
            return order

        # Another request may make it at the same time: then it is there when this one looks again.
        return self._database.retried(work, also=(IntegrityError,))

    def _new(
        self,
        session: Session,
        user_id: int,
        product_id: int,
        channel: PaymentChannel,
        client_id: str,
        now: datetime,
    ) -> UserOrder:
        product = self._products.find(session, product_id)
        needs_apple_id = channel.traits.grants_late
        if product is None or (needs_apple_id and product.apple_id is None):
            raise ProductNotFound
        trade_no = new_trade_no(now)
        order = UserOrder(
            user_id=user_id,
            product_id=product.id,
            product_name=product.name,
            vip_days=product.vip_time,
            fee_fen=product.price_fen,
            channel=channel.name,
            trade_no=trade_no,
            client_id=client_id,
            account_token=str(uuid.uuid5(_APPLE_TOKENS, trade_no)) if needs_apple_id else None,
            apple_id=product.apple_id if needs_apple_id else None,
            state=OrderState.UNPAID,
            # Whole seconds, as clients and providers are told.
            order_time=now.replace(microsecond=0),
            expire_at=now.replace(microsecond=0) + self._time_to_pay,
            poll_at=now + FIRST_POLL,
        )
        session.add(order)
        session.flush()
        return order

    def _prepare(self, order: UserOrder, channel: PaymentChannel, now: datetime) -> UserOrder:
        """Tell the provider of an order; the order as it is after that: paid or cancelled, perhaps, meanwhile."""
        payment = Payment(
            trade_no=order.trade_no,
            subject=order.product_name,
            fee_fen=order.fee_fen,
            currency=order.currency,
            expire_at=order.expire_at,
            account_token=order.account_token or "",
            apple_id=order.apple_id or "",
        )
        try:
            params = channel.create(payment, now)
        except PaymentFailed as error:
            log.warning("payment_not_prepared", channel=error.channel, reason=error.reason)
            raise Unavailable from error
        with self._database.transaction() as session:
            stored = session.get_one(UserOrder, order.id, with_for_update=True)
            if stored.state_at(now) is OrderState.UNPAID and stored.pay_params is None:
                stored.pay_params = json.dumps(params)
        return stored

    # --- looking

    def show(self, session: Session, user_id: int, order_id: int, now: datetime) -> dict[str, Any]:
        """One order. :raises OrderNotFound: also for another user's."""
        return wire_order(_own(session, user_id, order_id), now)

    def by_trade_no(self, session: Session, trade_no: str) -> UserOrder:
        """An order by our number at its provider. :raises OrderNotFound: there is none."""
        order = session.scalars(select(UserOrder).where(UserOrder.trade_no == trade_no)).one_or_none()
        if order is None:
            raise OrderNotFound
        return order

    def page(self, session: Session, user_id: int, page: PageRequest, now: datetime) -> ReadyJson:
        """A page of the person's orders, the latest first."""
        matching = select(UserOrder.order_time, UserOrder.id).where(UserOrder.user_id == user_id)
        found = newest_first(
            session, matching, UserOrder.order_time, UserOrder.id, page, self._cursors, _LIST, user_id
        )
        ids = [order_id for _, order_id in found.rows]
        orders = {row.id: row for row in session.scalars(select(UserOrder).where(UserOrder.id.in_(ids)))}
        return found.answer([to_json(wire_order(orders[order_id], now)) for order_id in ids])

    # --- ending one

    def cancel(self, user_id: int, order_id: int, now: datetime) -> dict[str, Any]:
        """Cancel an unpaid order: closed at the provider first, so that nobody pays it any more.

        :raises OrderNotFound: :raises OrderNotPayable: it is paid, refunded or expired.
        """
        with self._database.reading() as session:
            order = _own(session, user_id, order_id)
        if order.state_at(now) is not OrderState.UNPAID:
            return wire_order(_cancelled(order, now), now)
        is_closed = self.close_at_provider(order, now)
        with self._database.transaction() as session:
            order = session.get_one(UserOrder, order_id, with_for_update=True)
            if order.state_at(now) is OrderState.UNPAID:
                self._states.end_unpaid(order, OrderState.CANCELLED, is_closed=bool(is_closed))
                order.poll_at = now + FIRST_POLL
        return wire_order(_cancelled(order, now), now)

    def close_at_provider(self, order: UserOrder, now: datetime) -> bool | None:
        """Close an order's payment; one that was paid after all is taken in.

        :return: whether it is closed; None: the provider failed, the poll asks again.
        """
        channel = self._channels.find(order.channel)
        if channel is None or not channel.traits.closes:
            return False
        try:
            if channel.close(order.trade_no):
                return True
            fact = channel.query(order.trade_no, "", now)
        except PaymentFailed as error:
            log.warning("payment_not_closed", channel=error.channel, reason=error.reason)
            return None
        if fact is not None:
            self.take_in(order.id, fact, now)
        return False

    def take_in(self, order_id: int, fact: Fact, now: datetime) -> str:
        """Apply what the provider answered about an order, in a transaction of its own; the outcome."""

        def work(session: Session) -> str:
            order = session.get_one(UserOrder, order_id, with_for_update=True)
            return self._states.apply(session, order, fact, now)

        try:
            return self._database.retried(work)
        except FactRefused as error:
            log.warning("payment_does_not_fit", order_id=order_id, reason=error.reason)
            return f"refused: {error.reason}"

    def person_left(self, session: Session, user_id: int, now: datetime) -> None:
        """Within the transaction in which an account is deleted: unpaid orders end, later payments go back."""
        orders = session.scalars(
            select(UserOrder)
            .where(UserOrder.user_id == user_id, UserOrder.state == OrderState.UNPAID)
            .order_by(UserOrder.id)
            .with_for_update()
        )
        for order in orders:
            self._states.end_unpaid(order, OrderState.CANCELLED, is_closed=False)
            order.poll_at = now
        self._membership.lock(session, user_id).left_at = now

    # --- receipts

    def confirm(
        self, session: Session, user_id: int, order_id: int, receipt: str, now: datetime
    ) -> dict[str, Any]:
        """Take a receipt that the client got from the provider (Apple's signed transaction).

        :raises OrderNotFound: :raises ParameterError: the channel has no receipts. :raises ReceiptRefused:
        """
        order = _own(session, user_id, order_id, lock=True)
        read_receipt = getattr(self._channels.find(order.channel), "read_receipt", None)
        if read_receipt is None:
            raise no_receipts()
        try:
            fact: Fact = read_receipt(receipt, now)
            if (fact.account_token, fact.product) != (order.account_token, order.apple_id):
                raise FactRefused("order")
            self._states.apply(session, order, fact, now)
        except (NoticeRefused, FactRefused) as error:
            log.warning("receipt_refused", order_id=order_id, reason=error.reason)
            raise ReceiptRefused from error
        return wire_order(order, now)


def wire_order(order: UserOrder, now: datetime) -> dict[str, Any]:
    """An order as clients see it."""
    return {
        "order_id": order.id,
        "trade_no": order.trade_no,
        "product_id": order.product_id,
        "product_name": order.product_name,
        "vip_days": order.vip_days,
        "fee_fen": order.fee_fen,
        "channel": order.channel,
        "state": order.state_at(now).value,
        "order_time": order.order_time,
        "paid_time": order.paid_time,
        "expire_time": order.expire_at,
    }


def find_for(session: Session, channel: str, fact: Fact) -> UserOrder | None:
    """The order that a fact is about, locked; None: it is none of ours on this channel."""
    statement = select(UserOrder).where(UserOrder.channel == channel).with_for_update()
    if fact.trade_no:
        return session.scalars(statement.where(UserOrder.trade_no == fact.trade_no)).one_or_none()
    by_transaction = statement.where(UserOrder.transaction_id == fact.transaction_id)
    by_token = statement.where(UserOrder.account_token == fact.account_token)
    found: Sequence[UserOrder] = session.scalars(by_transaction).all()
    if not found and fact.account_token:
        found = session.scalars(by_token).all()
    return found[0] if found else None


def _by_client_id(session: Session, user_id: int, client_id: str) -> UserOrder | None:
    return session.scalars(
        select(UserOrder).where(UserOrder.user_id == user_id, UserOrder.client_id == client_id)
    ).one_or_none()


def _own(session: Session, user_id: int, order_id: int, *, lock: bool = False) -> UserOrder:
    statement = select(UserOrder).where(UserOrder.id == order_id, UserOrder.user_id == user_id)
    order = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
    if order is None:
        raise OrderNotFound
    return order


def _cancelled(order: UserOrder, now: datetime) -> UserOrder:
    """:raises OrderNotPayable: it is not cancelled."""
    state = order.state_at(now)
    if state is not OrderState.CANCELLED:
        raise OrderNotPayable(state=STATE_NAMES[state])
    return order
