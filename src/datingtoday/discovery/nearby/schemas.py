"""Parameters and answers of places."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import fields

from datingtoday.discovery.nearby.grid import BANDS_KM, RADII_KM
from datingtoday.profiles.enumerations import GENDER
from datingtoday.profiles.schemas import CardSchema
from datingtoday.protocol.fields import Flag, LatLng, Number, ParamsSchema
from datingtoday.protocol.paging import PageParams

RADIUS_KM = 50


class NearbyParams(PageParams):
    remembers: ClassVar[frozenset[str]] = PageParams.remembers | {"radius", "gender"}

    latlng = LatLng(load_default=None)
    radius = Number(RADII_KM, load_default=RADIUS_KM)
    gender = Number(GENDER.numbers, load_default=None)


class LocationParams(ParamsSchema):
    latlng = LatLng(load_default=None)
    hide = Flag(load_default=None)


class NearbyCardSchema(CardSchema):
    """A card, and about how far away the person is."""

    distance_km = fields.Integer(
        required=True,
        metadata={
            "description": "at most, between the centres of the squares that the two are in",
            "enum": list(BANDS_KM),
        },
    )
