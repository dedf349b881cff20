"""Runs jobs: APScheduler wakes each one when it may be due, and its lease in SQL decides who does it.

Any number of workers may run on any number of hosts. A worker looks at a job's row when the row said that the job would
be due or its lease would end, so of a worker that dies another one learns by itself.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.jobs.leases import JobState, Leases
from datingtoday.infra.jobs.registry import Job, Jobs, JobStopped
from datingtoday.infra.milliseconds import to_ms, to_s
from datingtoday.infra.redis import RedisDown

log = structlog.get_logger(__name__)

MAX_WAIT_S = 30.0
"""A row is looked at again after this time at the latest: it may have been changed."""
DOWN_WAIT_S = 1.0
"""Until the next look after the database could not be reached."""
_MIN_WAIT_S = 0.01
_AGAIN_S = 0.1
_RENEWAL = "renewal"


class JobRunner:
    """Runs the jobs of one process in threads of its own.

    :param threads: jobs that run at the same time.
    """

    def __init__(self, jobs: Jobs, leases: Leases, *, threads: int) -> None:
        self._jobs = jobs
        self._leases = leases
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(threads), _RENEWAL: ThreadPoolExecutor(1)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self) -> None:
        """Begin; returns at once. The database need not be reachable yet."""
        for job in self._jobs:
            self._look_in(job, 0)
        every_s = to_s(self._leases.lease_ms) / 3
        self._scheduler.add_job(self._renew, "interval", seconds=every_s, executor=_RENEWAL, id=_RENEWAL)
        self._scheduler.start()

    def stop(self, patience_s: float) -> bool:
        """Let running jobs stop at their next checkpoint; those that do not within this time are left behind.

        Every lease is given back: what was not finished is due, for any worker. True if nothing was left behind.
        """
        self._is_stopping.set()
        self._jobs.stop()
        self._scheduler.pause()
        ending = threading.Thread(target=self._scheduler.shutdown, name="jobs stop", daemon=True)
        ending.start()
        ending.join(patience_s)
        with self._lock:
            left = sorted(self._held)
        for name in left:
            log.warning("job_left_behind", job=name)
            self._give_back(name)
        return not ending.is_alive()

    # --- one job

    def _look_in(self, job: Job, wait_s: float) -> None:
        if self._is_stopping.is_set():
            return
        at = datetime.now(UTC) + timedelta(seconds=max(wait_s, _MIN_WAIT_S))
        self._scheduler.add_job(
            self._attempt, DateTrigger(at, timezone=UTC), args=[job], id=job.name, replace_existing=True
        )

    def _attempt(self, job: Job) -> None:
        wait_s = DOWN_WAIT_S
        try:
            wait_s = self._run_if_due(job)
        except (DatabaseDown, RedisDown) as error:
            log.warning("job_not_looked_at", job=job.name, reason=str(error))
        except Exception:
            log.exception("job_not_looked_at", job=job.name)
        finally:
            self._look_in(job, wait_s)

    def _run_if_due(self, job: Job) -> float:
        """Run the job if it is due and nobody else has it; how many seconds until the next look."""
        name = self._jobs.row_name(job)
        state = self._leases.look(name)
        if state is None:
            self._leases.ensure([name])
            return _MIN_WAIT_S
        wait_ms = max(state.due_in_ms, state.held_ms)
        if wait_ms > 0:
            return min(to_s(wait_ms), MAX_WAIT_S)
        if job.has_work is not None and not job.has_work(datetime.now(UTC)):
            return min(job.every_s, MAX_WAIT_S)
        if not self._leases.take(name):
            return _MIN_WAIT_S
        with self._lock:
            self._held.add(name)
        try:
            return self._run(job, name, state)
        finally:
            with self._lock:
                self._held.discard(name)

    def _run(self, job: Job, name: str, state: JobState) -> float:
        try:
            job.run(datetime.now(UTC))
        except JobStopped:
            log.info("job_stopped", job=name)
            self._leases.release(name)
        except Exception as error:
            is_expected = isinstance(error, (DatabaseDown, RedisDown))
            log.error("job_failed", job=name, failures=state.failures + 1, exc_info=not is_expected)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._leases.fail(name, reason, failures=state.failures)
        else:
            self._note_success(job, name)
        return _MIN_WAIT_S

    def _note_success(self, job: Job, name: str) -> None:
        """Write down that the job is done; while the database is away, again and again until the lease is over, so that
        a restart of it does not let the job be done twice.

        :raises DatabaseDown: it stayed away.
        """
        give_up_at = time.monotonic() + to_s(self._leases.lease_ms)
        while True:
            try:
                if not self._leases.succeed(name, every_ms=to_ms(job.every_s)):
                    log.warning("job_outlived_its_lease", job=name)
                return
            except DatabaseDown:
                if time.monotonic() >= give_up_at or self._is_stopping.wait(_AGAIN_S):
                    raise

    # --- leases

    def _renew(self) -> None:
        with self._lock:
            held = sorted(self._held)
        for name in held:
            try:
                if not self._leases.renew(name) and self._is_held(name):
                    log.warning("job_lease_lost", job=name)
            except DatabaseDown as error:
                log.warning("job_lease_not_renewed", job=name, reason=str(error))

    def _is_held(self, name: str) -> bool:
        with self._lock:
            return name in self._held

    def _give_back(self, name: str) -> None:
        try:
            self._leases.release(name)
        except DatabaseDown as error:
            log.warning("job_lease_not_given_back", job=name, reason=str(error))
