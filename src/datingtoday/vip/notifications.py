"""Notifications of providers: verified, taken in within one transaction, and answered in the provider's own way.

Nothing here uses the network, and success is answered only after the commit. What is refused changes nothing; it is
logged and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.payments.provider import (
    MAX_NOTICE_BYTES,
    Notice,
    NoticeAnswer,
    NoticeRefused,
    PaymentChannel,
)
from datingtoday.protocol.errors import NotFound
from datingtoday.vip.channels import Channels
from datingtoday.vip.models import PayNotice
from datingtoday.vip.order_states import FactRefused, OrderStates, Outcome
from datingtoday.vip.orders import find_for
from datingtoday.vip.payment_metrics import count_notice

log = structlog.get_logger(__name__)


class Notifications:
    """Takes in what providers tell."""

    def __init__(self, database: Database, channels: Channels, states: OrderStates) -> None:
        self._database = database
        self._channels = channels
        self._states = states

    def receive(self, name: str, headers: Mapping[str, str], body: bytes, now: datetime) -> NoticeAnswer:
        """One notification, in transactions of its own; may be repeated, and come many times at once.

        :param headers: names in lower case. :param body: as it came; at most one byte more than is allowed.
        :raises NotFound: the channel is not set up.
        """
        channel = self._channels.find(name)
        if channel is None:
            raise NotFound
        try:
            if len(body) > MAX_NOTICE_BYTES:
                raise NoticeRefused("too_large")
            notice = channel.read_notice(headers, body, now)
            verdict = self._take_in(channel, notice, body, now)
        except NoticeRefused as refusal:
            log.warning(
                "pay_notice_refused", channel=name, reason=refusal.reason, trade_no=refusal.trade_no[:32]
            )
            count_notice(name, "refused")
            return channel.refused(refusal)
        log.info("pay_notice", channel=name, kind=notice.kind, verdict=verdict)
        count_notice(name, verdict)
        return channel.accepted()

    def _take_in(self, channel: PaymentChannel, notice: Notice, body: bytes, now: datetime) -> str:
        try:
            # Another notification of the same payment may be quicker: this one then sees its row.
            return self._database.retried(
                lambda session: self._work(session, channel, notice, body, now), also=(IntegrityError,)
            )
        except (DatabaseDown, DBAPIError) as error:
            log.warning("pay_notice_not_stored", channel=channel.name, reason=type(error).__name__)
            raise NoticeRefused("unavailable", is_ours=True) from error

    def _work(
        self, session: Session, channel: PaymentChannel, notice: Notice, body: bytes, now: datetime
    ) -> str:
        fact = notice.fact
        if fact is None:
            return Outcome.NOTHING
        order = find_for(session, channel.name, fact)
        if order is None:
            raise NoticeRefused("unknown_order", trade_no=fact.trade_no)
        if _is_known(session, channel.name, notice.notice_id):
            return Outcome.REPEATED
        try:
            if fact.product and fact.product != order.apple_id:
                raise FactRefused("product")
            verdict = self._states.apply(session, order, fact, now)
        except FactRefused as error:
            raise NoticeRefused(error.reason, trade_no=order.trade_no) from error
        session.add(
            PayNotice(
                channel=channel.name,
                notice_id=notice.notice_id,
                trade_no=order.trade_no,
                kind=notice.kind[:32],
                verdict=verdict,
                at=now,
                digest=hashlib.sha256(body).hexdigest(),
            )
        )
        return verdict


def _is_known(session: Session, channel: str, notice_id: str) -> bool:
    found = session.scalar(
        select(PayNotice.id).where(PayNotice.channel == channel, PayNotice.notice_id == notice_id)
    )
    return found is not None
