"""Settings: one immutable object, read once at the start.

Precedence: environment `DATINGTODAY_<SECTION>_<KEY>` > INI file > `secrets.ini` of the data folder (embedded
default only) > default. What is unknown, malformed or empty stops the start, with a line for each.
"""

from __future__ import annotations

import configparser
import difflib
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from datingtoday.infra.config.background import WorkerSection
from datingtoday.infra.config.demo import DemoSection
from datingtoday.infra.config.discovery import DiscoverySection
from datingtoday.infra.config.fields import Section, allowed, notes_of, parse
from datingtoday.infra.config.limits import LimitsSection
from datingtoday.infra.config.payments import PaySection
from datingtoday.infra.config.providers import SmsSection, StorageSection
from datingtoday.infra.config.push import PushSection
from datingtoday.infra.config.reporting import (
    DocsSection,
    LogSection,
    MetricsSection,
    SentrySection,
    TracingSection,
)
from datingtoday.infra.config.sections import (
    AccountsSection,
    AppSection,
    DatabaseSection,
    MediaSection,
    ProtocolSection,
    RedisSection,
    SecuritySection,
    ServerSection,
)
from datingtoday.infra.text import BilingualError, Text

ENV_PREFIX = "DATINGTODAY_"
ENV_CONFIG = "DATINGTODAY_CONFIG"
ENV_DATA = "DATINGTODAY_DATA"
DEFAULT_CONFIG = "config.ini"
DEFAULT_DATA = "data"
SECRETS_FILE = "secrets.ini"
SQLITE_FILE = "datingtoday.sqlite3"
METRICS_FOLDER = "metrics"
"""In the data folder: where the processes of one server count together."""


class ConfigError(BilingualError):
    """The settings cannot be used. One line in both languages: the key, what is allowed, never a secret.

    :param more: what else was found to be wrong with them.
    """

    def __init__(self, en: str, zh: str, more: Iterable[ConfigError] = ()) -> None:
        super().__init__(en, zh)
        self.more = tuple(more)

    @property
    def all(self) -> tuple[ConfigError, ...]:
        """Itself and what else is wrong."""
        return self, *self.more


def raise_together(problems: Sequence[ConfigError]) -> None:
    """One error that tells of all of them, if there are any."""
    if problems:
        raise ConfigError(problems[0].en, problems[0].zh, problems[1:])


class Settings(BaseModel):
    """All settings. `load_settings` makes it; nothing changes it afterwards.

    `embedded` is True while no DATABASE uri is given: then `database.uri` is SQLite in `data_dir` (absolute),
    and an empty `redis.uri` means that `datingtoday serve` has to start a server and call `with_redis_uri`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path
    embedded: bool
    config_file: Path | None = None
    origins: Mapping[str, str] = Field(default_factory=dict)
    """`SECTION key` → where the value came from."""

    app: AppSection = AppSection()
    database: DatabaseSection = DatabaseSection()
    redis: RedisSection = RedisSection()
    security: SecuritySection = SecuritySection()
    protocol: ProtocolSection = ProtocolSection()
    limits: LimitsSection = LimitsSection()
    accounts: AccountsSection = AccountsSection()
    sms: SmsSection = SmsSection()
    discovery: DiscoverySection = DiscoverySection()
    server: ServerSection = ServerSection()
    worker: WorkerSection = WorkerSection()
    push: PushSection = PushSection()
    log: LogSection = LogSection()
    metrics: MetricsSection = MetricsSection()
    tracing: TracingSection = TracingSection()
    sentry: SentrySection = SentrySection()
    docs: DocsSection = DocsSection()
    demo: DemoSection = DemoSection()
    storage: StorageSection = StorageSection()
    media: MediaSection = MediaSection()
    pay: PaySection = PaySection()

    def with_redis_uri(self, uri: str) -> Self:
        """The same settings on the given Redis; cache and queue follow unless they have their own."""
        old = self.redis
        redis = old.model_copy(
            update={
                "uri": uri,
                "cache_uri": old.cache_uri if old.cache_uri not in ("", old.uri) else uri,
                "queue_uri": old.queue_uri if old.queue_uri not in ("", old.uri) else uri,
            }
        )
        return self.model_copy(update={"redis": redis})

    def origin_of(self, section: str, key: str) -> str:
        """Origin of the value of `[SECTION] key`: `file:line`, an environment name, `default`, …"""
        return self.origins.get(f"{section} {key}", "default")


def sections() -> dict[str, type[Section]]:
    """Section name as written in the file → its class, in the order of the documentation."""
    found: dict[str, type[Section]] = {}
    for name, info in Settings.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            found[name.upper()] = info.annotation
    return found


def load_settings(
    config_file: Path | str | None = None,
    data_dir: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    overrides: Mapping[tuple[str, str], tuple[str, str]] | None = None,
    create_secrets: bool = False,
) -> Settings:
    """Read the settings; raises ConfigError, which tells of every setting that is unknown or malformed.

    `config_file`: else `DATINGTODAY_CONFIG`, else `./config.ini` if there is one. `data_dir`: else
    `DATINGTODAY_DATA`, else `./data`; it need not exist. `environ` is `os.environ` unless given.
    `overrides`: (SECTION, key) → (text, origin), above all else; options of commands come this way.
    `create_secrets`: in the embedded default, generate appkey, appsecret and secret_key once into the data
    folder (which is created); safe when two processes do it at once.
    """
    environ = os.environ if environ is None else environ
    data = Path(data_dir or environ.get(ENV_DATA) or DEFAULT_DATA).absolute()
    file = _find_file(config_file, environ)
    given: dict[tuple[str, str], tuple[str, str]] = {}
    problems: list[ConfigError] = []
    if file is not None:
        given.update(_read_ini(file, problems))
    given.update(_read_environ(environ, problems))
    given.update(overrides or {})
    embedded = ("DATABASE", "uri") not in given
    if embedded:
        secrets_file = data / SECRETS_FILE
        if create_secrets and not problems:
            _create_secrets(secrets_file)
        if secrets_file.is_file():
            given = _read_ini(secrets_file, problems) | given
    return _build(given, data, embedded, file, problems)


def _find_file(config_file: Path | str | None, environ: Mapping[str, str]) -> Path | None:
    chosen = config_file or environ.get(ENV_CONFIG)
    if chosen:
        path = Path(chosen)
        # Not is_file(): /dev/null is a way to say "none".
        if not path.exists() or path.is_dir():
            raise ConfigError(f"config file not found: {path}", f"找不到配置文件：{path}")
        return path
    path = Path(DEFAULT_CONFIG)
    return path if path.is_file() else None


def _read_ini(path: Path, problems: list[ConfigError]) -> dict[tuple[str, str], tuple[str, str]]:
    """(SECTION, key) → (text, origin `file:line`) of every known key; what is unknown is a problem."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8", f"{path}：不是 UTF-8 编码") from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror})", f"{path}：无法读取（{error.strerror}）"
        ) from None
    parser = configparser.ConfigParser(
        interpolation=None, delimiters=("=",), default_section="\0", empty_lines_in_values=False
    )
    try:
        parser.read_string(text)
    except configparser.DuplicateSectionError as error:
        at = f"{path}:{error.lineno}"
        raise ConfigError(
            f"[{error.section}]: {at}: duplicate", f"[{error.section}]：{at}：重复出现"
        ) from None
    except configparser.DuplicateOptionError as error:
        at, name = f"{path}:{error.lineno}", f"[{error.section}] {error.option}"
        raise ConfigError(f"{name}: {at}: duplicate", f"{name}：{at}：重复出现") from None
    except configparser.MissingSectionHeaderError as error:
        at = f"{path}:{error.lineno}"
        raise ConfigError(f"{at}: a [SECTION] line must come first", f"{at}：之前缺少 [SECTION] 行") from None
    except configparser.ParsingError as error:
        # Only the number of the line: the line itself may hold a secret.
        at = f"{path}:{error.errors[0][0]}"
        raise ConfigError(f"{at}: not a `key = value` line", f"{at}：不是“键 = 值”格式的行") from None
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for section in parser.sections():
        if not _is_known(section, None, f"{path}:{_line_of(text, section, None)}", problems):
            continue
        for name, value in parser.items(section):
            origin = f"{path}:{_line_of(text, section, name)}"
            if _is_known(section, name, origin, problems):
                found[section, name] = (value, origin)
    return found


def _line_of(text: str, section: str, name: str | None) -> int:
    """configparser keeps no line numbers; find the line again."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("[") and "]" in stripped:
            current = stripped[1 : stripped.rindex("]")]
            if name is None and current == section:
                return number
        elif name is not None and current == section and stripped.partition("=")[0].strip().lower() == name:
            return number
    return 0


def _read_environ(
    environ: Mapping[str, str], problems: list[ConfigError]
) -> dict[tuple[str, str], tuple[str, str]]:
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for variable, value in sorted(environ.items()):
        if not variable.startswith(ENV_PREFIX) or variable in (ENV_CONFIG, ENV_DATA):
            continue
        section, _, name = variable.removeprefix(ENV_PREFIX).partition("_")
        if _is_known(section, name.lower(), variable, problems):
            found[section, name.lower()] = (value, variable)
    return found


def _is_known(section: str, name: str | None, origin: str, problems: list[ConfigError]) -> bool:
    try:
        _known(section, name, origin)
    except ConfigError as error:
        problems.append(error)
        return False
    return True


def _known_section(section: str, origin: str) -> type[Section]:
    all_sections = sections()
    if section not in all_sections:
        near = difflib.get_close_matches(section.upper(), all_sections)
        hint = (
            (f"; meant [{near[0]}]?", f"；是否为 [{near[0]}]？")
            if near
            else (f"; allowed: {', '.join(all_sections)}", f"；允许：{'、'.join(all_sections)}")
        )
        raise ConfigError(
            f"[{section}]: {origin}: unknown section{hint[0]}", f"[{section}]：{origin}：未知的节{hint[1]}"
        )
    return all_sections[section]


def _known(section: str, name: str | None, origin: str) -> None:
    """:raises ConfigError: there is no such section, or no such key in it."""
    fields = _known_section(section, origin).model_fields
    if name is not None and name not in fields:
        near = difflib.get_close_matches(name, fields)
        hint = (
            (f"; meant {near[0]}?", f"；是否为 {near[0]}？")
            if near
            else (f"; allowed: {', '.join(fields)}", f"；允许：{'、'.join(fields)}")
        )
        raise ConfigError(
            f"[{section}] {name}: {origin}: unknown key{hint[0]}",
            f"[{section}] {name}：{origin}：未知的键{hint[1]}",
        )


def _refusal(section: str, name: str, origin: str, info: FieldInfo, *, empty: bool) -> ConfigError:
    what = Text("is empty", "为空") if empty else Text("is malformed", "格式不正确")
    may = allowed(info)
    return ConfigError(
        f"[{section}] {name}: {origin}: {what.en}; allowed: {may.en}",
        f"[{section}] {name}：{origin}：{what.zh}；允许：{may.zh}",
    )


def _build(
    given: Mapping[tuple[str, str], tuple[str, str]],
    data: Path,
    embedded: bool,
    file: Path | None,
    problems: list[ConfigError],
) -> Settings:
    origins: dict[str, str] = {}
    values: dict[str, dict[str, Any]] = {}
    for section, model in sections().items():
        chosen = values.setdefault(section.lower(), {})
        for name, info in model.model_fields.items():
            if (section, name) in given:
                text, origin = given[section, name]
                try:
                    chosen[name] = parse(info, text)
                except ValueError:
                    problems.append(_refusal(section, name, origin, info, empty=not text.strip()))
                origins[f"{section} {name}"] = origin
            elif embedded and notes_of(info).embedded_default is not None:
                chosen[name] = notes_of(info).embedded_default
                origins[f"{section} {name}"] = "default (embedded)"
    raise_together(problems)
    if embedded:
        values["database"]["uri"] = f"sqlite:///{data / SQLITE_FILE}"
        origins["DATABASE uri"] = "default (embedded)"
    redis = values["redis"]
    for name in ("cache_uri", "queue_uri"):
        if name not in redis and redis.get("uri"):
            redis[name] = redis["uri"]
            origins[f"REDIS {name}"] = "default (as uri)"
    built: dict[str, Any] = {name: sections()[name.upper()](**chosen) for name, chosen in values.items()}
    return Settings(data_dir=data, embedded=embedded, config_file=file, origins=origins, **built)


def _create_secrets(path: Path) -> None:
    """Write the generated secrets once. Of two processes at once one wins, and both read the same."""
    try:
        # The first to make the data folder: phone numbers, photos and sessions will lie in it, for this user only.
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _write_secrets(path)
    except OSError as error:
        raise ConfigError(
            f"data folder {path.parent} cannot be used: {error.strerror}; choose another with --data",
            f"数据目录 {path.parent} 无法使用：{error.strerror}；请用 --data 指定其他目录",
        ) from None


def _write_secrets(path: Path) -> None:
    text = (
        "; Generated at the first start. Whoever reads this file can sign requests and forge URLs.\n"
        "; 首次启动时生成。能读取此文件者即可签名请求、伪造链接。\n"
        f"[APP]\nappkey = {secrets.token_hex(8).upper()}\nappsecret = {secrets.token_hex(24)}\n\n"
        f"[SECURITY]\nsecret_key = {secrets.token_hex(32)}\n"
    )
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        # A link, not a rename: it fails where the file exists, so the first writer's secrets stay.
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
