"""Calls of the vendors' libraries: what they are given, and what of their answers is taken. Nobody is asked here."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from datingtoday.infra.config.payments import PaySection
from datingtoday.infra.config.settings import ConfigError
from datingtoday.infra.payments import alipay as alipay_module
from datingtoday.infra.payments import make as make_module
from datingtoday.infra.payments.provider import PaymentFailed, Refund
from tests.infra.payments.channels import alipay_of, payment, wechat_of

NOW = datetime(2026, 1, 1, 20, 30, 0, tzinfo=UTC)
NOWHERE: Any = SimpleNamespace(url="http://127.0.0.1:1")
REFUND = Refund("T1", "42", "R1", 1000, 3000)


class Clock(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return NOW.astimezone(tz)


def test_alipay_is_told_the_time_of_beijing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alipay_module, "datetime", Clock)
    told = dict(parse_qsl(alipay_of(NOWHERE).create(payment(), NOW)["order_string"]))
    assert told["timestamp"] == "2026-01-02 04:30:00"


@pytest.fixture(scope="module")
def channel() -> Any:
    return wechat_of(NOWHERE)


class TestWechat:
    @pytest.fixture
    def answers(self, channel: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, Any], list[Any]]:
        """Let a method of the library answer; what it was given."""

        def answer(method: str, status: int, reply: Any) -> list[Any]:
            given: list[Any] = []

            def called(**options: Any) -> tuple[int, str]:
                given.append(options)
                return status, reply if isinstance(reply, str) else json.dumps(reply)

            monkeypatch.setattr(channel._client, method, called)
            return given

        return answer

    def test_what_a_payment_is_made_of(self, channel: Any, answers: Any) -> None:
        given = answers("pay", 200, {"prepay_id": "wx1"})
        long = payment()
        made = channel.create(
            type(long)(
                long.trade_no, "会" * 41, 3000, "CNY", datetime(2026, 1, 1, 20, 0, 0, 999, tzinfo=UTC)
            ),
            datetime(2026, 1, 1, 0, 0, 1, 900_000, tzinfo=UTC),
        )
        assert (made["prepayid"], made["timestamp"]) == ("wx1", "1767225601")
        assert given == [
            {
                "description": "会" * 40,
                "out_trade_no": long.trade_no,
                "amount": {"total": 3000, "currency": "CNY"},
                "time_expire": "2026-01-02T04:00:00+08:00",
            }
        ]

    @pytest.mark.parametrize(
        ("status", "reply", "reason"),
        [
            (200, {}, "http_200"), (200, {"prepay_id": ""}, "http_200"), (200, {"prepay_id": 5}, "http_200"),
            (200, "[]", "http_200"), (200, "", "http_200"), (200, "{", "http_200"),
            (202, {"prepay_id": "wx1", "code": "ACCEPTED"}, "http_202 ACCEPTED"),
        ],
    )  # fmt: skip
    def test_a_payment_without_its_number_is_none(
        self, channel: Any, answers: Any, status: int, reply: Any, reason: str
    ) -> None:
        answers("pay", status, reply)
        with pytest.raises(PaymentFailed) as caught:
            channel.create(payment(), NOW)
        assert (caught.value.reason, caught.value.is_final) == (reason, False)

    @pytest.mark.parametrize(
        ("status", "is_done"), [("SUCCESS", True), ("PROCESSING", False), (None, False), ("NEW", False)]
    )
    def test_a_refund_is_done_or_accepted(
        self, channel: Any, answers: Any, status: str | None, is_done: bool
    ) -> None:
        given = answers("refund", 200, {"status": status})
        assert channel.refund(REFUND) is is_done
        amount = {"refund": 1000, "total": 3000, "currency": "CNY"}
        assert given == [{"out_refund_no": "R1", "transaction_id": "42", "amount": amount, "reason": None}]

    @pytest.mark.parametrize("status", ["CLOSED", "ABNORMAL"])
    def test_a_refund_that_will_not_be_done_is_final(self, channel: Any, answers: Any, status: str) -> None:
        answers("refund", 200, {"status": status})
        with pytest.raises(PaymentFailed) as caught:
            channel.refund(REFUND)
        assert (caught.value.reason, caught.value.is_final) == (f"refund_{status}".lower(), True)

    def test_only_200_is_a_refund(self, channel: Any, answers: Any) -> None:
        answers("refund", 202, {"status": "SUCCESS", "code": "LATER"})
        with pytest.raises(PaymentFailed, match="http_202 LATER"):
            channel.refund(REFUND)
        answers("query", 204, {"trade_state": "CLOSED"})
        with pytest.raises(PaymentFailed, match="http_204"):
            channel.query("T1", "", NOW)

    @pytest.mark.parametrize(("status", "is_closed"), [(200, True), (204, True)])
    def test_closing_has_an_empty_answer(
        self, channel: Any, answers: Any, status: int, is_closed: bool
    ) -> None:
        assert answers("close", status, "") == []
        assert channel.close("T1") is is_closed

    def test_a_refund_is_looked_up_by_its_number(self, channel: Any, answers: Any) -> None:
        found = {
            "status": "SUCCESS", "out_refund_no": "R/1", "out_trade_no": "T1", "transaction_id": "42",
            "amount": {"total": 3000, "refund": 1000},
        }  # fmt: skip
        given = answers("query_refund", 200, found)
        fact = channel.find_refund("R/1")
        assert given == [{"out_refund_no": "R%2F1"}]
        assert (fact.refund_id, fact.refunded_fen, fact.trade_no) == ("R/1", 1000, "T1")
        with pytest.raises(PaymentFailed, match="answer_out_refund_no"):
            channel.find_refund("R2")
        answers("query_refund", 200, {**found, "status": "PROCESSING"})
        assert channel.find_refund("R/1") is None
        answers("query_refund", 200, {**found, "amount": {"total": 3000, "refund": 3001}})
        with pytest.raises(PaymentFailed, match="answer_amount"):
            channel.find_refund("R/1")
        answers("query_refund", 202, found)
        with pytest.raises(PaymentFailed, match="http_202"):
            channel.find_refund("R/1")

    def test_what_the_library_raises_is_told_by_its_kind(
        self, channel: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(**_: Any) -> None:
            raise KeyError("secret")

        monkeypatch.setattr(channel._client, "close", fail)
        with pytest.raises(PaymentFailed) as caught:
            channel.close("T1")
        assert (str(caught.value), caught.value.channel) == ("wechat: KeyError", "wechat")


class TestMaking:
    @pytest.fixture(autouse=True)
    def _has_all_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(make_module, "missing_keys", lambda _: [])

    def made(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> Any:
        def fail(_: PaySection) -> None:
            raise error

        monkeypatch.setitem(make_module._MAKERS, "wechat", fail)
        return make_module._made("wechat", PaySection())

    @pytest.mark.parametrize("name", ["wechatpayv3", "OpenSSL.crypto", "Cryptodome.Cipher"])
    def test_a_library_that_is_absent(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        with pytest.raises(ConfigError) as caught:
            self.made(monkeypatch, ModuleNotFoundError(name=name))
        assert caught.value.en == (
            "[PAY] wechat: its library is not installed; run `pip install -r requirements.txt` "
            "(or install datingtoday[pay])"
        )
        assert caught.value.zh.startswith("[PAY] wechat：未安装所需的库")

    @pytest.mark.parametrize("name", ["os.wechatpayv3", "json", None])
    def test_a_module_of_something_else_is_a_fault(
        self, monkeypatch: pytest.MonkeyPatch, name: str | None
    ) -> None:
        with pytest.raises(ModuleNotFoundError):
            self.made(monkeypatch, ModuleNotFoundError(name=name))

    def test_problems_are_told_as_they_are_and_errors_by_their_kind(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        problem = ConfigError("x", "y")
        with pytest.raises(ConfigError) as caught:
            self.made(monkeypatch, problem)
        assert caught.value is problem
        with pytest.raises(ConfigError) as caught:
            self.made(monkeypatch, KeyError("SECRET"))
        assert (caught.value.en, caught.value.zh) == (
            "[PAY] wechat: a key or certificate is unusable (KeyError)",
            "[PAY] wechat：密钥或证书无法使用（KeyError）",
        )

    def test_files_of_keys(self, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_bytes("\ufeffkey".encode())
        assert make_module._text("wechat_private_key", str(file)) == "key"
        file.write_bytes(b"k" * (64 * 1024 + 1))
        assert len(make_module._bytes("x", str(file))) == 64 * 1024
        file.write_bytes(b"\xff")
        with pytest.raises(ConfigError) as caught:
            make_module._text("wechat_private_key", str(file))
        assert caught.value.en == f"[PAY] wechat_private_key: {file} is no text"
        assert caught.value.zh == f"[PAY] wechat_private_key：{file} 不是文本文件"
        with pytest.raises(ConfigError) as caught:
            make_module._bytes("wechat_private_key", str(tmp_path))
        assert caught.value.en == f"[PAY] wechat_private_key: {tmp_path} cannot be read (Is a directory)"
        assert caught.value.zh == f"[PAY] wechat_private_key：无法读取 {tmp_path}（Is a directory）"

    @pytest.mark.parametrize("base", ["https://api.example.com", "https://api.example.com/"])
    def test_where_notifications_go(self, base: str) -> None:
        found = make_module._notify_url(PaySection(public_url=base), "wechat")
        assert found == "https://api.example.com/api/pay/notify/wechat"
