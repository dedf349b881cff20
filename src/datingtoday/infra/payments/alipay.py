"""Alipay, for payments within a mobile app; on the library ``python-alipay-sdk``.

The library verifies signatures and nothing else: app, seller, amount, currency and age are checked here. Alipay counts
in yuan with two decimals: text becomes fen through `Decimal`, never through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl
from urllib.request import urlopen

from alipay import AliPay
from alipay.utils import AliPayConfig

from datingtoday.infra.payments.provider import (
    CNY,
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

NAME = "alipay"
DEFAULT_GATEWAY = "https://openapi.alipay.com/gateway.do"
BEIJING = timezone(timedelta(hours=8))
MAX_AGE = timedelta(hours=25, minutes=30)
"""Alipay repeats a notification for 25 hours, with the time of the first."""
MAX_AHEAD = timedelta(minutes=5)
MAX_FIELDS = 100
MAX_ANSWER_BYTES = 256 * 1024
_YUAN = re.compile(r"(0|[1-9][0-9]{0,8})\.[0-9]{2}\Z", re.ASCII)
_TEXT = "text/plain; charset=utf-8"
_DONE = "10000"
_UNKNOWN_TRADE = "ACQ.TRADE_NOT_EXIST"
_NOT_OPEN = frozenset({_UNKNOWN_TRADE, "ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID"})
_PASSING = frozenset(
    {"ACQ.SYSTEM_ERROR", "aop.ACQ.SYSTEM_ERROR", "isp.unknow-error", "ACQ.SELLER_BALANCE_NOT_ENOUGH"}
)


class _Client(AliPay):  # type: ignore[misc]
    """The library, on Beijing time whatever the server's own, as Alipay wants it."""

    def build_body(self, method: str, biz_content: Any = None, **options: Any) -> Any:
        options.setdefault("timestamp", _beijing(datetime.now(BEIJING)))
        return super().build_body(method, biz_content, **options)

    def verified_sync_response(self, data: Any, response_type: str) -> Any:
        """Send like the library, but close the connection and bound the answer's size."""
        url = f"{self._gateway}?{self.sign_data(data)}"
        try:
            with urlopen(url, timeout=self._config.timeout) as answer:  # noqa: S310 - http(s) by the settings
                text = answer.read(MAX_ANSWER_BYTES).decode()
        except HTTPError as error:
            error.close()
            raise PaymentFailed(NAME, f"http_{error.code}") from None
        return self._verify_and_return_sync_response(text, response_type)


class AlipayPayments:
    """The channel.

    :param public_keys: Alipay's, the one for requests first; PEM, or the bare base64 that its tools print.
    :param notify_url: where Alipay sends notifications.
    """

    name = NAME
    traits = ChannelTraits()

    def __init__(
        self,
        *,
        app_id: str,
        seller_id: str,
        private_key: str,
        public_keys: Sequence[str],
        notify_url: str,
        gateway: str = "",
        timeout_s: float = 10.0,
    ) -> None:
        """:raises ValueError: a key is unusable."""
        self._app_id = app_id
        self._seller_id = seller_id
        self._clients = [
            _Client(
                appid=app_id,
                app_notify_url=notify_url,
                app_private_key_string=as_pem(private_key, "RSA PRIVATE KEY"),
                alipay_public_key_string=as_pem(public_key, "PUBLIC KEY"),
                sign_type="RSA2",
                config=AliPayConfig(timeout=timeout_s),
            )
            for public_key in public_keys
        ]
        if not self._clients:
            raise ValueError("at least one public key")
        for client in self._clients:
            client._gateway = gateway or DEFAULT_GATEWAY

    # --- requests

    def create(self, payment: Payment, now: datetime) -> dict[str, Any]:
        """The order string is signed here; Alipay learns of the payment when the app hands it over."""
        text = self._clients[0].api_alipay_trade_app_pay(
            subject=payment.subject,
            out_trade_no=payment.trade_no,
            total_amount=yuan_of(payment.fee_fen),
            time_expire=_beijing(payment.expire_at),
        )
        return {"order_string": text}

    def query(self, trade_no: str, transaction_id: str, now: datetime) -> Fact | None:
        reply = self._call(lambda client: client.api_alipay_trade_query(out_trade_no=trade_no))
        if reply.get("sub_code") == _UNKNOWN_TRADE:
            return None
        if reply.get("code") != _DONE:
            raise _failed(reply)
        if reply.get("out_trade_no") != trade_no:
            raise PaymentFailed(NAME, "answer_out_trade_no")
        status = reply.get("trade_status")
        if status == "WAIT_BUYER_PAY":
            return None
        was_paid = bool(reply.get("send_pay_date"))
        if status == "TRADE_CLOSED" and not was_paid:
            return Fact(FactKind.CLOSED, trade_no)
        # Closed after it was paid: refunded as a whole.
        kind = FactKind.REFUNDED if status == "TRADE_CLOSED" else FactKind.PAID
        if kind is FactKind.PAID and status not in ("TRADE_SUCCESS", "TRADE_FINISHED"):
            raise PaymentFailed(NAME, "answer_trade_status")
        try:
            return Fact(
                kind,
                trade_no,
                _text(reply, "trade_no", trade_no),
                fen_of(reply.get("total_amount"), "total_amount", trade_no),
                str(reply.get("trans_currency") or CNY),
                at=_moment(reply.get("send_pay_date"), "send_pay_date", trade_no),
                payer=str(reply.get("buyer_open_id") or reply.get("buyer_user_id") or "")[:128],
                refund_id=f"total:{trade_no}" if kind is FactKind.REFUNDED else "",
            )
        except NoticeRefused as refusal:
            raise PaymentFailed(NAME, f"answer_{refusal.reason}") from refusal

    def close(self, trade_no: str) -> bool:
        """A payment that Alipay has not heard of cannot be closed: the order string could still be handed over until
        its time is over.
        """
        reply = self._call(lambda client: client.api_alipay_trade_close(out_trade_no=trade_no))
        if reply.get("code") == _DONE:
            return True
        if reply.get("sub_code") in _NOT_OPEN:
            return False
        raise _failed(reply)

    def refund(self, refund: Refund) -> bool:
        reply = self._call(
            lambda client: client.api_alipay_trade_refund(
                refund_amount=yuan_of(refund.refund_fen),
                trade_no=refund.transaction_id,
                out_request_no=refund.refund_no,
                refund_reason=refund.reason or "refund",
            )
        )
        if reply.get("code") != _DONE:
            raise _failed(reply)
        # fund_change is N where the same request was done before.
        return True

    def _call(self, request: Callable[[Any], Any]) -> Mapping[str, Any]:
        """An answer whose signature the library has verified, by any of the keys.

        :raises PaymentFailed:
        """
        try:
            reply = request(self._clients[0])
        except PaymentFailed:
            raise
        except Exception as error:
            # The library raises what it meets: URLError, timeouts, wrong signatures, JSON errors.
            raise PaymentFailed(NAME, type(error).__name__) from error
        return reply if isinstance(reply, dict) else {}

    # --- notifications

    def read_notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        reply = _fields(body)
        trade_no = reply.get("out_trade_no", "")[:32]
        signature = reply.pop("sign", "")
        if reply.get("sign_type") != "RSA2" or not signature:
            raise NoticeRefused("sign_type", is_forged=True)
        if not any(_verified(client, reply, signature) for client in self._clients):
            raise NoticeRefused("signature", is_forged=True)
        sent = _moment(reply.get("notify_time"), "notify_time", trade_no)
        if not now - MAX_AGE <= sent <= now + MAX_AHEAD:
            raise NoticeRefused("age", is_forged=True)
        for name, own in (("app_id", self._app_id), ("seller_id", self._seller_id)):
            if reply.get(name) != own:
                raise NoticeRefused(name, trade_no=trade_no)
        if reply.get("charset", "utf-8").lower() != "utf-8":
            raise NoticeRefused("charset", trade_no=trade_no)
        notice_id = _text(reply, "notify_id", trade_no, most=128)
        status = _text(reply, "trade_status", trade_no)
        return Notice(notice_id, status, self._fact(reply, status, trade_no))

    @staticmethod
    def _fact(reply: Mapping[str, str], status: str, trade_no: str) -> Fact | None:
        if status == "WAIT_BUYER_PAY":
            return None
        if status not in ("TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED"):
            raise NoticeRefused("trade_status", trade_no=trade_no)
        if _text(reply, "out_trade_no", trade_no) != trade_no:
            raise NoticeRefused("out_trade_no", trade_no=trade_no)
        transaction_id = _text(reply, "trade_no", trade_no)
        amount_fen = fen_of(reply.get("total_amount"), "total_amount", trade_no)
        currency = reply.get("trans_currency") or CNY
        if reply.get("refund_fee"):
            # Refunds come as ordinary notifications; the sum of all refunds so far.
            refunded = fen_of(reply["refund_fee"], "refund_fee", trade_no)
            if refunded > amount_fen:
                raise NoticeRefused("refund_fee", trade_no=trade_no)
            return Fact(
                FactKind.REFUNDED,
                trade_no,
                transaction_id,
                amount_fen,
                currency,
                refund_id=f"total:{trade_no}",
                refunded_fen=refunded,
            )
        if status == "TRADE_CLOSED":
            return Fact(FactKind.CLOSED, trade_no)
        return Fact(
            FactKind.PAID,
            trade_no,
            transaction_id,
            amount_fen,
            currency,
            at=_moment(reply.get("gmt_payment"), "gmt_payment", trade_no),
            payer=(reply.get("buyer_open_id") or reply.get("buyer_id") or "")[:128],
        )

    def accepted(self) -> NoticeAnswer:
        return NoticeAnswer(200, b"success", _TEXT)

    def refused(self, refusal: NoticeRefused) -> NoticeAnswer:
        return NoticeAnswer(200, b"fail", _TEXT)


def as_pem(text: str, label: str) -> str:
    """A key as PEM; the bare base64 that Alipay's tools print is wrapped."""
    text = text.strip()
    if text.startswith("-----BEGIN"):
        return text
    lines = re.findall(".{1,64}", re.sub(r"\s", "", text))
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"))


def yuan_of(fen: int) -> str:
    """Yuan with two decimals: 3000 → ``30.00``."""
    return f"{fen // 100}.{fen % 100:02d}"


def fen_of(text: object, name: str, trade_no: str = "") -> int:
    """Fen of yuan with two decimals. :raises NoticeRefused: it is anything else."""
    if not isinstance(text, str) or not _YUAN.match(text):
        raise NoticeRefused(name, trade_no=trade_no)
    return int(Decimal(text) * 100)


def _fields(body: bytes) -> dict[str, str]:
    """The parameters of a form; each once, and not too many."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise NoticeRefused("unreadable", is_forged=True) from None
    reply = dict(pairs)
    if len(reply) != len(pairs):
        raise NoticeRefused("doubled", is_forged=True)
    return reply


def _verified(client: Any, reply: Mapping[str, str], signature: str) -> bool:
    # A blank value takes no part in Alipay's signatures. The library changes what it is given.
    signed = {name: value for name, value in reply.items() if value}
    try:
        return bool(client.verify(signed, signature))
    except Exception as error:
        # binascii.Error for what is no base64, AliPayException for another sign_type, …
        raise NoticeRefused("signature", is_forged=True) from error


def _text(reply: Mapping[str, Any], name: str, trade_no: str, *, most: int = 64) -> str:
    value = reply.get(name)
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= most
        or not (value.isascii() and value.isprintable())
    ):
        raise NoticeRefused(name, trade_no=trade_no)
    return value


def _beijing(moment: datetime) -> str:
    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def _moment(text: object, name: str, trade_no: str) -> datetime:
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    except ValueError:
        raise NoticeRefused(name, trade_no=trade_no) from None


def _failed(reply: Mapping[str, Any]) -> PaymentFailed:
    reason = str(reply.get("sub_code") or reply.get("code") or "no_answer")[:60]
    is_final = str(reply.get("code")) == "40004" and reason not in _PASSING
    return PaymentFailed(NAME, reason, is_final=is_final)
