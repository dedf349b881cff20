"""``@endpoint``: the one decorator of every route. It declares what a request must fulfil, and runs the view.

The guard (`guard.py`) admits the request ahead of Flask's dispatch by what is declared here, and calls `run` of the
decorated view: it reads the endpoint's own parameters, opens the transaction, calls the view, commits, and wraps the
result. Flask calls the decorated view itself only where a path has a variable part, or a format of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from flask import Response, current_app, request
from marshmallow import Schema
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from datingtoday.infra.db import DatabaseDown, raise_if_down, should_retry
from datingtoday.infra.text import Text
from datingtoday.protocol import envelope
from datingtoday.protocol.call import CALL, GUARD, RULE, Admission, Call, Endpoint, KeysAhead, Runner, Shown
from datingtoday.protocol.errors import AppError
from datingtoday.protocol.loading import load_params

_ATTEMPTS = 3


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
    repeatable: bool = False,
    raises: Sequence[type[AppError]] = (),
    description: Text | None = None,
    max_file_bytes: int = 0,
    file_name: str = "file",
    own_format: bool = False,
    own_answers: Mapping[int, Text] | None = None,
    shows: Shown | None = None,
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
        repeatable=repeatable,
        raises=tuple(raises),
        description=description,
        max_file_bytes=max_file_bytes,
        file_name=file_name,
        own_format=own_format,
        own_answers=own_answers or {},
        shows=shows,
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
                admission: Admission = current_app.extensions[GUARD]
                request.environ[RULE] = None if request.url_rule is None else request.url_rule.rule
                call = request.environ[CALL] = admission.admit(request.environ, declared)
            result = run(call, path_values)
            if isinstance(result, Response):
                return result
            return Response(result, content_type=envelope.CONTENT_TYPE)

        admitted.endpoint = declared  # type: ignore[attr-defined]
        admitted.run = run  # type: ignore[attr-defined]
        return admitted

    return decorate


def public_route(en: str, zh: str, **options: Any) -> Callable[[View], View]:
    """Declare a public route in a format of its own: a page, a file, or what another program asks for.

    :param options: as for `endpoint`.
    """
    return endpoint(en, zh, require_token=False, require_sign=False, own_format=True, **options)


def declared_endpoint(view: Callable[..., Any]) -> Endpoint | None:
    """Declaration of a view function by ``@endpoint``; None if it was not decorated."""
    found = getattr(view, "endpoint", None)
    return found if isinstance(found, Endpoint) else None


def runner_of(view: Callable[..., Any]) -> Runner:
    """Runs a decorated view for an admitted call, without Flask's contexts; raises what the view raises."""
    run: Runner = view.run  # type: ignore[attr-defined]
    return run


def _run(view: View, call: Call, path_values: Mapping[str, str]) -> Response | bytes:
    declared = call.endpoint
    arguments = dict(path_values)
    if declared.params is not None and not declared.own_format:
        arguments.update(load_params(declared.params, call.params))
    attempt = 1
    while True:
        try:
            result = view(call, **arguments)
            # The answer is made before the commit: what cannot be told must not have happened.
            if not isinstance(result, Response) and not declared.own_format:
                result = envelope.success(_dump(declared.returns, result))
            call.finish(keep=True)
        except AppError as error:
            _finish_refused(call, error)
            raise
        except BaseException as error:
            call.finish(keep=False)
            if isinstance(error, PoolTimeoutError):
                raise DatabaseDown(str(error)) from error
            if isinstance(error, DBAPIError):
                if attempt < _ATTEMPTS and _may_repeat(declared, error):
                    call.restart(datetime.now(UTC))
                    attempt += 1
                    continue
                raise_if_down(error)
            raise
        return result if isinstance(result, (Response, bytes)) else Response(result)


def _may_repeat(declared: Endpoint, error: DBAPIError) -> bool:
    if declared.transaction != "auto":
        return False
    return should_retry(error) or (declared.repeatable and error.connection_invalidated)


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
