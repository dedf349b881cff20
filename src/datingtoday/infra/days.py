"""Days as the service counts them: where a day begins depends on the time zone that the settings name."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOUR_S, DAY_S = 3_600, 86_400
"""Spans that limits count in."""


class ServiceDays:
    """The calendar of ages and birthdays.

    :param time_zone: a name of the IANA database.
    """

    def __init__(self, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone)

    def today(self, now: datetime) -> date:
        """The day on which a moment lies."""
        return now.astimezone(self._zone).date()

    def beginning_of(self, day: date) -> datetime:
        """The moment at which a day begins, in UTC."""
        return datetime.combine(day, time(), self._zone).astimezone(UTC)


UTC_DAYS = ServiceDays("UTC")
