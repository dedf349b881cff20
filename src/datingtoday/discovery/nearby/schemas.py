"""Parameters and answers of places."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import fields

from datingtoday.discovery.nearby.grid import BANDS_KM, RADII_KM
from datingtoday.infra.text import Text
from datingtoday.profiles.enumerations import GENDER
from datingtoday.profiles.schemas import CardSchema
from datingtoday.protocol.described import about
from datingtoday.protocol.fields import Flag, LatLng, Number, ParamsSchema
from datingtoday.protocol.paging import PageParams

RADIUS_KM = 50
_RADIUS_NAMES = {km: Text(f"{km} km", f"{km} 公里") for km in RADII_KM}
BAND_NAMES = {km: Text(f"within {km} km", f"{km} 公里内") for km in BANDS_KM}


class NearbyParams(PageParams):
    remembers: ClassVar[frozenset[str]] = PageParams.remembers | {"radius", "gender"}

    latlng = LatLng(load_default=None)
    radius = Number(_RADIUS_NAMES, load_default=RADIUS_KM)
    gender = Number(GENDER.names, load_default=None)


class LocationParams(ParamsSchema):
    latlng = LatLng(load_default=None)
    hide = Flag(load_default=None)


class NearbyCardSchema(CardSchema):
    """A card, and about how far away the person is."""

    summary: ClassVar[Text] = Text("A card, and about how far away the person is.", "用户卡片及大致距离。")

    distance_km = fields.Integer(
        required=True,
        metadata=about(
            "at most this many km, between the centres of the squares that the two are in",
            "距离上限（公里），按两人所在网格的中心计算",
            names=BAND_NAMES,
        ),
    )
