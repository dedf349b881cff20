"""`datingtoday jobs`: what it shows of each job, and what `--check` calls trouble."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert

from datingtoday.cli.commands.jobs import late_jobs, next_run, rows_of
from datingtoday.cli.main import run
from datingtoday.infra.jobs.leases import JobState, now_ms
from datingtoday.infra.jobs.models import JobLease
from datingtoday.infra.jobs.registry import Job, Jobs
from datingtoday.infra.jobs.status import HEARTBEAT
from tests.plugins.api import Api

Capture = pytest.CaptureFixture[str]
EMBEDDED = pytest.mark.parametrize("backend", ["embedded"], indirect=True)
IDLE = JobState("purge", "", 0, 0, 0, 0, 0, 0, 0, "", 1_795_305_600_000)


def state(**values: Any) -> JobState:
    return JobState(**{name: getattr(IDLE, name) for name in IDLE.__slots__} | values)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (state(holder="h:1", due_in_ms=-5, held_ms=9_000), "running on h:1"),
        (state(due_in_ms=3_661_499), "in 1:01:01"),
        (state(due_in_ms=999_500), "in 0:16:40"),
        (state(due_in_ms=1), "in 0:00:01"),
        (state(due_in_ms=0), "due"),
        (state(due_in_ms=-7_000, held_ms=1), "again in 0:00:01"),
        (state(due_in_ms=-7_000, held_ms=30_000), "again in 0:00:30"),
        (state(due_in_ms=-7_000, held_ms=0), "due"),
        (state(name="visits", due_in_ms=-7_000), "when there is work"),
    ],
)
def test_the_next_run(found: JobState, said: str) -> None:
    assert next_run(found, {"visits"}) == said


@pytest.mark.parametrize(("due_in_ms", "is_late"), [(-120_000, False), (-120_001, True), (1, False)])
def test_a_job_is_late_two_minutes_after_it_was_due(due_in_ms: int, is_late: bool) -> None:
    jobs = Jobs(Path("data"))
    jobs.register(Job("purge", 60, lambda _: None))
    states = [state(due_in_ms=due_in_ms), state(name="gone", due_in_ms=due_in_ms)]
    assert late_jobs(states, jobs, datetime.now(UTC)) == ({"purge"} if is_late else set())


def test_the_last_run() -> None:
    done = state(finished_ms=1_795_305_600_999, took_ms=1_540, runs=7, due_in_ms=1_000)
    failed = state(failures=3, error="no disk", held_ms=1_000)
    assert rows_of([done, failed], set()) == [
        ("purge", "2026-11-22 00:00:00", "1.5 s", "in 0:00:01", "7", "0"),
        ("purge", "-", "-", "again in 0:00:01", "0", "3 (no disk)"),
    ]


@pytest.fixture
def server(app_with_commands: Callable[..., Api]) -> Api:
    return app_with_commands()


def keep(api: Api, *rows: dict[str, Any]) -> None:
    """These jobs and no others; ``due_in_s``, ``beat_s`` before now."""
    nothing = {
        "holder": "",
        "until_ms": 0,
        "started_ms": 0,
        "took_ms": 0,
        "runs": 1,
        "failures": 0,
        "error": "",
    }
    now = now_ms(api.parts.base.database.engine.dialect.name)
    with api.parts.base.database.transaction() as session:
        session.execute(delete(JobLease))
        for row in rows:
            row = {"due_in_s": 3_600, "beat_s": 0, **row}
            moments = {
                "due_ms": now + 1_000 * row.pop("due_in_s"),
                "finished_ms": now - 1_000 * row.pop("beat_s"),
            }
            session.execute(insert(JobLease).values(**nothing | moments | row))


@EMBEDDED
def test_check_tells_of_trouble(server: Api, capsys: Capture) -> None:
    beat = {"name": HEARTBEAT}
    every = next(job for job in server.parts.base.jobs if job.has_work is None)
    name = server.parts.base.jobs.row_name(every)

    def checked(*rows: dict[str, Any]) -> tuple[int, str, str]:
        keep(server, *rows)
        capsys.readouterr()
        code = run(["jobs", "--check"])
        told = capsys.readouterr()
        return code, told.out, told.err

    code, out, _ = checked(beat, {"name": name, "due_in_s": -100})
    assert code == 0 and "worker: running" in out
    assert out.splitlines()[0].split()[0] == "job"
    assert [line.split()[5] for line in out.splitlines() if line.startswith(f"{name} ")] == ["due"], out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("stream ")] == [
        f"{stream.name}:" for stream in server.parts.base.streams.all()
    ]
    code, _, err = checked(beat, {"name": name, "due_in_s": -140})
    assert code == 1 and f"jobs that fail or are late: {name}" in err
    code, _, err = checked(beat, {"name": name, "failures": 1, "error": "x"})
    assert code == 1 and f"jobs that fail or are late: {name}" in err
    code, out, err = checked({"name": HEARTBEAT, "beat_s": 100})
    assert code == 1 and "worker: none is running" in out and "late: -" in err
    code, _, err = checked()
    assert code == 1 and "no worker has run on this database yet" in err
    assert run(["jobs"]) == 0, "only --check calls it a failure"
