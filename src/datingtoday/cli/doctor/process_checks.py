"""Checks of the running processes: API, background worker, jobs, streams, push."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing

from sqlalchemy.exc import DBAPIError

from datingtoday.cli.doctor.findings import Context, Finding, error, ok, warning
from datingtoday.cli.doctor.servers import TIMEOUT_S, database_engine, reason_of, redis_roles
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.jobs.leases import JobState, read_states
from datingtoday.infra.jobs.status import HEARTBEAT, is_worker_alive
from datingtoday.infra.realtime import Realtime
from datingtoday.infra.redis import RedisDown, RedisRole
from datingtoday.infra.server.data_folder import is_in_use
from datingtoday.infra.text import Text

MAX_FAILURES = 3
_START_ALL = Text(
    "supervisorctl start all  # or: systemctl start datingtoday.target",
    "supervisorctl start all  # 或：systemctl start datingtoday.target",
)


def check_processes(context: Context) -> Iterator[Finding]:
    """A process that is absent is an error only beside a server that runs: before the first start none can be there."""
    settings = context.settings
    api = _api(context)
    yield api
    is_running = api.state == "ok"
    yield from _worker(settings, is_running)
    queues = next((role for name, role in redis_roles(settings).items() if name.endswith("queues")), None)
    if queues is not None:
        with closing(queues):
            yield from _push(settings, queues, is_running)


def _api(context: Context) -> Finding:
    settings, check = context.settings, "processes.api"
    if settings.embedded:
        if is_in_use(settings.data_dir):
            return ok(check, "a server runs on this data folder", "数据目录上有服务在运行")
        return warning(
            check,
            Text("no server runs on this data folder", "数据目录上没有服务在运行"),
            f"datingtoday serve --data {settings.data_dir}",
        )
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.server.host, settings.server.host)  # noqa: S104 - compared
    port = settings.server.port
    try:
        status, body = _get(host, port, "/readyz")
    except (OSError, http.client.HTTPException) as failure:
        return warning(
            check,
            Text(
                f"no API server answers on {host}:{port} ({reason_of(failure)})",
                f"{host}:{port} 上没有 API 服务应答（{reason_of(failure)}）",
            ),
            _START_ALL,
        )
    if status == 200:
        return ok(check, f"answers on {host}:{port}", f"在 {host}:{port} 上应答")
    return error(
        check,
        Text(f"{host}:{port}/readyz answers {status}: {body}", f"{host}:{port}/readyz 返回 {status}：{body}"),
        f"curl -s http://{host}:{port}/readyz",
    )


def _get(host: str, port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read(10_000)
    try:
        parts = json.loads(content).get("data") or {}
    except (ValueError, AttributeError):
        return answer.status, ""
    return answer.status, ", ".join(name for name, state in parts.items() if state == "down")


def _worker(settings: Settings, is_running: bool) -> Iterator[Finding]:
    with database_engine(settings) as engine:
        if engine is None:
            return
    database = Database(settings.database.uri, timeout_s=TIMEOUT_S)
    try:
        states = read_states(database)
    except (DatabaseDown, DBAPIError):
        # Without tables; the schema's own area says so.
        return
    finally:
        database.dispose()
    if is_worker_alive(states):
        yield ok("processes.worker", "a background worker runs", "后台进程运行中")
    else:
        yield _absent(
            settings,
            "processes.worker",
            Text(
                f"no background worker runs ({_last_beat(states)})",
                f"没有后台进程在运行（{_last_beat(states)}）",
            ),
            Text(
                "supervisorctl start datingtoday-worker  # or: datingtoday worker",
                "supervisorctl start datingtoday-worker  # 或：datingtoday worker",
            ),
            is_running,
        )
    troubled = [state for state in states if state.failures > MAX_FAILURES]
    for state in troubled:
        yield error(
            "processes.jobs",
            Text(
                f"the job {state.name} failed {state.failures} times: {state.error}",
                f"任务 {state.name} 已失败 {state.failures} 次：{state.error}",
            ),
            "datingtoday jobs",
        )
    if states and not troubled:
        yield ok("processes.jobs", f"{len(states)} jobs, none fails", f"{len(states)} 个任务，均正常")


def _last_beat(states: list[JobState]) -> str:
    beat = next((state for state in states if state.name == HEARTBEAT), None)
    return "-" if beat is None else f"{(beat.now_ms - beat.finished_ms) // 1000} s"


def _push(settings: Settings, role: RedisRole, is_running: bool) -> Iterator[Finding]:
    try:
        processes = Realtime(role).processes()
    except RedisDown:
        # A finding of the area redis.
        return
    if processes:
        yield ok("processes.push", f"push processes: {processes}", f"推送进程：{processes} 个")
        return
    fix = Text(
        "supervisorctl start 'datingtoday-push:*'  # or: datingtoday push",
        "supervisorctl start 'datingtoday-push:*'  # 或：datingtoday push",
    )
    yield _absent(
        settings, "processes.push", Text("no push process runs", "没有推送进程在运行"), fix, is_running
    )


def _absent(settings: Settings, check: str, message: Text, fix: Text, is_running: bool) -> Finding:
    if is_running:
        return error(check, message, fix)
    if settings.embedded:
        return warning(check, message, f"datingtoday serve --data {settings.data_dir}")
    return warning(check, message, _START_ALL)
