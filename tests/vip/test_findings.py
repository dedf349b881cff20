"""Reconciliation: each difference between ledger, orders and providers by its name, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from datingtoday.infra.payments.provider import ChannelTraits, Fact, FactKind
from datingtoday.vip.channels import Channels
from datingtoday.vip.models import (
    OrderRefund,
    OrderState,
    RefundState,
    RefundTask,
    UserOrder,
    VipGrant,
    VipInfo,
)
from datingtoday.vip.reconciliation import Finding, Reconciliation
from tests.vip.shop import CHANNEL, FEE_FEN, NOW, USER, Shop

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
PAID = Fact(FactKind.PAID, "", "T1", FEE_FEN)
GONE = Fact(FactKind.REFUNDED, "", "T1", FEE_FEN, refund_id="R1")
CLOSED = Fact(FactKind.CLOSED, "")
PART_UNKNOWN = replace(GONE, refund_id="", refunded_fen=0, is_part_unknown=True)
"""As WeChat Pay's query tells it."""


def found(shop: Shop, days: int = 1, **more: Any) -> list[Finding]:
    return shop.reconciliation.run(NOW, days=days, **more)


def kinds(shop: Shop) -> list[str]:
    return sorted(it.kind.value for it in found(shop))


def task_of(order: UserOrder, state: RefundState, **columns: Any) -> RefundTask:
    values = {"transaction_id": "T1", "created_at": NOW, "try_at": NOW, "tries": 3, **columns}
    return RefundTask(
        order_id=order.id,
        channel=CHANNEL,
        refund_no="R1",
        fee_fen=FEE_FEN,
        reason="late",
        state=state,
        **values,
    )


def in_state(shop: Shop, state: str) -> UserOrder:
    """An order with all that belongs to its state, and no fact at the provider yet."""
    if state in ("paid", "refunded"):
        order = shop.paid(transaction_id="T1")
        if state == "refunded":
            shop.tell(order, replace(GONE, trade_no=order.trade_no))
        return shop.row(order)
    return shop.order(state=OrderState(state))


@pytest.mark.parametrize(
    ("state", "fact", "expected"),
    [
        ("unpaid", None, []),
        ("cancelled", None, []),
        ("expired", CLOSED, []),
        ("paid", None, ["paid_here_only"]),
        ("refunded", None, ["paid_here_only"]),
        ("paid", CLOSED, ["paid_here_only"]),
        ("unpaid", CLOSED, []),
        ("paid", PAID, []),
        ("unpaid", PAID, ["paid_at_provider_only"]),
        ("cancelled", PAID, ["paid_at_provider_only"]),
        ("refunded", PAID, ["paid_at_provider_only"]),
        ("refunded", GONE, []),
        ("paid", GONE, ["refunded_at_provider_only"]),
        ("cancelled", GONE, []),
        ("paid", replace(GONE, refunded_fen=FEE_FEN), ["refunded_at_provider_only"]),
        ("paid", replace(GONE, refunded_fen=FEE_FEN - 1), []),
        ("paid", PART_UNKNOWN, ["refund_amount_unknown"]),
        ("refunded", PART_UNKNOWN, []),
        ("cancelled", PART_UNKNOWN, ["refund_amount_unknown"]),
        ("paid", replace(PAID, amount_fen=FEE_FEN + 1), ["amount_differs"]),
        ("paid", replace(PAID, amount_fen=None), []),
        ("paid", replace(PAID, transaction_id="T2"), ["transaction_differs"]),
        ("paid", replace(PAID, transaction_id=""), []),
    ],
)
def test_an_order_and_its_provider(shop: Shop, state: str, fact: Fact | None, expected: list[str]) -> None:
    order = in_state(shop, state)
    if fact is not None:
        shop.till.facts[order.trade_no] = fact
    assert kinds(shop) == expected


def test_a_finding_names_the_order_and_both_sides(shop: Shop) -> None:
    order = in_state(shop, "paid")
    shop.till.facts[order.trade_no] = replace(PAID, amount_fen=1, transaction_id="T2")
    amount, transaction = found(shop)
    assert (amount.channel, amount.trade_no, amount.user_id) == (CHANNEL, order.trade_no, USER)
    assert (amount.detail, transaction.detail) == ("3000 here, 1 there", "T2 there")
    assert shop.till.asked_to("query") == [(order.trade_no, "T1")]
    assert shop.reconciliation.report(NOW) == 2


@pytest.mark.parametrize(("age", "is_asked"), [(DAY, True), (DAY + timedelta(microseconds=1), False)])
def test_orders_of_so_many_days_are_asked_about(shop: Shop, age: timedelta, is_asked: bool) -> None:
    shop.order(order_time=NOW - age)
    told: list[tuple[int, int]] = []
    found(shop, report_progress=lambda done, total: told.append((done, total)))
    assert bool(shop.till.asked_to("query")) is is_asked
    assert told == ([(1, 1)] if is_asked else [])


def test_of_a_channel_that_is_off_paid_orders_are_findings(shop: Shop) -> None:
    paid, _open, other = shop.paid(transaction_id="T1"), shop.order(), shop.paid(transaction_id="T2")
    reconciliation = Reconciliation(shop.database, Channels({}))
    assert [(it.kind, it.trade_no) for it in reconciliation.run(NOW, days=1)] == [
        ("channel_off", paid.trade_no),
        ("channel_off", other.trade_no),
    ]


def test_of_a_provider_that_knows_payments_only_open_orders_are_passed_over(shop: Shop) -> None:
    _open, paid = shop.order(), shop.paid(transaction_id="T1")
    shop.till.traits = ChannelTraits(queries_open=False)
    shop.till.facts[paid.trade_no] = PAID
    assert kinds(shop) == []
    assert shop.till.asked_to("query") == [(paid.trade_no, "T1")]


class TestRefunds:
    @pytest.mark.parametrize(
        ("state", "age", "expected"),
        [
            (RefundState.DUE, DAY, []),
            (RefundState.DUE, DAY + SECOND, ["refund_slow"]),
            (RefundState.PROCESSING, DAY + SECOND, ["refund_slow"]),
            (RefundState.DONE, 9 * DAY, []),
            (RefundState.FAILED, timedelta(), ["refund_failed"]),
        ],
    )
    def test_one_that_failed_or_takes_long(
        self, shop: Shop, state: RefundState, age: timedelta, expected: list[str]
    ) -> None:
        order = shop.order(state=OrderState.CANCELLED)
        shop.order()
        shop.add(task_of(order, state, created_at=NOW - age))
        all_found = found(shop)
        assert [it.kind for it in all_found] == expected
        if expected:
            assert all_found[0].trade_no == order.trade_no
            assert all_found[0].detail == ("T1" if state == RefundState.FAILED else "3 tries")

    @pytest.mark.parametrize(("fen", "expected"), [(FEE_FEN - 1, ["refunded_in_part"]), (FEE_FEN, [])])
    def test_a_part_is_told_of(self, shop: Shop, fen: int, expected: list[str]) -> None:
        order = shop.paid(transaction_id="T1")
        shop.till.facts[order.trade_no] = PAID
        for number, (transaction_id, amount_fen) in enumerate((("T1", fen), ("T2", 1))):
            shop.add(
                OrderRefund(
                    order_id=order.id,
                    channel=CHANNEL,
                    refund_id=f"R{number}",
                    transaction_id=transaction_id,
                    amount_fen=amount_fen,
                    at=NOW,
                )
            )
        all_found = found(shop)
        assert [it.kind for it in all_found] == expected
        assert not expected or all_found[0].detail == "2999 of 3000 fen"

    @pytest.mark.parametrize(
        ("state", "fact", "looked_up", "expected"),
        [
            # Given up, and the query does not tell how much went back: our own refund's number does.
            (RefundState.FAILED, PART_UNKNOWN, GONE, ["refund_failed", "refunded_at_provider_only"]),
            (
                RefundState.FAILED,
                PART_UNKNOWN,
                None,
                ["refund_amount_unknown", "refund_failed"],
            ),
            (RefundState.FAILED, PAID, GONE, ["refund_failed"]),
            (RefundState.DUE, PART_UNKNOWN, GONE, []),
            (RefundState.DUE, PAID, None, []),
            (RefundState.DONE, GONE, None, []),
        ],
    )
    def test_our_own_refund_is_looked_up(
        self, shop: Shop, state: RefundState, fact: Fact, looked_up: Fact | None, expected: list[str]
    ) -> None:
        order = shop.paid(transaction_id="T1")
        shop.add(task_of(order, state))
        shop.till.facts[order.trade_no] = fact
        if looked_up is not None:
            shop.till.refunds["R1"] = looked_up
        assert kinds(shop) == expected
        is_asked = state is RefundState.FAILED and fact.is_part_unknown
        assert shop.till.asked_to("find_refund") == (["R1"] if is_asked else [])


class TestLedger:
    def damage(self, shop: Shop, statement: Any) -> None:
        with shop.database.transaction() as session:
            session.execute(statement)

    def paid(self, shop: Shop) -> UserOrder:
        order = shop.paid(transaction_id="T1")
        shop.till.facts[order.trade_no] = PAID
        shop.paid(user_id=8, transaction_id="T8", now=NOW - 2 * DAY)
        assert found(shop) == []
        return order

    def test_days_of_an_order_that_is_not_paid(self, shop: Shop) -> None:
        order = self.paid(shop)
        self.damage(shop, update(UserOrder).where(UserOrder.id == order.id).values(state="refunded"))
        (finding,) = [it for it in found(shop) if it.kind == "grant_without_payment"]
        assert (finding.channel, finding.trade_no) == (CHANNEL, order.trade_no)
        assert (finding.user_id, finding.detail) == (USER, "refunded")

    def test_days_of_no_order(self, shop: Shop) -> None:
        self.paid(shop)
        shop.add(VipGrant(order_id=99, user_id=9, days=1, length_s=1, granted_at=NOW))
        (finding,) = found(shop)
        assert (finding.kind, finding.channel, finding.trade_no) == ("grant_without_payment", "", "")
        assert (finding.user_id, finding.detail) == (9, "order 99")

    def test_days_of_another_person(self, shop: Shop) -> None:
        order = self.paid(shop)
        self.damage(shop, update(VipGrant).where(VipGrant.order_id == order.id).values(user_id=9))
        others = {it.kind.value: it for it in found(shop)}
        assert others["grant_of_other_person"].detail == "granted to 9"
        assert others["deadline_differs"].user_id == USER

    def test_a_paid_order_without_days(self, shop: Shop) -> None:
        order = self.paid(shop)
        self.damage(shop, update(VipGrant).where(VipGrant.order_id == order.id).values(revoked_at=NOW))
        assert [(it.kind.value, it.trade_no, it.user_id) for it in found(shop)] == [
            ("paid_without_grant", order.trade_no, USER),
            ("deadline_differs", "", USER),
        ]

    def test_deadlines_of_everybody_are_compared_in_parts(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("datingtoday.vip.reconciliation.PEOPLE_AT_ONCE", 2)
        for user_id in (1, 12, 13, 14, 15):
            shop.paid(user_id=user_id, now=NOW - 2 * DAY)
        self.damage(shop, update(VipInfo).where(VipInfo.user_id.in_((1, 12, 15))).values(vip_deadline=NOW))
        assert [it.user_id for it in found(shop)] == [1, 12, 15]
