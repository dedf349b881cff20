"""Codes by SMS: made, limited, sent and checked.

Everything that a promise hangs on is in SQL: that a code is used once, that it is void after some wrong tries, and how
many were sent to a number. Losing Redis gives nobody another try. Only limits per address and the ceiling over all
failures are counted in Redis.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.accounts.errors import SmsCodeWrong
from datingtoday.accounts.models import SmsCode, SmsNumber
from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.ratelimit import RateLimits
from datingtoday.infra.sms.provider import SmsFailed, SmsProvider
from datingtoday.protocol.errors import RateLimited, Unavailable
from datingtoday.protocol.peer import limit_key

log = structlog.get_logger(__name__)

PURPOSES = ("login", "delete", "phone", "export")
CODE_DIGITS = 6
_KEPT = timedelta(days=2)
"""Sent codes are kept for longer than the longest limit looks back, then removed."""


@dataclass(frozen=True)
class SmsRules:
    """Limits and lives; None for a limit that is switched off."""

    code_ttl_s: int = 300
    code_tries: int = 5
    gap_s: int | None = 60
    per_hour: int | None = 5
    per_day: int | None = 10
    per_address_per_hour: int | None = 30
    failures_per_address_per_hour: int | None = 60
    failures_per_hour: int | None = 2000


class SmsCodes:
    """Sends codes and checks them.

    :param secret_key: keys the stored hashes; codes are short, so a bare hash would tell them.
    """

    def __init__(
        self,
        database: Database,
        limits: RateLimits,
        provider: SmsProvider,
        rules: SmsRules,
        secret_key: bytes,
    ) -> None:
        self._database = database
        self._limits = limits
        self._provider = provider
        self._rules = rules
        self._secret_key = secret_key

    def send(self, phone: str, purpose: str, *, address: str, now: datetime) -> str:
        """Send a new code, in two transactions with the provider between them; the code before it is void.

        What is done does not depend on whether the number has an account.

        :param phone: E.164.
        :param address: of the client, for its limit.
        :return: the code; for the answer only where the server is set to echo it.
        :raises RateLimited: a limit of the number is reached; `TooMany`: that of the address.
        :raises Unavailable: the provider failed; neither limit counts it, and the code before stays in force.
        """
        rules = self._rules
        receipt = self._limits.hit(
            "sms-address", limit_key(address), rules.per_address_per_hour, per_s=3600, now=now
        )
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        try:
            code_id, sent_before = self._reserve(phone, purpose, code, now)
        except (RateLimited, DatabaseDown):
            self._limits.give_back("sms-address", limit_key(address), receipt)
            raise
        try:
            self._provider.send_code(phone, code, purpose=purpose, ttl_s=rules.code_ttl_s)
        except SmsFailed as error:
            log.error("sms_failed", provider=error.provider, reason=error.reason, purpose=purpose)
            self._take_back(phone, code_id, sent_before, now)
            self._limits.give_back("sms-address", limit_key(address), receipt)
            raise Unavailable from error
        return code

    def check(
        self, session: Session, phone: str, purpose: str, code: str, *, address: str, now: datetime
    ) -> None:
        """Use the newest code up, or count a wrong try.

        The row stays locked until the caller's transaction ends, so of two requests with the same code one wins.

        :raises SmsCodeWrong: commits the counted try.
        :raises TooMany: this address, or everybody together, failed too often in the last hour.
        """
        self._refuse_after_failures(address, now)
        newest = session.scalar(
            select(SmsCode.id)
            .where(SmsCode.phone == phone, SmsCode.purpose == purpose)
            .order_by(SmsCode.id.desc())
            .limit(1)
        )
        # The try is counted before the code is looked at: tries at the same time cannot share one count.
        tried = newest is not None and _changed(
            session,
            update(SmsCode)
            .where(
                SmsCode.id == newest,
                SmsCode.tries < self._rules.code_tries,
                SmsCode.used_at.is_(None),
                SmsCode.expires_at > now,
            )
            .values(tries=SmsCode.tries + 1),
        )
        if tried:
            stored = session.scalar(select(SmsCode.code_hash).where(SmsCode.id == newest)) or ""
            if hmac.compare_digest(stored, self._hash(phone, purpose, code)):
                session.execute(update(SmsCode).where(SmsCode.id == newest).values(used_at=now))
                return
        self._count_failure(address, now)
        raise SmsCodeWrong

    def purge(self, session: Session, now: datetime) -> int:
        """Remove what no limit looks back at any more; returns how many codes went."""
        removed = session.execute(delete(SmsCode).where(SmsCode.sent_at < now - _KEPT))
        session.execute(delete(SmsNumber).where(SmsNumber.last_sent_at < now - _KEPT))
        return int(getattr(removed, "rowcount", 0))

    def _reserve(self, phone: str, purpose: str, code: str, now: datetime) -> tuple[int, datetime | None]:
        rules = self._rules
        with self._database.transaction() as session:
            number = self._locked_number(session, phone)
            before = number.last_sent_at
            if rules.gap_s is not None and before is not None:
                left_s = rules.gap_s - (now - before).total_seconds()
                if left_s > 0:
                    raise RateLimited(min(left_s, rules.gap_s))
            for most, span in ((rules.per_hour, timedelta(hours=1)), (rules.per_day, timedelta(days=1))):
                self._refuse_above(session, phone, most, span, now)
            number.last_sent_at = now
            row = SmsCode(
                phone=phone,
                purpose=purpose,
                code_hash=self._hash(phone, purpose, code),
                sent_at=now,
                expires_at=now + timedelta(seconds=rules.code_ttl_s),
            )
            session.add(row)
            session.flush()
            return row.id, before

    @staticmethod
    def _locked_number(session: Session, phone: str) -> SmsNumber:
        def locked() -> SmsNumber | None:
            return session.scalars(
                select(SmsNumber).where(SmsNumber.phone == phone).with_for_update()
            ).one_or_none()

        row = locked()
        if row is None:
            try:
                with session.begin_nested():
                    session.add(SmsNumber(phone=phone))
            except IntegrityError:
                log.debug("sms_number_made_by_another")
            row = locked()
        if row is None:
            raise RuntimeError("the row of a number vanished while it was locked")
        return row

    @staticmethod
    def _refuse_above(session: Session, phone: str, most: int | None, span: timedelta, now: datetime) -> None:
        if most is None:
            return
        sent = session.execute(
            select(func.count(), func.min(SmsCode.sent_at)).where(
                SmsCode.phone == phone, SmsCode.sent_at > now - span
            )
        ).one()
        if sent[0] >= most:
            raise RateLimited((sent[1] + span - now).total_seconds())

    def _take_back(self, phone: str, code_id: int, sent_before: datetime | None, now: datetime) -> None:
        with self._database.transaction() as session:
            session.execute(delete(SmsCode).where(SmsCode.id == code_id))
            # Unless another code was sent meanwhile, which the gap makes impossible but for a switched-off limit.
            session.execute(
                update(SmsNumber)
                .where(SmsNumber.phone == phone, SmsNumber.last_sent_at == now)
                .values(last_sent_at=sent_before)
            )

    def _refuse_after_failures(self, address: str, now: datetime) -> None:
        for name, key, most in self._failure_limits(address):
            self._limits.refuse_if_reached(name, key, most, per_s=3600, now=now)

    def _count_failure(self, address: str, now: datetime) -> None:
        for name, key, most in self._failure_limits(address):
            self._limits.count(name, key, most, per_s=3600, now=now)

    def _failure_limits(self, address: str) -> list[tuple[str, str, int | None]]:
        rules = self._rules
        return [
            ("code-failures-address", limit_key(address), rules.failures_per_address_per_hour),
            ("code-failures", "all", rules.failures_per_hour),
        ]

    def _hash(self, phone: str, purpose: str, code: str) -> str:
        text = f"sms-code|{phone}|{purpose}|{code}"
        return hmac.new(self._secret_key, text.encode(), sha256).hexdigest()


def _changed(session: Session, statement: object) -> bool:
    result = session.execute(statement)  # type: ignore[call-overload]
    return bool(result.rowcount == 1)
