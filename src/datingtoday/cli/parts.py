"""For commands that work with people: the parts of the application on the settings' database and Redis."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from datingtoday.cli.main import CommandFailed
from datingtoday.infra.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from datingtoday.app import Parts


@contextmanager
def open_parts(
    config_file: Path | None, data_dir: Path | None, *, needs_redis: bool = True
) -> Iterator["Parts"]:
    """The parts, with a Redis that answers: in the embedded default one is started if no server runs.

    Raises CommandFailed in place of what says that a part is down, and nothing is committed then.

    :param needs_redis: False for what SQL alone can do; then none is started.
    """
    from datingtoday.app import make_parts
    from datingtoday.infra.db import LONG_ANSWER_S, DatabaseDown
    from datingtoday.infra.logs import configure_logs
    from datingtoday.infra.redis import RedisDown
    from datingtoday.infra.redis_suitability import RedisUnsuitable
    from datingtoday.infra.server.embedded_redis import with_redis

    settings = load_settings(config_file, data_dir)
    require_schema(settings)
    configure_logs(settings.log.level)
    with with_redis(settings) if needs_redis else nullcontext(_as_it_is(settings)) as reachable:
        parts = make_parts(reachable)
        parts.base.database.answer_s = LONG_ANSWER_S
        try:
            yield parts
        except DatabaseDown as error:
            raise CommandFailed(
                "the database cannot be reached; nothing was changed", "无法连接数据库；没有做任何修改"
            ) from error
        except RedisUnsuitable as error:
            raise CommandFailed(*error.text) from error
        except RedisDown as error:
            raise CommandFailed(
                "Redis cannot be reached, so running servers would not notice; nothing was changed",
                "无法连接 Redis，运行中的服务无法得知变更；没有做任何修改",
            ) from error
        finally:
            parts.base.close()


def _as_it_is(settings: Settings) -> Settings:
    """With the Redis of a server that runs; without one, with an address where nobody answers."""
    from datingtoday.infra.server.embedded_redis import running_redis_uri

    if settings.redis.uri:
        return settings
    return settings.with_redis_uri(running_redis_uri(settings.data_dir) or "unix:///nonexistent")


@contextmanager
def transaction(config_file: Path | None, data_dir: Path | None) -> Iterator[tuple["Parts", "Session"]]:
    """The parts and one transaction, which is committed at the end."""
    with open_parts(config_file, data_dir) as parts, parts.base.database.transaction() as session:
        yield parts, session


@contextmanager
def reading(config_file: Path | None, data_dir: Path | None) -> Iterator[tuple["Parts", "Session"]]:
    """The parts and one transaction that only reads."""
    with open_parts(config_file, data_dir) as parts, parts.base.database.reading() as session:
        yield parts, session


def require_schema(settings: Settings) -> None:
    """Raises CommandFailed unless the database is up to date."""
    from datingtoday.infra import migrations

    at = migrations.current(settings.database.uri)
    if at == migrations.head() or (settings.database.newer_schema and migrations.is_newer(at)):
        return
    if settings.embedded and at is None:
        raise CommandFailed(
            f"there is no database in {settings.data_dir} yet: start `datingtoday serve` once, or name the folder "
            "with --data",
            f"{settings.data_dir} 中还没有数据库：请先启动一次 `datingtoday serve`，或用 --data 指定目录",
        )
    if migrations.is_newer(at):
        migrations.require_current(settings.database.uri)
    raise CommandFailed(
        "the database is not up to date: run `datingtoday db upgrade`",
        "数据库不是最新版本：请运行 `datingtoday db upgrade`",
    )
