"""Closed by default: every route says what a request must fulfil, and what is open is listed here by name."""

from __future__ import annotations

from flask import Flask

from datingtoday.protocol.declared_routes import declared_routes, undeclared_routes
from tests.plugins.api import Api

WITHOUT_LOGIN = {
    "POST /api/auth/sendsms",
    "POST /api/auth/login",
    "GET /api/label/list",
    "GET /api/product/list",
    "GET /api/app/config",
}
"""Signed, but without a login."""

UNSIGNED = {
    "GET /api/media/{media_id}",
    "POST /api/pay/notify/{channel}",
    "GET /pay/sandbox/{page_key}",
    "POST /pay/sandbox/{page_key}",
    "GET /",
    "GET /favicon.ico",
    "GET /static/{name}",
    "GET /docs",
    "GET /docs/",
    "GET /docs/keys.json",
    "GET /docs/{name}",
    "GET /docs/postman_collection.json",
    "GET /docs/postman_environment.json",
    "GET /demo",
    "GET /demo/",
    "GET /demo/split",
    "GET /demo/heart.svg",
    "GET /demo/config.json",
    "GET /demo/assets/{name}",
    "GET /openapi.json",
    "GET /asyncapi.json",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
}
"""Neither signed nor with a login; each has a guard of its own, or nothing to hide."""

REPEATABLE = {
    "POST /api/contacts/remove",
    "POST /api/message/send",
    "POST /api/message/read",
    "POST /api/message/recall",
}
"""Done twice is like done once: repeated after a connection that was lost at COMMIT."""


def names(api: Api, *, require_sign: bool, require_token: bool) -> set[str]:
    return {
        f"{route.method} {route.path}"
        for route in declared_routes(api.app)
        if (route.endpoint.require_sign, route.endpoint.require_token) == (require_sign, require_token)
    }


def test_what_may_be_repeated_though_it_may_be_done_already(api: Api) -> None:
    assert {
        f"{it.method} {it.path}" for it in declared_routes(api.app) if it.endpoint.repeatable
    } == REPEATABLE


def test_every_route_is_declared(api: Api) -> None:
    assert undeclared_routes(api.app) == []


def test_a_route_without_a_declaration_is_found() -> None:
    app = Flask("open", static_folder=None)
    app.add_url_rule("/open", view_func=lambda: "")
    assert undeclared_routes(app) == ["/open"]


def test_what_needs_no_login_is_listed(api: Api) -> None:
    assert names(api, require_sign=True, require_token=False) <= WITHOUT_LOGIN


def test_what_is_not_signed_is_listed(api: Api) -> None:
    assert names(api, require_sign=False, require_token=False) <= UNSIGNED
    assert names(api, require_sign=False, require_token=True) == set()


def test_only_get_and_post_are_used(api: Api) -> None:
    assert {route.method for route in declared_routes(api.app)} == {"GET", "POST"}
