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
from typing import Any

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Session

from datingtoday.accounts.errors import SmsCodeWrong, phone_not_served
from datingtoday.accounts.models import SmsCode, SmsNumber
from datingtoday.infra.db import Database
from datingtoday.infra.ratelimit import RateLimits, TooMany
from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind, SmsProvider
from datingtoday.protocol.errors import RateLimited, Unavailable
from datingtoday.protocol.peer import limit_key

log = structlog.get_logger(__name__)

PURPOSES = ("login", "delete", "phone", "export")
CODE_DIGITS = 6
_HOUR_S = 3600
_MAX_IN_FORCE = 8
"""How many codes are looked at for one number and purpose; more than one only where a provider was unclear."""


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


@dataclass(frozen=True, slots=True)
class _Counted:
    """A place taken in a limit of Redis, to be given back if what it was taken for did not happen."""

    name: str
    key: str
    receipt: str


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

    # --- sending

    def send(self, phone: str, purpose: str, *, address: str, now: datetime) -> str:
        """Send a new code, in two transactions with the provider between them; the code before it is void.

        What is done does not depend on whether the number has an account. Of several requests for one number at the
        same time one sends; the others are refused by the gap.

        A provider that fails counts for nothing, and the code before stays in force. Where it is unclear whether the
        message left (a timeout), both codes are in force, and such sendings have a ceiling of their own, of the same
        size as the limits: nobody can have messages sent without end by failing.

        :param phone: E.164.
        :param address: of the client, for its limit.
        :return: the code; for the answer only where the server is set to echo it.
        :raises RateLimited: a limit of the number is reached; `TooMany`: that of the address. Neither was counted.
        :raises Unavailable: the provider failed.
        :raises ParameterError: the provider does not serve this number.
        """
        most = self._rules.per_address_per_hour
        place = self._take("sms-address", limit_key(address), most, now)
        try:
            self._limits.refuse_if_reached(
                "sms-unclear-address", limit_key(address), most, per_s=_HOUR_S, now=now
            )
            return self._send_to_number(phone, purpose, now)
        except SmsFailed as error:
            if error.kind is SmsFailureKind.NUMBER:
                # The provider was asked in earnest: the address has used one of its sendings.
                raise phone_not_served() from error
            self._give_back(place)
            if error.maybe_sent:
                self._limits.count("sms-unclear-address", limit_key(address), most, per_s=_HOUR_S, now=now)
            raise Unavailable from error
        except BaseException:
            self._give_back(place)
            raise

    def _send_to_number(self, phone: str, purpose: str, now: datetime) -> str:
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        code_id, sent_before = self._reserve(phone, purpose, code, now)
        try:
            self._provider.send_code(phone, code, purpose=purpose, ttl_s=self._rules.code_ttl_s)
        except BaseException as error:
            maybe_sent = isinstance(error, SmsFailed) and error.maybe_sent
            self._take_back(phone, code_id, sent_before, now, maybe_sent=maybe_sent)
            raise
        return code

    def _reserve(self, phone: str, purpose: str, code: str, now: datetime) -> tuple[int, datetime | None]:
        """Store the new code if the number's limits allow it; the number's row makes others wait meanwhile."""
        rules = self._rules
        with self._database.transaction() as session:
            before = self._lock_number(session, phone)
            if rules.gap_s is not None and before is not None:
                left_s = rules.gap_s - (now - before).total_seconds()
                if left_s > 0:
                    raise RateLimited(min(left_s, rules.gap_s))
            hour, day = timedelta(hours=1), timedelta(days=1)
            self._refuse_above(session, phone, rules.per_hour, hour, now, unclear=False)
            self._refuse_above(session, phone, rules.per_day, day, now, unclear=False)
            self._refuse_above(session, phone, rules.per_hour, hour, now, unclear=True)
            session.execute(update(SmsNumber).where(SmsNumber.phone == phone).values(last_sent_at=now))
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
    def _lock_number(session: Session, phone: str) -> datetime | None:
        """Lock the number's row, made if there is none; when the last code was sent to it."""
        # One statement that takes the exclusive lock whether the row exists or not: an insert that fails would leave
        # a shared lock, and two that want to make theirs exclusive are a deadlock.
        if session.get_bind().dialect.name == "sqlite":
            session.execute(sqlite.insert(SmsNumber).values(phone=phone).on_conflict_do_nothing())
        else:
            session.execute(mysql.insert(SmsNumber).values(phone=phone).on_duplicate_key_update(phone=phone))
        return session.scalars(select(SmsNumber.last_sent_at).where(SmsNumber.phone == phone)).one()

    @staticmethod
    def _refuse_above(
        session: Session, phone: str, most: int | None, span: timedelta, now: datetime, *, unclear: bool
    ) -> None:
        if most is None:
            return
        sent, first = session.execute(
            select(func.count(), func.min(SmsCode.sent_at)).where(
                SmsCode.phone == phone, SmsCode.sent_at > now - span, SmsCode.unclear.is_(unclear)
            )
        ).one()
        if sent >= most:
            raise RateLimited((first + span - now).total_seconds())

    def _take_back(
        self, phone: str, code_id: int, sent_before: datetime | None, now: datetime, *, maybe_sent: bool
    ) -> None:
        with self._database.transaction() as session:
            if maybe_sent:
                session.execute(update(SmsCode).where(SmsCode.id == code_id).values(unclear=True))
            else:
                session.execute(delete(SmsCode).where(SmsCode.id == code_id))
            # Unless another code was sent meanwhile, which the gap makes impossible but for a switched-off limit.
            session.execute(
                update(SmsNumber)
                .where(SmsNumber.phone == phone, SmsNumber.last_sent_at == now)
                .values(last_sent_at=sent_before)
            )

    # --- checking

    def check(
        self, session: Session, phone: str, purpose: str, code: str, *, address: str, now: datetime
    ) -> None:
        """Use the newest code up, or count a wrong try.

        The row stays locked until the caller's transaction ends, so of two requests with the same code one wins.

        :raises SmsCodeWrong: commits the counted try.
        :raises TooMany: this address, or everybody together, failed too often in the last hour; nothing was looked at.
        """
        # A failure is counted ahead and given back on success: requests at the same time cannot share a place.
        places = self._expect_failure(address, now)
        try:
            right = self._use(session, phone, purpose, code, now)
        except BaseException:
            self._give_back(*places)
            raise
        if not right:
            raise SmsCodeWrong
        self._give_back(*places)

    def _use(self, session: Session, phone: str, purpose: str, code: str, now: datetime) -> bool:
        in_force = self._newest(session, phone, purpose)
        wanted = self._hash(phone, purpose, code)
        for code_id, stored in in_force:
            # The try is counted before the code is looked at: tries at the same time cannot share one count.
            tried = _changed(
                session,
                update(SmsCode)
                .where(
                    SmsCode.id == code_id,
                    SmsCode.tries < self._rules.code_tries,
                    SmsCode.used_at.is_(None),
                    SmsCode.expires_at > now,
                )
                .values(tries=SmsCode.tries + 1),
            )
            if tried and hmac.compare_digest(stored, wanted):
                everyone = [each for each, _ in in_force]
                session.execute(update(SmsCode).where(SmsCode.id.in_(everyone)).values(used_at=now))
                return True
        return False

    @staticmethod
    def _newest(session: Session, phone: str, purpose: str) -> list[tuple[int, str]]:
        """Id and hash of the newest code, and of those before it as far as it is unclear what was sent."""
        found = session.execute(
            select(SmsCode.id, SmsCode.code_hash, SmsCode.unclear)
            .where(SmsCode.phone == phone, SmsCode.purpose == purpose)
            .order_by(SmsCode.id.desc())
            .limit(_MAX_IN_FORCE)
        )
        newest = []
        for code_id, code_hash, unclear in found:
            newest.append((code_id, code_hash))
            if not unclear:
                break
        return newest

    def _expect_failure(self, address: str, now: datetime) -> list[_Counted]:
        rules = self._rules
        mine = self._take(
            "code-failures-address", limit_key(address), rules.failures_per_address_per_hour, now
        )
        try:
            return [mine, self._take("code-failures", "all", rules.failures_per_hour, now)]
        except TooMany:
            log.warning("code_failures_ceiling_reached", per_hour=rules.failures_per_hour)
            self._give_back(mine)
            raise

    def _take(self, name: str, key: str, most: int | None, now: datetime) -> _Counted:
        return _Counted(name, key, self._limits.hit(name, key, most, per_s=_HOUR_S, now=now))

    def _give_back(self, *places: _Counted) -> None:
        for place in places:
            self._limits.give_back(place.name, place.key, place.receipt)

    def _hash(self, phone: str, purpose: str, code: str) -> str:
        text = f"sms-code|{phone}|{purpose}|{code}"
        return hmac.new(self._secret_key, text.encode(), sha256).hexdigest()


def _changed(session: Session, statement: Any) -> bool:
    """Whether the statement changed its one row."""
    result: Any = session.execute(statement)
    return bool(result.rowcount == 1)
