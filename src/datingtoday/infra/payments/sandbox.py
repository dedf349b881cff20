"""The sandbox: a payment provider of our own, on which everything can be tried without money.

It keeps the promises of the real ones: it remembers payments in SQL, signs notifications (HMAC-SHA256 over timestamp
and body), can be asked, closed and refunded. Whoever opens its page pays by a click.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.infra.milliseconds import epoch_ms, moment_of
from datingtoday.infra.payments.models import SandboxTrade, TradeState
from datingtoday.infra.payments.provider import (
    MAX_NOTICE_AGE_S,
    PAGE_PATH,
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

NAME = "sandbox"
TIMESTAMP_HEADER = "sandbox-timestamp"
SIGNATURE_HEADER = "sandbox-signature"
_JSON = "application/json"
_TEXTS = ("notice_id", "kind", "trade_no", "transaction_id", "currency")


def sandbox_secret(configured: str, secret_key: bytes) -> bytes:
    """The key of notifications: that of the settings, else one derived from the server's own."""
    if configured:
        return configured.encode()
    return hmac.digest(secret_key, b"datingtoday: sandbox payments, version 1", "sha256")


def sign_notice(secret: bytes, body: bytes, now: datetime) -> dict[str, str]:
    """The headers of a notification that is sent now."""
    timestamp = str(int(now.timestamp()))
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: _signature(secret, timestamp, body)}


def _signature(secret: bytes, timestamp: str, body: bytes) -> str:
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class SandboxPayments:
    """The channel and the provider in one.

    :param secret: signs notifications.
    :param base_url: of the page; empty: addresses are paths, as those of media.
    """

    name = NAME
    traits = ChannelTraits()

    def __init__(self, database: Database, secret: bytes, base_url: str = "") -> None:
        self._database = database
        self._secret = secret
        self._base_url = base_url.rstrip("/")

    # --- the channel

    def create(self, payment: Payment, now: datetime) -> dict[str, Any]:
        trade = self._find(payment.trade_no)
        if trade is None:
            trade = SandboxTrade(
                trade_no=payment.trade_no,
                page_key=secrets.token_urlsafe(32),
                subject=payment.subject,
                amount_fen=payment.fee_fen,
                currency=payment.currency,
                expire_at=payment.expire_at,
                state=TradeState.OPEN,
            )
            try:
                with self._database.transaction() as session:
                    session.add(trade)
            except IntegrityError:
                trade = self._find(payment.trade_no)
        if trade is None or (trade.amount_fen, trade.currency) != (payment.fee_fen, payment.currency):
            raise PaymentFailed(NAME, "trade_no_reused", is_final=True)
        return {"pay_url": f"{self._base_url}{PAGE_PATH}{trade.page_key}"}

    def query(self, trade_no: str, transaction_id: str, now: datetime) -> Fact | None:
        trade = self._find(trade_no)
        if trade is None:
            return None
        if trade.state == TradeState.OPEN:
            return Fact(FactKind.CLOSED, trade_no) if trade.expire_at <= now else None
        return _fact(trade)

    def close(self, trade_no: str) -> bool:
        with self._database.transaction() as session:
            trade = _locked(session, trade_no)
            if trade is not None and trade.state == TradeState.OPEN:
                trade.state = TradeState.CLOSED
            return trade is None or trade.state == TradeState.CLOSED

    def refund(self, refund: Refund) -> bool:
        with self._database.transaction() as session:
            trade = _locked(session, refund.trade_no)
            if trade is None or trade.transaction_id != refund.transaction_id:
                raise PaymentFailed(NAME, "unknown_transaction", is_final=True)
            trade.state = TradeState.REFUNDED
            trade.refunded_fen = trade.amount_fen
        return True

    def read_notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        timestamp, signature = headers.get(TIMESTAMP_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise NoticeRefused("timestamp", is_forged=True)
        if not hmac.compare_digest(_signature(self._secret, timestamp, body).encode(), signature.encode()):
            raise NoticeRefused("signature", is_forged=True)
        if abs(now.timestamp() - int(timestamp)) > MAX_NOTICE_AGE_S:
            raise NoticeRefused("age", is_forged=True)
        return _read(body)

    def accepted(self) -> NoticeAnswer:
        return NoticeAnswer(200, b'{"code":0,"msg":"success"}', _JSON)

    def refused(self, refusal: NoticeRefused) -> NoticeAnswer:
        status = 503 if refusal.is_ours else 400
        return NoticeAnswer(status, orjson.dumps({"code": "FAIL", "msg": refusal.reason}), _JSON)

    # --- the provider

    def page_trade(self, page_key: str) -> SandboxTrade | None:
        """The payment of a page's address."""
        with self._database.reading() as session:
            return session.scalars(
                select(SandboxTrade).where(SandboxTrade.page_key == page_key)
            ).one_or_none()

    def look_up(self, trade_no: str) -> SandboxTrade | None:
        """The payment of this trade_no; None: there is none."""
        return self._find(trade_no)

    def pay(self, trade_no: str, now: datetime) -> SandboxTrade | None:
        """Pay, unless the payment is closed or expired; None: there is no such payment."""
        with self._database.transaction() as session:
            trade = _locked(session, trade_no)
            if trade is not None and trade.state == TradeState.OPEN and trade.expire_at > now:
                trade.state = TradeState.PAID
                trade.transaction_id = f"S{trade.trade_no}{secrets.token_hex(4)}"
                trade.paid_at = now
            return trade

    def give_back(self, trade_no: str, amount_fen: int | None, now: datetime) -> SandboxTrade | None:
        """The merchant refunds in the provider's console: all of it, or a part.

        None: there is no such payment.
        """
        with self._database.transaction() as session:
            trade = _locked(session, trade_no)
            if trade is not None and trade.state in (TradeState.PAID, TradeState.REFUNDED):
                rest = trade.amount_fen - trade.refunded_fen
                trade.refunded_fen += rest if amount_fen is None else min(rest, amount_fen)
                trade.refunded_at = now
                if trade.refunded_fen == trade.amount_fen:
                    trade.state = TradeState.REFUNDED
            return trade

    def notice(
        self, trade: SandboxTrade, now: datetime, *, amount_fen: int | None = None, is_refund: bool = False
    ) -> tuple[dict[str, str], bytes]:
        """Headers and body of the notification about a payment, as it would be sent now.

        :param amount_fen: another amount than the right one, to see it refused.
        """
        kind = FactKind.REFUNDED if is_refund else FactKind.PAID
        at = trade.refunded_at if is_refund else trade.paid_at
        body = orjson.dumps(
            {
                "notice_id": f"{kind}:{trade.transaction_id}:{trade.refunded_fen if is_refund else 0}",
                "kind": kind,
                "trade_no": trade.trade_no,
                "transaction_id": trade.transaction_id or "",
                "amount_fen": trade.amount_fen if amount_fen is None else amount_fen,
                "currency": trade.currency,
                "refunded_fen": trade.refunded_fen if is_refund else 0,
                "at": epoch_ms(at or now),
            }
        )
        return sign_notice(self._secret, body, now), body

    def _find(self, trade_no: str) -> SandboxTrade | None:
        with self._database.reading() as session:
            return session.get(SandboxTrade, trade_no)


def _locked(session: Session, trade_no: str) -> SandboxTrade | None:
    return session.get(SandboxTrade, trade_no, with_for_update=True)


def _fact(trade: SandboxTrade) -> Fact:
    """Fact about a payment that is paid, refunded or closed."""
    kind = {TradeState.PAID: FactKind.PAID, TradeState.REFUNDED: FactKind.REFUNDED}.get(
        TradeState(trade.state), FactKind.CLOSED
    )
    is_refund = kind is FactKind.REFUNDED
    return Fact(
        kind,
        trade.trade_no,
        trade.transaction_id or "",
        trade.amount_fen,
        trade.currency,
        at=trade.paid_at,
        refund_id=f"total:{trade.trade_no}" if is_refund else "",
        refunded_fen=trade.refunded_fen if is_refund else None,
    )


def _read(body: bytes) -> Notice:
    """:raises NoticeRefused: the body is signed rightly, and wrong."""
    try:
        reply = json.loads(body, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise NoticeRefused("not_json") from None
    if not isinstance(reply, dict):
        raise NoticeRefused("not_json")
    trade_no = reply.get("trade_no")
    where = trade_no[:32] if isinstance(trade_no, str) else ""
    for name in _TEXTS:
        value = reply.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 128 or not value.isascii():
            raise NoticeRefused(name, trade_no=where)
    for name in ("amount_fen", "refunded_fen", "at"):
        value = reply.get(name)
        # True is an int in Python, and none here.
        if type(value) is not int or not 0 <= value < 2**53:
            raise NoticeRefused(name, trade_no=where)
    if reply["kind"] not in (FactKind.PAID, FactKind.REFUNDED):
        raise NoticeRefused("kind", trade_no=where)
    is_refund = reply["kind"] == FactKind.REFUNDED
    return Notice(
        reply["notice_id"],
        reply["kind"],
        Fact(
            FactKind(reply["kind"]),
            reply["trade_no"],
            reply["transaction_id"],
            reply["amount_fen"],
            reply["currency"],
            at=_moment(reply["at"], where),
            refund_id=f"total:{reply['trade_no']}" if is_refund else "",
            refunded_fen=reply["refunded_fen"] if is_refund else None,
        ),
    )


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """:raises ValueError: a name is given twice."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("doubled")
    return dict(pairs)


def _moment(at_ms: int, trade_no: str) -> datetime:
    try:
        return moment_of(at_ms)
    except OverflowError:
        raise NoticeRefused("at", trade_no=trade_no) from None
