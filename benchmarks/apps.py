"""The two applications that are compared under the same server: bare Flask, and the product with no-op routes.

The product's settings come from the environment, as in production.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask

from datingtoday.app import PARTS, Parts, create_app
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.server.garbage_collector import settle_collector
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint


def hello() -> Flask:
    """Upper limit of Flask: one route that answers a constant."""
    app = Flask("hello")

    @app.get("/hello")
    def view() -> Any:
        return {"code": 0, "msg": "success"}

    return _as_in_production(app)


def noop_routes() -> Blueprint:
    """Routes that do nothing but pass the guard."""
    bp = Blueprint("noop", __name__, url_prefix="/api/noop")

    @bp.get("/signed")
    @endpoint("Nothing, signed", "空操作，验签", require_token=False)
    def signed(call: Call) -> None:
        """Nothing."""

    @bp.get("/token")
    @endpoint("Nothing, signed and logged in", "空操作，验签并登录")
    def token(call: Call) -> None:
        """Nothing."""

    return bp


def product() -> Flask:
    """The whole product, and the no-op routes beside its own."""
    return _as_in_production(create_app(load_settings(), blueprints=[noop_routes()]))


def product_without_recording() -> Flask:
    """The product, but nothing of what people do is recorded off the path of their requests."""
    app = create_app(load_settings(), blueprints=[noop_routes()])
    parts: Parts = app.extensions[PARTS]
    parts.base.streams.note = lambda name, entry: None  # type: ignore[method-assign]
    return _as_in_production(app)


def _as_in_production(app: Flask) -> Flask:
    """The collector of both as the product's server has it."""
    settle_collector()
    return app
