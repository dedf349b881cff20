"""Codes by SMS: made, limited, sent and checked.

Everything that a promise hangs on is in SQL: that a code is used once, that it is void after some wrong tries, and how
many were sent to a number. Losing Redis gives nobody another try. Only limits per network and the brakes on guesses are
counted in Redis.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from hashlib import sha256
from typing import Any, NamedTuple

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Session

from datingtoday.accounts.errors import SmsCodeWrong, phone_not_served
from datingtoday.accounts.even_work import write_decoy
from datingtoday.accounts.guess_brakes import GuessBrakes
from datingtoday.accounts.models import SmsCode, SmsNumber
from datingtoday.accounts.send_limits import SendLimits, SmsRules
from datingtoday.accounts.sms_metrics import count_message
from datingtoday.infra.days import HOUR_S
from datingtoday.infra.db import Database
from datingtoday.infra.ratelimit import RateLimits
from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind, SmsProvider
from datingtoday.protocol.errors import Unavailable
from datingtoday.protocol.peer import limit_key
from datingtoday.protocol.phone_numbers import prefix_of

log = structlog.get_logger(__name__)

PURPOSES = ("login", "delete", "phone", "export")
CODE_DIGITS = 6
_MAX_IN_FORCE = 8
"""Number of codes examined for one number and purpose; more than one only where a provider was unclear."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """A place taken in a limit of Redis, to be given back if what it was taken for did not happen."""

    name: str
    key: str
    receipt: str


class _SentCode(NamedTuple):
    """A code that a try is compared with."""

    id: int
    code_hash: str
    network: str


_NO_CODE = _SentCode(0, "", "")
"""Tried where none was sent: the statement finds no row, and costs what it costs elsewhere; see `even_work.py`."""


class _Outcome(Enum):
    """The result of a try."""

    RIGHT = auto()
    WRONG = auto()
    NOT_IN_FORCE = auto()
    """There was no code that could be tried."""


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
        self._send_limits = SendLimits(rules)
        self._brakes = GuessBrakes(
            limits,
            per_network=rules.wrong_codes_per_network_per_hour,
            per_prefix=rules.wrong_codes_per_prefix_per_hour,
        )
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
        :raises RateLimited: a limit of the number, its prefix or of all numbers is reached; `TooMany`: that of the
            address. Neither was counted.
        :raises Unavailable: the provider failed.
        :raises ParameterError: the number's region is not served, or the provider does not serve this number.
        """
        self._send_limits.refuse_region(phone)
        most = self._rules.per_address_per_hour
        place = self._take("sms-address", limit_key(address), most, now)
        try:
            self._limits.refuse_if_reached(
                "sms-unclear-address", limit_key(address), most, per_s=HOUR_S, now=now
            )
            return self._send_to_number(phone, purpose, address, now)
        except SmsFailed as error:
            if error.kind is SmsFailureKind.NUMBER:
                # The provider was asked in earnest: the address has used one of its sendings.
                raise phone_not_served() from error
            self._give_back(place)
            if error.maybe_sent:
                self._limits.count("sms-unclear-address", limit_key(address), most, per_s=HOUR_S, now=now)
            raise Unavailable from error
        except BaseException:
            self._give_back(place)
            raise

    def _send_to_number(self, phone: str, purpose: str, address: str, now: datetime) -> str:
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        code_id, sent_before = self._reserve(phone, purpose, code, address, now)
        try:
            self._provider.send_code(phone, code, purpose=purpose, ttl_s=self._rules.code_ttl_s)
        except BaseException as error:
            maybe_sent = isinstance(error, SmsFailed) and error.maybe_sent
            count_message(error.kind.value if isinstance(error, SmsFailed) else "unexpected")
            self._take_back(phone, code_id, sent_before, now, maybe_sent=maybe_sent)
            raise
        count_message("sent")
        return code

    def _reserve(
        self, phone: str, purpose: str, code: str, address: str, now: datetime
    ) -> tuple[int, datetime | None]:
        """Store the new code if the number's limits allow it; the number's row makes others wait meanwhile."""

        def work(session: Session) -> tuple[int, datetime | None]:
            before = self._lock_number(session, phone)
            self._send_limits.refuse_number(session, phone, before, now)
            self._send_limits.refuse_ceilings(session, phone, now)
            session.execute(update(SmsNumber).where(SmsNumber.phone == phone).values(last_sent_at=now))
            row = SmsCode(
                phone=phone,
                prefix=prefix_of(phone),
                network=self._network(phone, address),
                purpose=purpose,
                code_hash=self._hash(phone, purpose, code),
                sent_at=now,
                expires_at=now + timedelta(seconds=self._rules.code_ttl_s),
            )
            session.add(row)
            session.flush()
            return row.id, before

        return self._database.retried(work)

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

    def _take_back(
        self, phone: str, code_id: int, sent_before: datetime | None, now: datetime, *, maybe_sent: bool
    ) -> None:
        def work(session: Session) -> None:
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

        self._database.retried(work)

    # --- checking

    def check(
        self, session: Session, phone: str, purpose: str, code: str, *, address: str, now: datetime
    ) -> None:
        """Use the newest code up, or count a wrong try.

        The row stays locked until the caller's transaction ends, so of two requests with the same code one wins.

        :raises SmsCodeWrong: commits the counted try.
        :raises TooMany: there were too many wrong tries from this network, or against numbers with this prefix, in the
            last hour; the code was not looked at.
        """
        in_force = self._newest(session, phone, purpose) or [_NO_CODE]
        if hmac.compare_digest(in_force[0].network, self._network(phone, address)):
            # Typed where it was asked for: its own tries are limit enough.
            places = []
        else:
            places = self._brakes.take(purpose, phone, address, now)
        try:
            outcome = self._use(session, in_force, self._hash(phone, purpose, code), now)
        except BaseException:
            self._brakes.settle(places, is_wrong=False)
            raise
        self._brakes.settle(places, is_wrong=outcome is _Outcome.WRONG)
        if outcome is not _Outcome.RIGHT:
            write_decoy(session, self._hash(phone, purpose, ""))
            raise SmsCodeWrong
        self._brakes.forgive(places)

    def _use(self, session: Session, in_force: Sequence[_SentCode], wanted: str, now: datetime) -> _Outcome:
        outcome = _Outcome.NOT_IN_FORCE
        for sent in in_force:
            # The try is counted before the code is looked at: tries at the same time cannot share one count.
            tried = _changed(
                session,
                update(SmsCode)
                .where(
                    SmsCode.id == sent.id,
                    SmsCode.tries < self._rules.code_tries,
                    SmsCode.used_at.is_(None),
                    SmsCode.expires_at > now,
                )
                .values(tries=SmsCode.tries + 1),
            )
            if tried:
                outcome = _Outcome.WRONG
                if hmac.compare_digest(sent.code_hash, wanted):
                    everyone = [each.id for each in in_force]
                    session.execute(update(SmsCode).where(SmsCode.id.in_(everyone)).values(used_at=now))
                    return _Outcome.RIGHT
        return outcome

    @staticmethod
    def _newest(session: Session, phone: str, purpose: str) -> list[_SentCode]:
        """The newest code, and those before it as far as it is unclear what was sent."""
        found = session.execute(
            select(SmsCode.id, SmsCode.code_hash, SmsCode.network, SmsCode.unclear)
            .where(SmsCode.phone == phone, SmsCode.purpose == purpose)
            .order_by(SmsCode.id.desc())
            .limit(_MAX_IN_FORCE)
        )
        newest = []
        for code_id, code_hash, network, unclear in found:
            newest.append(_SentCode(code_id, code_hash, network))
            if not unclear:
                break
        return newest

    def _take(self, name: str, key: str, most: int | None, now: datetime) -> _Counted:
        return _Counted(name, key, self._limits.hit(name, key, most, per_s=HOUR_S, now=now))

    def _give_back(self, *places: _Counted) -> None:
        for place in places:
            self._limits.give_back(place.name, place.key, place.receipt)

    def _network(self, phone: str, address: str) -> str:
        """Tells whether two requests for one number came from one network, and nothing else."""
        text = f"sms-network|{phone}|{limit_key(address)}"
        return hmac.new(self._secret_key, text.encode(), sha256).hexdigest()[:32]

    def _hash(self, phone: str, purpose: str, code: str) -> str:
        text = f"sms-code|{phone}|{purpose}|{code}"
        return hmac.new(self._secret_key, text.encode(), sha256).hexdigest()


def _changed(session: Session, statement: Any) -> bool:
    """True if the statement changed its one row."""
    result: Any = session.execute(statement)
    return bool(result.rowcount == 1)
