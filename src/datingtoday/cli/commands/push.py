"""`datingtoday push`: a push process of its own, for production; nginx puts it beside the API."""

import socket
from pathlib import Path

import click

from datingtoday.cli.main import CommandFailed
from datingtoday.cli.options import settings_options
from datingtoday.cli.terminal import say
from datingtoday.infra.server.listening import listen


@click.command()
@settings_options
@click.option("--host", help="Address to listen on [127.0.0.1].")
@click.option("--port", help="Port; every process of a host needs its own [8100].")
def command(config_file: Path | None, data_dir: Path | None, host: str | None, port: str | None) -> int:
    """Run a push process: Socket.IO at /socket.io.

    For servers with a database and a Redis of their own; `datingtoday serve` starts one by itself. As many may run as
    you like, on one host or several. SIGTERM ends it within 5 seconds; its clients connect to another one.

    Exit codes: 0 stopped in order, 1 failed, 2 the settings are wrong.
    """
    from datingtoday.infra.config.serving import validate_for_serving
    from datingtoday.infra.config.settings import METRICS_FOLDER, load_settings

    given = {"host": host, "port": port}
    overrides = {("PUSH", key): (value, f"--{key}") for key, value in given.items() if value is not None}
    settings = load_settings(config_file, data_dir, overrides=overrides)
    validate_for_serving(settings)
    if settings.embedded or not settings.redis.uri:
        raise CommandFailed(
            "needs [DATABASE] uri and [REDIS] uri: without them, `datingtoday serve` runs push by itself",
            "需要 [DATABASE] uri 和 [REDIS] uri：未设置时由 `datingtoday serve` 自行运行推送",
        )
    listener = _listen(settings.push.host, settings.push.port)
    from datingtoday.protocol.metrics import count_across_processes

    if settings.metrics.enabled:
        count_across_processes(settings.data_dir / METRICS_FOLDER)
    from datingtoday.app import make_parts
    from datingtoday.infra.error_reports import reporter_of
    from datingtoday.infra.logs import configure_logs
    from datingtoday.push.server import run_push

    configure_logs(settings.log.level, reporter_of(settings.sentry))
    address = f"{settings.push.host}:{settings.push.port}"
    run_push(
        make_parts(settings),
        [listener],
        on_ready=lambda: say(f"push: listening on {address}", f"推送：正在监听 {address}"),
    )
    return 0


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        raise CommandFailed(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --host or --port",
            f"无法监听 {host}:{port}：{error.strerror}；请更换 --host 或 --port",
        ) from None
