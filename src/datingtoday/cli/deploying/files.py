"""Files of a deployment: made from templates, written to a folder, never over a file of another origin."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from datingtoday.cli.deploying.plan import Options, certificate_of, context_of
from datingtoday.infra.config.settings import ConfigError, Settings, load_settings

MADE_BY = "Made by `datingtoday deploy render`; changes are lost when it is made again."
_FOLDER = Path(__file__).with_name("templates")

TEMPLATES = {
    "nginx/datingtoday.conf": "nginx.conf.j2",
    "gunicorn/gunicorn.conf.py": "gunicorn.conf.py.j2",
    "supervisor/datingtoday.conf": "supervisor.conf.j2",
    "systemd/datingtoday.target": "datingtoday.target.j2",
    "systemd/datingtoday-api.service": "datingtoday-api.service.j2",
    "systemd/datingtoday-push@.service": "datingtoday-push@.service.j2",
    "systemd/datingtoday-worker.service": "datingtoday-worker.service.j2",
    "logrotate/datingtoday": "logrotate.j2",
    "mariadb/60-datingtoday.cnf": "mariadb.cnf.j2",
    "redis/datingtoday.conf": "redis.conf.j2",
}
"""Path below the folder of the files → its template."""

_EXAMPLE = {
    "DATABASE_URI": "mysql+pymysql://datingtoday:a-password@127.0.0.1:3306/datingtoday?charset=utf8mb4",
    "REDIS_URI": "redis://127.0.0.1:6379/0",
    "SERVER_TRUSTED_PROXIES": "127.0.0.1",
    "STORAGE_PATH": "/var/lib/datingtoday/media",
    "STORAGE_X_ACCEL": "/_media/",
}
_EXAMPLE_DOMAIN = "api.example.com"


def render(settings: Settings, options: Options) -> dict[str, str]:
    """The text of every file, by its path below the folder of the files."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML; values are checked by `plan.check`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    context = {"made_by": MADE_BY, **context_of(settings, options)}
    return {path: environment.get_template(name).render(context) for path, name in TEMPLATES.items()}


def example(path: str) -> str:
    """The text of a file as `deploy/` of the repository shows it."""
    certificate, key = certificate_of(_EXAMPLE_DOMAIN)
    options = Options(_EXAMPLE_DOMAIN, certificate, key, Path("/srv/datingtoday/current/.venv"))
    environ = {f"DATINGTODAY_{name}": value for name, value in _EXAMPLE.items()}
    settings = load_settings("/dev/null", "/var/lib/datingtoday", environ)
    settings = settings.model_copy(update={"config_file": Path("/etc/datingtoday/config.ini")})
    return render(settings, options)[path]


def write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write what has changed; returns these paths. A file that was not made by this command is left alone.

    :raises ConfigError: the folder holds such a file, or cannot be written to; nothing is written then.
    """
    try:
        foreign = sorted(str(path.relative_to(folder)) for path in _files_in(folder) if not _is_ours(path))
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(folder, error) from error
    if foreign:
        shown = ", ".join(foreign[:5]) + (" …" if len(foreign) > 5 else "")
        raise ConfigError(
            f"--out: {folder}: holds files that this command has not made ({shown}); choose an empty or new folder",
            f"--out：{folder}：其中有并非由本命令生成的文件（{shown}）；请另选空目录或新目录",
        )
    written = []
    try:
        for name, text in files.items():
            path = folder / name
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise _unusable(folder, error) from error
    return written


def _files_in(folder: Path) -> list[Path]:
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is a file")
    return [path for path in folder.rglob("*") if not path.is_dir()]


def _is_ours(path: Path) -> bool:
    return path.is_file() and MADE_BY in path.read_text(encoding="utf-8", errors="replace")[:200]


def _unusable(folder: Path, error: Exception) -> ConfigError:
    reason = getattr(error, "strerror", None) or error
    return ConfigError(f"--out: {folder}: cannot be used: {reason}", f"--out：{folder}：无法使用：{reason}")
