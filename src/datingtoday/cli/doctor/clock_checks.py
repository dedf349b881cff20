"""Checks of this host's clock: against the database, against Redis, and whether the kernel keeps it synchronized."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import closing

from redis.exceptions import RedisClusterException, RedisError
from sqlalchemy import text

from datingtoday.cli.doctor.findings import Context, Finding, error, ok, warning
from datingtoday.cli.doctor.servers import ask, database_engine, redis_roles
from datingtoday.infra.text import Text

TOLERANCE_S = 2.0
"""Hosts that are synchronized by NTP differ by milliseconds; the rest is for slow networks."""
_TIME_ERROR = 5
"""Answer of adjtimex(2): the kernel's clock is not synchronized."""
_SYNCHRONIZE = Text(
    "timedatectl set-ntp true && timedatectl timesync-status",
    "timedatectl set-ntp true && timedatectl timesync-status",
)


def check_clock(context: Context) -> Iterator[Finding]:
    """The differences; the servers that cannot be asked are findings of their own areas."""
    if not context.is_embedded:
        if (database_s := _database_offset_s(context)) is not None:
            yield difference(context, "clock.database", Text("the database", "数据库"), database_s)
        for name, role in redis_roles(context.settings).items():
            with closing(role):
                try:
                    before = context.clock_ns()
                    seconds, micros = ask(role, "TIME")
                    after = context.clock_ns()
                except (RedisError, RedisClusterException):
                    continue
                there = int(seconds) + int(micros) / 1e6
                offset_s = there - (before + after) / 2e9
                yield difference(
                    context, f"clock.{name}", Text(f"Redis ({name})", f"Redis（{name}）"), offset_s
                )
    yield _synchronization()


def difference(context: Context, check: str, other: Text, offset_s: float) -> Finding:
    """The finding for a clock that is ``offset_s`` seconds ahead of this host's."""
    protocol = context.settings.protocol
    shown = f"{offset_s:+.2f} s"
    if abs(offset_s) <= TOLERANCE_S:
        return ok(check, f"{other.en} agrees ({shown})", f"与{other.zh}一致（{shown}）")
    # A clock that is behind refuses clients as being ahead of it, and the other way round.
    limit_s = protocol.ahead_s if offset_s > 0 else protocol.window_s
    if abs(offset_s) <= limit_s:
        return warning(
            check,
            Text(f"{other.en} differs by {shown}", f"与{other.zh}相差 {shown}"),
            _SYNCHRONIZE,
        )
    return error(
        check,
        Text(
            f"{other.en} differs by {shown}: if this host is the one that is wrong, every signed request is refused "
            "with code 1001",
            f"与{other.zh}相差 {shown}：如果出错的是本机，所有签名请求都会被拒绝（错误码 1001）",
        ),
        Text(
            f"on the host whose clock is wrong: {_SYNCHRONIZE.en}",
            f"在时钟错误的主机上执行：{_SYNCHRONIZE.zh}",
        ),
    )


def _database_offset_s(context: Context) -> float | None:
    with database_engine(context.settings) as engine:
        if engine is None or engine.dialect.name == "sqlite":
            return None
        with engine.connect() as connection:
            before = context.clock_ns()
            there = connection.execute(text("SELECT UNIX_TIMESTAMP(NOW(6))")).scalar_one()
            after = context.clock_ns()
        return float(there) - (before + after) / 2e9


def _synchronization() -> Finding:
    check = "clock.synchronized"
    state = _kernel_state()
    if state is None:
        return ok(
            check, "this system does not say whether the clock is synchronized", "系统未提供时钟同步状态"
        )
    if state == _TIME_ERROR:
        return warning(
            check,
            Text(
                "the kernel says that no NTP service keeps this host's clock right",
                "内核显示没有 NTP 服务在校准本机时钟",
            ),
            _SYNCHRONIZE,
        )
    return ok(check, "synchronized by NTP", "已由 NTP 同步")


def _kernel_state() -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        # struct timex with modes = 0: nothing is changed. The buffer is larger than the structure.
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))
    except (OSError, AttributeError):
        return None
