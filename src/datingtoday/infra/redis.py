"""A Redis role (guard, cache or queues): one round trip for several commands, short timeouts, and a breaker.

Plain ``redis://``, ``rediss://`` and ``unix://`` URIs reach one server; ``redis+cluster://`` (or
``rediss+cluster://``) reaches a Redis Cluster through any of its nodes.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any, cast

import redis
from hiredis import pack_command
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError
from redis.retry import Retry

from datingtoday.infra.redis_suitability import RedisDown as RedisDown
from datingtoday.infra.redis_suitability import RedisUnsuitable, facts_of, is_denied, unsuitable
from datingtoday.infra.system_timeouts import let_system_time

Command = tuple[Any, ...]

_DOWN_REPLIES = frozenset(
    {
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
    }
)
"""First words of refusals that say: this server cannot serve now, whatever it is asked."""
_CLUSTER_RETRIES = 1
"""After a failure the client reads the cluster's layout anew and asks the node that has the slot now, once."""


class Script:
    """A Lua script, sent by its digest and in full only where a server does not know it."""

    def __init__(self, source: str) -> None:
        self.source = source
        # SHA-1 by Redis's definition; it protects nothing.
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisRole:
    """Client of one Redis role; safe for threads, connects lazily, survives a fork.

    :param uri: where the server is.
    :param timeout_s: for connecting and for every answer. After a failure the role answers `RedisDown` without
        trying for ``pause_s``, so that a server that hangs costs each process one timeout, not one per request.
    """

    def __init__(self, uri: str, *, timeout_s: float = 0.3, pause_s: float = 0.5) -> None:
        self.uri = uri
        self.is_cluster = "+cluster://" in uri
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._down_until = 0.0
        self._making = threading.Lock()
        self._client: Any = None
        self._idle: list[Any] = []
        self.memories: list[Any] = []
        """The kinds of entries (`memory.py`) that lie on this server."""
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(this()))

    @property
    def client(self) -> redis.Redis:
        """The redis-py client, for work off the hot path; its errors are redis-py's own."""
        if self._client is None:
            with self._making:
                # Making a cluster's client asks its nodes: whoever waited for another's failure must not repeat it.
                self.refuse_while_down()
                if self._client is None:
                    self._client = self._connect()
        return cast(redis.Redis, self._client)

    def execute(self, *command: Any) -> Any:
        """One command; raises `RedisDown` or redis-py's ``ResponseError``."""
        return self.round_trip([command])[0]

    def round_trip(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands in one write and read all answers; on a cluster each goes to its own node.

        The commands are not a transaction. A text ``RUN_ID`` among the arguments is replaced by the id of the very
        server process that answers on the connection used; on a cluster by the empty string.

        :raises RedisDown: also when the server is there but cannot serve (loading, read-only replica, out of memory).
        :raises RedisUnsuitable: it is too old, or its user may not run what is needed.
        :raises ResponseError: of the first command that the server refused.
        """
        self.refuse_while_down()
        try:
            if self.is_cluster:
                return [self._on_cluster(command) for command in commands]
            return self._on_server(commands)
        except NoScriptError:
            raise
        except ResponseError as error:
            # redis-py takes the first word off the refusals that it has a class for, and keeps it as the status.
            word = getattr(error, "status_code", None) or str(error).partition(" ")[0]
            if is_denied(error, word):
                raise unsuitable(error) from error
            if word in _DOWN_REPLIES:
                self._trip()
                raise RedisDown(f"{self._label}: {word}") from error
            raise
        except (RedisError, RedisClusterException, OSError) as error:
            self._trip()
            if isinstance(error.__cause__, RedisUnsuitable):
                raise error.__cause__ from error
            raise RedisDown(f"{self._label}: {type(error).__name__}") from error

    def run_script(self, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a Lua script whose keys share one slot; loads it first where the server does not know it."""
        return self.round_trip_with_scripts([(script, keys, arguments)])[0]

    def round_trip_with_scripts(
        self, calls: Sequence[tuple[Script, Sequence[str], Sequence[Any]] | Command]
    ) -> list[Any]:
        """Like `round_trip`, with ``(script, keys, arguments)`` among the commands."""
        try:
            return self.round_trip([self._as_command(call, full=False) for call in calls])
        except NoScriptError:
            return self.round_trip([self._as_command(call, full=True) for call in calls])

    def close(self) -> None:
        """Let go of all idle connections; the next command connects anew."""
        while self._idle:
            self._idle.pop().disconnect()
        if self._client is not None:
            self._client.close()
            self._client = None

    def forget_connections(self) -> None:
        """In a forked child: the parent's sockets are the parent's, and so is a connection that it was making."""
        self._making = threading.Lock()
        self._idle = []
        self._client = None

    @property
    def _label(self) -> str:
        return "redis cluster" if self.is_cluster else "redis"

    def _as_command(self, call: Any, *, full: bool) -> Command:
        if not isinstance(call[0], Script):
            return cast(Command, call)
        script, keys, arguments = call
        head = ("EVAL", script.source) if full else ("EVALSHA", script.digest)
        return (*head, len(keys), *keys, *arguments)

    def _on_server(self, commands: Sequence[Command]) -> list[Any]:
        # redis-py's own pool and pipeline cost about as much as the round trip itself, and this one is on the path of
        # every request: idle connections are kept here instead, the one used last first.
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._talk(self._new_connection(), commands)
            try:
                return self._talk(connection, commands)
            except RedisConnectionError as error:
                if isinstance(error.__context__, BlockingIOError):
                    # No answer in time. The next connection would wait as long.
                    raise
                # Else its server has gone, or ended it; the next may be good, and a new one is.

    def _talk(self, connection: Any, commands: Sequence[Command]) -> list[Any]:
        run_id = connection.server_facts.run_id
        if run_id is None and any(RUN_ID in command for command in commands):
            self._idle.append(connection)
            run_id = connection.server_facts.required_run_id()
        sent = [command for command in commands if command is not WHICH_SERVER]
        answers: list[Any] = []
        failure: ResponseError | None = None
        try:
            connection.send_packed_command(
                [
                    b"".join(
                        [
                            pack_command(tuple([run_id if part is RUN_ID else part for part in command]))
                            for command in sent
                        ]
                    )
                ]
            )
            for command in commands:
                if command is WHICH_SERVER:
                    answers.append(run_id.encode())
                    continue
                try:
                    answers.append(connection.read_response(disconnect_on_error=False))
                except ResponseError as error:
                    # Keep reading: the connection must not go back with unread answers.
                    failure = failure or error
        except BaseException:
            # Whatever it was, an answer may still be on its way: nobody else may read it.
            connection.disconnect()
            raise
        self._idle.append(connection)
        if failure is not None:
            raise failure
        return answers

    def _new_connection(self) -> Any:
        # Not the pool's make_connection(): that counts all that were ever made, and after so many makes no more.
        pool = self.client.connection_pool
        connection: Any = pool.connection_class(**pool.connection_kwargs)
        connection.connect()
        let_system_time(connection, self._timeout_s)
        return connection

    def _on_cluster(self, command: Command) -> Any:
        client: Any = self.client
        return client.execute_command(*("" if part is RUN_ID else part for part in command))

    def refuse_while_down(self) -> None:
        """Do nothing, unless the server was found to be down a moment ago. :raises RedisDown:"""
        if time.monotonic() < self._down_until:
            raise RedisDown(f"{self._label} was down a moment ago")

    def _trip(self) -> None:
        self._down_until = time.monotonic() + self._pause_s

    def _connect(self) -> Any:
        common: dict[str, Any] = {
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": self._timeout_s,
            "protocol": 2,
        }
        if self.is_cluster:
            from redis.cluster import RedisCluster

            retry = Retry(NoBackoff(), _CLUSTER_RETRIES)
            uri = self.uri.replace("+cluster://", "://", 1)
            return RedisCluster.from_url(uri, retry=retry, redis_connect_func=_look_at_server, **common)
        return redis.Redis.from_url(
            self.uri,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=_note_server,
            **common,
        )


def _after_fork(role: RedisRole | None) -> None:
    if role is not None:
        role.forget_connections()


class _RunId:
    """The placeholder `RUN_ID`."""


RUN_ID = _RunId()
"""Stands for the answering server's run id among the arguments of a command."""
WHICH_SERVER = ("ECHO", RUN_ID)
"""Asks for the answering server's run id. Nothing is sent for it: the connection knows; not for a cluster."""


def _note_server(connection: Any) -> None:
    """Finish the handshake and remember which server process is at the other end of this connection.

    A restarted server has another run id, and its restart ends every connection, so what is noted here stays true.
    """
    connection.on_connect()
    _look_at_server(connection)


def _look_at_server(connection: Any) -> None:
    try:
        connection.server_facts = facts_of(connection)
    except RedisUnsuitable:
        connection.disconnect()
        raise
