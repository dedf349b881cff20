"""Facts that providers tell: their effect on an order in each of its states, on the ledger, and on refunds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.payments.provider import ChannelTraits, Fact, FactKind
from datingtoday.vip.models import (
    OrderRefund,
    OrderState,
    PayNotice,
    RefundTask,
    UserOrder,
    VipGrant,
    VipInfo,
)
from datingtoday.vip.order_states import refund_no_of
from tests.vip.shop import CHANNEL, FEE_FEN, NOW, USER, Shop

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
MONTH = timedelta(days=30)


def paid_by(order: UserOrder, transaction_id: str = "T1", **more: Any) -> Fact:
    return Fact(FactKind.PAID, order.trade_no, transaction_id, **more)


def given_back(order: UserOrder, transaction_id: str = "T1", **more: Any) -> Fact:
    return Fact(FactKind.REFUNDED, order.trade_no, transaction_id, **more)


def closed(order: UserOrder) -> Fact:
    return Fact(FactKind.CLOSED, order.trade_no)


class TestPaid:
    def test_all_that_is_kept_of_a_payment(self, shop: Shop) -> None:
        order = shop.order()
        fact = paid_by(order, at=NOW + SECOND, payer="o-1", amount_fen=FEE_FEN)
        assert shop.tell(order, fact, NOW + 2 * SECOND) == "granted"
        row = shop.row(order)
        assert (row.state, row.transaction_id, row.open_id) == ("paid", "T1", "o-1")
        assert (row.paid_time, row.poll_at, row.pay_params) == (NOW + SECOND, None, None)
        assert shop.tell(order, fact, NOW + DAY) == "repeated"
        assert shop.deadline() == NOW + 2 * SECOND + MONTH

    def test_a_payment_from_the_future_was_made_now(self, shop: Shop) -> None:
        order = shop.order()
        shop.tell(order, paid_by(order, at=NOW + DAY), NOW)
        assert shop.row(order).paid_time == NOW

    def test_the_moment_of_the_payment_decides_not_that_of_the_news(self, shop: Shop) -> None:
        in_time, late = shop.order(), shop.order()
        end = in_time.expire_at
        assert shop.tell(in_time, paid_by(in_time, "T1", at=end - SECOND), end + DAY) == "granted"
        assert shop.tell(late, paid_by(late, "T2", at=end), end + DAY) == "refund_due"
        (task,) = shop.rows(RefundTask)
        assert (task.order_id, task.reason, task.fee_fen) == (late.id, "late", FEE_FEN)
        assert (task.created_at, task.try_at, task.state) == (end + DAY, end + DAY, "due")

    @pytest.mark.parametrize(
        ("more", "outcome"),
        [
            ({}, "granted"),
            ({"amount_fen": FEE_FEN}, "granted"),
            ({"amount_fen": FEE_FEN - 1}, "refused: amount"),
            ({"amount_fen": FEE_FEN + 1}, "refused: amount"),
            ({"amount_fen": FEE_FEN, "currency": "USD"}, "refused: currency"),
            # Where no amount is told in our currency, there is nothing to compare.
            ({"currency": "USD"}, "granted"),
            ({"transaction_id": ""}, "refused: transaction"),
        ],
    )
    def test_what_must_fit(self, shop: Shop, more: dict[str, Any], outcome: str) -> None:
        order = shop.order()
        fact = Fact(FactKind.PAID, order.trade_no, **{"transaction_id": "T1", **more})
        assert shop.tell(order, fact) == outcome
        assert shop.row(order).state == ("paid" if outcome == "granted" else "unpaid")
        assert shop.rows(RefundTask) == []

    def test_a_transaction_pays_one_order_whether_it_paid_it_or_went_back(self, shop: Shop) -> None:
        first, second, third = shop.paid(transaction_id="T1"), shop.order(), shop.order()
        assert shop.tell(second, paid_by(second, "T1")) == "refused: transaction"
        assert shop.tell(first, paid_by(first, "T2")) == "refund_due"
        assert shop.tell(first, paid_by(first, "T2")) == "repeated"
        assert shop.tell(third, paid_by(third, "T2")) == "refused: transaction"
        (task,) = shop.rows(RefundTask)
        assert (task.reason, task.transaction_id) == ("twice", "T2")
        assert {it.order_id for it in shop.rows(VipGrant)} == {first.id}

    def test_a_transaction_of_another_channel_is_another_one(self, shop: Shop) -> None:
        other = shop.paid(transaction_id="T1")
        with shop.database.transaction() as session:
            session.execute(update(UserOrder).where(UserOrder.id == other.id).values(channel="alipay"))
        order = shop.order()
        assert shop.tell(order, paid_by(order, "T1")) == "granted"
        assert refund_no_of(CHANNEL, "T1") != refund_no_of("alipay", "T1")
        assert len(refund_no_of(CHANNEL, "T1")) == 32

    def test_where_only_the_provider_refunds_a_further_payment_is_a_further_order(self, shop: Shop) -> None:
        shop.till.traits = ChannelTraits(refunds=False, grants_late=True)
        order = shop.order()
        late = order.expire_at + DAY
        assert shop.tell(order, paid_by(order, "T1"), late) == "granted"
        assert shop.tell(order, paid_by(order, "T2"), late) == "granted_anew"
        first, second = shop.rows(UserOrder)
        assert (first.id, second.state, second.transaction_id) == (order.id, "paid", "T2")
        assert (second.user_id, second.fee_fen, second.vip_days) == (USER, FEE_FEN, 30)
        assert second.trade_no != first.trade_no and len(second.client_id) <= 64
        assert shop.deadline() == late + 2 * MONTH

    def test_where_only_the_provider_refunds_those_who_left_are_not_given_back_either(
        self, shop: Shop
    ) -> None:
        shop.till.traits = ChannelTraits(refunds=False, grants_late=True)
        order = shop.order()
        with shop.database.transaction() as session:
            shop.orders.person_left(session, USER, NOW)
        assert shop.tell(order, paid_by(order)) == "granted"

    def test_those_who_left_pay_no_more(self, shop: Shop) -> None:
        with shop.database.transaction() as session:
            shop.orders.person_left(session, USER, NOW)
        order = shop.order()
        assert shop.tell(order, paid_by(order)) == "refund_due"
        (task,) = shop.rows(RefundTask)
        assert (task.reason, task.fee_fen, shop.rows(VipGrant)) == ("account_deleted", FEE_FEN, [])


class TestRefunded:
    def test_all_that_is_kept_of_a_refund(self, shop: Shop) -> None:
        order = shop.paid(transaction_id="T1")
        assert shop.tell(order, given_back(order, "T1", refund_id="R1"), NOW + DAY) == "refunded"
        row = shop.row(order)
        assert (row.state, row.transaction_id, row.refunded_time) == ("refunded", "T1", NOW + DAY)
        (gone,) = shop.rows(OrderRefund)
        assert (gone.refund_id, gone.amount_fen, gone.at) == ("R1", FEE_FEN, NOW + DAY)
        assert shop.deadline() is None
        assert shop.tell(order, given_back(order, "T1", refund_id="R1"), NOW + 2 * DAY) == "repeated"
        assert shop.row(order).refunded_time == NOW + DAY

    @pytest.mark.parametrize("transaction_id", ["T1", ""])
    def test_one_that_comes_before_its_payment_ends_the_order(self, shop: Shop, transaction_id: str) -> None:
        order = shop.order()
        told = given_back(order, transaction_id)
        if not transaction_id:
            assert shop.tell(order, told) == "refused: transaction"
            assert shop.row(order).state == "unpaid"
            return
        assert shop.tell(order, told) == "refunded"
        row = shop.row(order)
        assert (row.state, row.transaction_id, row.poll_at) == ("refunded", "T1", None)
        assert shop.tell(order, paid_by(order, "T1")) == "repeated"
        assert (shop.row(order).state, shop.rows(VipGrant)) == ("refunded", [])

    def test_one_that_names_no_transaction_is_of_the_one_that_paid(self, shop: Shop) -> None:
        order = shop.paid(transaction_id="T1")
        assert shop.tell(order, given_back(order, "")) == "refunded"
        assert shop.row(order).transaction_id == "T1"

    def test_parts_add_up_and_the_last_fen_ends_the_order(self, shop: Shop) -> None:
        order = shop.paid(transaction_id="T1")

        def part(refund_id: str, fen: int) -> str:
            return shop.tell(order, given_back(order, "T1", refund_id=refund_id, refunded_fen=fen))

        assert part("R1", 1000) == part("R1", 1000) == "refunded_in_part"
        # Numbers that only grow are totals of the same refund.
        assert part("R1", 1500) == part("R1", 200) == "refunded_in_part"
        assert part("R2", FEE_FEN - 1501) == "refunded_in_part"
        assert shop.row(order).state == "paid"
        assert part("R3", 1) == "refunded"
        assert sorted(it.amount_fen for it in shop.rows(OrderRefund)) == [1, FEE_FEN - 1501, 1500]

    def test_refunds_of_another_payment_do_not_add_up_with_its_own(self, shop: Shop) -> None:
        order = shop.paid(transaction_id="T1")
        assert shop.tell(order, given_back(order, "T2", refund_id="R2")) == "nothing"
        assert shop.row(order).state == "paid"
        part = given_back(order, "T1", refund_id="R1", refunded_fen=1)
        assert shop.tell(order, part) == "refunded_in_part"

    def test_a_refund_of_a_payment_that_is_not_known_yet_lets_it_pay_nothing(self, shop: Shop) -> None:
        order = shop.order(state=OrderState.CANCELLED)
        assert shop.tell(order, given_back(order, "T1")) == "nothing"
        assert shop.row(order).state == "cancelled"
        (task,) = shop.rows(RefundTask)
        assert (task.state, task.transaction_id) == ("done", "T1")
        assert shop.tell(order, paid_by(order, "T1")) == "repeated"
        assert shop.jobs.refund(NOW) == 0 and shop.rows(VipGrant) == []

    def test_of_how_much_is_not_told_nothing_is_taken_back(self, shop: Shop) -> None:
        order = shop.paid(transaction_id="T1")
        assert shop.tell(order, given_back(order, "T1", is_part_unknown=True)) == "nothing"
        assert (shop.row(order).state, shop.rows(OrderRefund)) == ("paid", [])

    @pytest.mark.parametrize(
        ("more", "outcome"),
        [
            ({"amount_fen": FEE_FEN}, "refunded"),
            ({"amount_fen": FEE_FEN, "currency": "USD"}, "refused: currency"),
            ({"currency": "USD"}, "refunded"),
        ],
    )
    def test_the_currency_counts_where_an_amount_is_told(
        self, shop: Shop, more: dict[str, Any], outcome: str
    ) -> None:
        order = shop.paid(transaction_id="T1")
        assert shop.tell(order, given_back(order, "T1", **more)) == outcome

    def test_one_that_is_reversed_gives_back_the_days_that_were_not_used(self, shop: Shop) -> None:
        shop.till.traits = ChannelTraits(refunds=False, grants_late=True)
        order = shop.paid(transaction_id="T1")
        shop.tell(order, given_back(order, "T1"), NOW + 10 * DAY)
        assert shop.deadline() is None
        reversal = Fact(FactKind.REINSTATED, order.trade_no, "T2")
        assert shop.tell(order, reversal, NOW + 40 * DAY) == "nothing", "of another payment"
        reversal = Fact(FactKind.REINSTATED, order.trade_no, "T1")
        assert shop.tell(order, reversal, NOW + 40 * DAY) == "reinstated"
        assert shop.tell(order, reversal, NOW + 41 * DAY) == "nothing"
        row = shop.row(order)
        assert (row.state, row.refunded_time, shop.deadline()) == ("paid", None, NOW + 60 * DAY)

    def test_after_the_end_nothing_is_unused(self, shop: Shop) -> None:
        order = shop.paid(transaction_id="T1")
        shop.tell(order, given_back(order, "T1"), NOW + 31 * DAY)
        (grant,) = shop.rows(VipGrant)
        assert (grant.revoked_at, grant.unused_s) == (NOW + 31 * DAY, 0)


class TestClosed:
    @pytest.mark.parametrize(("before", "state"), [(SECOND, "cancelled"), (timedelta(), "expired")])
    def test_an_open_order_ends_as_its_time_says(self, shop: Shop, before: timedelta, state: str) -> None:
        order = shop.order()
        assert shop.tell(order, closed(order), order.expire_at - before) == "closed"
        assert (shop.row(order).state, shop.row(order).is_closed) == (state, True)

    def test_one_that_is_closed_stays_closed(self, shop: Shop) -> None:
        order = shop.order(is_closed=True)
        with shop.database.transaction() as session:
            shop.orders.person_left(session, USER, NOW)
        row = shop.row(order)
        assert (row.state, row.is_closed, row.poll_at) == ("cancelled", True, NOW)

    def test_a_paid_one_stays_paid(self, shop: Shop) -> None:
        order = shop.paid()
        assert shop.tell(order, closed(order)) == "nothing"
        assert shop.row(order).state == "paid"


class TestMembership:
    def test_it_ends_at_its_moment(self, shop: Shop) -> None:
        shop.paid()
        with shop.database.reading() as session:
            for before, is_vip in ((timedelta(microseconds=1), True), (timedelta(), False)):
                at = NOW + MONTH - before
                assert shop.membership.is_vip(session, USER, at) is is_vip
                assert shop.membership.show(session, USER, at).vip is is_vip

    def test_a_locked_ledger_is_read_anew(self, shop: Shop) -> None:
        shop.paid()
        with shop.database.transaction() as session:
            assert session.get_one(VipInfo, USER).vip_deadline == NOW + MONTH
            # As another transaction would, before the lock was ours.
            session.connection().execute(update(VipInfo).values(vip_deadline=NOW))
            assert shop.membership.lock(session, USER).vip_deadline == NOW

    def test_listeners_are_called_with_the_new_deadline_in_the_transaction(self, shop: Shop) -> None:
        heard: list[Any] = []

        def listen(session: Any, user_ids: Any) -> None:
            row = session.connection().exec_driver_sql("SELECT vip_deadline FROM vip_info").scalar_one()
            heard.append((list(user_ids), row is not None))

        shop.membership.register_changed(listen)
        order = shop.paid(transaction_id="T1")
        shop.tell(order, given_back(order, "T1"))
        assert heard == [([USER], True), ([USER], False)]


class TestNotices:
    def test_a_notice_is_remembered_and_taken_once(self, shop: Shop) -> None:
        order = shop.order()
        fact = paid_by(order)
        kind = "k" * 40
        assert [shop.notify(fact, "n1", b"{1}", kind), shop.notify(fact, "n1"), shop.notify(fact, "n2")] == [
            200
        ] * 3
        first, second = shop.rows(PayNotice)
        assert (first.verdict, second.verdict) == ("granted", "repeated")
        assert (first.kind, first.trade_no, first.at) == (kind[:32], order.trade_no, NOW)
        assert first.digest == "cd80994abb0d1e0465acdc560717676578c1774f461babbe67b4b131497a6305"

    def test_of_which_no_order_has_to_know_leaves_no_row(self, shop: Shop) -> None:
        assert (shop.notify(None), shop.rows(PayNotice)) == (200, [])

    def test_64_kib_are_read_and_one_byte_more_is_not(self, shop: Shop) -> None:
        order = shop.order()
        assert shop.notify(paid_by(order), body=b"x" * 65_537) == 400
        assert shop.till.asked_to("read_notice") == []
        assert shop.notify(paid_by(order), body=b"x" * 65_536) == 200

    @pytest.mark.parametrize(("lost", "status"), [(1, 200), (4, 200), (5, 503)])
    def test_a_lost_race_is_repeated_and_at_last_left_to_the_provider(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, lost: int, status: int
    ) -> None:
        order = shop.order()
        apply, tries = shop.states.apply, []

        def lose(*what: Any) -> Any:
            tries.append(1)
            if len(tries) <= lost:
                raise IntegrityError("INSERT", None, Exception("duplicate"))
            return apply(*what)

        monkeypatch.setattr(shop.states, "apply", lose)
        assert shop.notify(paid_by(order)) == status
        assert len(tries) == min(lost + 1, 5)

    def test_what_cannot_be_stored_is_ours(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> Any:
            raise DatabaseDown("gone")

        monkeypatch.setattr(shop.states, "apply", fail)
        assert shop.notify(paid_by(shop.order())) == 503

    def test_a_product_that_was_not_ordered_is_refused(self, shop: Shop) -> None:
        order = shop.order(apple_id="vip.month")
        assert shop.notify(paid_by(order, product="vip.year"), "n1") == 400
        assert shop.notify(paid_by(order, product="vip.month"), "n2") == 200


class TestProducts:
    def test_a_new_one_is_on_sale_until_it_is_retired(self, shop: Shop) -> None:
        with shop.database.transaction() as session:
            made = shop.products.add(session, name="年", vip_time=365, price_fen=1)
            assert made.on_sale
        with shop.database.transaction() as session:
            assert shop.products.change(session, made.id, on_sale=False) is not None
            assert shop.products.find(session, made.id) is None
            assert shop.products.change(session, 99, on_sale=False) is None
        with shop.database.reading() as session:
            assert [it["name"] for it in shop.products.on_sale(session)] == ["一个月"]
