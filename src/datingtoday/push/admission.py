"""Admission of connections, by the guard of every request, on threads: the guard waits for Redis and SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from datingtoday.infra.text import Text
from datingtoday.infra.tracing import Tracing, root_span
from datingtoday.protocol.call import Call, Endpoint
from datingtoday.protocol.errors import AppError, ParameterError, Unavailable
from datingtoday.protocol.guard import Guard

T = TypeVar("T")

PATH = "/socket.io"
THREADS = 8
MAX_WAITING = 200
"""Work that waits for a thread; more is refused with 503 at once."""
_AUTH_NAMES = frozenset({"appkey", "timestamp", "nonce", "sign", "sign_method", "userId", "token", "lang"})
MAX_VALUE_CHARS = 1024
_AUTH_ALLOWED = Text("an object with the common parameters", "包含公共参数的对象")
_VALUE_ALLOWED = Text("a string or an integer", "字符串或整数")
_NAMES_ALLOWED = Text("the common parameters and `lang` only", "只允许公共参数和 `lang`")

CONNECT = Endpoint(summary=Text("Connect to push", "连接推送"))
"""Requirements of a connection: a signature and a login."""


def auth_params(auth: Any) -> dict[str, str]:
    """The parameters in the `auth` of a connection.

    :raises ParameterError: it is no object, a value is neither text nor a whole number, or a name is not known.
    """
    if not isinstance(auth, Mapping):
        raise ParameterError.malformed("auth", _AUTH_ALLOWED)
    params: dict[str, str] = {}
    for name, value in auth.items():
        if name not in _AUTH_NAMES:
            raise ParameterError.malformed(f"auth.{str(name)[:40]}", _NAMES_ALLOWED)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or len(str(value)) > MAX_VALUE_CHARS:
            raise ParameterError.malformed(f"auth.{name}", _VALUE_ALLOWED)
        params[name] = str(value)
    return params


class Busy(Unavailable):
    """More waits for a thread than can be done in time."""


class Workers:
    """A few threads for work that waits for Redis and SQL; work beyond the limit is refused.

    :param tracing: with it each piece of work is a span.
    """

    def __init__(
        self, tracing: Tracing | None = None, *, threads: int = THREADS, max_waiting: int = MAX_WAITING
    ) -> None:
        self._tracing = tracing
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="push")
        self._free = threads + max_waiting

    async def run(self, name: str, work: Callable[[], T]) -> T:
        """Run on a thread.

        :param name: of the operation, for its span.
        :raises Busy: too much waits.
        """
        if self._free <= 0:
            raise Busy
        self._free -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._traced, name, work)
        finally:
            self._free += 1

    def _traced(self, name: str, work: Callable[[], T]) -> T:
        with root_span(self._tracing, f"push {name}"):
            return work()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def admit(guard: Guard, params: dict[str, str], peer: dict[str, Any], lang: str) -> Call:
    """Check a connection like a ``GET /socket.io`` with these parameters; blocks.

    :raises AppError, RedisDown, DatabaseDown: see `Guard.admit_params`.
    """
    return guard.admit_params(CONNECT, "GET", PATH, params, peer, lang)


def refusal(error: AppError, lang: str) -> dict[str, Any]:
    """Data of the `connect_error` that the client gets."""
    body: dict[str, Any] = {"code": error.code, "msg": error.message(lang)}
    if error.data is not None:
        body["data"] = error.data
    return body
