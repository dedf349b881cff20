"""Alipay's gateway as documented: requests are verified, answers and notifications signed (RSA2)."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from tests.stand_ins.http_server import Answer, HttpStandIn, Received
from tests.stand_ins.wechat_pay import rsa_key

APP_ID = "2021000000000001"
SELLER_ID = "2088000000000001"
BEIJING = timezone(timedelta(hours=8))


def signed_text(values: Mapping[str, str]) -> bytes:
    """String that Alipay signs: sorted, not encoded, blank values left out."""
    return "&".join(f"{name}={values[name]}" for name in sorted(values) if values[name]).encode()


class AlipayStandIn(HttpStandIn):
    """The gateway for one app.

    :attr key: the private half of the key that answers and notifications are signed with.
    """

    def __init__(self) -> None:
        self.key: rsa.RSAPrivateKey = rsa_key("alipay")
        self.app = rsa_key("alipay app").public_key()
        self.trades: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, str] = {}
        self.refund_reasons: list[str] = []
        self.signs_answers = True
        super().__init__()

    def answer(self, request: Received) -> Answer:
        values = dict(parse_qsl(request.query, keep_blank_values=True))
        method = values.get("method", "")
        node = f"{method.replace('.', '_')}_response"
        if not self._is_genuine(values):
            return self._signed(
                node, {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-signature"}
            )
        asked = json.loads(values["biz_content"])
        work = {
            "alipay.trade.query": self._query,
            "alipay.trade.close": self._close,
            "alipay.trade.refund": self._refund,
        }[method]
        return self._signed(node, work(asked))

    def _is_genuine(self, values: dict[str, str]) -> bool:
        given = {name: value for name, value in values.items() if name != "sign"}
        sent = datetime.strptime(given.get("timestamp", ""), "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
        if given.get("app_id") != APP_ID or abs(datetime.now(BEIJING) - sent) > timedelta(minutes=5):
            return False
        return self._is_signed(given, values.get("sign", ""))

    def _is_signed(self, given: dict[str, str], signature: str) -> bool:
        try:
            self.app.verify(base64.b64decode(signature), signed_text(given), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def _find(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        if "out_trade_no" in asked:
            return self.trades.get(asked["out_trade_no"])
        return next((it for it in self.trades.values() if it.get("trade_no") == asked["trade_no"]), None)

    def _query(self, asked: dict[str, Any]) -> dict[str, Any]:
        trade = self._find(asked)
        if trade is None:
            return _business("ACQ.TRADE_NOT_EXIST")
        told = {
            "code": "10000",
            "msg": "Success",
            "out_trade_no": trade["out_trade_no"],
            "trade_no": trade["trade_no"],
            "trade_status": trade["status"],
            "total_amount": trade["total_amount"],
            "buyer_user_id": "2088102169481075",
        }
        return told | ({"send_pay_date": trade["paid_at"]} if "paid_at" in trade else {})

    def _close(self, asked: dict[str, Any]) -> dict[str, Any]:
        trade = self._find(asked)
        if trade is None:
            return _business("ACQ.TRADE_NOT_EXIST")
        if trade["status"] != "WAIT_BUYER_PAY":
            return _business("ACQ.TRADE_STATUS_ERROR")
        trade["status"] = "TRADE_CLOSED"
        return {"code": "10000", "msg": "Success", "out_trade_no": trade["out_trade_no"]}

    def _refund(self, asked: dict[str, Any]) -> dict[str, Any]:
        trade = self._find(asked)
        if trade is None:
            return _business("ACQ.TRADE_NOT_EXIST")
        is_new = asked["out_request_no"] not in self.refunds
        if not asked["refund_reason"]:
            return _business("ACQ.INVALID_PARAMETER")
        self.refund_reasons.append(asked["refund_reason"])
        if is_new:
            if Decimal(trade["refund_fee"]) + Decimal(asked["refund_amount"]) > Decimal(
                trade["total_amount"]
            ):
                return _business("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL")
            self.refunds[asked["out_request_no"]] = trade["out_trade_no"]
            self.give_back(trade["out_trade_no"], asked["refund_amount"])
        return {
            "code": "10000",
            "msg": "Success",
            "trade_no": trade["trade_no"],
            "fund_change": "Y" if is_new else "N",
            "refund_fee": trade["refund_fee"],
        }

    def _signed(self, node: str, told: dict[str, Any]) -> Answer:
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        sign = base64.b64encode(self.key.sign(text.encode(), padding.PKCS1v15(), SHA256())).decode()
        tail = f',"sign":"{sign}"' if self.signs_answers else ""
        return Answer(200, f'{{"{node}":{text}{tail}}}'.encode(), {"Content-Type": "text/html;charset=utf-8"})

    # --- what people and merchants do

    def open_cashier(self, order_string: str) -> str:
        """The app hands the order string over: only now Alipay knows the payment. Its out_trade_no."""
        values = dict(parse_qsl(order_string, keep_blank_values=True))
        signature = values.pop("sign")
        assert values["app_id"] == APP_ID and self._is_signed(values, signature)
        asked = json.loads(values["biz_content"])
        datetime.strptime(asked["time_expire"], "%Y-%m-%d %H:%M:%S")
        self.trades[asked["out_trade_no"]] = {
            **asked,
            "trade_no": f"2026{secrets.randbelow(10**24):024d}",
            "status": "WAIT_BUYER_PAY",
            "refund_fee": "0.00",
            "notify_url": values["notify_url"],
        }
        return str(asked["out_trade_no"])

    def pay(self, trade_no: str) -> None:
        trade = self.trades[trade_no]
        assert trade["status"] == "WAIT_BUYER_PAY", trade["status"]
        trade["status"] = "TRADE_SUCCESS"
        trade["paid_at"] = f"{datetime.now(BEIJING):%Y-%m-%d %H:%M:%S}"

    def give_back(self, trade_no: str, yuan: str) -> None:
        trade = self.trades[trade_no]
        trade["refund_fee"] = str(Decimal(trade["refund_fee"]) + Decimal(yuan))
        if trade["refund_fee"] == trade["total_amount"]:
            trade["status"] = "TRADE_CLOSED"

    def notice(self, trade_no: str, /, **changes: str | None) -> tuple[dict[str, str], bytes]:
        """The notification about a payment as it is; ``changes`` replace fields before it is signed, None removes."""
        trade = self.trades[trade_no]
        now = f"{datetime.now(BEIJING):%Y-%m-%d %H:%M:%S}"
        told: dict[str, str | None] = {
            "notify_time": now,
            "notify_type": "trade_status_sync",
            "notify_id": secrets.token_hex(17),
            "app_id": APP_ID,
            "charset": "utf-8",
            "version": "1.0",
            "sign_type": "RSA2",
            "trade_no": trade["trade_no"],
            "out_trade_no": trade_no,
            "buyer_id": "2088102169481075",
            "seller_id": SELLER_ID,
            "trade_status": trade["status"],
            "total_amount": trade["total_amount"],
            "subject": trade["subject"],
            "gmt_create": now,
        }
        if "paid_at" in trade:
            told["gmt_payment"] = trade["paid_at"]
        if trade["refund_fee"] != "0.00":
            told |= {"refund_fee": trade["refund_fee"], "gmt_refund": f"{now}.120"}
        told |= changes
        return self.notice_of({name: value for name, value in told.items() if value is not None})

    def notice_of(self, told: dict[str, str]) -> tuple[dict[str, str], bytes]:
        signed = {name: value for name, value in told.items() if name not in ("sign", "sign_type")}
        sign = base64.b64encode(self.key.sign(signed_text(signed), padding.PKCS1v15(), SHA256())).decode()
        body = urlencode({**told, "sign": sign}).encode()
        return {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, body


def _business(sub_code: str) -> dict[str, Any]:
    return {"code": "40004", "msg": "Business Failed", "sub_code": sub_code}
