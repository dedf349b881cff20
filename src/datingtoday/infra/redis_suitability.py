"""Checks that a Redis server can be used as it is set up: its version, and the commands its user may run.

A server that cannot be used names the command that helps, in the log and at the start, where "down" would let people
look for a fault in the network.
"""

from __future__ import annotations

import re
from typing import Any

from redis.exceptions import ResponseError

from datingtoday.infra.text import BilingualError

LEAST_VERSION = 7
_DENIED_IN_SCRIPT = ("can't run this command", "ACL failure in script")
"""In the refusal of a script that called what its user may not run: Redis's words, and Valkey's."""
_COMMAND = re.compile(r"'([a-z|_-]+)' (?:command|subcommand)", re.IGNORECASE)


class RedisDown(Exception):
    """The Redis server of this role cannot be reached or refuses to work; raised at once while that is known."""


class RedisUnsuitable(RedisDown, BilingualError):
    """The server answers, but cannot be used as it is set up; the text says what to change."""


class ServerFacts:
    """Facts that one connection learned about its server.

    :param run_id: of that very process; None where the user may not ask, and then ``refusal`` says so.
    """

    def __init__(self, run_id: str | None, refusal: str = "") -> None:
        self.run_id = run_id
        self.refusal = refusal

    def required_run_id(self) -> str:
        """:raises RedisUnsuitable: the user may not ask for it."""
        if self.run_id is None:
            raise _needs_info(self.refusal)
        return self.run_id


def facts_of(connection: Any) -> ServerFacts:
    """Ask the server who it is, on a connection whose handshake is done.

    :raises RedisUnsuitable: it is older than Redis 7.
    """
    refusal = ""
    facts: dict[str, str] = {}
    try:
        facts = _pairs(_ask(connection, "INFO", "server"))
    except ResponseError as error:
        refusal = str(error)
    version = facts.get("redis_version") or _version_by_hello(connection)
    major = re.match(r"\d+", version)
    if major is not None and int(major[0]) < LEAST_VERSION:
        raise RedisUnsuitable(
            f"[REDIS] uri: this is Redis {version}; Redis {LEAST_VERSION} or Valkey 8 is needed",
            f"[REDIS] uri：该服务器是 Redis {version}；需要 Redis {LEAST_VERSION} 或 Valkey 8",
        )
    return ServerFacts(facts.get("run_id"), refusal)


def is_denied(error: ResponseError, word: str) -> bool:
    """True if the Redis user lacks the permission.

    :param word: the first word of the refusal.
    """
    return word == "NOPERM" or any(words in str(error) for words in _DENIED_IN_SCRIPT)


def unsuitable(error: ResponseError) -> RedisUnsuitable:
    """The refusal of what the user may not do, with the command that lets it."""
    said = str(error)
    missing = "'&*'" if "channel" in said else "'~*'"
    if (command := _COMMAND.search(said)) is not None:
        missing = f"+{command[1].lower()}"
    if missing == "+info" or _DENIED_IN_SCRIPT[0] in said:
        return _needs_info(said)
    return RedisUnsuitable(
        f"[REDIS] uri: the user may not do what is needed ({said}): ACL SETUSER <user> {missing}",
        f"[REDIS] uri：该用户缺少所需权限（{said}）：ACL SETUSER <用户> {missing}",
    )


def _needs_info(said: str) -> RedisUnsuitable:
    return RedisUnsuitable(
        "[REDIS] uri: the replay guard needs the command INFO, which tells a restarted server from one that "
        f"remembers, and it is refused here ({said}): ACL SETUSER <user> +info, or a service that allows INFO",
        "[REDIS] uri：防重放需要 INFO 命令（用于判断 Redis 是否重启过），但被拒绝"
        f"（{said}）：请执行 ACL SETUSER <用户> +info，或选用允许 INFO 的服务",
    )


def _version_by_hello(connection: Any) -> str:
    """The version by a command that needs no permission; servers before Redis 6 do not know it."""
    try:
        answer = _ask(connection, "HELLO")
    except ResponseError as error:
        return "5 or older" if "unknown command" in str(error).lower() else ""
    parts = [_text(part) for part in answer]
    return dict(zip(parts[::2], parts[1::2], strict=False)).get("version", "")


def _ask(connection: Any, *command: str) -> Any:
    connection.send_command(*command)
    return connection.read_response()


def _pairs(info: Any) -> dict[str, str]:
    lines = (line.partition(":") for line in _text(info).splitlines())
    return {name: value for name, colon, value in lines if colon}


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
