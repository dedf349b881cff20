"""The sandbox as a provider: what may follow what, and which notifications are believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session

from datingtoday.infra.db import Base, Database
from datingtoday.infra.payments.models import SandboxTrade
from datingtoday.infra.payments.provider import FactKind, NoticeRefused, Payment, PaymentFailed, Refund
from datingtoday.infra.payments.sandbox import SandboxPayments, sandbox_secret, sign_notice

NOW = datetime(2026, 5, 4, 12, 0, 0, 123_000, tzinfo=UTC)
END = NOW + timedelta(minutes=30)
TICK = timedelta(microseconds=1)
PAYMENT = Payment("T1", "一个月", 3000, "CNY", END)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxPayments]:
    database = Database(f"sqlite:///{tmp_path / 'sandbox.db'}", timeout_s=1)
    Base.metadata.create_all(database.engine, tables=[SandboxTrade.__table__])  # type: ignore[list-item]
    yield SandboxPayments(database, b"secret", "https://api.example.com/")
    database.dispose()


@pytest.fixture
def changes() -> Iterator[list[str]]:
    """Changes of payments that were not locked before."""
    held: set[Session] = set()
    unlocked: list[str] = []

    def note_lock(state: ORMExecuteState) -> None:
        if getattr(state.statement, "_for_update_arg", None) is not None:
            held.add(state.session)

    def note_change(session: Session, *_: object) -> None:
        unlocked.extend(it.state for it in session.dirty if session.is_modified(it) and session not in held)

    listeners: list[tuple[str, Callable[..., Any]]] = [
        ("do_orm_execute", note_lock),
        ("before_flush", note_change),
        ("after_commit", held.discard),
    ]
    for name, listener in listeners:
        event.listen(Session, name, listener)
    yield unlocked
    for name, listener in listeners:
        event.remove(Session, name, listener)
    assert unlocked == []


def pay(sandbox: SandboxPayments) -> str:
    sandbox.create(PAYMENT, NOW)
    trade = sandbox.pay("T1", NOW)
    assert trade is not None and trade.transaction_id is not None
    return trade.transaction_id


def test_a_payment_is_made_once(sandbox: SandboxPayments) -> None:
    first = sandbox.create(PAYMENT, NOW)
    assert sandbox.create(PAYMENT, NOW) == first
    base, _, key = first["pay_url"].rpartition("/")
    assert (base, len(key)) == ("https://api.example.com/pay/sandbox", 43)
    trade = sandbox.page_trade(key)
    assert trade is not None and (trade.trade_no, trade.subject) == ("T1", "一个月")
    assert sandbox.page_trade("x") is None and sandbox.look_up("T2") is None
    for other in (Payment("T1", "", 3001, "CNY", END), Payment("T1", "", 3000, "USD", END)):
        with pytest.raises(PaymentFailed, match="trade_no_reused") as failed:
            sandbox.create(other, NOW)
        assert failed.value.is_final


def test_it_can_be_paid_until_it_expires(sandbox: SandboxPayments, changes: list[str]) -> None:
    sandbox.create(PAYMENT, NOW)
    assert sandbox.query("T1", "", END - TICK) is None
    told = sandbox.query("T1", "", END)
    assert told is not None and told.kind is FactKind.CLOSED
    late = sandbox.pay("T1", END)
    assert late is not None and (late.state, late.transaction_id) == ("open", None)
    paid = sandbox.pay("T1", END - TICK)
    assert paid is not None and (paid.state, paid.paid_at) == ("paid", END - TICK)
    again = sandbox.pay("T1", NOW)
    assert again is not None and again.transaction_id == paid.transaction_id
    assert sandbox.pay("T2", NOW) is None and sandbox.query("T2", "", NOW) is None


def test_the_query_tells_all_of_a_payment(sandbox: SandboxPayments) -> None:
    transaction_id = pay(sandbox)
    told = sandbox.query("T1", "", END)
    assert told is not None and (told.kind, told.transaction_id) == (FactKind.PAID, transaction_id)
    assert (told.amount_fen, told.currency, told.at) == (3000, "CNY", NOW)
    assert (told.refund_id, told.refunded_fen) == ("", None)
    sandbox.give_back("T1", None, NOW)
    told = sandbox.query("T1", "", END)
    assert told is not None and told.kind is FactKind.REFUNDED
    assert (told.refund_id, told.refunded_fen) == ("total:T1", 3000)


def test_closing(sandbox: SandboxPayments, changes: list[str]) -> None:
    assert sandbox.close("T1"), "one that it does not know can be paid by nobody"
    sandbox.create(PAYMENT, NOW)
    assert sandbox.close("T1") and sandbox.close("T1")
    trade = sandbox.pay("T1", NOW)
    assert trade is not None and trade.state == "closed"
    told = sandbox.query("T1", "", NOW)
    assert told is not None and (told.kind, told.transaction_id) == (FactKind.CLOSED, "")


def test_what_is_paid_cannot_be_closed(sandbox: SandboxPayments) -> None:
    pay(sandbox)
    assert not sandbox.close("T1")
    trade = sandbox.look_up("T1")
    assert trade is not None and trade.state == "paid"


def test_refunds_of_the_merchant(sandbox: SandboxPayments, changes: list[str]) -> None:
    transaction_id = pay(sandbox)
    for trade_no, paid_by in (("T2", transaction_id), ("T1", "S1")):
        with pytest.raises(PaymentFailed, match="unknown_transaction") as failed:
            sandbox.refund(Refund(trade_no, paid_by, "R1", 3000, 3000))
        assert failed.value.is_final
    assert sandbox.refund(Refund("T1", transaction_id, "R1", 3000, 3000)) is True
    trade = sandbox.look_up("T1")
    assert trade is not None and (trade.state, trade.refunded_fen) == ("refunded", 3000)


def test_refunds_in_the_console_add_up(sandbox: SandboxPayments, changes: list[str]) -> None:
    sandbox.create(PAYMENT, NOW)
    unpaid = sandbox.give_back("T1", None, NOW)
    assert unpaid is not None and unpaid.refunded_fen == 0 and sandbox.give_back("T2", None, NOW) is None
    pay(sandbox)
    seen = []
    for fen in (1000, 1999, 5):
        trade = sandbox.give_back("T1", fen, END)
        assert trade is not None and trade.refunded_at == END
        seen.append((trade.refunded_fen, trade.state))
    assert seen == [(1000, "paid"), (2999, "paid"), (3000, "refunded")]


def test_the_notification_is_of_its_moment_and_its_content(sandbox: SandboxPayments) -> None:
    transaction_id = pay(sandbox)
    trade = sandbox.look_up("T1")
    assert trade is not None
    headers, body = sandbox.notice(trade, END)
    told = sandbox.read_notice(headers, body, END)
    assert (told.notice_id, told.kind) == (f"paid:{transaction_id}:0", "paid")
    assert told.fact is not None and (told.fact.kind, told.fact.amount_fen) == (FactKind.PAID, 3000)
    assert (told.fact.at, told.fact.refund_id, told.fact.refunded_fen) == (NOW, "", None)
    assert json.loads(sandbox.notice(trade, END, amount_fen=1)[1])["amount_fen"] == 1
    assert json.loads(body)["refunded_fen"] == 0
    back = sandbox.give_back("T1", 1000, END)
    assert back is not None
    told = sandbox.read_notice(*sandbox.notice(back, END, is_refund=True), END)
    assert told.notice_id == f"refunded:{transaction_id}:1000"
    assert told.fact is not None and (told.fact.at, told.fact.refunded_fen) == (END, 1000)
    assert told.fact.refund_id == "total:T1"


@pytest.mark.parametrize(
    ("age", "is_believed"),
    [(timedelta(seconds=300), True), (timedelta(seconds=301), False), (-timedelta(seconds=300), True),
     (-timedelta(seconds=301), False)],
)  # fmt: skip
def test_five_minutes_old_or_early_and_no_more(
    sandbox: SandboxPayments, age: timedelta, is_believed: bool
) -> None:
    pay(sandbox)
    trade = sandbox.look_up("T1")
    assert trade is not None
    moment = NOW.replace(microsecond=0)
    headers, body = sandbox.notice(trade, moment - age)
    if is_believed:
        assert sandbox.read_notice(headers, body, moment).fact is not None
        return
    with pytest.raises(NoticeRefused, match="age") as refused:
        sandbox.read_notice(headers, body, moment)
    assert refused.value.is_forged


GOOD: dict[str, Any] = {
    "notice_id": "n", "kind": "paid", "trade_no": "T1", "transaction_id": "S1", "currency": "CNY",
    "amount_fen": 0, "refunded_fen": 0, "at": 0,
}  # fmt: skip


def read(sandbox: SandboxPayments, body: bytes) -> Any:
    return sandbox.read_notice(sign_notice(b"secret", body, NOW), body, NOW)


def test_the_smallest_and_the_largest_values_are_taken(sandbox: SandboxPayments) -> None:
    for name in ("notice_id", "trade_no", "transaction_id", "currency"):
        assert read(sandbox, json.dumps(GOOD | {name: "x" * 128}).encode()).fact is not None
    for name in ("amount_fen", "refunded_fen"):
        assert read(sandbox, json.dumps(GOOD | {name: 2**53 - 1}).encode()).fact is not None
    assert read(sandbox, json.dumps(GOOD | {"at": 1500}).encode()).fact.at == datetime(
        1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        *(({name: value}, name) for name in ("notice_id", "kind", "trade_no", "currency") for value in
          ("", "x" * 129, "ü", 1, None)),
        *(({name: value}, name) for name in ("amount_fen", "refunded_fen", "at") for value in
          (-1, 2**53, True, 1.0, "1", None)),
        ({"kind": "closed"}, "kind"),
        ({"at": 2**53 - 1}, "at"),
    ],
)  # fmt: skip
def test_what_is_signed_rightly_and_wrong(sandbox: SandboxPayments, change: Any, reason: str) -> None:
    with pytest.raises(NoticeRefused) as refused:
        read(sandbox, json.dumps(GOOD | change).encode())
    assert (refused.value.reason, refused.value.is_forged, refused.value.is_ours) == (reason, False, False)
    trade_no = (GOOD | change)["trade_no"]
    assert refused.value.trade_no == (trade_no[:32] if isinstance(trade_no, str) else "")


def test_what_is_no_json_object(sandbox: SandboxPayments) -> None:
    for body in (b"", b"[]", b"1", b"{", b"\xff", b'{"at":1,"at":1}', b"[" * 100_000):
        with pytest.raises(NoticeRefused, match="not_json"):
            read(sandbox, body)


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1.5", "\u0661", "1" * 13])
def test_what_is_no_timestamp(sandbox: SandboxPayments, timestamp: str) -> None:
    with pytest.raises(NoticeRefused, match="timestamp") as refused:
        sandbox.read_notice({"sandbox-timestamp": timestamp}, b"{}", NOW)
    assert refused.value.is_forged


def test_what_is_signed_by_another_key_is_forged(sandbox: SandboxPayments) -> None:
    body = json.dumps(GOOD).encode()
    for headers in (
        sign_notice(b"other", body, NOW),
        {**sign_notice(b"secret", body, NOW), "sandbox-signature": ""},
        {"sandbox-timestamp": "1" * 12},
    ):
        with pytest.raises(NoticeRefused, match="signature") as refused:
            sandbox.read_notice(headers, body, NOW)
        assert refused.value.is_forged


def test_answers_are_those_of_the_protocol(sandbox: SandboxPayments) -> None:
    assert (sandbox.accepted().status, sandbox.accepted().headers) == (200, {})
    assert json.loads(sandbox.accepted().body)["code"] == 0
    refused = sandbox.refused(NoticeRefused("amount"))
    assert (refused.status, json.loads(refused.body)) == (400, {"code": "FAIL", "msg": "amount"})
    ours = sandbox.refused(NoticeRefused("unavailable", is_ours=True))
    assert (ours.status, ours.headers) == (503, {"Retry-After": "5"})


def test_its_key_is_the_configured_one_or_the_servers_own() -> None:
    assert sandbox_secret("given", b"k") == b"given"
    assert sandbox_secret("", b"k") != sandbox_secret("", b"l")


def test_its_page_pays_and_tells_the_server_of_what_was_paid(sandbox: SandboxPayments) -> None:
    from datingtoday.vip.sandbox_desk import SandboxDesk

    received: list[tuple[str, bytes]] = []
    notifications: Any = SimpleNamespace(
        receive=lambda name, _headers, body, _now: received.append((name, body))
    )
    desk = SandboxDesk(sandbox, notifications)
    key = sandbox.create(PAYMENT, NOW)["pay_url"].rpartition("/")[2]
    assert desk.pay("x", NOW) is None and desk.find("x") is None
    late = desk.pay(key, END)
    assert late is not None and (late.state, received) == ("open", [])
    paid = desk.pay(key, NOW)
    assert paid is not None and paid.state == "paid"
    ((name, body),) = received
    assert (name, json.loads(body)["trade_no"]) == ("sandbox", "T1")
    found = desk.find(key)
    assert found is not None and found.transaction_id == paid.transaction_id
