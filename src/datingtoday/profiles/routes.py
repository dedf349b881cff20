"""Endpoints of profiles."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.profiles import schemas
from datingtoday.profiles.errors import UserNotFound
from datingtoday.profiles.service import Profiles
from datingtoday.protocol.endpoint import Call, endpoint


def user_routes(profiles: Profiles) -> Blueprint:
    """``/api/user``."""
    bp = Blueprint("user", __name__, url_prefix="/api/user")

    @bp.get("/show")
    @endpoint(
        "A profile: one's own, or another's",
        "用户资料：自己的或他人的",
        params=schemas.ShowParams,
        returns=schemas.ProfileSchema,
        raises=(UserNotFound,),
    )
    def show(call: Call, peer_id: int | None) -> Any:
        return profiles.show(call.session, call.user_id, peer_id, call.now)

    return bp
