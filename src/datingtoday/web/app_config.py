"""`app/config`: what a client needs to know before it can show a form, made from the code's own numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from datingtoday.infra.config.settings import Settings
from datingtoday.infra.milliseconds import epoch_ms
from datingtoday.profiles import enumerations as numbers
from datingtoday.protocol import paging
from datingtoday.protocol.envelope import wire_time
from datingtoday.safety.models import DETAIL_CHARS
from datingtoday.safety.reports import REASONS
from datingtoday.vip.channels import Channels
from datingtoday.vip.rights import VipRights


class AppConfig:
    """Enumerations with names, limits, what VIP unlocks, payment channels, the oldest client, the server's time."""

    def __init__(self, settings: Settings, rights: VipRights, channels: Channels) -> None:
        height_least_cm, height_most_cm = numbers.HEIGHT_CM
        self._fixed: dict[str, Any] = {
            "enumerations": {
                name: [
                    {"value": option.number, "en": option.en, "zh": option.zh} for option in listed.options
                ]
                for name, listed in numbers.ENUMERATIONS.items()
            },
            "report_reasons": [
                {"value": reason.word, "en": reason.en, "zh": reason.zh} for reason in REASONS
            ],
            "limits": {
                "nickname_chars": numbers.NICKNAME_CHARS,
                "intro_chars": numbers.INTRO_CHARS,
                "email_chars": numbers.EMAIL_CHARS,
                "height_least_cm": height_least_cm,
                "height_most_cm": height_most_cm,
                "least_age_years": numbers.LEAST_AGE_YEARS,
                "labels": numbers.MAX_LABELS,
                "album_photos": numbers.MAX_ALBUM,
                "page_count": paging.MAX_PAGE_COUNT,
                "report_detail_chars": DETAIL_CHARS,
                "devices": settings.accounts.devices,
                "sms_code_ttl_s": settings.accounts.code_ttl_s,
                "sms_gap_s": settings.limits.sms_gap_s,
                "body_bytes": settings.protocol.max_body_bytes,
            },
            "vip_rights": rights.wire(),
            "payment_channels": channels.names,
            "min_client_version": settings.app.min_client_version,
        }

    def show(self, now: datetime) -> dict[str, Any]:
        return {
            **self._fixed,
            "server_time": wire_time(now),
            "server_time_ms": epoch_ms(now),
        }
