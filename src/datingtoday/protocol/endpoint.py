"""``@endpoint``: the one decorator of every route. It declares what a request must fulfil, and runs the view.

The guard (`guard.py`) admits the request ahead of Flask's dispatch by what is declared here, and calls `run` of the
decorated view: it reads the endpoint's own parameters, opens the transaction, calls the view, commits, and wraps the
result. Flask calls the decorated view itself only where a path has a variable part, or a format of its own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from flask import Response, current_app, request
from marshmallow import Schema
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from datingtoday.infra.cache import NOTHING_AHEAD, ReadAhead
from datingtoday.infra.db import Database, DatabaseDown, commit, raise_if_down, should_retry
from datingtoday.protocol import envelope
from datingtoday.protocol.errors import AppError, Text
from datingtoday.protocol.loading import load_params
from datingtoday.protocol.login import Login
from datingtoday.protocol.params import UploadedFile

if TYPE_CHECKING:
    from datingtoday.protocol.guard import Guard

CALL = "datingtoday.call"
"""Where the guard leaves the admitted `Call` in the WSGI environ."""
LANG = "datingtoday.lang"
RULE = "datingtoday.rule"
"""The routing rule of a path with a variable part, for whoever counts requests."""
GUARD = "datingtoday.guard"
"""The guard's place in ``Flask.extensions``."""
KeysAhead = Callable[[int, Mapping[str, str], datetime], Sequence[str]]
"""Which entries of the cache a request will want, as far as its claimed user id and its parameters tell, neither of
which is checked yet: a guess, which costs a little if it is wrong and decides nothing."""
_ATTEMPTS = 3
_LANG_IN_QUERY = re.compile(r"(?:^|&)lang=([A-Za-z-]+)")


@dataclass(frozen=True)
class Endpoint:
    """What a route declares.

    :param params: marshmallow schema of its own parameters; the common ones are the guard's.
    :param returns: schema of ``data``; None if there is none. Many: ``many=True`` on the instance.
    :param transaction: ``auto`` opens one at the view's first statement and commits it; ``manual`` leaves it to the
        service, for the few that must call a provider between two transactions.
    :param raises: errors of its own that a client should expect, for the documentation.
    :param max_file_bytes: 0 where no file is taken; ``file_name`` is the parameter that holds it.
    """

    summary: Text
    require_token: bool = True
    require_sign: bool = True
    params: Schema | None = None
    returns: Schema | None = None
    transaction: Literal["auto", "manual"] = "auto"
    raises: tuple[type[AppError], ...] = ()
    description: Text | None = None
    max_file_bytes: int = 0
    file_name: str = "file"
    own_format: bool = False
    """The route speaks another's format (a payment provider's, raw bytes): no parameters are read, no envelope.
    ``params`` then only says for the documentation what stands in the query."""
    own_answers: Mapping[int, Text] = field(default_factory=dict)
    """HTTP statuses of a route with its own format, and what they mean; for the documentation."""
    ahead: KeysAhead | None = None
    """Lets the guard read these entries in its own round trip; only where a token is required."""


@dataclass(slots=True)
class Call:
    """One admitted request."""

    endpoint: Endpoint
    method: str
    path: str
    params: Mapping[str, str]
    file: UploadedFile | None
    address: str
    is_local: bool
    now: datetime
    lang: str
    database: Database
    appkey: str = ""
    token_digest: str = field(default="", repr=False)
    login: Login | None = None
    ahead: ReadAhead = field(default_factory=lambda: NOTHING_AHEAD)
    """Entries of the cache that the guard has read already."""
    _session: Session | None = field(default=None, repr=False)

    @property
    def user_id(self) -> int:
        """Who is logged in; only where the endpoint requires a token."""
        if self.login is None:
            raise RuntimeError("this endpoint does not require a token")
        return self.login.user_id

    @property
    def session_id(self) -> int:
        if self.login is None:
            raise RuntimeError("this endpoint does not require a token")
        return self.login.session_id

    @property
    def session(self) -> Session:
        """The request's transaction; begins with its first statement and is committed by the endpoint."""
        if self._session is None:
            if self.endpoint.transaction == "manual":
                raise RuntimeError("a manual endpoint opens its own transactions")
            self._session = self.database.session(write=self.method != "GET")
        return self._session

    def finish(self, *, keep: bool) -> None:
        """Commit (``keep``) or roll back what the view did, and let go of the connection."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            if keep:
                commit(session)
            elif session.in_transaction():
                session.rollback()
        finally:
            self.database.give_back(session, write=self.method != "GET")


View = Callable[..., Any]


def endpoint(
    en: str,
    zh: str,
    *,
    require_token: bool = True,
    require_sign: bool = True,
    params: type[Schema] | Schema | None = None,
    returns: type[Schema] | Schema | None = None,
    transaction: Literal["auto", "manual"] = "auto",
    raises: Sequence[type[AppError]] = (),
    description: Text | None = None,
    max_file_bytes: int = 0,
    file_name: str = "file",
    own_format: bool = False,
    own_answers: Mapping[int, Text] | None = None,
    ahead: KeysAhead | None = None,
) -> Callable[[View], View]:
    """Declare a route. The view is called as ``view(call, **parameters)`` and returns what ``returns`` dumps.

    :param en, zh: one line that says what the endpoint does, for the documentation.
    """
    declared = Endpoint(
        summary=Text(en, zh),
        require_token=require_token,
        require_sign=require_sign,
        params=params() if isinstance(params, type) else params,
        returns=returns() if isinstance(returns, type) else returns,
        transaction=transaction,
        raises=tuple(raises),
        description=description,
        max_file_bytes=max_file_bytes,
        file_name=file_name,
        own_format=own_format,
        own_answers=own_answers or {},
        ahead=ahead,
    )

    def decorate(view: View) -> View:
        def run(call: Call, path_values: Mapping[str, str]) -> Response | bytes:
            try:
                return _run(view, call, path_values)
            finally:
                if call.file is not None:
                    call.file.stream.close()

        @functools.wraps(view)
        def admitted(**path_values: str) -> Response:
            call: Call | None = request.environ.get(CALL)
            if call is None:
                # A path with a variable part is not in the guard's table: it is admitted here.
                guard: Guard = current_app.extensions[GUARD]
                request.environ[RULE] = None if request.url_rule is None else request.url_rule.rule
                call = request.environ[CALL] = guard.admit(request.environ, declared)
            result = run(call, path_values)
            if isinstance(result, Response):
                return result
            return Response(result, content_type=envelope.CONTENT_TYPE)

        admitted.endpoint = declared  # type: ignore[attr-defined]
        admitted.run = run  # type: ignore[attr-defined]
        return admitted

    return decorate


def declared_endpoint(view: Callable[..., Any]) -> Endpoint | None:
    """What ``@endpoint`` declared for a view function; None if it was not decorated."""
    found = getattr(view, "endpoint", None)
    return found if isinstance(found, Endpoint) else None


def runner_of(view: Callable[..., Any]) -> Callable[[Call, Mapping[str, str]], Response | bytes]:
    """Runs a decorated view for an admitted call, without Flask's contexts; raises what the view raises."""
    run: Callable[[Call, Mapping[str, str]], Response | bytes] = view.run  # type: ignore[attr-defined]
    return run


def _run(view: View, call: Call, path_values: Mapping[str, str]) -> Response | bytes:
    declared = call.endpoint
    arguments = dict(path_values)
    if declared.params is not None and not declared.own_format:
        arguments.update(load_params(declared.params, call.params))
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            result = view(call, **arguments)
            # The answer is made before the commit: what cannot be told must not have happened.
            if not isinstance(result, Response) and not declared.own_format:
                result = envelope.success(_dump(declared.returns, result))
            call.finish(keep=True)
        except AppError as error:
            _finish_refused(call, error)
            raise
        except PoolTimeoutError as error:
            call.finish(keep=False)
            raise DatabaseDown(str(error)) from error
        except DBAPIError as error:
            call.finish(keep=False)
            if declared.transaction == "auto" and attempt < _ATTEMPTS and should_retry(error):
                call.now = datetime.now(UTC)
                continue
            raise_if_down(error)
            raise
        except BaseException:
            call.finish(keep=False)
            raise
        return result if isinstance(result, (Response, bytes)) else Response(result)
    raise AssertionError("unreachable")


def _finish_refused(call: Call, error: AppError) -> None:
    """End the transaction of a request that the view refused; some refusals commit.

    :raises DatabaseDown: they could not, so the refusal (and what it tells) does not stand.
    """
    try:
        call.finish(keep=error.commits)
    except DBAPIError as failure:
        raise_if_down(failure)
        raise


def _dump(schema: Schema | None, result: Any) -> Any:
    if schema is None or result is None or isinstance(result, envelope.ReadyJson):
        return result
    return schema.dump(result)


def lang_of(environ: Mapping[str, Any], params: Mapping[str, str] | None = None) -> str:
    """``zh`` or ``en``: the parameter ``lang`` if it is there, else what ``Accept-Language`` prefers.

    :param params: None if they could not be read; then ``lang`` counts at least where it stands in the query.
    """
    if params is not None:
        asked = params.get("lang")
    else:
        found = _LANG_IN_QUERY.search(environ.get("QUERY_STRING", ""))
        asked = found[1] if found else None
    if asked is not None:
        return "zh" if asked.lower().startswith("zh") else "en"
    header = environ.get("HTTP_ACCEPT_LANGUAGE")
    if not header or "zh" not in header.lower():
        return "en"
    accepted = parse_accept_header(header, LanguageAccept)
    return accepted.best_match(["en", "zh"], default="en") or "en"
