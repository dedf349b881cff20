"""POST /api/media/upload over the protocol, on both backends."""

from __future__ import annotations

from tests.media.image_samples import photo, saved
from tests.plugins.api import Api
from tests.profiles.people import make_user

PHOTO = saved(photo(900, 600), "JPEG")


def test_a_photo_is_taken_and_delivered(api: Api) -> None:
    user = make_user(api)
    told = api.upload("/api/media/upload", user, PHOTO, kind="photo").data
    print(told)
    answer = api.send("GET", told["url"])
    assert answer.status == 200
    assert len(answer.body) == told["bytes"]
