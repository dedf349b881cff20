"""Safety: reports, bans, deleting and exporting an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint

from datingtoday.accounts.parts import AccountParts
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.parts import Foundation
from datingtoday.media.parts import MediaParts
from datingtoday.profiles.parts import ProfileParts
from datingtoday.safety.deletion import Deletion
from datingtoday.safety.export import Export
from datingtoday.safety.moderation import Moderation
from datingtoday.safety.personal_data import ReportData
from datingtoday.safety.reports import Messages, Reports
from datingtoday.safety.routes import rights_routes


@dataclass(frozen=True, slots=True)
class SafetyParts:
    """Services of people's rights and of moderators."""

    reports: Reports
    moderation: Moderation
    deletion: Deletion
    export: Export

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints of reporting, leaving and exporting."""
        return [rights_routes(self.reports, self.deletion, self.export)]


def make_safety(
    base: Foundation,
    media: MediaParts,
    profiles: ProfileParts,
    accounts: AccountParts,
    messages: Messages,
) -> SafetyParts:
    """Make the services of safety.

    :param messages: knows what was written, for evidence.
    """
    limits = base.settings.limits
    base.personal_data.register(ReportData())
    deletion = Deletion(accounts.service, profiles.service, base.events, base.personal_data)

    def purge(now: datetime) -> None:
        deletion.purge(base.database, now, report_progress=base.jobs.checkpoint)

    base.jobs.register(Job("accounts_purge", 86_400, purge))
    return SafetyParts(
        reports=Reports(
            profiles.service,
            profiles.visibility,
            media.service,
            messages,
            per_day=limits.reports_per_day if limits.enabled else None,
        ),
        moderation=Moderation(profiles.service, accounts.sessions, media.service),
        deletion=deletion,
        export=Export(
            accounts.service, base.limits, base.personal_data, per_day=1 if limits.enabled else None
        ),
    )
