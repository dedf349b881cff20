"""`datingtoday serve`: everything that a server needs, in the order in which it needs it.

A start must be quick, so Redis starts while the program is still being imported, and Alembic is not imported at all
when the schema is current.
"""

import os
import signal
import socket
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datingtoday.cli.banner import banner
from datingtoday.cli.main import EXIT_INTERRUPTED, CommandFailed, complain
from datingtoday.cli.options import settings_options
from datingtoday.cli.progress import Progress
from datingtoday.cli.terminal import in_language, note
from datingtoday.infra.config.serving import validate_for_serving
from datingtoday.infra.config.settings import METRICS_FOLDER, Settings, load_settings
from datingtoday.infra.server.data_folder import DataFolder
from datingtoday.infra.server.listening import PortTaken, listen_from
from datingtoday.infra.text import Text

if TYPE_CHECKING:
    from flask import Flask

    from datingtoday.app import Parts
    from datingtoday.infra.server.child_processes import ChildProcess
    from datingtoday.infra.server.embedded_redis import EmbeddedRedis

PORTS_TO_TRY = 20
UNFINISHED_SEED = "unfinished-seed"
"""File in the data folder from the first start until its made-up people are complete: the next start goes on."""


@click.command()
@settings_options
@click.option("--host", help="Address to listen on [127.0.0.1].")
@click.option("--port", help="Port; without [DATABASE] uri the next free one is used if it is taken [8000].")
@click.option("--workers", help="Number of worker processes [2].")
@click.option(
    "--seed",
    "seed_users",
    type=click.IntRange(0, 100_000),
    default=0,
    show_default=True,
    help="Made-up people on the first start without settings, so that lists are not empty.",
)
@click.option("--migrate", is_flag=True, help="With [DATABASE] uri: bring the database up to date first.")
def command(
    config_file: Path | None,
    data_dir: Path | None,
    host: str | None,
    port: str | None,
    workers: str | None,
    seed_users: int,
    migrate: bool,
) -> int:
    """Run the server.

    It runs until Ctrl-C or SIGTERM. Without settings it is complete in itself: SQLite and a private Redis in
    the data folder, and secrets that are generated once.

    Exit codes: 0 stopped in order, 1 failed, 2 the settings are wrong, 130 stopped by Ctrl-C before it served.
    """
    given = {"host": host, "port": port, "workers": workers}
    overrides = {("SERVER", key): (value, f"--{key}") for key, value in given.items() if value is not None}
    settings = load_settings(config_file, data_dir, overrides=overrides, create_secrets=True)
    validate_for_serving(settings)
    _end_at_once_on_signals(None)
    with ExitStack() as at_end:
        return _serve(settings, at_end, seed_users, migrate=migrate)


def _serve(settings: Settings, at_end: ExitStack, seed_users: int, *, migrate: bool) -> int:
    folder = DataFolder(settings.data_dir)
    folder.take()
    at_end.callback(folder.release)
    listener, port = _listen(settings)

    from datingtoday.infra.server.embedded_redis import EmbeddedRedis

    redis: EmbeddedRedis | None = None
    if not settings.redis.uri:
        redis = EmbeddedRedis(settings.data_dir, settings.redis.server_binary)
        _end_at_once_on_signals(redis)
        redis.start()
        at_end.callback(redis.stop)
        settings = settings.with_redis_uri(redis.uri)

    _migrate(settings, asked=migrate, with_people=seed_users > 0)
    from datingtoday.protocol.metrics import count_across_processes

    if settings.metrics.enabled:
        count_across_processes(settings.data_dir / METRICS_FOLDER)
    from datingtoday.app import PARTS, Parts, create_app

    app = create_app(settings)
    parts: Parts = app.extensions[PARTS]
    if redis is not None:
        redis.wait_until_ready()
    _seed_if_unfinished(parts, seed_users)
    is_app_changed = _prepare(parts, settings)

    def seal_and_stop() -> None:
        # Only where we stop Redis itself: the seal says that nothing was accepted after it.
        if redis is not None:
            redis.stop(before_shutdown=parts.protocol.replay.seal)

    at_end.callback(seal_and_stop)
    text = banner(settings, settings.server.host, port, is_app_changed=is_app_changed)
    from datingtoday.infra.server.gunicorn_server import HttpServer, ServerHooks

    hooks = ServerHooks(
        on_ready=lambda: click.echo(text),
        on_tick=lambda: _restart_if_dead(redis),
        in_child=folder.forget,
        on_worker_exit=parts.base.flush,
    )
    server = HttpServer(app, settings, listener, hooks, _children(app, parts, settings))
    at_end.callback(server.children.stop)
    server.run()
    return 0


def _restart_if_dead(redis: "EmbeddedRedis | None") -> None:
    if redis is not None:
        redis.restart_if_dead()


def _children(app: "Flask", parts: "Parts", settings: Settings) -> "list[ChildProcess]":
    """The processes beside the API workers."""
    from datingtoday.infra.server.child_processes import ChildProcess

    def work() -> None:
        from datingtoday.worker import run_until_told

        run_until_told(parts)

    children = []
    if settings.worker.with_serve:
        children.append(ChildProcess("dt-worker", work))
    # Workers of gevent wait for sockets in an event loop of their own: they cannot hand any over.
    if settings.push.enabled and settings.server.worker_class != "gevent":
        children.append(_push(app, parts))
    return children


def _push(app: "Flask", parts: "Parts") -> "ChildProcess":
    """The push process, to which the API workers hand the WebSockets over that come to their port."""
    from datingtoday.infra.server.child_processes import ChildProcess
    from datingtoday.push.handover import HandOver, make_pair

    ours, theirs = make_pair()
    app.wsgi_app = HandOver(app.wsgi_app, ours)  # type: ignore[method-assign]

    def serve_push() -> None:
        from datingtoday.push.server import run_push

        run_push(parts, [], handover=theirs)

    return ChildProcess("dt-push", serve_push)


def _end_at_once_on_signals(redis: "EmbeddedRedis | None") -> None:
    """Until gunicorn has its own handlers: nothing is served yet, so nothing has to be finished.

    Ending at once is as safe as kill -9 and, unlike an exception, cannot get lost in whatever is just being imported.
    """

    def end(number: int, _: object) -> None:
        if redis is not None and redis.pid is not None:
            os.kill(redis.pid, signal.SIGTERM)
        if number == signal.SIGINT:
            line = in_language("stopped before it served", "已停止，尚未开始服务")
            os.write(2, f"\ndatingtoday: {line}\n".encode())
            os._exit(EXIT_INTERRUPTED)
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _migrate(settings: Settings, *, asked: bool, with_people: bool) -> None:
    """Bring the database up to date, in production only if that was requested.

    :param with_people: a new database is to be filled with made-up people.
    """
    from datingtoday.infra import migrations

    if not (settings.embedded or asked):
        migrations.require_utf8(settings.database.uri)
        migrations.require_current(settings.database.uri, newer_too=settings.database.newer_schema)
        return
    current = migrations.current(settings.database.uri)
    if current is None and settings.embedded and with_people:
        (settings.data_dir / UNFINISHED_SEED).touch()
    if current != migrations.head():
        migrations.upgrade(settings.database.uri, lambda line: complain(f"database: {line}"))


def _seed_if_unfinished(parts: Any, users: int) -> None:
    settings = parts.base.settings
    unfinished = settings.data_dir / UNFINISHED_SEED
    if users and settings.embedded and unfinished.exists():
        _seed(parts, users)
        unfinished.unlink()


def _seed(parts: Any, users: int) -> None:
    """Seed a new trial installation, so that lists are not empty."""
    from datetime import UTC, datetime

    from datingtoday.cli.seeding.load import SeedLoad
    from datingtoday.cli.seeding.story import LEAST_FOR_A_STORY, DemoStory

    now = datetime.now(UTC)
    load = SeedLoad(parts)
    with Progress(total=users) as progress:
        user_ids = load.load(
            users,
            1,
            now,
            lambda done: progress.report(done, f"{done} / {users}"),
            skip=load.number_of_people(),
        )
    if parts.base.settings.demo.enabled and users >= LEAST_FOR_A_STORY:
        DemoStory(parts).tell(user_ids, now)
    load.make_edition(now)
    note(
        f"first start: {users} made-up people for trying things out (`make run SEED=0` for none)",
        f"首次启动：已生成 {users} 个虚构用户供试用（`make run SEED=0` 则不生成）",
    )


def _prepare(parts: "Parts", settings: Settings) -> bool:
    """Let the replay guard look at its memory, then leave no connection open: a fork must not share any.

    Returns whether the client program of the settings is another one by now; False where that cannot be known.
    """
    from datingtoday.infra.db import DatabaseDown
    from datingtoday.infra.redis import RedisDown
    from datingtoday.infra.redis_suitability import RedisUnsuitable
    from datingtoday.protocol.signing.replay import GuardMisconfigured

    try:
        parts.protocol.replay.prepare()
        now = datetime.now(UTC)
        if parts.discovery.editions.is_due(now):
            # Before anybody is served: a page from SQL has a cursor that passes over those who rise.
            parts.discovery.editions.make(now)
        app = parts.protocol.apps.find(settings.app.appkey)
        return (
            app is None or app.hmac_only or settings.app.appsecret not in app.live_secrets(datetime.now(UTC))
        )
    except GuardMisconfigured as error:
        raise CommandFailed(str(error), str(error)) from error
    except RedisUnsuitable as error:
        raise CommandFailed(*error.text) from error
    except (RedisDown, DatabaseDown) as error:
        # It may come back: requests are answered with 503 until then, and each looks again.
        note(
            f"not reachable yet, answering 503 until it is: {error}",
            f"暂时无法连接，恢复之前一律返回 503：{error}",
        )
        return False
    finally:
        parts.base.guard_redis.close()
        parts.base.database.dispose()


def _listen(settings: Settings) -> tuple[socket.socket, int]:
    """A listening socket on the wanted port, or in the embedded default on the next free one."""
    host, wanted = settings.server.host, settings.server.port
    # In production something else expects the server at this port, and at no other.
    tries = 1 + PORTS_TO_TRY if settings.embedded else 1
    try:
        listener = listen_from(host, wanted, tries=tries)
    except PortTaken:
        raise CommandFailed(*_taken(wanted, is_embedded=settings.embedded)) from None
    except socket.gaierror as error:
        raise CommandFailed(
            f"[SERVER] host: {host}: {error.strerror}", f"[SERVER] host：{host}：{error.strerror}"
        ) from None
    except OSError as error:
        raise CommandFailed(
            f"cannot listen on {host}:{wanted}: {error.strerror}; choose another --host or --port",
            f"无法监听 {host}:{wanted}：{error.strerror}；请更换 --host 或 --port",
        ) from None
    port: int = listener.getsockname()[1]
    if port != wanted:
        note(f"port {wanted} is taken, using {port}", f"端口 {wanted} 已被占用，改用 {port}")
    return listener, port


def _taken(wanted: int, *, is_embedded: bool) -> Text:
    if is_embedded:
        return Text(
            f"port {wanted} and the {PORTS_TO_TRY} after it are taken; choose another with --port",
            f"端口 {wanted} 及其后 {PORTS_TO_TRY} 个端口均被占用；请用 --port 另选",
        )
    return Text(
        f"port {wanted} is taken; end what listens there, or choose another with --port",
        f"端口 {wanted} 已被占用；请结束占用它的程序，或用 --port 另选",
    )
