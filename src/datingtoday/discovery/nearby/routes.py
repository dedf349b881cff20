"""Endpoints of places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import Blueprint

from datingtoday.discovery.nearby import schemas
from datingtoday.discovery.nearby.pages import NearbyQuery
from datingtoday.discovery.nearby.service import Nearby
from datingtoday.infra.text import Text
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.fields import LatLngRefused, id_or_none
from datingtoday.protocol.paging import page_ahead, page_schema


def nearby_routes(nearby: Nearby) -> Blueprint:
    """``/api/user/nearby/list`` and ``/api/user/location``."""
    bp = Blueprint("nearby", __name__, url_prefix="/api/user")

    def keys_ahead(user_id: int, params: Mapping[str, str], now: datetime) -> Sequence[str]:
        radius_km = id_or_none(params.get("radius")) or schemas.RADIUS_KM
        gender = id_or_none(params.get("gender"))
        return nearby.keys_ahead(user_id, NearbyQuery(radius_km, gender, page_ahead(params)), now)

    @bp.get("/nearby/list")
    @endpoint(
        "List people nearby, nearest first",
        "附近的人，由近到远",
        params=schemas.NearbyParams,
        returns=page_schema(schemas.NearbyCardSchema),
        raises=(LatLngRefused,),
        description=Text(
            "`latlng` updates your location first; without it the last one counts. Locations are known as squares of "
            "about 2 km, and a move to another square takes effect after some minutes, so that nobody can be located.",
            "传 `latlng` 会先上报自己的位置；不传则用上一次的位置。位置只精确到约 2 公里的网格，"
            "移动到其他网格后数分钟才生效，因此无法定位任何人。",
        ),
        shows="cards",
        ahead=keys_ahead,
    )
    def nearby_list(call: Call, **wanted: Any) -> Any:
        return nearby.list(call.session, call.user_id, call.cache, **wanted)

    @bp.post("/location")
    @endpoint(
        "Update my location, or hide from people nearby",
        "上报位置，或在“附近的人”中隐藏自己",
        params=schemas.LocationParams,
        raises=(LatLngRefused,),
        transaction="manual",
        description=Text(
            "Send at least one of the two. Hiding lasts until `hide=0`; hidden users can still see others.",
            "两个参数至少传一个。隐藏一直有效，直到 `hide=0`；隐藏期间仍可查看他人。",
        ),
    )
    def location(call: Call, **said: Any) -> None:
        nearby.locate(call.user_id, call.cache, **said)

    return bp
