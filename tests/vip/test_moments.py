"""Orders, jobs and refunds to the second, and what each of them says that it has done."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.payments.provider import ChannelTraits, Fact, FactKind
from datingtoday.vip.channels import Channels
from datingtoday.vip.models import (
    OrderRefund,
    OrderState,
    PayNotice,
    RefundTask,
    UserOrder,
    VipGrant,
    VipInfo,
)
from datingtoday.vip.order_states import new_trade_no, refund_no_of
from datingtoday.vip.payment_metrics import PaymentNumbers
from tests.vip.shop import CHANNEL, FEE_FEN, NOW, USER, Shop

SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)


def paid_by(order: UserOrder, transaction_id: str = "T1", **more: Any) -> Fact:
    return Fact(FactKind.PAID, order.trade_no, transaction_id, **more)


def given_back(order: UserOrder, transaction_id: str = "T1", **more: Any) -> Fact:
    return Fact(FactKind.REFUNDED, order.trade_no, transaction_id, **more)


class TestNewOrders:
    def test_times_are_whole_seconds_and_the_first_poll_is_ten_seconds_later(self, shop: Shop) -> None:
        order = shop.order()
        begun = NOW.replace(microsecond=0)
        assert (order.order_time, order.expire_at) == (begun, begun + timedelta(minutes=30))
        assert order.poll_at == NOW + 10 * SECOND
        assert order.is_closed is False

    def test_the_provider_is_told_what_the_order_says(self, shop: Shop) -> None:
        order = shop.order()
        (payment,) = shop.till.asked_to("create")
        assert (payment.trade_no, payment.fee_fen, payment.currency) == (order.trade_no, FEE_FEN, "CNY")
        assert (payment.subject, payment.expire_at) == ("一个月", order.expire_at)
        assert (payment.account_token, payment.apple_id) == ("", ""), "these are Apple's"

    def test_a_trade_number_is_its_second_and_chance_in_26_digits(self) -> None:
        made = {new_trade_no(NOW) for _ in range(60)}
        assert len(made) == 60
        assert {len(it) for it in made} == {26}
        assert all(it.isdigit() and it.startswith("20260504120000") for it in made)

    def test_one_that_loses_every_race_is_refused(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        tries = []

        def lose(*_: Any) -> Any:
            tries.append(1)
            raise IntegrityError("INSERT", None, Exception("duplicate"))

        monkeypatch.setattr(shop.orders, "_new", lose)
        with pytest.raises(DatabaseDown):
            shop.order()
        assert len(tries) == 5, "again, where the other one is found"

    def test_looking_locks_nothing(self, shop: Shop) -> None:
        order = shop.paid()
        shop.locked.clear()
        with shop.busy(), shop.database.reading() as session:
            assert shop.orders.show(session, USER, order.id, NOW)["state"] == "paid"
            assert shop.orders.by_trade_no(session, order.trade_no).id == order.id
        assert shop.locked == []


class TestExpiry:
    @pytest.mark.parametrize(("before", "expired"), [(TICK, 0), (timedelta(), 1)])
    def test_an_order_expires_at_its_second(self, shop: Shop, before: timedelta, expired: int) -> None:
        order = shop.order()
        at = order.expire_at - before
        assert order.state_at(at) == ("expired" if expired else "unpaid")
        assert shop.jobs.has_expired(at) is bool(expired)
        assert shop.jobs.expire(at) == expired
        assert shop.row(order).state == ("expired" if expired else "unpaid")
        assert not shop.jobs.has_expired(at)

    @pytest.mark.parametrize(("before", "expired"), [(TICK, 0), (timedelta(), 1)])
    def test_one_that_cannot_be_closed_is_kept_for_a_day(
        self, shop: Shop, before: timedelta, expired: int
    ) -> None:
        order = shop.order()
        shop.till.down.add("close")
        assert shop.jobs.expire(order.expire_at + DAY - before) == expired
        assert shop.row(order).is_closed is False

    def test_one_that_ends_meanwhile_does_not_count(self, shop: Shop) -> None:
        order, other = shop.order(), shop.order()
        shop.till.meanwhile["close"] = lambda: shop.tell(order, paid_by(order, at=NOW), NOW)
        assert shop.jobs.expire(order.expire_at) == 1
        assert (shop.row(order).state, shop.row(other).state) == ("paid", "expired")

    def test_the_provider_says_whether_it_is_closed(self, shop: Shop) -> None:
        closed, asked = shop.order(), shop.order(now=NOW + SECOND)
        assert shop.jobs.expire(closed.expire_at) == 1
        # Not closed, and not paid: the provider is still busy with it.
        shop.till.closes = False
        assert shop.jobs.expire(asked.expire_at) == 1
        assert (shop.row(closed).is_closed, shop.row(asked).is_closed) == (True, False)
        assert shop.till.asked_to("query") == [(asked.trade_no, "")]

    def test_where_nothing_can_be_closed_nobody_is_asked(self, shop: Shop) -> None:
        shop.till.traits = ChannelTraits(closes=False)
        order = shop.order()
        assert shop.jobs.expire(order.expire_at) == 1
        assert (shop.row(order).is_closed, shop.till.asked_to("close")) == (False, [])


class TestPolls:
    def test_a_poll_is_due_at_its_moment(self, shop: Shop) -> None:
        order = shop.order()
        due = NOW + 10 * SECOND
        assert not shop.jobs.has_polls(due - TICK) and shop.jobs.poll(due - TICK) == 0
        assert shop.jobs.has_polls(due) and shop.jobs.poll(due) == 1
        assert shop.till.asked_to("query") == [(order.trade_no, "")]

    def test_the_pauses_are_those_that_are_documented(self, shop: Shop) -> None:
        order = shop.order()
        shop.till.down.add("close")
        waited: list[float] = []
        at = NOW
        while (due := shop.row(order).poll_at) is not None:
            waited.append((due - at).total_seconds())
            at = due
            assert shop.jobs.poll(at) == 1
        assert waited[:7] == [10, 30, 120, 300, 900, 3600, 3600]
        assert at - 3600 * SECOND < order.expire_at + DAY <= at

    @pytest.mark.parametrize(("before", "is_over"), [(TICK, False), (timedelta(), True)])
    def test_a_day_after_its_expiry_an_order_is_asked_about_for_the_last_time(
        self, shop: Shop, before: timedelta, is_over: bool
    ) -> None:
        order = shop.order(poll_at=NOW)
        shop.till.down.add("query")
        assert shop.jobs.poll(order.expire_at + DAY - before) == 1
        assert (shop.row(order).poll_at is None) is is_over

    def test_one_that_was_cancelled_is_closed_ten_seconds_later_and_then_left_alone(self, shop: Shop) -> None:
        order = shop.order()
        shop.till.down.add("close")
        assert shop.orders.cancel(USER, order.id, NOW + SECOND)["state"] == "cancelled"
        assert shop.row(order).poll_at == NOW + 11 * SECOND
        shop.till.down.clear()
        shop.jobs.poll(NOW + 11 * SECOND)
        row = shop.row(order)
        assert (row.state, row.is_closed, row.poll_at) == ("cancelled", True, None)

    def test_a_channel_that_is_off_or_knows_payments_only_is_not_asked(self, shop: Shop) -> None:
        order = shop.order()
        shop.till.traits = ChannelTraits(queries_open=False)
        assert shop.jobs.poll(NOW + 10 * SECOND) == 1
        assert (shop.till.asked_to("query"), shop.row(order).polls) == ([], 1)


class TestRefunds:
    def ordered(self, shop: Shop) -> UserOrder:
        order = shop.paid()
        assert shop.jobs.order_refund(order.trade_no, NOW) is not None
        return order

    def task(self, shop: Shop) -> RefundTask:
        (task,) = shop.rows(RefundTask)
        assert isinstance(task, RefundTask)
        return task

    def test_it_is_done_at_once_and_counts(self, shop: Shop) -> None:
        order = self.ordered(shop)
        assert not shop.jobs.has_refunds(NOW - TICK) and shop.jobs.refund(NOW - TICK) == 0
        assert shop.jobs.has_refunds(NOW) and shop.jobs.refund(NOW) == 1
        (asked,) = shop.till.asked_to("refund")
        assert (asked.trade_no, asked.transaction_id) == (order.trade_no, order.transaction_id)
        assert (asked.refund_fen, asked.fee_fen, asked.reason) == (FEE_FEN, FEE_FEN, "operator")
        assert asked.refund_no == refund_no_of(CHANNEL, order.transaction_id or "")
        assert (shop.row(order).state, self.task(shop).state) == ("refunded", "done")
        assert not shop.jobs.has_refunds(NOW)

    def test_one_that_the_provider_works_on_is_asked_for_until_it_is_done(self, shop: Shop) -> None:
        order = self.ordered(shop)
        shop.till.refund_is_done = False
        at = NOW
        for _ in range(45):
            assert shop.jobs.refund(at) == 0
            at = self.task(shop).try_at
        assert (self.task(shop).state, shop.row(order).state) == ("processing", "paid")
        shop.till.refund_is_done = True
        assert shop.jobs.refund(at) == 1
        assert (self.task(shop).state, shop.row(order).state) == ("done", "refunded")

    def test_one_that_fails_is_tried_forty_times_in_six_days(self, shop: Shop) -> None:
        self.ordered(shop)
        shop.till.down.add("refund")
        at, waited = NOW, []
        while (task := self.task(shop)).state == "due":
            waited.append((task.try_at - at).total_seconds() / 60)
            at = task.try_at
            assert shop.jobs.refund(at) == 0
        assert (task.state, task.tries, len(shop.till.asked_to("refund"))) == ("failed", 40, 40)
        assert waited == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, *[360] * 30]
        # The operator has seen to it, and begins anew.
        shop.till.down.clear()
        order = shop.rows(UserOrder)[0]
        assert shop.jobs.order_refund(order.trade_no, at + DAY) is not None
        task = self.task(shop)
        assert (task.state, task.tries, task.try_at) == ("due", 0, at + DAY)
        assert shop.jobs.refund(at + DAY) == 1

    def test_a_refusal_for_good_ends_it(self, shop: Shop) -> None:
        self.ordered(shop)
        shop.till.down.add("refund")
        shop.till.is_final = True
        assert shop.jobs.refund(NOW) == 0
        assert (self.task(shop).state, self.task(shop).tries) == ("failed", 1)

    def test_of_a_channel_that_is_off_it_waits(self, shop: Shop) -> None:
        order = self.ordered(shop)
        jobs = replace(shop.jobs, channels=Channels({}))
        assert jobs.refund(NOW) == 0
        assert (self.task(shop).state, self.task(shop).tries) == ("due", 1)
        assert self.task(shop).try_at == NOW + 60 * SECOND
        assert shop.row(order).state == "paid"

    def test_one_that_is_told_of_while_we_ask_is_not_tried_again(self, shop: Shop) -> None:
        order = self.ordered(shop)
        shop.till.down.add("refund")
        shop.till.meanwhile["refund"] = lambda: shop.tell(
            order, given_back(order, order.transaction_id or "")
        )
        assert shop.jobs.refund(NOW) == 0
        assert (self.task(shop).state, self.task(shop).tries, shop.row(order).state) == (
            "done",
            0,
            "refunded",
        )

    def test_only_paid_orders_of_channels_that_refund_can_be_given_back(self, shop: Shop) -> None:
        unpaid, paid = shop.order(), shop.paid()
        assert shop.jobs.order_refund("2026", NOW) is None
        assert shop.jobs.order_refund(unpaid.trade_no, NOW) is None
        shop.till.traits = ChannelTraits(refunds=False)
        assert shop.jobs.order_refund(paid.trade_no, NOW) is None
        assert shop.rows(RefundTask) == []


class TestRefundsFound:
    """`pay refund` asks the provider for refunds that were made in its console."""

    def test_by_the_orders_query(self, shop: Shop) -> None:
        order = shop.paid()
        assert shop.jobs.find_refund(order.trade_no, "", NOW) is None, "not told of"
        shop.till.facts[order.trade_no] = paid_by(order, order.transaction_id or "")
        assert shop.jobs.find_refund(order.trade_no, "", NOW) is None, "paid"
        shop.till.facts[order.trade_no] = given_back(order, order.transaction_id or "", is_part_unknown=True)
        assert shop.jobs.find_refund(order.trade_no, "", NOW) is None, "how much is not told"
        shop.till.facts[order.trade_no] = given_back(order, order.transaction_id or "")
        assert shop.jobs.find_refund(order.trade_no, "", NOW) == "refunded"
        assert set(shop.till.asked_to("query")) == {(order.trade_no, order.transaction_id)}
        assert shop.row(order).state == "refunded"

    def test_by_its_number(self, shop: Shop) -> None:
        order, other = shop.paid(), shop.paid()
        fact = given_back(order, order.transaction_id or "", refund_id="R9", refunded_fen=FEE_FEN)
        shop.till.refunds["R9"] = fact
        assert shop.jobs.find_refund(other.trade_no, "R9", NOW) is None, "of another order"
        assert shop.jobs.find_refund(order.trade_no, "R8", NOW) is None
        assert shop.jobs.find_refund(order.trade_no, "R9", NOW) == "refunded"
        assert (shop.row(order).state, shop.row(other).state) == ("refunded", "paid")
        assert shop.till.asked_to("query") == []

    def test_where_the_provider_does_not_name_our_number(self, shop: Shop) -> None:
        order = shop.paid()
        shop.till.refunds["R9"] = Fact(FactKind.REFUNDED, "", order.transaction_id or "", refund_id="R9")
        assert shop.jobs.find_refund(order.trade_no, "R9", NOW) == "refunded"

    def test_nothing_is_asked_about_orders_that_are_not_there_or_cannot_be_asked_about(
        self, shop: Shop
    ) -> None:
        shop.till.traits = ChannelTraits(queries_open=False)
        order = shop.order()
        assert shop.jobs.find_refund("2026", "", NOW) is None
        assert shop.jobs.find_refund(order.trade_no, "", NOW) is None
        assert shop.till.asked_to("query") == []
        paid = shop.paid()
        shop.till.facts[paid.trade_no] = given_back(paid, paid.transaction_id or "")
        assert shop.jobs.find_refund(paid.trade_no, "", NOW) == "refunded"


class TestPurge:
    LEDGER = timedelta(days=1095)

    def leave(self, shop: Shop, user_id: int, now: datetime) -> None:
        with shop.database.transaction() as session:
            shop.orders.person_left(session, user_id, now)

    def test_payments_are_kept_for_the_period_and_not_a_moment_longer(self, shop: Shop) -> None:
        order = shop.paid()
        shop.notify(paid_by(order, order.transaction_id or ""))
        shop.jobs.order_refund(order.trade_no, NOW)
        shop.jobs.refund(NOW)
        other, stays = shop.paid(user_id=8), shop.paid(user_id=9)
        for user_id in (USER, 8):
            self.leave(shop, user_id, NOW)
        # Payments are as old as their orders, which tell whole seconds.
        assert shop.jobs.purge(order.order_time + self.LEDGER) == 0
        assert shop.jobs.purge(order.order_time + self.LEDGER + TICK) == 2
        assert {it.id for it in shop.rows(UserOrder)} == {stays.id}
        assert {it.order_id for it in shop.rows(VipGrant)} == {stays.id}
        assert [shop.rows(table) for table in (PayNotice, OrderRefund, RefundTask)] == [[], [], []]
        assert other.id not in {it.order_id for it in shop.rows(VipGrant)}
        # The person themselves, from the moment at which they left.
        assert {it.user_id for it in shop.rows(VipInfo)} == {USER, 8, 9}
        assert shop.jobs.purge(NOW + self.LEDGER) == 0
        assert {it.user_id for it in shop.rows(VipInfo)} == {USER, 8, 9}
        assert shop.jobs.purge(NOW + self.LEDGER + TICK) == 0
        assert {it.user_id for it in shop.rows(VipInfo)} == {9}

    def test_nobody_is_forgotten_of_whom_an_order_is_kept(self, shop: Shop) -> None:
        self.leave(shop, USER, NOW)
        late = shop.order(now=NOW + DAY)
        assert shop.tell(late, paid_by(late), NOW + DAY) == "refund_due"
        assert shop.jobs.purge(NOW + self.LEDGER + TICK) == 0
        assert [it.user_id for it in shop.rows(VipInfo)] == [USER]

    def test_a_grant_whose_order_is_gone_goes_with_its_person(self, shop: Shop) -> None:
        shop.add(VipGrant(order_id=99, user_id=USER, days=30, length_s=1, granted_at=NOW))
        shop.paid(user_id=8)
        self.leave(shop, USER, NOW)
        assert shop.jobs.purge(NOW + self.LEDGER + TICK) == 0
        assert {it.user_id for it in shop.rows(VipGrant)} == {8}


def test_what_only_looks_waits_for_no_writer(shop: Shop) -> None:
    """On SQLite, where one writer keeps all others out."""
    order, cancelled = shop.paid(), shop.order(state=OrderState.CANCELLED)
    with shop.busy():
        assert not shop.jobs.has_expired(NOW) and not shop.jobs.has_polls(NOW)
        assert not shop.jobs.has_refunds(NOW)
        assert shop.jobs.expire(NOW) == shop.jobs.poll(NOW) == shop.jobs.refund(NOW) == 0
        assert shop.jobs.find_refund(order.trade_no, "", NOW) is None
        assert [it.kind for it in shop.reconciliation.run(NOW, days=1)] == ["paid_here_only"]
        assert shop.orders.cancel(USER, cancelled.id, NOW)["state"] == "cancelled"
        assert list(PaymentNumbers(shop.database).read(NOW))


def test_numbers_for_prometheus_are_of_the_last_24_hours(shop: Shop) -> None:
    def numbers(now: datetime) -> dict[tuple[str, ...], float]:
        return {
            (metric.name, *sample.labels.values()): sample.value
            for metric in PaymentNumbers(shop.database).read(now)
            for sample in metric.samples
        }

    paid, _open, gone = shop.paid(), shop.order(), shop.order(state=OrderState.CANCELLED)
    orders = "datingtoday_orders_day"
    end = paid.expire_at
    assert numbers(end - TICK) == {
        (orders, CHANNEL, "paid"): 1,
        (orders, CHANNEL, "unpaid"): 1,
        (orders, CHANNEL, "cancelled"): 1,
    }
    assert numbers(end)[orders, CHANNEL, "expired"] == 1, "by rule, before it is written down"
    assert (orders, CHANNEL, "unpaid") not in numbers(end)
    assert len(numbers(gone.order_time + DAY - TICK)) == 3
    assert numbers(gone.order_time + DAY) == {}
    shop.jobs.order_refund(paid.trade_no, NOW)
    refunds = "datingtoday_refunds"
    assert numbers(NOW)[refunds, CHANNEL, "due"] == 1
    shop.jobs.refund(NOW)
    assert not [name for name in numbers(NOW) if name[0] == refunds]
