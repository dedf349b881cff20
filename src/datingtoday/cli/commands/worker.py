"""`datingtoday worker`: jobs and streams, without a server."""

from pathlib import Path

import click

from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import require_schema
from datingtoday.cli.terminal import note
from datingtoday.infra.config.serving import missing_libraries
from datingtoday.infra.config.settings import METRICS_FOLDER, load_settings, raise_together


@click.command()
@settings_options
def command(config_file: Path | None, data_dir: Path | None) -> None:
    """Run a background worker: purges, hot list editions, due moves, visits, and whatever else needs no request.

    Any number of them may run, on any number of hosts: each job is done once per period. It runs until SIGTERM or
    Ctrl-C, and ends within 5 seconds; a job in the middle goes on later. `datingtoday serve` runs one by itself.

    Exit codes: 0 stopped in order, 1 failed, 2 the settings are wrong.
    """
    from datingtoday.app import make_parts
    from datingtoday.infra.error_reports import reporter_of
    from datingtoday.infra.logs import configure_logs
    from datingtoday.infra.server.embedded_redis import running_redis_uri
    from datingtoday.protocol.metrics import count_across_processes
    from datingtoday.worker import run_until_told

    settings = load_settings(config_file, data_dir)
    raise_together(missing_libraries(settings))
    require_schema(settings)
    configure_logs(settings.log.level, reporter_of(settings.sentry))
    if not settings.redis.uri:
        # Without a server nothing is recorded; what there is to do, SQL knows.
        settings = settings.with_redis_uri(running_redis_uri(settings.data_dir) or "unix:///nonexistent")
    if settings.metrics.enabled:
        count_across_processes(settings.data_dir / METRICS_FOLDER)
    note("worker: Ctrl-C stops it.", "后台进程已启动：按 Ctrl-C 停止。")
    run_until_told(make_parts(settings))
