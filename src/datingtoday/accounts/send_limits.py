"""Limits on sending codes, counted in SQL from the sent codes themselves: per number, per prefix, and in all.

The codes that a number gets are also what a guess of its code is bounded by. A code is void after ``code_tries`` wrong
tries, so N codes a day are ``N * code_tries`` tries at one of a million: `MAX_TRIES_PER_DAY` keeps that below 1 in
10,000 for each number and day, from any number of networks, whatever the settings are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from datingtoday.accounts.errors import region_not_served
from datingtoday.accounts.models import SmsCode
from datingtoday.infra.days import DAY, HOUR
from datingtoday.protocol.errors import RateLimited
from datingtoday.protocol.phone_numbers import prefix_of, region_of
from datingtoday.protocol.sql_limits import refuse_above

log = structlog.get_logger(__name__)

MAX_TRIES_PER_DAY = 90
"""Tries of all codes of one number; a code has a million possible values."""


@dataclass(frozen=True, slots=True)
class SmsRules:
    """Limits and lives; None for a limit that is switched off."""

    code_ttl_s: int = 300
    code_tries: int = 5
    gap_s: int | None = 60
    per_hour: int | None = 5
    per_day: int | None = 10
    per_address_per_hour: int | None = 30
    per_prefix_per_day: int | None = 2_000
    in_all_per_day: int | None = 20_000
    wrong_codes_per_network_per_hour: int | None = 60
    wrong_codes_per_prefix_per_hour: int | None = 300
    regions: tuple[str, ...] = ()
    """ISO 3166 codes; empty: every region is served."""
    is_limited: bool = True


class SendLimits:
    """Decides whether a number may be sent another code."""

    def __init__(self, rules: SmsRules) -> None:
        self._rules = rules

    def refuse_region(self, phone: str) -> None:
        """:raises ParameterError: the number's region is not served."""
        regions = self._rules.regions
        if regions and region_of(phone) not in regions:
            raise region_not_served(regions)

    def refuse_number(
        self, session: Session, phone: str, sent_before: datetime | None, now: datetime
    ) -> None:
        """Look at the limits of the number, whose row is locked.

        :param sent_before: when the newest code was sent. :raises RateLimited:
        """
        rules = self._rules
        if rules.gap_s is not None and sent_before is not None:
            left_s = rules.gap_s - (now - sent_before).total_seconds()
            if left_s > 0:
                raise RateLimited(min(left_s, rules.gap_s))
        of_number = SmsCode.phone == phone
        clear, unclear = SmsCode.unclear.is_(False), SmsCode.unclear.is_(True)
        refuse_above(session, SmsCode.sent_at, rules.per_hour, HOUR, now, of_number, clear)
        refuse_above(session, SmsCode.sent_at, rules.per_day, DAY, now, of_number, clear)
        refuse_above(session, SmsCode.sent_at, rules.per_hour, HOUR, now, of_number, unclear)
        if rules.is_limited:
            # A code sent just before the day began may still be tried within it.
            span = DAY + timedelta(seconds=rules.code_ttl_s)
            codes = MAX_TRIES_PER_DAY // rules.code_tries
            refuse_above(session, SmsCode.sent_at, codes, span, now, of_number)

    def refuse_ceilings(self, session: Session, phone: str, now: datetime) -> None:
        """Look at the ceilings of the number's prefix and of all numbers; sendings at the same time may pass together.

        :raises RateLimited:
        """
        prefix, rules = prefix_of(phone), self._rules
        try:
            refuse_above(
                session, SmsCode.sent_at, rules.per_prefix_per_day, DAY, now, SmsCode.prefix == prefix
            )
        except RateLimited:
            log.error("sms_ceiling_reached", prefix=prefix, per_day=rules.per_prefix_per_day)
            raise
        try:
            refuse_above(session, SmsCode.sent_at, rules.in_all_per_day, DAY, now)
        except RateLimited:
            log.error("sms_ceiling_reached", prefix="all", per_day=rules.in_all_per_day)
            raise
