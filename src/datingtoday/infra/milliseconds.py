"""Milliseconds, in which SQL, Redis and the protocol count time, and the seconds and moments of everything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)
_PER_S = 1_000


def to_ms(seconds: float) -> int:
    """Seconds in whole milliseconds, rounded."""
    return round(seconds * _PER_S)


def to_s(ms: float) -> float:
    """Milliseconds in seconds."""
    return ms / _PER_S


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970; exact, as no float takes part in it."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment_of(epoch_ms: int) -> datetime:
    """The moment, in UTC, that is so many milliseconds after 1970. :raises OverflowError: no calendar has it."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)
