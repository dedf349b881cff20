"""Work without a request: expiry, polls, refunds, the purge, and what reconciliation finds."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from datingtoday.infra.payments.models import SandboxTrade
from datingtoday.infra.payments.provider import PaymentFailed
from datingtoday.vip.models import PayNotice, UserOrder, VipGrant, VipInfo
from datingtoday.vip.reconciliation import Finding
from tests.plugins.api import Api
from tests.profiles.factories import make_user
from tests.vip.purchases import (
    deadline_of,
    grants_of,
    make_order,
    notify,
    order_row,
    paid_at_provider,
    pay,
    refund,
    sandbox_of,
    state_of,
    tasks_of,
)

LATER = timedelta(minutes=31)


def run_all(api: Api, now: datetime) -> None:
    """Every job until nothing is due for these orders."""
    jobs = api.parts.vip.jobs
    for work in (jobs.poll, jobs.expire, jobs.refund):
        while work(now):
            pass


def findings_of(api: Api, order: dict[str, Any], user_id: int = 0) -> list[str]:
    def is_about(it: Finding) -> bool:
        return it.trade_no == order["trade_no"] or (not it.trade_no and it.user_id == user_id)

    found = api.parts.vip.reconciliation.run(datetime.now(UTC), days=1)
    return sorted(it.kind.value for it in found if is_about(it))


def test_a_lost_notification_heals(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    paid_at_provider(api, order)
    assert state_of(api, user, order) == "unpaid"
    run_all(api, datetime.now(UTC) + timedelta(seconds=11))
    assert state_of(api, user, order) == "paid"
    assert len(grants_of(api, user)) == 1
    assert order_row(api, order).poll_at is None


def test_polls_become_rarer_and_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(api)
    order = make_order(api, user)
    begun = order_row(api, order).order_time
    monkeypatch.setattr(sandbox_of(api), "close", _down)
    monkeypatch.setattr(sandbox_of(api), "query", lambda *_: None)
    waited = []
    while (due := order_row(api, order).poll_at) is not None:
        waited.append((due - begun).total_seconds())
        run_all(api, due)
        assert len(waited) < 50
    gaps = [round(b - a) for a, b in itertools.pairwise(waited)]
    assert gaps[:5] == [30, 120, 300, 900, 3600]
    assert set(gaps[4:]) == {3600}
    assert timedelta(days=1) < timedelta(seconds=waited[-1]) < timedelta(days=1, hours=2)


def test_orders_expire_and_are_closed(api: Api) -> None:
    user = make_user(api)
    api.parts.vip.jobs.expire(datetime.now(UTC) + LATER)
    orders = [make_order(api, user) for _ in range(2)]
    assert api.parts.vip.jobs.expire(datetime.now(UTC) + LATER) == 2
    run_all(api, datetime.now(UTC) + LATER)
    order = orders[0]
    row = order_row(api, order)
    assert (row.state, row.is_closed, row.poll_at) == ("expired", True, None)
    trade = sandbox_of(api).pay(order["trade_no"], datetime.now(UTC) + LATER)
    assert trade is not None and trade.transaction_id is None


def test_an_order_that_is_paid_while_it_expires_stays_paid(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notification comes between the look at what is due and the lock of the order."""
    api.parts.vip.jobs.expire(datetime.now(UTC) + LATER)
    user = make_user(api)
    order = make_order(api, user)

    def pay_meanwhile(due: UserOrder, now: datetime) -> bool:
        if due.trade_no == order["trade_no"]:
            pay(api, order)
        return False

    monkeypatch.setattr(api.parts.vip.orders, "close_at_provider", pay_meanwhile)
    assert api.parts.vip.jobs.expire(datetime.now(UTC) + LATER) == 0
    assert state_of(api, user, order) == "paid"
    assert len(grants_of(api, user)) == 1


def test_an_order_paid_in_time_does_not_expire(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    paid_at_provider(api, order)
    api.parts.vip.jobs.expire(datetime.now(UTC) + LATER)
    assert state_of(api, user, order) == "paid"


def test_a_provider_that_is_down_keeps_orders_open_for_a_day(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Others' orders would come first, and after five failures nobody's is looked at.
    while api.parts.vip.jobs.expire(datetime.now(UTC) + LATER):
        pass
    user = make_user(api)
    order = make_order(api, user)
    with monkeypatch.context() as patched:
        patched.setattr(sandbox_of(api), "close", _down)
        api.parts.vip.jobs.expire(datetime.now(UTC) + LATER)
        assert order_row(api, order).state == "unpaid"
        api.parts.vip.jobs.expire(datetime.now(UTC) + LATER + timedelta(days=1))
        assert order_row(api, order).state == "expired"


@pytest.mark.parametrize(("failing", "asked", "expired"), [(4, 8, 4), (5, 5, 0)])
def test_after_five_failures_in_one_run_a_channel_is_left_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch, failing: int, asked: int, expired: int
) -> None:
    late = datetime.now(UTC) + LATER
    api.parts.vip.jobs.expire(late)
    user = make_user(api)
    for _ in range(8):
        make_order(api, user)
    calls = []

    def close_or_fail(*_: Any) -> bool:
        calls.append(1)
        if len(calls) <= failing:
            raise PaymentFailed("sandbox", "down")
        return True

    with monkeypatch.context() as patched:
        patched.setattr(sandbox_of(api), "close", close_or_fail)
        assert api.parts.vip.jobs.expire(late) == expired
    assert len(calls) == asked
    while api.parts.vip.jobs.expire(late):
        pass


def test_a_late_payment_goes_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(api)
    order = make_order(api, user)
    with monkeypatch.context() as patched:
        patched.setattr(sandbox_of(api), "close", _down)
        api.post("/api/order/cancel", user, orderId=order["order_id"]).data  # noqa: B018 - asserts success
    trade = paid_at_provider(api, order)
    notify(api, trade)
    run_all(api, datetime.now(UTC) + timedelta(seconds=1))
    found = sandbox_of(api).look_up(order["trade_no"])
    assert found is not None and (found.state, found.refunded_fen) == ("refunded", order["fee_fen"])
    (task,) = tasks_of(api, order)
    assert (task.state, task.refund_no[0]) == ("done", "R")
    assert (state_of(api, user, order), grants_of(api, user)) == ("cancelled", [])
    # The provider's notification of the refund changes nothing any more.
    assert notify(api, found, is_refund=True).status == 200
    assert state_of(api, user, order) == "cancelled"
    assert findings_of(api, order, user.user_id) == []


def test_a_refund_that_fails_is_tried_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(api)
    order = make_order(api, user)
    pay(api, order)
    jobs, now = api.parts.vip.jobs, datetime.now(UTC)
    assert jobs.order_refund(order["trade_no"], now) is not None
    with monkeypatch.context() as patched:
        patched.setattr(sandbox_of(api), "refund", _down)
        jobs.refund(now)
    (task,) = tasks_of(api, order)
    assert (task.state, task.tries, state_of(api, user, order)) == ("due", 1, "paid")
    assert "refund_slow" not in findings_of(api, order)
    jobs.refund(task.try_at)
    assert (tasks_of(api, order)[0].state, state_of(api, user, order)) == ("done", "refunded")
    assert deadline_of(api, user) is None


def test_reconciliation_finds_nothing_where_all_is_well(api: Api) -> None:
    user = make_user(api)
    orders = [make_order(api, user) for _ in range(3)]
    pay(api, orders[0])
    pay(api, orders[1])
    refund(api, orders[1])
    for order in orders:
        assert findings_of(api, order, user.user_id) == []


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lambda s, o: s.execute(delete(VipGrant).where(VipGrant.order_id == o.id)), "paid_without_grant"),
        (lambda s, o: s.execute(_order(o, state="unpaid", transaction_id=None)), "grant_without_payment"),
        (lambda s, o: s.execute(_order(o, user_id=o.user_id + 1_000_000)), "grant_of_other_person"),
        (
            lambda s, o: s.execute(
                update(VipInfo)
                .where(VipInfo.user_id == o.user_id)
                .values(vip_deadline=datetime(2031, 1, 1, tzinfo=UTC))
            ),
            "deadline_differs",
        ),
        (
            lambda s, o: s.execute(_trade(o, state="refunded", refunded_fen=o.fee_fen)),
            "refunded_at_provider_only",
        ),
        (lambda s, o: s.execute(_trade(o, state="open")), "paid_here_only"),
        (lambda s, o: s.execute(_trade(o, amount_fen=1)), "amount_differs"),
        (lambda s, o: s.execute(_trade(o, transaction_id="Sother")), "transaction_differs"),
        (lambda s, o: s.execute(_order(o, state="cancelled")), "paid_at_provider_only"),
        (lambda s, o: s.execute(_order(o, channel="wechat")), "channel_off"),
    ],
)
def test_reconciliation_names_each_difference(api: Api, damage: Any, finding: str) -> None:
    user = make_user(api)
    order = make_order(api, user)
    pay(api, order)
    with api.parts.base.database.transaction() as session:
        damage(session, session.get_one(UserOrder, order["order_id"]))
    try:
        assert finding in findings_of(api, order, user.user_id)
    finally:
        _tidy(api, order, user.user_id)


def test_reconciliation_tells_of_refunds_in_part(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    pay(api, order)
    refund(api, order, 100)
    assert findings_of(api, order) == ["refunded_in_part"]


def test_a_provider_that_cannot_be_asked_is_a_finding(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(api)
    orders = [make_order(api, user) for _ in range(7)]
    asked = []

    def down(trade_no: str, *_: object) -> None:
        asked.append(trade_no)
        raise PaymentFailed("sandbox", "timeout")

    monkeypatch.setattr(sandbox_of(api), "query", down)
    found = api.parts.vip.reconciliation.run(datetime.now(UTC), days=1)
    told = [it for it in found if it.kind == "provider_unreachable"]
    assert [it.trade_no for it in told] == asked
    assert len(asked) == 5, "the rest is not waited for"
    assert "not compared" in told[-1].detail
    assert orders[-1]["trade_no"] not in asked


def test_one_order_that_cannot_be_asked_about_hides_no_other(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user(api)
    broken, cheated = make_order(api, user), make_order(api, user)
    pay(api, cheated)
    with api.parts.base.database.transaction() as session:
        session.execute(_trade(order_row(api, cheated), state="open"))
    query = sandbox_of(api).query

    def fails_once(trade_no: str, *rest: Any) -> Any:
        if trade_no == broken["trade_no"]:
            raise PaymentFailed("sandbox", "answer_trade_status")
        return query(trade_no, *rest)

    monkeypatch.setattr(sandbox_of(api), "query", fails_once)
    try:
        assert findings_of(api, broken) == ["provider_unreachable"]
        assert findings_of(api, cheated) == ["paid_here_only"]
    finally:
        _tidy(api, cheated, user.user_id)


def test_a_refund_that_the_provider_has_not_made_is_a_finding(api: Api) -> None:
    """Ours was accepted as done, and the provider still has the money."""
    user = make_user(api)
    order, late = make_order(api, user), make_order(api, user)
    pay(api, order)
    assert api.parts.vip.jobs.order_refund(order["trade_no"], datetime.now(UTC)) is not None
    assert api.post("/api/order/cancel", user, orderId=late["order_id"]).code == 0
    with api.parts.base.database.transaction() as session:
        session.execute(_trade(order_row(api, late), state="open"))
    pay(api, late)
    run_all(api, datetime.now(UTC))
    for it, state in ((order, "refunded"), (late, "cancelled")):
        assert (state_of(api, user, it), [task.state for task in tasks_of(api, it)]) == (state, ["done"])
        assert findings_of(api, it) == []
        with api.parts.base.database.transaction() as session:
            session.execute(_trade(order_row(api, it), state="paid", refunded_fen=0))
        assert findings_of(api, it) == ["paid_at_provider_only"]
        _tidy(api, it, user.user_id)


def test_who_leaves_pays_no_more(api: Api) -> None:
    user = make_user(api)
    unpaid, paid = make_order(api, user), make_order(api, user)
    pay(api, paid)
    api.post("/api/user/delete", user, code=api.new_code(user.phone, "delete")).data  # noqa: B018
    assert order_row(api, unpaid).state == "cancelled"
    run_all(api, datetime.now(UTC) + timedelta(seconds=1))
    trade = sandbox_of(api).look_up(unpaid["trade_no"])
    assert trade is not None and trade.state == "closed"
    assert order_row(api, paid).state == "paid"


def test_the_ledger_is_kept_for_the_legal_period(api: Api) -> None:
    user = make_user(api)
    unpaid, paid = make_order(api, user), make_order(api, user)
    pay(api, paid)
    api.post("/api/user/delete", user, code=api.new_code(user.phone, "delete")).data  # noqa: B018
    now = datetime.now(UTC)
    run_all(api, now + timedelta(seconds=1))
    api.parts.safety.deletion.purge(api.parts.base.database, now + timedelta(days=31))
    jobs = api.parts.vip.jobs
    jobs.purge(now + jobs.ledger - timedelta(days=1))
    with api.parts.base.database.transaction(write=False) as session:
        assert session.get(UserOrder, unpaid["order_id"]) is None
        assert session.get(UserOrder, paid["order_id"]) is not None
        assert session.get(VipGrant, paid["order_id"]) is not None
    jobs.purge(now + jobs.ledger + timedelta(days=1))
    with api.parts.base.database.transaction(write=False) as session:
        assert session.get(UserOrder, paid["order_id"]) is None
        assert session.get(VipGrant, paid["order_id"]) is None
        assert session.get(VipInfo, user.user_id) is None
        notices = session.scalars(select(PayNotice).where(PayNotice.trade_no == paid["trade_no"]))
        assert notices.all() == []


def test_an_export_tells_of_orders_and_grants(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    pay(api, order)
    told = api.post("/api/user/export", user, code=api.new_code(user.phone, "export")).data["vip"]
    assert [(it["trade_no"], it["state"]) for it in told["orders"]] == [(order["trade_no"], "paid")]
    assert [(it["order_id"], it["days"]) for it in told["grants"]] == [(order["order_id"], 30)]
    assert told["vip_deadline"] == deadline_of(api, user)


def _order(order: UserOrder, **values: Any) -> Any:
    return update(UserOrder).where(UserOrder.id == order.id).values(**values)


def _trade(order: UserOrder, **values: Any) -> Any:
    return update(SandboxTrade).where(SandboxTrade.trade_no == order.trade_no).values(**values)


def _tidy(api: Api, order: dict[str, Any], user_id: int) -> None:
    """Repairs the damage, for other tests that share the database."""
    with api.parts.base.database.transaction() as session:
        session.execute(delete(VipGrant).where(VipGrant.order_id == order["order_id"]))
        session.execute(delete(VipInfo).where(VipInfo.user_id == user_id))
        session.execute(delete(UserOrder).where(UserOrder.id == order["order_id"]))


def _down(*_: object) -> None:
    raise PaymentFailed("sandbox", "timeout")
