"""HTTP entry for your own WSGI server: `gunicorn datingtoday.wsgi:application`.

Settings come from DATINGTODAY_CONFIG, DATINGTODAY_DATA and the rest of the environment. Nothing is started or migrated
here: the database has been brought up to date by `datingtoday db upgrade`, and Redis runs.
"""

import sys

from flask import Flask

from datingtoday.app import create_app
from datingtoday.infra.config.serving import validate_for_serving
from datingtoday.infra.config.settings import METRICS_FOLDER, ConfigError, Settings, load_settings
from datingtoday.infra.migrations import DatabaseUnreachable, MigrationError, require_current, require_utf8
from datingtoday.infra.server.garbage_collector import settle_collector
from datingtoday.protocol.metrics import FOLDER_VARIABLE, count_across_processes

# gunicorn stops on this exit code of a worker, instead of trying for ever.
_APP_LOAD_ERROR = 4


def _settings() -> Settings:
    settings = load_settings()
    validate_for_serving(settings)
    for section, key, value in (
        ("DATABASE", "uri", "" if settings.embedded else settings.database.uri),
        ("REDIS", "uri", settings.redis.uri),
    ):
        if not value:
            raise ConfigError(
                f"[{section}] {key}: is missing; only `datingtoday serve` runs without it",
                f"[{section}] {key}：未设置；只有 `datingtoday serve` 可以省略",
            )
    return settings


def _application() -> Flask:
    settings = _settings()
    if settings.metrics.enabled:
        folder = settings.data_dir / METRICS_FOLDER
        try:
            count_across_processes(folder)
        except OSError as error:
            raise ConfigError(
                f"[METRICS] enabled: cannot count in {folder}: {error.strerror}; another folder: {FOLDER_VARIABLE}",
                f"[METRICS] enabled：无法在 {folder} 中计数：{error.strerror}；可用 {FOLDER_VARIABLE} 另指定目录",
            ) from error
    _check_schema(settings)
    return create_app(settings)


def _check_schema(settings: Settings) -> None:
    """Refuse to serve on a schema of another revision; a database that is down may come back."""
    try:
        require_utf8(settings.database.uri)
        require_current(settings.database.uri, newer_too=settings.database.newer_schema)
    except DatabaseUnreachable as error:
        print(f"datingtoday: {error.en}\ndatingtoday: {error.zh}", file=sys.stderr, flush=True)
    except MigrationError as error:
        raise ConfigError(error.en, error.zh) from error


try:
    application = _application()
except ConfigError as error:
    for part in error.all:
        print(f"datingtoday: {part.en}\ndatingtoday: {part.zh}", file=sys.stderr, flush=True)
    raise SystemExit(_APP_LOAD_ERROR) from None

if "gunicorn" in sys.modules:
    from datingtoday.infra.server.gunicorn_server import answer_errors_in_json

    answer_errors_in_json()

settle_collector()
