"""The services of orders on a database of their own, with a provider that does what a test says; no server, no clock.

    shop        fixture: one product (id 1, 30 days, ¥30.00), one person (id 7), the channel ``wechat``

At the end of a test it has seen that no order and no product was changed that had not been locked before.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import ORMExecuteState, Session

from datingtoday.infra.db import Base, Database
from datingtoday.infra.payments.provider import (
    ChannelTraits,
    Fact,
    FactKind,
    Notice,
    NoticeAnswer,
    NoticeRefused,
    Payment,
    PaymentFailed,
    Refund,
)
from datingtoday.protocol.paging import Cursors
from datingtoday.vip.channels import Channels
from datingtoday.vip.jobs import PaymentJobs
from datingtoday.vip.membership import Membership
from datingtoday.vip.models import (
    OrderRefund,
    PayNotice,
    Product,
    RefundTask,
    UserOrder,
    VipGrant,
    VipInfo,
)
from datingtoday.vip.notifications import Notifications
from datingtoday.vip.order_states import OrderStates
from datingtoday.vip.orders import Orders
from datingtoday.vip.products import Products
from datingtoday.vip.reconciliation import Reconciliation

NOW = datetime(2026, 5, 4, 12, 0, 0, 654_321, tzinfo=UTC)
"""Between two seconds: what is told in whole seconds shows that it is."""
USER = 7
FEE_FEN = 3000
CHANNEL = "wechat"
LOCKED_TABLES = (UserOrder, Product, RefundTask)
"""Rows that change only after they, or the order that they belong to, were locked."""
_TABLES = (Product, UserOrder, VipGrant, VipInfo, PayNotice, OrderRefund, RefundTask)
_empty: list[bytes] = []
"""The tables without rows: made once in a process."""
_numbers = itertools.count(1)


class Till:
    """A provider's side as a test sets it up, with all that it was asked."""

    name = CHANNEL

    def __init__(self) -> None:
        self.traits = ChannelTraits()
        self.facts: dict[str, Fact] = {}
        """Its records of payments, by trade_no; none: not paid."""
        self.refunds: dict[str, Fact] = {}
        """Its records of refunds, by our number."""
        self.down: set[str] = set()
        """Operations that fail."""
        self.is_final = False
        self.closes = True
        self.refund_is_done = True
        self.asked: list[tuple[str, Any]] = []
        self.notice: Fact | None = None
        self.meanwhile: dict[str, Any] = {}
        """Called while the operation is under way, before it answers."""

    def _ask(self, operation: str, about: Any) -> None:
        self.asked.append((operation, about))
        if operation in self.meanwhile:
            self.meanwhile.pop(operation)()
        if operation in self.down:
            raise PaymentFailed(self.name, "timeout", is_final=self.is_final)

    def asked_to(self, operation: str) -> list[Any]:
        return [about for name, about in self.asked if name == operation]

    def create(self, payment: Payment, now: datetime) -> dict[str, Any]:
        self._ask("create", payment)
        return {"prepayid": payment.trade_no}

    def query(self, trade_no: str, transaction_id: str, now: datetime) -> Fact | None:
        self._ask("query", (trade_no, transaction_id))
        return self.facts.get(trade_no)

    def close(self, trade_no: str) -> bool:
        self._ask("close", trade_no)
        return self.closes

    def refund(self, refund: Refund) -> bool:
        self._ask("refund", refund)
        return self.refund_is_done

    def find_refund(self, refund_no: str) -> Fact | None:
        self._ask("find_refund", refund_no)
        return self.refunds.get(refund_no)

    def read_notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        self._ask("read_notice", len(body))
        return Notice(headers["id"], headers.get("kind", "TRANSACTION.SUCCESS"), self.notice)

    def accepted(self) -> NoticeAnswer:
        return NoticeAnswer(200, b"ok", "text/plain")

    def refused(self, refusal: NoticeRefused) -> NoticeAnswer:
        return NoticeAnswer(503 if refusal.is_ours else 400, refusal.reason.encode(), "text/plain")


class Shop:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "shop.db"
        if _empty:
            self._file.write_bytes(_empty[0])
        # Nobody else writes, but for tests that mean to be in the way: these need not be waited for.
        self.database = Database(f"sqlite:///{self._file}", timeout_s=0.2)
        if not _empty:
            self._make_tables()
        self.till = Till()
        self.on: dict[str, Any] = {CHANNEL: self.till}
        self.channels = Channels(self.on)
        self.membership = Membership()
        self.products = Products()
        self.states = OrderStates(self.membership, self.channels.traits_of)
        self.orders = Orders(
            self.database,
            self.channels,
            self.products,
            self.membership,
            self.states,
            Cursors(b"secret"),
            time_to_pay=timedelta(minutes=30),
        )
        self.jobs = PaymentJobs(
            self.database, self.channels, self.orders, self.states, ledger=timedelta(days=1095)
        )
        self.notifications = Notifications(self.database, self.channels, self.states)
        self.reconciliation = Reconciliation(self.database, self.channels)
        self.locked: list[type] = []
        """Tables of which rows were locked so far, in their order."""
        self.unlocked: list[str] = []
        """Changes of rows that were not."""
        self._watch()
        with self.database.transaction() as session:
            self.products.add(session, name="一个月", vip_time=30, price_fen=FEE_FEN, apple_id="vip.month")

    def _make_tables(self) -> None:
        Base.metadata.create_all(
            self.database.engine,
            tables=[model.__table__ for model in _TABLES],  # type: ignore[misc]
        )
        with self.database.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        _empty.append(self._file.read_bytes())

    # --- orders

    def order(self, user_id: int = USER, now: datetime = NOW, **columns: Any) -> UserOrder:
        """A new order; with `columns` as if it had become so."""
        made = self.orders.create(user_id, 1, CHANNEL, f"client {next(_numbers)}", now)
        with self.database.transaction() as session:
            order = session.get_one(UserOrder, made["order_id"], with_for_update=True)
            for name, value in columns.items():
                setattr(order, name, value)
        return order

    def paid(self, user_id: int = USER, now: datetime = NOW, transaction_id: str = "") -> UserOrder:
        """An order that was paid and told of at this moment."""
        order = self.order(user_id, now)
        transaction_id = transaction_id or f"4200{order.id}"
        assert self.tell(order, Fact(FactKind.PAID, order.trade_no, transaction_id), now) == "granted"
        return self.row(order)

    def tell(self, order: UserOrder, fact: Fact, now: datetime = NOW) -> str:
        return self.orders.take_in(order.id, fact, now)

    def row(self, order: UserOrder) -> UserOrder:
        with self.database.reading() as session:
            return session.get_one(UserOrder, order.id)

    def notify(self, fact: Fact | None, notice_id: str = "n", body: bytes = b"{}", kind: str = "PAID") -> int:
        """Status of the answer to a notification."""
        self.till.notice = fact
        headers = {"id": notice_id, "kind": kind}
        return self.notifications.receive(CHANNEL, headers, body, NOW).status

    # --- other rows

    def rows(self, model: Any) -> list[Any]:
        with self.database.reading() as session:
            return list(session.scalars(select(model).order_by(*model.__table__.primary_key.columns)))

    def add(self, *rows: Base) -> None:
        with self.database.transaction() as session:
            session.add_all(rows)

    def deadline(self, user_id: int = USER) -> datetime | None:
        with self.database.reading() as session:
            return self.membership.deadlines(session, [user_id]).get(user_id)

    # --- what else happens

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Another program writes all the while: a service that wants to write, too, fails."""
        with closing(sqlite3.connect(self._file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def _watch(self) -> None:
        sessions: dict[Session, set[type]] = {}

        def note_locks(state: ORMExecuteState) -> None:
            if getattr(state.statement, "_for_update_arg", None) is not None and state.bind_mapper:
                sessions.setdefault(state.session, set()).add(state.bind_mapper.class_)
                self.locked.append(state.bind_mapper.class_)

        def note_changes(session: Session, *_: object) -> None:
            held = sessions.get(session, set())
            for row in session.dirty:
                is_held = type(row) in held or (isinstance(row, RefundTask) and UserOrder in held)
                if isinstance(row, LOCKED_TABLES) and session.is_modified(row) and not is_held:
                    self.unlocked.append(repr(row))

        def forget(session: Session) -> None:
            sessions.pop(session, None)

        self._listeners: list[tuple[str, Any]] = [
            ("do_orm_execute", note_locks),
            ("before_flush", note_changes),
            ("after_commit", forget),
            ("after_rollback", forget),
        ]
        for name, listener in self._listeners:
            event.listen(Session, name, listener)

    def close(self) -> None:
        for name, listener in self._listeners:
            event.remove(Session, name, listener)
        self.database.dispose()
