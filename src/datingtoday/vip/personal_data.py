"""Personal data of VIP: orders and the days that they gave."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.infra.personal_data import PersonColumn, remove_some
from datingtoday.vip.models import OrderState, UserOrder, VipGrant, VipInfo

_KEPT = "payments are kept as long as the law asks for, [PAY] ledger_days, and then purged"
_WITH_MONEY = (OrderState.PAID, OrderState.REFUNDED)


class VipData:
    """Orders and grants. Of those who left, orders without money go at once, the others after the legal period."""

    name = "vip"
    holds = (
        PersonColumn("user_order", "user_id", not_removed=_KEPT),
        PersonColumn("vip_grant", "user_id", not_removed=_KEPT),
        PersonColumn("vip_info", "user_id", not_removed=_KEPT),
    )

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        orders = session.scalars(select(UserOrder).where(UserOrder.user_id == user_id).order_by(UserOrder.id))
        grants = session.scalars(
            select(VipGrant).where(VipGrant.user_id == user_id).order_by(VipGrant.granted_at)
        )
        info = session.get(VipInfo, user_id)
        return {
            "vip_deadline": None if info is None else info.vip_deadline,
            "orders": [
                {
                    "order_id": row.id,
                    "trade_no": row.trade_no,
                    "client_id": row.client_id,
                    "product_id": row.product_id,
                    "product_name": row.product_name,
                    "vip_days": row.vip_days,
                    "fee_fen": row.fee_fen,
                    "currency": row.currency,
                    "channel": row.channel,
                    "state": row.state,
                    "open_id": row.open_id,
                    "transaction_id": row.transaction_id,
                    "order_time": row.order_time,
                    "expire_time": row.expire_at,
                    "paid_time": row.paid_time,
                    "refunded_time": row.refunded_time,
                }
                for row in orders
            ],
            "grants": [
                {
                    "order_id": row.order_id,
                    "days": row.days,
                    "granted_at": row.granted_at,
                    "revoked_at": row.revoked_at,
                }
                for row in grants
            ],
        }

    def remove(self, session: Session, user_id: int, most: int) -> int:
        without_money = (UserOrder.user_id == user_id) & UserOrder.state.not_in(_WITH_MONEY)
        return remove_some(session, UserOrder, without_money & UserOrder.poll_at.is_(None), most)
