"""Status of jobs: which are late, as the metric and `datingtoday jobs --check` tell it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import update

from datingtoday.infra.db import Database
from datingtoday.infra.jobs.gauges import JobGauges
from datingtoday.infra.jobs.leases import Leases
from datingtoday.infra.jobs.models import JobLease
from datingtoday.infra.jobs.registry import Job, Jobs
from datingtoday.infra.jobs.status import WORKERS_OWN
from datingtoday.infra.redis import RedisDown
from tests.plugins.backend import Backend
from tests.plugins.schema import bring_up


def test_only_work_that_nobody_does_is_overdue(backend: Backend, tmp_path: Path) -> None:
    bring_up(backend.database_uri)
    database = Database(backend.database_uri)
    jobs = Jobs(tmp_path)

    def unknown(_: datetime) -> bool:
        raise RedisDown("away")

    def work(_: datetime) -> None:
        raise AssertionError("no job is run here")

    looks = {"idle": lambda _: False, "busy": lambda _: True, "unknown": unknown}
    for name, look in looks.items():
        jobs.register(Job(name, 5, work, has_work=look))
    jobs.register(Job("each_host", 5, work, per_host=True))
    for name in ("plain", "running", "failing", "future"):
        jobs.register(Job(name, 5, work))
    rows = [jobs.row_name(job) for job in jobs]
    leases = Leases(database, "a worker", lease_ms=60_000)
    rows += ["each_host@another", "of_an_older_version", *WORKERS_OWN]
    leases.ensure(rows)
    new = JobGauges(database, jobs).read(datetime.now(UTC))
    (first,) = [family for family in new if family.name == "datingtoday_job_overdue_seconds"]
    assert all(it.value < 60 for it in first.samples), "nobody is late with what has just been made"
    with database.transaction() as session:
        session.execute(update(JobLease).values(due_ms=leases._now - 700_000))
        session.execute(update(JobLease).where(JobLease.name == "future").values(due_ms=leases._now + 50_000))
    assert leases.take("running") and leases.take("failing")
    leases.fail("failing", "it broke", failures=9)

    families = {family.name: family for family in JobGauges(database, jobs).read(datetime.now(UTC))}
    overdue = {it.labels["job"]: it.value for it in families["datingtoday_job_overdue_seconds"].samples}
    assert set(overdue) == set(rows)
    assert {name for name, value_s in overdue.items() if value_s} == {
        "busy", "unknown", "plain", "failing", jobs.row_name(jobs["each_host"]), *WORKERS_OWN,
    }  # fmt: skip
    assert all(700 <= value_s < 760 for value_s in overdue.values() if value_s)
    database.dispose()
