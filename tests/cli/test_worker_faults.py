"""Faults of workers: one of three is killed in the middle of each job, Redis is wiped, the database restarts."""

from __future__ import annotations

import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import func, select

from datingtoday.app import make_parts
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.jobs.leases import read_states
from datingtoday.visitors.models import Visitor
from tests.cli.running_server import clean_environ
from tests.plugins.polling import wait_until
from tests.plugins.processes import end, spawn, tail_of
from tests.plugins.redis_server import RedisServer
from tests.plugins.schema import bring_up
from tests.plugins.sql_server import SqlServer

EVERY_S = 2.0
SOME = ("media_purge", "media_leftovers")
ROOT = Path(__file__).parents[2]


class Workers:
    """The three, what they wrote, and an application on the same servers that records visits."""

    def __init__(self, folder: Path, sql_server: SqlServer, redis: RedisServer) -> None:
        self.folder = folder
        self.sql_server, self.redis = sql_server, redis
        self.log = folder / "runs.log"
        self.log.touch()
        environ = {
            "DATABASE_URI": sql_server.create_database(),
            "REDIS_URI": redis.uri,
            "APP_APPKEY": "OWNKEY",
            "APP_APPSECRET": "5b1f0c1d2e3f4a5b6c7d8e9f00112233",
            "SECURITY_SECRET_KEY": "00" * 31 + "01",
            "WORKER_LEASE_S": "3",
            "DATABASE_TIMEOUT_S": "1",
        }
        environ = {f"DATINGTODAY_{name}": value for name, value in environ.items()}

        settings = load_settings(None, folder, environ)
        bring_up(settings.database.uri)
        self.parts = make_parts(settings)
        self.jobs = [job.name for job in self.parts.base.jobs]
        self.output = folder / "output.log"
        self.process = spawn(
            [sys.executable, "-m", "tests.cli.three_workers", folder, self.log, str(EVERY_S)],
            log=self.output, cwd=ROOT, env=clean_environ(**environ),
        )  # fmt: skip
        self.visits = 0
        self.killed: list[tuple[str, int]] = []

    def lines(self) -> list[tuple[str, str, int, float]]:
        found = [line.split() for line in self.log.read_text(encoding="ascii").splitlines()]
        return [(what, name, int(pid), float(at)) for what, name, pid, at in found]

    def ended(self, name: str) -> int:
        return sum(what == "end" and job == name for what, job, _, _ in self.lines())

    def visit(self, count: int) -> None:
        """Record visits, each of another pair."""
        for _ in range(count):
            self.visits += 1
            self.parts.base.streams.note("visits", [1, 1000 + self.visits, 1_000_000])
        self.parts.base.streams.flush()

    def wait_for_more(self, name: str, runs: int = 1) -> None:
        before = self.ended(name)
        wait_until(
            lambda: self.ended(name) >= before + runs, f"{name}\n{tail_of(self.output)}", deadline_s=40
        )

    def kill_in_the_middle(self, name: str) -> None:
        hold = self.folder / f"hold-{name}"
        begun = len(self.lines())
        hold.touch()
        pid = wait_until(
            lambda: [pid for what, job, pid, _ in self.lines()[begun:] if (what, job) == ("start", name)],
            f"{name} to start\n{tail_of(self.output)}",
            deadline_s=40,
        )[0]
        os.kill(pid, signal.SIGKILL)
        self.killed.append((name, pid))
        self.visit(20)
        hold.unlink()
        self.wait_for_more(name)

    def wait_until_written(self) -> None:
        wait_until(
            lambda: all(state.entries == 0 for state in self.parts.base.streams.states().values()),
            "the streams to be written",
            deadline_s=40,
        )

    def check(self) -> None:
        """No two runs of a job within a period, none lost; every visit counted, and none twice."""
        started: dict[tuple[str, int], float] = {}
        runs: dict[str, list[float]] = defaultdict(list)
        for what, name, pid, at in self.lines():
            if what == "start":
                started[name, pid] = at
            else:
                # A run that was killed, or failed because the database was away, has no end and is done again.
                runs[name].append(started[name, pid])
        assert set(runs) >= set(self.jobs)
        for name, times in runs.items():
            pauses = [after - before for before, after in pairwise(sorted(times))]
            assert min(pauses) > EVERY_S - 0.3, (name, times)
        for state in read_states(self.parts.base.database):
            assert state.failures == 0 or state.error.startswith(("DatabaseDown", "RedisDown")), state
        with self.parts.base.database.transaction(write=False) as session:
            rows, visits = session.execute(select(func.count(), func.sum(Visitor.visits))).one()
        assert rows == self.visits
        # A worker that was killed may have had a batch in hand between commit and acknowledgement.
        assert self.visits <= visits <= self.visits + 20 * len(self.killed)


@pytest.fixture
def workers(
    tmp_path: Path, private_sql_server: Callable[[], SqlServer], private_redis: Callable[..., RedisServer]
) -> Iterator[Workers]:
    made = Workers(tmp_path, private_sql_server(), private_redis("real"))
    try:
        yield made
    finally:
        end(made.process)
        made.parts.base.close()


def everything_goes_wrong(workers: Workers, jobs: tuple[str, ...]) -> None:
    workers.visit(50)
    for name in jobs:
        workers.kill_in_the_middle(name)
    workers.wait_until_written()
    workers.redis.flush()
    workers.visit(50)
    workers.wait_for_more(jobs[0])
    workers.sql_server.stop()
    workers.visit(50)
    workers.sql_server.start()
    workers.wait_for_more(jobs[0], runs=2)
    workers.wait_until_written()
    workers.check()


@pytest.mark.real
def test_some_jobs(workers: Workers) -> None:
    everything_goes_wrong(workers, SOME)


@pytest.mark.real
@pytest.mark.long
def test_every_job(workers: Workers) -> None:
    everything_goes_wrong(workers, tuple(workers.jobs))
