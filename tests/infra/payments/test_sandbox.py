"""The sandbox, asked as a provider is: what it takes, how long, and what money does there."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from datingtoday.infra.db import Base, Database
from datingtoday.infra.payments.models import SandboxTrade
from datingtoday.infra.payments.provider import FactKind, Notice, NoticeRefused, PaymentFailed, Refund
from datingtoday.infra.payments.sandbox import SandboxPayments, sign_notice
from tests.infra.payments.channels import fact_of, outcome, payment

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
TRADE = payment().trade_no
SECRET = b"the sandbox's secret"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxPayments]:
    folder: Path = tmp_path_factory.mktemp("sandbox")
    database = Database(f"sqlite:///{folder}/own.sqlite3")
    Base.metadata.create_all(database.engine, tables=[Base.metadata.tables[SandboxTrade.__tablename__]])
    yield SandboxPayments(database, SECRET)
    database.dispose()


def sandbox_notice(**changes: Any) -> tuple[dict[str, str], bytes]:
    told = {
        "notice_id": "n1", "kind": "paid", "trade_no": TRADE, "transaction_id": "t1", "amount_fen": 3000,
        "currency": "CNY", "refunded_fen": 0, "at": 1_000, **changes,
    }  # fmt: skip
    body = json.dumps(told).encode()
    return sign_notice(SECRET, body, NOW), body


class TestSandbox:
    def test_lengths(self, sandbox: SandboxPayments) -> None:
        for field in ("notice_id", "trade_no", "transaction_id", "currency"):
            for taken in ("x", "x" * 128):
                assert isinstance(outcome(sandbox, sandbox_notice(**{field: taken}), NOW), Notice)
            for refused in ("", "x" * 129, "é"):
                found = outcome(sandbox, sandbox_notice(**{field: refused}), NOW)
                assert found == f"wrong: {field}"

    def test_numbers(self, sandbox: SandboxPayments) -> None:
        for field in ("amount_fen", "refunded_fen"):
            for taken in (0, 2**53 - 1):
                assert isinstance(outcome(sandbox, sandbox_notice(**{field: taken}), NOW), Notice)
            for refused in (-1, 2**53):
                found = outcome(sandbox, sandbox_notice(**{field: refused}), NOW)
                assert found == f"wrong: {field}"
        fact = fact_of(outcome(sandbox, sandbox_notice(at=1_764_000_000_123), NOW))
        assert fact.at == datetime(2025, 11, 24, 16, 0, 0, 123_000, tzinfo=UTC)
        assert outcome(sandbox, sandbox_notice(at=2**53 - 1), NOW) == "wrong: at"

    @pytest.mark.parametrize(("digits", "reason"), [(12, "age"), (13, "timestamp")])
    def test_a_time_has_twelve_digits_at_most(
        self, sandbox: SandboxPayments, digits: int, reason: str
    ) -> None:
        _, body = sandbox_notice()
        timestamp = "9" * digits
        signature = hmac.digest(SECRET, timestamp.encode() + b"." + body, "sha256").hex()
        headers = {"sandbox-timestamp": timestamp, "sandbox-signature": signature}
        assert outcome(sandbox, (headers, body), NOW) == f"forged: {reason}"

    def test_a_payment_until_its_last_moment(self, sandbox: SandboxPayments) -> None:
        late, open_ = payment("20261129000000000000000011"), payment("20261129000000000000000012")
        for it in (late, open_):
            url = sandbox.create(it, NOW)["pay_url"]
            assert url == sandbox.create(it, NOW)["pay_url"], "the same payment"
            assert len(url.removeprefix("/pay/sandbox/")) == 43
        just_before = late.expire_at - timedelta(microseconds=1)
        assert sandbox.query(late.trade_no, "", just_before) is None
        closed = sandbox.query(late.trade_no, "", late.expire_at)
        assert closed is not None and closed.kind is FactKind.CLOSED
        unpaid = sandbox.pay(late.trade_no, late.expire_at)
        assert unpaid is not None and unpaid.transaction_id is None
        paid = sandbox.pay(late.trade_no, just_before)
        assert paid is not None and paid.transaction_id is not None
        fact = sandbox.query(late.trade_no, "", NOW)
        assert fact is not None
        assert (fact.kind, fact.transaction_id, fact.at) == (FactKind.PAID, paid.transaction_id, just_before)
        assert (fact.refund_id, fact.refunded_fen) == ("", None)
        assert [sandbox.close(it.trade_no) for it in (late, open_)] == [False, True]
        assert sandbox.close("20990101000000000000000000") is True, "nobody pays what is unknown"
        assert sandbox.query("20990101000000000000000000", "", NOW) is None

    def test_a_number_is_one_payment(self, sandbox: SandboxPayments) -> None:
        trade_no = "20261129000000000000000013"
        sandbox.create(payment(trade_no), NOW)
        with pytest.raises(PaymentFailed, match="trade_no_reused") as caught:
            sandbox.create(payment(trade_no, fee_fen=3001), NOW)
        assert caught.value.is_final

    def test_money_goes_back_up_to_what_was_paid(self, sandbox: SandboxPayments) -> None:
        trade_no = "20261129000000000000000014"
        sandbox.create(payment(trade_no), NOW)
        assert sandbox.give_back(trade_no, 1, NOW) is not None
        paid = sandbox.pay(trade_no, NOW)
        assert paid is not None and paid.refunded_fen == 0, "nothing goes back that was not paid"
        for amount, whole, state in (
            (1_000, 1_000, "paid"),
            (1_999, 2_999, "paid"),
            (5_000, 3_000, "refunded"),
        ):
            trade = sandbox.give_back(trade_no, amount, NOW)
            assert trade is not None
            assert (trade.refunded_fen, trade.state, trade.refunded_at) == (whole, state, NOW)
        assert trade is not None
        told = fact_of(outcome(sandbox, sandbox.notice(trade, NOW, is_refund=True), NOW))
        assert (told.kind, told.refunded_fen, told.at) == (FactKind.REFUNDED, 3_000, NOW)
        assert told.refund_id == f"total:{trade_no}"
        fact = sandbox.query(trade_no, "", NOW)
        assert fact is not None and (fact.kind, fact.refunded_fen) == (FactKind.REFUNDED, 3_000)

    def test_a_refund_names_the_transaction(self, sandbox: SandboxPayments) -> None:
        trade_no = "20261129000000000000000015"
        sandbox.create(payment(trade_no), NOW)
        trade = sandbox.pay(trade_no, NOW)
        assert trade is not None and trade.transaction_id is not None
        for number, transaction_id in (
            (trade_no, "another"),
            ("20990101000000000000000000", trade.transaction_id),
        ):
            with pytest.raises(PaymentFailed, match="unknown_transaction") as caught:
                sandbox.refund(Refund(number, transaction_id, "R1", 3000, 3000))
            assert caught.value.is_final
        assert sandbox.refund(Refund(trade_no, trade.transaction_id, "R1", 3000, 3000)) is True
        found = sandbox.look_up(trade_no)
        assert found is not None and (found.state, found.refunded_fen) == ("refunded", 3000)

    def test_a_notification_is_believed_for_five_minutes(self, sandbox: SandboxPayments) -> None:
        age = timedelta(minutes=5)
        for now in (NOW + age, NOW - age):
            assert isinstance(outcome(sandbox, sandbox_notice(), now), Notice)
            beyond = now + (now - NOW) / 300
            assert outcome(sandbox, sandbox_notice(), beyond) == "forged: age"

    def test_its_answers(self, sandbox: SandboxPayments) -> None:
        assert (sandbox.accepted().status, json.loads(sandbox.accepted().body)["code"]) == (200, 0)
        for refusal, status in ((NoticeRefused("x"), 400), (NoticeRefused("x", is_ours=True), 503)):
            answer = sandbox.refused(refusal)
            assert (answer.status, json.loads(answer.body)) == (status, {"code": "FAIL", "msg": "x"})
