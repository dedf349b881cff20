"""Accounts: SMS codes, login and sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Blueprint

from datingtoday.accounts import jobs
from datingtoday.accounts.demo_login import make_demo_login
from datingtoday.accounts.personal_data import LoginData
from datingtoday.accounts.push_events import kick_when_ended
from datingtoday.accounts.push_schemas import KICK
from datingtoday.accounts.routes import auth_routes, phone_routes
from datingtoday.accounts.send_limits import SmsRules
from datingtoday.accounts.service import Accounts
from datingtoday.accounts.sessions import Sessions, SessionsEnded
from datingtoday.accounts.sms_codes import SmsCodes
from datingtoday.accounts.sms_metrics import SmsNumbers
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.parts import Foundation
from datingtoday.infra.sms.make import make_sms_provider
from datingtoday.infra.sms.provider import SmsProvider
from datingtoday.profiles.parts import ProfileParts
from datingtoday.protocol.metrics import Reader


@dataclass(frozen=True, slots=True)
class AccountParts:
    """Services of logging in; `sessions` verifies the tokens of requests."""

    service: Accounts
    sessions: Sessions
    sms_numbers: SmsNumbers
    settings: Settings

    def metric_readers(self) -> Sequence[Reader]:
        """Numbers for `/metrics` that are read from SQL."""
        return [self.sms_numbers.read]

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints under ``/api/auth``, and changing the phone number."""
        region = self.settings.accounts.default_region
        return [
            auth_routes(
                self.service, make_demo_login(self.settings), region=region, echo=self.settings.sms.echo
            ),
            phone_routes(self.service, region=region),
        ]


def make_accounts(
    base: Foundation, profiles: ProfileParts, *, sms: SmsProvider | None = None
) -> AccountParts:
    """Make the services of accounts.

    :param sms: in place of the provider that the settings name.
    """
    settings = base.settings
    base.jobs.register(
        Job(
            "logins_purge",
            86_400,
            lambda now: jobs.purge(base.database, now, report_progress=base.jobs.checkpoint),
        )
    )
    sessions = Sessions(
        base.database,
        base.guard_redis,
        profiles.service,
        base.events,
        life=timedelta(days=settings.accounts.session_days),
        devices=settings.accounts.devices,
    )
    rules = _sms_rules(settings)
    codes = SmsCodes(
        base.database,
        base.limits,
        sms or make_sms_provider(settings.sms),
        rules,
        base.secret_key,
    )
    base.personal_data.register(LoginData())
    base.realtime.declare(KICK)
    base.events.listen(SessionsEnded, kick_when_ended(base.realtime))
    return AccountParts(
        service=Accounts(codes, sessions, profiles.service, base.events),
        sessions=sessions,
        sms_numbers=SmsNumbers(base.database, rules),
        settings=settings,
    )


def _sms_rules(settings: Settings) -> SmsRules:
    limits, accounts = settings.limits, settings.accounts
    rules: dict[str, Any] = {"code_ttl_s": accounts.code_ttl_s, "code_tries": accounts.code_tries}
    off = not limits.enabled
    return SmsRules(
        **rules,
        gap_s=None if off else limits.sms_gap_s,
        per_hour=None if off else limits.sms_per_hour,
        per_day=None if off else limits.sms_per_day,
        per_address_per_hour=None if off else limits.sms_per_address_per_hour,
        per_prefix_per_day=None if off else limits.sms_per_prefix_per_day,
        in_all_per_day=None if off else limits.sms_in_all_per_day,
        wrong_codes_per_network_per_hour=None if off else limits.wrong_codes_per_address_per_hour,
        wrong_codes_per_prefix_per_hour=None if off else limits.wrong_codes_per_prefix_per_hour,
        regions=() if "*" in accounts.regions else accounts.regions,
        is_limited=not off,
    )
