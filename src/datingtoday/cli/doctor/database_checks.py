"""Checks of the database server: reachability, version, and the settings on which promises rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from datingtoday.cli.doctor.findings import Context, Finding, error, ok, warning
from datingtoday.cli.doctor.servers import database_cli, raw_engine, reason_of
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.text import Text

MIN_MARIADB = (10, 11)
MIN_MYSQL = (8, 0)
_VARIABLES = (
    "version", "innodb_flush_log_at_trx_commit", "log_bin", "sync_binlog", "binlog_format", "sql_mode",
    "character_set_database", "max_connections", "read_only",
)  # fmt: skip


def check_database(context: Context) -> Iterator[Finding]:
    """The server, as seen on a connection like those of the program."""
    settings = context.settings
    engine = raw_engine(settings)
    if engine is None:
        yield warning(
            "database.connection",
            Text("there is no database file yet", "数据库文件尚不存在"),
            f"datingtoday serve --data {settings.data_dir}",
        )
        return
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                yield from _sqlite(connection, settings)
            else:
                yield from _server(connection, settings)
    except DBAPIError as failure:
        yield _unreachable(settings, failure)


def _unreachable(settings: Settings, failure: DBAPIError) -> Finding:
    url = make_url(settings.database.uri)
    reason = reason_of(failure)
    if url.get_backend_name() == "sqlite":
        fix = f"ls -l {url.database}"
    elif "Access denied" in reason or "1045" in reason:
        fix = f"mysql -h {url.host} -P {url.port or 3306} -u {url.username} -p {url.database}"
    elif "Unknown database" in reason or "1049" in reason:
        fix = database_cli(
            settings, f"CREATE DATABASE {url.database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )
    else:
        fix = f"systemctl status mariadb; mysqladmin -h {url.host} -P {url.port or 3306} ping"
    return error("database.connection", Text(f"cannot be used: {reason}", f"无法使用：{reason}"), fix)


def _sqlite(connection: Connection, settings: Settings) -> Iterator[Finding]:
    version = connection.execute(text("SELECT sqlite_version()")).scalar_one()
    yield ok("database.connection", f"SQLite {version}", f"SQLite {version}")
    broken = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
    if broken == "ok":
        yield ok("database.integrity", "the file is intact", "文件完好")
    else:
        yield error(
            "database.integrity",
            Text(f"the file is damaged: {broken}", f"文件已损坏：{broken}"),
            Text(
                f"restore {make_url(settings.database.uri).database} from a backup",
                f"从备份恢复 {make_url(settings.database.uri).database}",
            ),
        )


def _server(connection: Connection, settings: Settings) -> Iterator[Finding]:
    variables = _variables(connection)
    yield _version(variables)
    yield _isolation(connection)
    yield _flushing(variables, settings)
    yield from _binary_log(variables, settings)
    yield _character_set(variables, settings)
    yield _strictness(variables, settings)
    yield _connections(variables, settings)
    # Every connection sets +00:00, and days are counted in Python.
    yield ok("database.time_zones", "time zone tables are not needed", "不需要时区表")
    if variables["read_only"] not in ("OFF", "0"):
        yield error(
            "database.read_only",
            Text("the server is read-only", "数据库为只读"),
            database_cli(settings, "SET GLOBAL read_only = OFF"),
        )


def _variables(connection: Connection) -> Mapping[str, str]:
    names = ", ".join(f"'{name}'" for name in _VARIABLES)
    rows: Any = connection.execute(text(f"SHOW VARIABLES WHERE Variable_name IN ({names})"))
    return {name: str(value) for name, value in rows}


def _version(variables: Mapping[str, str]) -> Finding:
    version = variables["version"]
    is_mariadb = "mariadb" in version.lower()
    # MariaDB may put "5.5.5-" before its version, for replicas of old MySQL servers.
    numbers = re.search(r"(\d+)\.(\d+)", version.removeprefix("5.5.5-"))
    found = tuple(int(number) for number in numbers.groups()) if numbers else ()
    needed = MIN_MARIADB if is_mariadb else MIN_MYSQL
    name = "MariaDB" if is_mariadb else "MySQL"
    if found >= needed:
        return ok("database.version", f"{name} {version}", f"{name} {version}")
    least = f"{needed[0]}.{needed[1]}"
    return error(
        "database.version",
        Text(
            f"{name} {version} is too old; {least} is needed", f"{name} {version} 版本过低，至少需要 {least}"
        ),
        "apt install mariadb-server",
    )


def _isolation(connection: Connection) -> Finding:
    level = connection.get_isolation_level()
    if level == "READ COMMITTED":
        return ok("database.isolation", "READ COMMITTED can be set", "可设置为 READ COMMITTED")
    return error(
        "database.isolation",
        Text(
            f"the server uses {level} although READ COMMITTED was set",
            f"设置 READ COMMITTED 后服务器仍为 {level}",
        ),
        Text(
            "use a direct connection in [DATABASE] uri: a proxy in between drops session settings",
            "在 [DATABASE] uri 中直连数据库：中间的代理丢弃了会话设置",
        ),
    )


def _flushing(variables: Mapping[str, str], settings: Settings) -> Finding:
    value = variables["innodb_flush_log_at_trx_commit"]
    if value == "1":
        return ok("database.flush_log", "commits are on disk when they return", "提交返回时已落盘")
    return error(
        "database.flush_log",
        Text(
            f"innodb_flush_log_at_trx_commit = {value}: a crash can lose messages and payments that were acknowledged",
            f"innodb_flush_log_at_trx_commit = {value}：宕机可能丢失已确认的消息和支付",
        ),
        _set_global(settings, "innodb_flush_log_at_trx_commit", "1"),
    )


def _binary_log(variables: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    if variables["log_bin"] not in ("ON", "1"):
        yield ok(
            "database.sync_binlog",
            "no binary log: recovery goes back to the last backup",
            "未开启二进制日志：只能恢复到最近一次备份",
        )
        return
    value = variables["sync_binlog"]
    if value == "1":
        yield ok(
            "database.sync_binlog", "the binary log is on disk at each commit", "每次提交时二进制日志已落盘"
        )
    else:
        yield error(
            "database.sync_binlog",
            Text(
                f"sync_binlog = {value}: after a crash replicas and restored backups can lack acknowledged commits",
                f"sync_binlog = {value}：宕机后从库和备份恢复可能缺少已确认的提交",
            ),
            _set_global(settings, "sync_binlog", "1"),
        )
    if variables["binlog_format"] == "STATEMENT":
        yield error(
            "database.binlog_format",
            Text(
                "binlog_format = STATEMENT: InnoDB refuses writes in READ COMMITTED",
                "binlog_format = STATEMENT：READ COMMITTED 下 InnoDB 会拒绝写入",
            ),
            _set_global(settings, "binlog_format", "ROW"),
        )


def _character_set(variables: Mapping[str, str], settings: Settings) -> Finding:
    charset = variables["character_set_database"]
    if charset == "utf8mb4":
        return ok("database.charset", "utf8mb4", "utf8mb4")
    name = make_url(settings.database.uri).database
    return error(
        "database.charset",
        Text(f"the database's character set is {charset}", f"数据库字符集为 {charset}"),
        database_cli(settings, f"ALTER DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    )


def _strictness(variables: Mapping[str, str], settings: Settings) -> Finding:
    modes = variables["sql_mode"].split(",")
    if "STRICT_TRANS_TABLES" in modes or "STRICT_ALL_TABLES" in modes:
        return ok("database.sql_mode", "strict: values are never cut silently", "严格模式：不会静默截断数据")
    wanted = ",".join(["STRICT_TRANS_TABLES", *filter(None, modes)])
    return error(
        "database.sql_mode",
        Text(
            "sql_mode is not strict: values that are too long are cut silently",
            "sql_mode 非严格模式：过长的值会被静默截断",
        ),
        _set_global(settings, "sql_mode", f"'{wanted}'"),
    )


def _connections(variables: Mapping[str, str], settings: Settings) -> Finding:
    most = int(variables["max_connections"])
    # API workers, the background worker and a push process; each may open as many again in a burst.
    needed = (settings.server.workers + 2) * settings.database.pool_size * 2
    if needed < most:
        return ok(
            "database.max_connections",
            f"{most}; this host needs at most {needed}",
            f"{most}；本机最多使用 {needed}",
        )
    return warning(
        "database.max_connections",
        Text(
            f"max_connections = {most}, but this host alone may open {needed} ([SERVER] workers, [DATABASE] pool_size)",
            f"max_connections = {most}，而本机最多会打开 {needed} 个连接（[SERVER] workers、[DATABASE] pool_size）",
        ),
        _set_global(settings, "max_connections", str(needed + 50)),
    )


def _set_global(settings: Settings, name: str, value: str) -> Text:
    command = database_cli(settings, f"SET GLOBAL {name} = {value}")
    return Text(
        f"{command}  # and in my.cnf below [mysqld]: {name} = {value}",
        f"{command}  # 并写入 my.cnf 的 [mysqld]：{name} = {value}",
    )
