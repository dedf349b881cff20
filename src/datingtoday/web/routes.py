"""Endpoints that tell clients about the app."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.web import schemas
from datingtoday.web.app_config import AppConfig


def app_routes(config: AppConfig) -> Blueprint:
    """``/api/app``."""
    bp = Blueprint("app_config", __name__, url_prefix="/api/app")

    @bp.get("/config")
    @endpoint(
        "Get enumerations, limits and the server's time",
        "枚举、限制与服务器时间",
        require_token=False,
        returns=schemas.AppConfigSchema,
    )
    def config_(call: Call) -> Any:
        return config.show(call.now)

    return bp
