"""Invariants of the ledger over any interleaving of what people, providers, jobs and crashes do."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from datingtoday.infra.payments.models import SandboxTrade, TradeState
from datingtoday.infra.payments.provider import PaymentFailed
from datingtoday.vip.errors import OrderNotPayable
from datingtoday.vip.models import OrderState, RefundTask, UserOrder, VipGrant, VipInfo
from datingtoday.vip.orders import find_for
from tests.plugins.api import Api
from tests.profiles.factories import make_user
from tests.vip.purchases import sandbox_of

ORDERS = st.integers(0, 5)
STATES_AFTER = {
    "unpaid": {"unpaid", "paid", "cancelled", "expired", "refunded"},
    "paid": {"paid", "refunded"},
    "cancelled": {"cancelled"},
    "expired": {"expired"},
    "refunded": {"refunded"},
}


class Killed(BaseException):
    """The process ends here."""


class LedgerMachine(RuleBasedStateMachine):
    """One person, a few orders, a provider whose notifications come, come twice, late, or never."""

    api: Api

    @initialize()
    def begin(self) -> None:
        self.vip = self.api.parts.vip
        self.provider = sandbox_of(self.api)
        self.database = self.api.parts.base.database
        self.user = make_user(self.api)
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.orders: list[dict[str, Any]] = []
        self.seen: dict[int, str] = {}
        self.sent: list[tuple[dict[str, str], bytes, datetime]] = []

    def order(self, at: int) -> dict[str, Any] | None:
        return self.orders[at % len(self.orders)] if self.orders else None

    @rule(product_id=st.integers(1, 3), then=st.sampled_from(["nothing", "paid", "told"]))
    def create(self, product_id: int, then: str) -> None:
        if len(self.orders) == 6:
            return
        client_id = secrets.token_hex(8)
        order = self.vip.orders.create(self.user.user_id, product_id, "sandbox", client_id, self.now)
        self.orders.append(order)
        if then != "nothing":
            self.provider.pay(order["trade_no"], self.now)
        if then == "told":
            self.tell(order, is_refund=False, is_killed=False)

    @rule(at=ORDERS)
    def pay(self, at: int) -> None:
        if order := self.order(at):
            self.provider.pay(order["trade_no"], self.now)

    @rule(at=ORDERS, is_refund=st.booleans(), is_killed=st.booleans())
    def notify(self, at: int, is_refund: bool, is_killed: bool) -> None:
        if order := self.order(at):
            self.tell(order, is_refund=is_refund, is_killed=is_killed)

    def tell(self, order: dict[str, Any], *, is_refund: bool, is_killed: bool) -> None:
        trade = self.provider.look_up(order["trade_no"])
        if trade is None or trade.transaction_id is None or (is_refund and not trade.refunded_fen):
            return
        headers, body = self.provider.notice(trade, self.now, is_refund=is_refund)
        self.sent.append((headers, body, self.now))
        if is_killed:
            self.die_before_commit(headers, body)
        else:
            assert self.vip.notifications.receive("sandbox", headers, body, self.now).status == 200

    def die_before_commit(self, headers: dict[str, str], body: bytes) -> None:
        fact = self.provider.read_notice(headers, body, self.now).fact
        assert fact is not None
        with pytest.raises(Killed), self.database.transaction() as session:
            order = find_for(session, "sandbox", fact)
            assert order is not None
            self.vip.states.apply(session, order, fact, self.now)
            session.flush()
            raise Killed

    @rule(at=st.integers(0, 20))
    def repeat(self, at: int) -> None:
        if self.sent:
            headers, body, sent_at = self.sent[at % len(self.sent)]
            if self.now - sent_at <= timedelta(minutes=5):
                assert self.vip.notifications.receive("sandbox", headers, body, self.now).status == 200

    @rule(at=ORDERS, part_fen=st.sampled_from([None, None, 1, 1000]), is_told=st.booleans())
    def refund_in_console(self, at: int, part_fen: int | None, is_told: bool) -> None:
        if order := self.order(at):
            self.provider.give_back(order["trade_no"], part_fen, self.now)
            if is_told:
                self.tell(order, is_refund=True, is_killed=False)

    @rule(at=ORDERS)
    def refund_by_operator(self, at: int) -> None:
        if order := self.order(at):
            self.vip.jobs.order_refund(order["trade_no"], self.now)

    @rule(at=ORDERS, provider_is_down=st.booleans(), is_paid_then=st.booleans())
    def cancel(self, at: int, provider_is_down: bool, is_paid_then: bool) -> None:
        order = self.order(at)
        if order is None:
            return
        close = self.provider.close
        if provider_is_down:
            self.provider.close = _down  # type: ignore[method-assign]
        try:
            self.vip.orders.cancel(self.user.user_id, order["order_id"], self.now)
        except OrderNotPayable:
            assert self.state(order) in ("paid", "refunded", "expired")
        finally:
            self.provider.close = close  # type: ignore[method-assign]
        if is_paid_then:
            self.provider.pay(order["trade_no"], self.now)
            self.tell(order, is_refund=False, is_killed=False)

    @rule(minutes=st.sampled_from([0, 1, 20, 31, 40 * 24 * 60]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes, seconds=1)

    @rule()
    def expire(self) -> None:
        self.vip.jobs.expire(self.now)

    @rule()
    def poll(self) -> None:
        self.vip.jobs.poll(self.now)

    @rule()
    def give_back(self) -> None:
        self.vip.jobs.refund(self.now)

    def state(self, order: dict[str, Any]) -> str:
        with self.database.transaction(write=False) as session:
            return str(session.get_one(UserOrder, order["order_id"]).state_at(self.now))

    @invariant()
    def the_ledger_is_right(self) -> None:
        if not hasattr(self, "user"):
            return
        with self.database.transaction(write=False) as session:
            orders = session.scalars(select(UserOrder).where(UserOrder.user_id == self.user.user_id)).all()
            grants = session.scalars(select(VipGrant).where(VipGrant.user_id == self.user.user_id)).all()
            info = session.get(VipInfo, self.user.user_id)
        in_force = {it.order_id: it for it in grants if it.revoked_at is None}
        assert set(in_force) == {it.id for it in orders if it.state == OrderState.PAID}
        assert len({it.transaction_id for it in orders if it.transaction_id}) == sum(
            it.transaction_id is not None for it in orders
        )
        for order in orders:
            state = order.state_at(self.now).value
            assert state in STATES_AFTER[self.seen.get(order.id, "unpaid")] or (
                # By rule it was expired, and then it turned out that it was paid in time.
                self.seen.get(order.id) == "expired" and state in ("paid", "refunded")
            )
            self.seen[order.id] = state
        # The deadline, by days rather than seconds and without the product's code.
        deadline = None
        for grant in sorted(in_force.values(), key=lambda it: (it.granted_at, it.order_id)):
            deadline = max(grant.granted_at, deadline or grant.granted_at) + timedelta(days=grant.days)
        assert (None if info is None else info.vip_deadline) == deadline

    def teardown(self) -> None:
        """After everything that jobs do by themselves, provider and orders agree."""
        if not hasattr(self, "user"):
            return
        for _ in range(40):
            self.now += timedelta(hours=1)
            worked = [
                work(self.now) for work in (self.vip.jobs.poll, self.vip.jobs.expire, self.vip.jobs.refund)
            ]
            if not any(worked):
                break
        self.the_ledger_is_right()
        with self.database.transaction(write=False) as session:
            for order in self.orders:
                row = session.get_one(UserOrder, order["order_id"])
                trade = session.get_one(SandboxTrade, order["trade_no"])
                tasks = session.scalars(select(RefundTask).where(RefundTask.order_id == row.id)).all()
                assert row.state != OrderState.UNPAID
                if trade.state == TradeState.PAID:
                    # What a user paid for, they have; parts may have gone back.
                    assert row.state == OrderState.PAID, (row.state, trade.state)
                if row.state == OrderState.PAID:
                    assert trade.state in (TradeState.PAID, TradeState.REFUNDED)
                assert all(task.state == "done" for task in tasks)


def _down(trade_no: str) -> bool:
    raise PaymentFailed("sandbox", "timeout")


@pytest.fixture
def machine(api: Api) -> Iterator[type[LedgerMachine]]:
    class Machine(LedgerMachine):
        pass

    Machine.api = api
    yield Machine


def _run(machine: type[LedgerMachine], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            # What fails is a long story in any case, and making it shorter takes minutes.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_ledger_holds(machine: type[LedgerMachine]) -> None:
    _run(machine, examples=25, steps=20)


@pytest.mark.long
def test_the_ledger_holds_for_long(machine: type[LedgerMachine]) -> None:
    _run(machine, examples=60, steps=40)
