"""`datingtoday jobs`: what the background worker did, does and will do."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datingtoday.cli.main import CommandFailed
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts
from datingtoday.cli.terminal import in_language, note, say, table
from datingtoday.infra.milliseconds import moment_of, to_s

if TYPE_CHECKING:
    from datingtoday.infra.jobs.leases import JobState
    from datingtoday.infra.jobs.registry import Jobs
    from datingtoday.infra.streams import StreamState

_LATE_S = 120


@click.command()
@settings_options
@click.option("--check", is_flag=True, help="Exit with 1 if no worker runs, a job fails or is late.")
def command(config_file: Path | None, data_dir: Path | None, check: bool) -> None:
    """Show the jobs of the background worker and the streams that it reads.

    For each job its last success, how long that took, the next run, and failures since; for each stream how many
    entries wait, and for how long the oldest does.

    Exit codes: 0 shown, 1 failed (with --check also: no worker runs, a job fails or is late), 2 the settings are wrong.
    """
    from datingtoday.infra.jobs.leases import read_states
    from datingtoday.infra.jobs.status import is_worker_alive
    from datingtoday.infra.redis import RedisDown

    with open_parts(config_file, data_dir, needs_redis=False) as parts:
        states = read_states(parts.base.database)
        has_work_only = {job.name for job in parts.base.jobs if job.has_work is not None}
        _show_jobs(states, has_work_only)
        now = datetime.now(UTC)
        late = late_jobs(states, parts.base.jobs, now)
        try:
            _show_streams(parts.base.streams.states())
        except RedisDown as error:
            note(
                f"streams: the queues' Redis cannot be reached ({error})",
                f"流：无法连接队列所用的 Redis（{error}）",
            )
    is_alive = is_worker_alive(states)
    say(
        f"worker: {'running' if is_alive else 'none is running'}",
        f"后台进程：{'运行中' if is_alive else '没有运行'}",
    )
    troubled = [it.name for it in states if it.failures or it.name in late]
    if check and (troubled or not is_alive):
        names = ", ".join(troubled) or "-"
        raise CommandFailed(f"jobs that fail or are late: {names}", f"失败或延迟的任务：{names}")


def late_jobs(states: "Sequence[JobState]", jobs: "Jobs", now: datetime) -> set[str]:
    """Names of the jobs that have been due for more than two minutes, and that nobody runs."""
    from datingtoday.infra.jobs.status import overdue_s

    return {it.name for it in states if overdue_s(it, jobs, now) > _LATE_S}


def _show_jobs(states: "list[JobState]", has_work_only: set[str]) -> None:
    if not states:
        note("no worker has run on this database yet", "这个数据库上还没有运行过后台进程")
        return
    header = (
        in_language("job", "任务"),
        in_language("last success (UTC)", "上次成功 (UTC)"),
        in_language("took", "耗时"),
        in_language("next run", "下次运行"),
        in_language("runs", "次数"),
        in_language("failures", "失败"),
    )
    for line in table([header, *rows_of(states, has_work_only)]):
        click.echo(line)


def rows_of(states: "Sequence[JobState]", has_work_only: set[str]) -> list[tuple[str, ...]]:
    """The table's rows. :param has_work_only: jobs that run only when there is work."""
    return [
        (
            state.name,
            _moment(state.finished_ms),
            f"{to_s(state.took_ms):.1f} s" if state.finished_ms else "-",
            next_run(state, has_work_only),
            str(state.runs),
            f"{state.failures} ({state.error})" if state.failures else "0",
        )
        for state in states
    ]


def next_run(state: "JobState", has_work_only: set[str]) -> str:
    """Words about when a job runs. :param has_work_only: jobs that run only when there is work."""
    if state.holder:
        return in_language(f"running on {state.holder}", f"正由 {state.holder} 运行")
    if state.due_in_ms > 0:
        return in_language(f"in {_span(state.due_in_ms)}", f"{_span(state.due_in_ms)} 后")
    if state.held_ms > 0:
        return in_language(f"again in {_span(state.held_ms)}", f"{_span(state.held_ms)} 后重试")
    if state.name in has_work_only:
        return in_language("when there is work", "有工作时")
    return in_language("due", "已到期")


def _show_streams(states: "dict[str, StreamState]") -> None:
    for name, state in states.items():
        say(
            f"stream {name}: {state.entries} entries wait, lag {state.lag_s:.1f} s",
            f"流 {name}：{state.entries} 条待处理，延迟 {state.lag_s:.1f} 秒",
        )


def _moment(epoch_ms: int) -> str:
    return f"{moment_of(epoch_ms):%Y-%m-%d %H:%M:%S}" if epoch_ms else "-"


def _span(ms: int) -> str:
    return str(timedelta(seconds=max(1, round(to_s(ms)))))
