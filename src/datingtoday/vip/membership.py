"""Membership: until when people are VIP, as the ledger of grants says.

The deadline is what replaying the grants that were not taken back gives, in the order in which they were made:
``max(made, deadline) + days`` for each. So a refund leaves exactly what would be without that order.

Locks: the caller holds the row of the order; here the row of `VipInfo` is taken after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Session

from datingtoday.vip.models import VipGrant, VipInfo

DAY_S = 86_400
MembershipListener = Callable[[Session, Collection[int]], None]
"""Called within the transaction in which the membership of these people changes."""


@dataclass(frozen=True, slots=True)
class VipStatus:
    """Membership as its owner sees it."""

    vip: bool
    vip_deadline: datetime | None


class Membership:
    """The rules of the ledger."""

    def __init__(self) -> None:
        self._listeners: list[MembershipListener] = []

    def register_changed(self, listener: MembershipListener) -> None:
        """Let a feature mark, before the commit, what it keeps of people whose membership changes."""
        self._listeners.append(listener)

    def deadlines(self, session: Session, user_ids: Collection[int]) -> Mapping[int, datetime]:
        """Until when those are VIP who are or were; in one statement."""
        if not user_ids:
            return {}
        rows = session.execute(
            select(VipInfo.user_id, VipInfo.vip_deadline).where(
                VipInfo.user_id.in_(user_ids), VipInfo.vip_deadline.is_not(None)
            )
        )
        return {user_id: deadline for user_id, deadline in rows if deadline is not None}

    def is_vip(self, session: Session, user_id: int, now: datetime) -> bool:
        """True if the person is VIP at this moment."""
        deadline = self.deadlines(session, [user_id]).get(user_id)
        return deadline is not None and deadline > now

    def show(self, session: Session, user_id: int, now: datetime) -> VipStatus:
        """Membership as the person sees it."""
        deadline = self.deadlines(session, [user_id]).get(user_id)
        return VipStatus(deadline is not None and deadline > now, deadline)

    def lock(self, session: Session, user_id: int) -> VipInfo:
        """Lock the ledger of a person; the row is made if there is none."""
        # One statement that takes the exclusive lock whether the row exists or not.
        if session.get_bind().dialect.name == "sqlite":
            session.execute(sqlite.insert(VipInfo).values(user_id=user_id).on_conflict_do_nothing())
        else:
            session.execute(
                mysql.insert(VipInfo).values(user_id=user_id).on_duplicate_key_update(user_id=user_id)
            )
        return session.get_one(VipInfo, user_id, populate_existing=True)

    def grant(self, session: Session, info: VipInfo, order_id: int, days: int, now: datetime) -> None:
        """Add an order's days; a second time nothing happens.

        :param info: the locked ledger of the person.
        """
        if session.get(VipGrant, order_id) is not None:
            return
        session.add(
            VipGrant(
                order_id=order_id, user_id=info.user_id, days=days, length_s=days * DAY_S, granted_at=now
            )
        )
        self._replay(session, info)

    def revoke(self, session: Session, info: VipInfo, order_id: int, now: datetime) -> None:
        """Take an order's days back; a second time nothing happens."""
        grant = session.get(VipGrant, order_id)
        if grant is None or grant.revoked_at is not None:
            return
        before = info.vip_deadline or now
        grant.revoked_at = now
        self._replay(session, info)
        after = max(info.vip_deadline or now, now)
        grant.unused_s = max(0, int((before - after).total_seconds()))

    def reinstate(self, session: Session, info: VipInfo, order_id: int, now: datetime) -> None:
        """Give back what a refund took that was reversed: the days that were not used then."""
        grant = session.get(VipGrant, order_id)
        if grant is None or grant.revoked_at is None:
            return
        grant.length_s = grant.unused_s
        grant.granted_at, grant.revoked_at = now, None
        self._replay(session, info)

    def _replay(self, session: Session, info: VipInfo) -> None:
        grants = session.scalars(
            select(VipGrant)
            .where(VipGrant.user_id == info.user_id, VipGrant.revoked_at.is_(None))
            .order_by(VipGrant.granted_at, VipGrant.order_id)
        ).all()
        info.vip_deadline = replayed(grants)
        session.flush()
        for listener in self._listeners:
            listener(session, [info.user_id])


def replayed(grants: Sequence[VipGrant | Any]) -> datetime | None:
    """The deadline that these grants give, one after another; None without any."""
    deadline: datetime | None = None
    for grant in grants:
        begin = grant.granted_at if deadline is None else max(grant.granted_at, deadline)
        deadline = begin + timedelta(seconds=grant.length_s)
    return deadline
