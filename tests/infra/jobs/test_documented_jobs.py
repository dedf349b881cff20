"""The jobs of an application are those of docs/worker.md and docs/vip.md, at the periods that stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugins.api import Api

DOCS = Path(__file__).parents[3] / "docs"
_UNITS_S = {"s": 1, "second": 1, "min": 60, "hour": 3600, "day": 86_400}
_OF_THE_WORKER = {"heartbeat", "job_rows"}
_AT_COST = "hot_edition"
"""It says itself when the next edition is due."""


def documented() -> dict[str, tuple[float | None, bool, bool]]:
    """Name → period in seconds (None: none is said), work is looked for first, each host does it."""
    found: dict[str, tuple[float | None, bool, bool]] = {}
    for names, every in re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|",
        (DOCS / "worker.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    ):
        period = re.match(r"(?:(\d+) )?(s|second|min|hour|day)\b", every)
        period_s = None if period is None else float(period[1] or 1) * _UNITS_S[period[2]]
        for name in re.findall(r"\w+", names):
            found[name] = period_s, "if there is work" in every, "each host" in every
    orders = (DOCS / "vip.md").read_text(encoding="utf-8")
    for name, seconds in re.findall(r"`(\w+)` \((\d+) s\)", orders):
        found[name] = float(seconds), True, False
    for pair in re.findall(r"`(\w+)` and `(\w+)` \(daily\)", orders):
        found |= dict.fromkeys(pair, (86_400.0, False, False))
    return found


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_jobs_have_the_periods_that_are_documented(app_of: Callable[..., Api]) -> None:
    jobs = list(app_of(DEMO_ENABLED=1, DEMO_ANSWERS=1).parts.base.jobs)
    expected = documented()
    assert len(expected) >= 15
    assert {job.name for job in jobs} == expected.keys() - _OF_THE_WORKER
    for job in jobs:
        period_s, looks_first, per_host = expected[job.name]
        if job.name != _AT_COST:
            assert job.every_s == period_s, job.name
            assert (job.has_work is not None) is looks_first, job.name
        assert job.per_host is per_host, job.name
