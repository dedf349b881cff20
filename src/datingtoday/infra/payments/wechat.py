"""WeChat Pay, API v3, for payments within a mobile app; on the library ``wechatpayv3``.

What the library leaves to its user is done here: a notification is looked at only if its key is one that we have (the
library would download certificates in the middle of the request), and only if it is not old.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, TypeGuard
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from wechatpayv3 import WeChatPay, WeChatPayType

from datingtoday.infra.payments.provider import (
    CNY,
    MAX_NOTICE_AGE_S,
    ChannelTraits,
    Fact,
    FactKind,
    Notice,
    NoticeAnswer,
    NoticeRefused,
    Payment,
    PaymentFailed,
    Refund,
)

NAME = "wechat"
DEFAULT_GATEWAY = "https://api.mch.weixin.qq.com"
BEIJING = timezone(timedelta(hours=8))
SUBJECT_CHARS = 40
"""The provider takes 127 bytes."""
_SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"
_HEADERS = {
    "wechatpay-signature": "Wechatpay-Signature",
    "wechatpay-timestamp": "Wechatpay-Timestamp",
    "wechatpay-nonce": "Wechatpay-Nonce",
    "wechatpay-serial": "Wechatpay-Serial",
    "wechatpay-signature-type": "Wechatpay-Signature-Type",
}
_UNKNOWN_ORDER = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"})
_ALREADY_CLOSED = frozenset({"ORDER_CLOSED", "ORDERCLOSED", *_UNKNOWN_ORDER})
_ALREADY_PAID = frozenset({"ORDER_PAID", "ORDERPAID", "TRADE_STATE_ERROR"})
_PASSING = frozenset({"SYSTEM_ERROR", "FREQUENCY_LIMITED", "BANK_ERROR", "USER_PAYING"})
"""Error codes after which the same request may succeed."""


class WechatPayments:
    """The channel.

    :param public_keys: the provider's, by id, the one for requests first: PEM of a public key, or of a platform
        certificate (whose id is its serial number).
    :param notify_url: where the provider sends notifications.
    """

    name = NAME
    traits = ChannelTraits()

    def __init__(
        self,
        *,
        mch_id: str,
        app_id: str,
        cert_serial: str,
        private_key: str,
        api_v3_key: str,
        public_keys: Mapping[str, str],
        notify_url: str,
        gateway: str = "",
        timeout_s: float = 10.0,
    ) -> None:
        """:raises ValueError: a key is unusable."""
        self._mch_id = mch_id
        self._app_id = app_id
        self._notify_url = notify_url
        if len(api_v3_key.encode()) != 32:
            raise ValueError("the APIv3 key has 32 characters")
        self._by_key: dict[str, WeChatPay] = {}
        for key_id, pem in public_keys.items():
            # With a public key and its id the constructor stays offline.
            client = WeChatPay(
                wechatpay_type=WeChatPayType.APP,
                mchid=mch_id,
                private_key=private_key,
                cert_serial_no=cert_serial,
                apiv3_key=api_v3_key,
                appid=app_id,
                notify_url=notify_url,
                public_key=_public_key(pem),
                public_key_id=_normal(key_id),
                timeout=timeout_s,
            )
            if gateway:
                client._core._gate_way = gateway.rstrip("/")
            self._by_key[_normal(key_id)] = client
        if not self._by_key:
            raise ValueError("at least one public key")
        self._client = next(iter(self._by_key.values()))

    # --- requests

    def create(self, payment: Payment, now: datetime) -> dict[str, Any]:
        status, reply = self._call(
            lambda: self._client.pay(
                description=payment.subject[:SUBJECT_CHARS],
                out_trade_no=payment.trade_no,
                amount={"total": payment.fee_fen, "currency": payment.currency},
                time_expire=payment.expire_at.astimezone(BEIJING).isoformat(timespec="seconds"),
            )
        )
        prepay_id = reply.get("prepay_id")
        if status != 200 or not isinstance(prepay_id, str) or not prepay_id:
            raise self._failed(status, reply)
        timestamp, nonce = str(int(now.timestamp())), secrets.token_hex(16)
        return {
            "appid": self._app_id,
            "partnerid": self._mch_id,
            "prepayid": prepay_id,
            "package": "Sign=WXPay",
            "noncestr": nonce,
            "timestamp": timestamp,
            "sign": self._client.sign([self._app_id, timestamp, nonce, prepay_id]),
        }

    def query(self, trade_no: str, transaction_id: str, now: datetime) -> Fact | None:
        status, reply = self._call(lambda: self._client.query(out_trade_no=trade_no))
        if status == 404 and reply.get("code") in _UNKNOWN_ORDER:
            return None
        if status != 200:
            raise self._failed(status, reply)
        match reply.get("trade_state"):
            case "SUCCESS":
                return self._checked(lambda: self._paid(reply))
            case "REFUND":
                fact = self._checked(lambda: self._paid(reply))
                return Fact(
                    FactKind.REFUNDED,
                    fact.trade_no,
                    fact.transaction_id,
                    fact.amount_fen,
                    fact.currency,
                    at=fact.at,
                    refunded_fen=0,
                    is_part_unknown=True,
                )
            case "CLOSED" | "REVOKED":
                return Fact(FactKind.CLOSED, trade_no)
            case _:
                return None

    def close(self, trade_no: str) -> bool:
        status, reply = self._call(lambda: self._client.close(out_trade_no=trade_no))
        if status in (200, 204) or reply.get("code") in _ALREADY_CLOSED:
            return True
        if reply.get("code") in _ALREADY_PAID:
            return False
        raise self._failed(status, reply)

    def refund(self, refund: Refund) -> bool:
        status, reply = self._call(
            lambda: self._client.refund(
                out_refund_no=refund.refund_no,
                transaction_id=refund.transaction_id,
                amount={"refund": refund.refund_fen, "total": refund.fee_fen, "currency": refund.currency},
                reason=refund.reason or None,
            )
        )
        if status != 200:
            raise self._failed(status, reply)
        if reply.get("status") in ("CLOSED", "ABNORMAL"):
            raise PaymentFailed(NAME, f"refund_{reply['status']}".lower(), is_final=True)
        return bool(reply.get("status") == "SUCCESS")

    def find_refund(self, refund_no: str) -> Fact | None:
        status, reply = self._call(lambda: self._client.query_refund(out_refund_no=quote(refund_no, safe="")))
        if status == 404 and reply.get("code") in _UNKNOWN_ORDER:
            return None
        if status != 200:
            raise self._failed(status, reply)
        if reply.get("status") != "SUCCESS":
            return None
        if reply.get("out_refund_no") != refund_no:
            raise PaymentFailed(NAME, "answer_out_refund_no")
        # Told to this merchant under its own signature; a notification names the merchant and the status differently.
        own = {**reply, "mchid": self._mch_id, "refund_status": reply["status"]}
        return self._checked(lambda: self._refunded(own))

    def _call(self, request: Callable[[], tuple[int, Any]]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer, whose signature the library has verified if it is a success.

        :raises PaymentFailed: there is none.
        """
        try:
            status, text = request()
        except Exception as error:
            # The library raises bare exceptions, for wrong signatures too, and those of its HTTP client.
            raise PaymentFailed(NAME, type(error).__name__) from error
        try:
            reply = json.loads(text) if text else {}
        except ValueError:
            reply = {}
        return status, reply if isinstance(reply, dict) else {}

    @staticmethod
    def _failed(status: int, reply: Mapping[str, Any]) -> PaymentFailed:
        code = str(reply.get("code", ""))[:40]
        is_final = 400 <= status < 500 and status != 429 and code not in _PASSING
        return PaymentFailed(NAME, f"http_{status} {code}".strip(), is_final=is_final)

    @staticmethod
    def _checked(read: Callable[[], Fact]) -> Fact:
        try:
            return read()
        except NoticeRefused as refusal:
            raise PaymentFailed(NAME, f"answer_{refusal.reason}") from refusal

    # --- notifications

    def read_notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        if headers.get("wechatpay-signature-type", _SIGNATURE_TYPE) != _SIGNATURE_TYPE:
            raise NoticeRefused("signature_type", is_forged=True)
        client = self._by_key.get(_normal(headers.get("wechatpay-serial", "")))
        if client is None:
            raise NoticeRefused("serial", is_forged=True)
        timestamp = headers.get("wechatpay-timestamp", "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise NoticeRefused("timestamp", is_forged=True)
        if abs(now.timestamp() - int(timestamp)) > MAX_NOTICE_AGE_S:
            raise NoticeRefused("age", is_forged=True)
        given = {name: headers.get(lower, "") for lower, name in _HEADERS.items()}
        given["Wechatpay-Signature-Type"] = _SIGNATURE_TYPE
        given["Wechatpay-Serial"] = _normal(given["Wechatpay-Serial"])
        try:
            reply = client.callback(given, body)
        except Exception as error:
            # Not UTF-8, not JSON, no base64, another algorithm: it raises what it meets.
            raise NoticeRefused("unreadable", is_forged=True) from error
        if not isinstance(reply, dict):
            raise NoticeRefused("signature", is_forged=True)
        return self._notice(reply)

    def _notice(self, reply: Mapping[str, Any]) -> Notice:
        notice_id, kind, resource = reply.get("id"), reply.get("event_type"), reply.get("resource")
        if not _is_text(notice_id, 64) or not _is_text(kind, 32):
            raise NoticeRefused("id")
        if not isinstance(resource, dict):
            raise NoticeRefused("resource")
        if kind == "TRANSACTION.SUCCESS":
            if resource.get("trade_state") != "SUCCESS":
                raise NoticeRefused("trade_state", trade_no=_trade_no(resource))
            return Notice(notice_id, kind, self._paid(resource))
        if kind == "REFUND.SUCCESS":
            return Notice(notice_id, kind, self._refunded(resource))
        return Notice(notice_id, kind, None)

    def _paid(self, reply: Mapping[str, Any]) -> Fact:
        """A payment, of a notification or of a query, that is ours.

        :raises NoticeRefused:
        """
        trade_no = self._check_ours(reply, ("appid", self._app_id), ("mchid", self._mch_id))
        amount = reply["amount"]
        payer = reply.get("payer")
        return Fact(
            FactKind.PAID,
            trade_no,
            reply["transaction_id"],
            amount["total"],
            amount["currency"],
            at=_moment(reply.get("success_time"), trade_no),
            payer=str(payer.get("openid", ""))[:128] if isinstance(payer, dict) else "",
        )

    def _refunded(self, reply: Mapping[str, Any]) -> Fact:
        trade_no = self._check_ours(reply, ("mchid", self._mch_id))
        amount = reply["amount"]
        if reply.get("refund_status") != "SUCCESS":
            raise NoticeRefused("refund_status", trade_no=trade_no)
        if not _is_text(reply.get("out_refund_no"), 64):
            raise NoticeRefused("out_refund_no", trade_no=trade_no)
        if type(amount.get("refund")) is not int or not 0 < amount["refund"] <= amount["total"]:
            raise NoticeRefused("amount", trade_no=trade_no)
        return Fact(
            FactKind.REFUNDED,
            trade_no,
            reply["transaction_id"],
            amount["total"],
            amount.get("currency", CNY),
            refund_id=reply["out_refund_no"],
            refunded_fen=amount["refund"],
        )

    @staticmethod
    def _check_ours(reply: Mapping[str, Any], *ids: tuple[str, str]) -> str:
        """The trade_no of a payment that is told completely, and is ours."""
        trade_no = _trade_no(reply)
        for name, own in ids:
            if reply.get(name) != own:
                raise NoticeRefused(name, trade_no=trade_no)
        if not trade_no or reply.get("out_trade_no") != trade_no:
            raise NoticeRefused("out_trade_no", trade_no=trade_no)
        if not _is_text(reply.get("transaction_id"), 32):
            raise NoticeRefused("transaction_id", trade_no=trade_no)
        amount = reply.get("amount")
        if not isinstance(amount, dict) or type(amount.get("total")) is not int or amount["total"] < 0:
            raise NoticeRefused("amount", trade_no=trade_no)
        if not isinstance(amount.get("currency", CNY), str) or (
            "appid" in dict(ids) and "currency" not in amount
        ):
            raise NoticeRefused("currency", trade_no=trade_no)
        return trade_no

    def accepted(self) -> NoticeAnswer:
        return NoticeAnswer(200, b"", "application/json")

    def refused(self, refusal: NoticeRefused) -> NoticeAnswer:
        status = 503 if refusal.is_ours else 401 if refusal.is_forged else 400
        body = json.dumps({"code": "FAIL", "message": refusal.reason}).encode()
        return NoticeAnswer(status, body, "application/json")


def _public_key(pem: str) -> str:
    """PEM of the public key, also out of a certificate."""
    if "BEGIN CERTIFICATE" not in pem:
        return pem
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _normal(key_id: str) -> str:
    """Serial numbers are hex in either case."""
    return key_id.upper()


def _is_text(value: object, most: int) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= most and value.isascii() and value.isprintable()


def _trade_no(reply: Mapping[str, Any]) -> str:
    value = reply.get("out_trade_no")
    return value if isinstance(value, str) and _is_text(value, 32) else ""


def _moment(text: object, trade_no: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise NoticeRefused("success_time", trade_no=trade_no)
    return moment
