"""Actions of a person at the sandbox's page, and the notification that follows."""

from __future__ import annotations

from datetime import datetime

from datingtoday.infra.payments.models import SandboxTrade, TradeState
from datingtoday.infra.payments.sandbox import NAME, SandboxPayments
from datingtoday.vip.notifications import Notifications


class SandboxDesk:
    """The page's service: pays, and lets the notification arrive as one from outside would."""

    def __init__(self, sandbox: SandboxPayments, notifications: Notifications) -> None:
        self._sandbox = sandbox
        self._notifications = notifications

    def find(self, page_key: str) -> SandboxTrade | None:
        """The payment of a page's address; None: no such page."""
        return self._sandbox.page_trade(page_key)

    def pay(self, page_key: str, now: datetime) -> SandboxTrade | None:
        """Pay it, unless it is paid, closed or too late. A notification that gets lost is made up for by the poll."""
        trade = self._sandbox.page_trade(page_key)
        if trade is None:
            return None
        trade = self._sandbox.pay(trade.trade_no, now)
        if trade is not None and trade.state == TradeState.PAID:
            headers, body = self._sandbox.notice(trade, now)
            self._notifications.receive(NAME, headers, body, now)
        return trade
