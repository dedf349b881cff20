"""Reconciliation: which orders are asked about, and which answers can be compared."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.infra.payments.provider import ChannelTraits, FactKind, PaymentFailed
from datingtoday.vip.models import OrderState, RefundState
from datingtoday.vip.reconciliation import Reconciliation, is_comparable

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "kind", "expected"),
    [
        (None, FactKind.PAID, True),
        (RefundState.DUE, None, True),
        # Ours is under way: the provider may say the one or the other.
        (RefundState.DUE, FactKind.PAID, False),
        (RefundState.DUE, FactKind.REFUNDED, False),
        (RefundState.PROCESSING, FactKind.PAID, False),
        (RefundState.PROCESSING, FactKind.REFUNDED, False),
        (RefundState.DONE, FactKind.PAID, True),
        (RefundState.DONE, FactKind.REFUNDED, False),
        # Given up: that it was not given back is what we know already.
        (RefundState.FAILED, FactKind.PAID, False),
        (RefundState.FAILED, FactKind.REFUNDED, True),
    ],
)
def test_a_refund_of_ours_is_compared_once_it_has_ended_otherwise(
    state: RefundState | None, kind: FactKind | None, expected: bool
) -> None:
    task: Any = None if state is None else SimpleNamespace(state=state)
    fact: Any = None if kind is None else SimpleNamespace(kind=kind)
    assert is_comparable(task, fact) is expected


@pytest.mark.parametrize(
    ("asks_open", "transaction_id", "is_asked"),
    [(True, None, True), (True, "t", True), (False, None, False), (False, "t", True)],
)
def test_who_knows_payments_only_is_not_asked_about_open_orders(
    asks_open: bool, transaction_id: str | None, is_asked: bool
) -> None:
    asked = asked_about([order(transaction_id=transaction_id)], ChannelTraits(queries_open=asks_open))
    assert asked == (["T0"] if is_asked else [])


def test_after_five_failures_in_a_row_nobody_is_asked_any_more() -> None:
    orders = [order(number) for number in range(12)]
    all_down = [f"T{number}" for number in range(12)]
    assert asked_about(orders, ChannelTraits(), down=all_down) == all_down[:5]
    # One answer in between, and the counting begins anew.
    assert asked_about(orders, ChannelTraits(), down=all_down[:4] + all_down[5:]) == all_down[:10]


def order(number: int = 0, **columns: Any) -> Any:
    values = {"transaction_id": "t", "state": OrderState.UNPAID, "user_id": 1, "id": number, **columns}
    return SimpleNamespace(channel="x", trade_no=f"T{number}", **values)


def asked_about(orders: list[Any], traits: ChannelTraits, down: list[str] | None = None) -> list[str]:
    asked: list[str] = []

    def query(trade_no: str, _transaction_id: str, _now: datetime) -> None:
        asked.append(trade_no)
        if trade_no in (down or []):
            raise PaymentFailed("x", "timeout")

    reconciliation = Reconciliation.__new__(Reconciliation)
    channel = SimpleNamespace(traits=traits, query=query)
    reconciliation._channels = SimpleNamespace(find=lambda _: channel)  # type: ignore[assignment]
    list(reconciliation._providers(orders, {}, NOW))
    return asked
