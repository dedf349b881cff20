"""Purchases for tests: over the API, and the sandbox's provider."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from datingtoday.infra.payments.models import SandboxTrade
from datingtoday.infra.payments.sandbox import SandboxPayments
from datingtoday.vip.models import RefundTask, UserOrder, VipGrant
from tests.plugins.api import Answer, Api, User

NOTIFY = "/api/pay/notify/sandbox"
MONTH, QUARTER, YEAR = 1, 2, 3


def make_order(api: Api, user: User, *, product_id: int = MONTH, channel: str = "sandbox") -> dict[str, Any]:
    """A new order as `order/create` answers it."""
    client_id = secrets.token_hex(8)
    order: dict[str, Any] = api.post(
        "/api/order/create", user, productId=product_id, channel=channel, clientId=client_id
    ).data
    return order


def sandbox_of(api: Api) -> SandboxPayments:
    assert api.parts.vip.sandbox is not None
    return api.parts.vip.sandbox


def paid_at_provider(api: Api, order: dict[str, Any], now: datetime | None = None) -> SandboxTrade:
    """Paid at the sandbox; nobody was told."""
    trade = sandbox_of(api).pay(order["trade_no"], now or datetime.now(UTC))
    assert trade is not None and trade.transaction_id is not None
    return trade


def notify(
    api: Api, trade: SandboxTrade, now: datetime | None = None, *, is_refund: bool = False, **options: Any
) -> Answer:
    """The sandbox's notification, sent to the server."""
    headers, body = sandbox_of(api).notice(trade, now or datetime.now(UTC), is_refund=is_refund, **options)
    return send_notice(api, headers, body)


def send_notice(api: Api, headers: dict[str, str], body: bytes, path: str = NOTIFY) -> Answer:
    return api.send("POST", path, headers=headers, data=body, content_type="application/json")


def pay(api: Api, order: dict[str, Any]) -> Answer:
    """Paid, and told."""
    answer = notify(api, paid_at_provider(api, order))
    assert answer.status == 200, answer.json
    return answer


def refund(api: Api, order: dict[str, Any], amount_fen: int | None = None) -> Answer:
    """Refunded in the provider's console, all or a part, and told."""
    now = datetime.now(UTC)
    trade = sandbox_of(api).give_back(order["trade_no"], amount_fen, now)
    assert trade is not None
    return notify(api, trade, now, is_refund=True)


def state_of(api: Api, user: User, order: dict[str, Any]) -> str:
    return str(api.get("/api/order/show", user, orderId=order["order_id"]).data["state"])


def grants_of(api: Api, user: User) -> list[VipGrant]:
    with api.parts.base.database.transaction(write=False) as session:
        return list(session.scalars(select(VipGrant).where(VipGrant.user_id == user.user_id)))


def tasks_of(api: Api, order: dict[str, Any]) -> list[RefundTask]:
    with api.parts.base.database.transaction(write=False) as session:
        return list(session.scalars(select(RefundTask).where(RefundTask.order_id == order["order_id"])))


def order_row(api: Api, order: dict[str, Any]) -> UserOrder:
    with api.parts.base.database.transaction(write=False) as session:
        return session.get_one(UserOrder, order["order_id"])


def deadline_of(api: Api, user: User) -> str | None:
    deadline: str | None = api.get("/api/vip/show", user).data["vip_deadline"]
    return deadline
