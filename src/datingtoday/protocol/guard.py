"""The guard: checks every request in the order that docs/protocol.md gives, and calls the view of an admitted one.

Which checks a path needs is what its ``@endpoint`` declares. Flask dispatches what no endpoint has, paths with a
variable part, and formats other than the service's own (see docs/decisions/guard-ahead-of-dispatch.md).
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response
from sqlalchemy.exc import DBAPIError

from datingtoday.infra.cache import ReadyCache
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.db import Database, DatabaseDown, is_down
from datingtoday.infra.memory import Reading
from datingtoday.infra.ratelimit import TooMany
from datingtoday.infra.redis import Command, RedisDown
from datingtoday.protocol import envelope
from datingtoday.protocol.account_limits import AccountLimits, PeopleLimit
from datingtoday.protocol.call import CALL, LANG, Call, Endpoint, Environ, Runner, Shown
from datingtoday.protocol.cross_origin import CrossOrigin
from datingtoday.protocol.endpoint import declared_endpoint, runner_of
from datingtoday.protocol.errors import (
    AppError,
    InternalError,
    MethodNotAllowed,
    NoPermission,
    RateLimited,
    Unavailable,
)
from datingtoday.protocol.language import lang_of
from datingtoday.protocol.login import TOKEN, USER_ID, TokenVerifier, digest_of
from datingtoday.protocol.metrics import Observer
from datingtoday.protocol.multipart_form import UploadedFile
from datingtoday.protocol.params import read_params
from datingtoday.protocol.peer import Peers
from datingtoday.protocol.signing.check import SignatureCheck
from datingtoday.protocol.signing.replay import GuardMisconfigured
from datingtoday.protocol.signing.timestamps import Clock

log = structlog.get_logger(__name__)
access_log = structlog.get_logger("access")

StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

REQUEST_ID = "datingtoday.request_id"
_UNREAD = "datingtoday.unread"
"""In the environ of a request of whose body more may be left than the HTTP server reads by itself."""
_DRAINED_BYTES = 64 * 1024
"""Bytes of the body that gunicorn reads, so that the connection can be used again."""
_LENGTH = re.compile(r"[0-9]{1,8}\Z", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """Options of the guard."""

    max_form_bytes: int = 64 * 1024
    """For all parameters of a request together; they are kept in memory and hashed before anything is known of it."""
    max_body_bytes: int = 22 * 1024 * 1024
    """For anything that is sent, an uploaded file included."""
    limit_per_user_per_minute: int | None = 600
    people_limits: Mapping[Shown, PeopleLimit] = field(default_factory=dict)
    """Different people that an account may be shown; empty: any number."""
    cors_origins: tuple[str, ...] = ()
    access_log: bool = False


class Guard:
    """Middleware around a Flask application; also admits requests that Flask routed by itself.

    :param verifier: knows the tokens; needed as soon as one endpoint requires a token.
    :param observe: told of every answer.
    :param cache: read ahead for the endpoints that say which entries they will want.
    :param clock: the server's time, by which timestamps are judged.
    """

    def __init__(
        self,
        signatures: SignatureCheck,
        verifier: TokenVerifier,
        database: Database,
        cache: ReadyCache,
        peers: Peers,
        options: GuardOptions,
        observe: Observer | None = None,
        clock: Clock = time.time_ns,
    ) -> None:
        self._signatures = signatures
        self._replay = signatures.replay
        self._verifier = verifier
        self._database = database
        self._peers = peers
        self._options = options
        self._observe = observe
        self._cache = cache
        self._clock = clock
        self.limits = AccountLimits(
            self._replay.redis, options.limit_per_user_per_minute, options.people_limits
        )
        self._cross_origin = CrossOrigin(options.cors_origins)
        self._routes: dict[str, dict[str, tuple[Endpoint, Runner]]] = {}
        self._flask: WsgiApp | None = None

    def install(self, app: Flask) -> None:
        """Go ahead of the application's dispatch; call it when all routes are registered."""
        for rule in app.url_map.iter_rules():
            view = app.view_functions[rule.endpoint]
            declared = declared_endpoint(view)
            if declared is None or rule.arguments:
                continue
            for method in (rule.methods or set()) - {"OPTIONS"}:
                self._routes.setdefault(rule.rule, {})[method] = declared, runner_of(view)
        self._flask = app.wsgi_app
        app.wsgi_app = self  # type: ignore[method-assign]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started_ns = time.perf_counter_ns()
        request_id = self._request_id(environ)
        environ[REQUEST_ID] = request_id
        status_line = ""

        def respond(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status_line
            if status_line:
                # An answer that failed after it was begun: WSGI wants to know why there is another one.
                exc_info = exc_info or sys.exc_info()
            status_line = status
            headers.append(("X-Request-Id", request_id))
            headers += self._cross_origin.headers(environ)
            if _UNREAD in environ:
                _close_after(start_response)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        body = self._answer(environ, respond)
        if self._observe is not None:
            self._observe(environ, status_line, time.perf_counter_ns() - started_ns)
        if self._options.access_log:
            self._write_access_log(environ, status_line, started_ns)
        return body

    def _answer(self, environ: Environ, respond: StartResponse) -> Iterable[bytes]:
        methods = self._routes.get(environ.get("PATH_INFO", ""))
        if methods is not None:
            try:
                route = methods.get(environ["REQUEST_METHOD"])
                if route is None:
                    allowed = ", ".join(sorted(methods))
                    if environ["REQUEST_METHOD"] == "OPTIONS" and self._cross_origin.applies_to(environ):
                        respond("204 No Content", [("Allow", f"{allowed}, OPTIONS")])
                        return []
                    raise MethodNotAllowed(headers={"Allow": allowed}, allowed=allowed)
                declared, run = route
                call = environ[CALL] = self.admit(environ, declared)
                if not declared.own_format:
                    result = run(call, {})
                    if declared.shows is not None:
                        self.limits.people.note(call, result)
                    return _answer_with(result, environ, respond)
            except Exception as error:
                return _send(as_app_error(error, environ), environ, respond)
        assert self._flask is not None  # noqa: S101 - install() comes first
        try:
            return self._flask(environ, respond)
        except Exception as error:
            # Flask answers what views raise; this is what fails around them.
            return _send(as_app_error(error, environ), environ, respond)

    def admit(self, environ: Environ, declared: Endpoint) -> Call:
        """Check a request by what its endpoint declares.

        :raises AppError: in the order of the checks.
        :raises RedisDown, DatabaseDown: the request cannot be judged.
        """
        params: dict[str, str] = {}
        file: UploadedFile | None = None
        if not declared.own_format:
            most = self._options.max_body_bytes
            try:
                params, file = read_params(
                    environ,
                    max_form_bytes=min(self._options.max_form_bytes, most),
                    max_file_bytes=min(declared.max_file_bytes, most),
                    file_name=declared.file_name,
                )
            except AppError:
                if _is_large(environ):
                    environ[_UNREAD] = True
                raise
        try:
            return self._admit_params(environ, declared, params, file)
        except BaseException:
            if file is not None:
                file.stream.close()
            raise

    def _admit_params(
        self, environ: Environ, declared: Endpoint, params: dict[str, str], file: UploadedFile | None
    ) -> Call:
        lang = environ[LANG] = lang_of(environ, params)
        now_ns = self._clock()
        method, path = environ["REQUEST_METHOD"], raw_path(environ)
        call = self._new_call(declared, method, path, params, environ, lang, now_ns)
        call.file = file
        return self._check(call, now_ns)

    def admit_params(
        self, declared: Endpoint, method: str, path: str, params: dict[str, str], peer: Environ, lang: str
    ) -> Call:
        """Check parameters that came another way than as a request, signed as if they were this request.

        :param peer: who sent them: ``REMOTE_ADDR`` and the forwarding headers of a WSGI environ.
        :raises AppError: in the order of the checks.
        :raises RedisDown, DatabaseDown: they cannot be judged.
        """
        now_ns = self._clock()
        return self._check(self._new_call(declared, method, path, params, peer, lang, now_ns), now_ns)

    def _new_call(
        self,
        declared: Endpoint,
        method: str,
        path: str,
        params: dict[str, str],
        peer: Environ,
        lang: str,
        now_ns: int,
    ) -> Call:
        now = datetime.fromtimestamp(now_ns / 1e9, UTC)
        return Call(
            endpoint=declared,
            method=method,
            path=path,
            params=params,
            file=None,
            address=self._peers.address(peer),
            is_local=self._peers.is_local(peer),
            now=now,
            lang=lang,
            database=self._database,
            cache=CacheReader(self._cache, now),
            host=peer.get("HTTP_HOST", ""),
        )

    def _check(self, call: Call, now_ns: int) -> Call:
        """Signature, replay, login and limits."""
        declared = call.endpoint
        answers: list[Any] = []
        also, login = self._token_commands(call)
        ahead = self._read_ahead(call, also) if login is not None and declared.ahead is not None else None
        if declared.require_sign:
            answers = self._signatures.admit(call, now_ns // 1_000_000, also)
        elif also:
            answers = self._replay.fetch(also)
        if declared.require_token:
            if login is None or not answers:
                # Refused after the signature was used up, as everything that is wrong with a login.
                raise NoPermission
            if ahead is not None:
                number = len(ahead.commands)
                read = self._cache.taken(ahead, answers[-number:])
                call.cache = CacheReader(self._cache, call.now, read)
                del answers[-number:]
            self._check_login(call, login, answers)
        self._cache.prepare()
        return call

    def _read_ahead(self, call: Call, also: list[Command]) -> Reading | None:
        """Let what the endpoint will want from the cache be read in the same round trip."""
        if call.endpoint.ahead is None:
            return None
        keys = call.endpoint.ahead(int(call.params["userId"]), call.params, call.now)
        reading = self._cache.read_ahead(self._replay.redis, keys) if keys else None
        if reading is not None:
            also += reading.commands
        return reading

    def _token_commands(self, call: Call) -> tuple[list[Command], Reading | None]:
        """Commands that look the token up, and how its cached entry is read; None if there is no token."""
        if not call.endpoint.require_token:
            return [], None
        token, user_id = call.params.get("token", ""), call.params.get("userId", "")
        if not TOKEN.match(token) or not USER_ID.match(user_id):
            return [], None
        digest = call.token_digest = digest_of(token)
        reading = self._verifier.reading(digest)
        return [*reading.commands, *self.limits.commands(call, int(user_id))], reading

    def _check_login(self, call: Call, login: Reading, answers: list[Any]) -> None:
        known = len(login.commands)
        user_id = int(call.params["userId"])
        call.login = self._verifier.verify(user_id, call.token_digest, login, answers[:known], call.now)
        self.limits.check(call, user_id, answers[known:])

    def _request_id(self, environ: Environ) -> str:
        """The client's or the proxy's own if it has the form of one, so that logs of several programs meet."""
        given = environ.get("HTTP_X_REQUEST_ID")
        if given and _REQUEST_ID.match(given):
            return str(given)
        # Nobody has to be kept from guessing one, and the system is not asked for it.
        return f"{random.getrandbits(64):016x}"

    def _write_access_log(self, environ: Environ, status_line: str, started_ns: int) -> None:
        call: Call | None = environ.get(CALL)
        access_log.info(
            "request",
            request_id=environ[REQUEST_ID],
            method=environ.get("REQUEST_METHOD"),
            path=environ.get("PATH_INFO"),
            status=int(status_line.partition(" ")[0]),
            code=environ.get("datingtoday.code", 0),
            user_id=call.login.user_id if call is not None and call.login is not None else None,
            appkey=call.appkey if call is not None else None,
            duration_ms=round((time.perf_counter_ns() - started_ns) / 1e6, 2),
        )


def as_app_error(error: Exception, environ: Environ) -> AppError:
    """Answer to any exception; an unexpected one is logged with the request's id."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, TooMany):
        return RateLimited(error.retry_after_s)
    # Some work ends beside the place that tells what an error of the driver means: a rollback, for one.
    if isinstance(error, (RedisDown, DatabaseDown)) or (isinstance(error, DBAPIError) and is_down(error)):
        log.warning(
            "part_down", part=type(error).__name__, reason=str(error), request_id=environ.get(REQUEST_ID)
        )
        return Unavailable()
    if isinstance(error, GuardMisconfigured):
        log.error("guard_misconfigured", reason=str(error))
        return Unavailable()
    log.error(
        "unexpected_error", request_id=environ.get(REQUEST_ID), path=environ.get("PATH_INFO"), exc_info=error
    )
    return InternalError()


def _is_large(environ: Environ) -> bool:
    length = environ.get("CONTENT_LENGTH")
    if not length:
        return "HTTP_TRANSFER_ENCODING" in environ
    return not _LENGTH.match(length) or int(length) > _DRAINED_BYTES


def _close_after(start_response: StartResponse) -> None:
    """Let gunicorn say ``Connection: close``, which it does where more is left than it reads, and would not tell."""
    force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
    if force_close is not None:
        force_close()


def _answer_with(result: Response | bytes, environ: Environ, respond: StartResponse) -> Iterable[bytes]:
    if isinstance(result, Response):
        return result(environ, respond)
    respond("200 OK", [("Content-Type", envelope.CONTENT_TYPE), ("Content-Length", str(len(result)))])
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [result]


def _send(error: AppError, environ: Environ, respond: StartResponse) -> list[bytes]:
    environ["datingtoday.code"] = error.code
    body = envelope.failure(error, environ.get(LANG) or lang_of(environ))
    headers = [
        ("Content-Type", envelope.CONTENT_TYPE),
        ("Content-Length", str(len(body))),
        *error.headers.items(),
    ]
    respond(f"{error.http_status} {HTTPStatus(error.http_status).phrase}", headers)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]


def raw_path(environ: Environ) -> str:
    """The path as the client sent it, before the ``?``."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if not raw:
        return str(environ.get("PATH_INFO", ""))
    path = str(raw).partition("?")[0].partition("#")[0]
    if not path.startswith("/"):
        # The absolute form, which HTTP allows: http://host/path
        path = "/" + path.split("://", 1)[-1].partition("/")[2]
    return path
