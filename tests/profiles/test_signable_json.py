"""JSON that is made once for all viewers: where signatures go, what is appended, and what is kept between."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest

from datingtoday.media.signed_urls import photo_expires, signed_message
from datingtoday.profiles.cards.signable_json import SignableJson, members
from datingtoday.profiles.photo_urls import PhotoUrl

NOW = datetime(2026, 5, 4, 12, 30, 15, tzinfo=UTC)


def sign(message: bytes) -> bytes:
    return b"<" + message.replace(b"\n", b"|") + b">"


def photo(media_id: str, size: str | None = None) -> PhotoUrl:
    return PhotoUrl(media_id, size, NOW)


def url(media_id: str, size: str | None = None) -> str:
    """The URL that is told of such a photo."""
    expires = photo_expires(media_id, NOW)
    chosen = f"size={size}&" if size else ""
    signature = sign(signed_message(media_id, expires=expires, size=size)).decode()
    return f"/api/media/{media_id}?{chosen}expires={expires}&signature={signature}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, {}),
        ([], []),
        ({"a": 1}, {"a": 1}),
        ({"a": photo("m1", "thumb")}, {"a": url("m1", "thumb")}),
        (
            [photo("m1"), "x", photo("m2", "medium"), photo("m1")],
            [url("m1"), "x", url("m2", "medium"), url("m1")],
        ),
        ({"day": date(2026, 1, 2), "at": NOW}, {"day": "2026-01-02", "at": "2026-05-04 12:30:15"}),
    ],
)
def test_every_url_is_signed_before_and_after_it_was_kept(content: Any, told: Any) -> None:
    made = SignableJson.of([1, True, None], content)
    kept = SignableJson.load(made.dump())
    for ready in (made, kept, SignableJson.load(kept.dump())):
        assert ready.head == [1, True, None]
        assert orjson.loads(bytes(ready.signed(sign))) == told
        # For the next viewer as well.
        assert bytes(ready.signed(lambda message: b"-")).count(b"signature=-") == bytes(
            ready.signed(sign)
        ).count(b"signature=<")


def test_members_are_appended_to_an_object() -> None:
    assert members(following=True, data=7) == b',"following":true,"data":7'
    ready = SignableJson.of(None, {"a": photo("m1"), "z": 1})
    assert orjson.loads(bytes(ready.signed(sign, members(data=7)))) == {"a": url("m1"), "z": 1, "data": 7}


def test_objects_side_by_side_keep_their_order_and_their_ends() -> None:
    one = SignableJson.of([1], {"a": photo("m1"), "b": photo("m2", "thumb")})
    two, three = (
        SignableJson.of([2], {"n": 2}),
        SignableJson.load(SignableJson.of([3], {"c": photo("m3")}).dump()),
    )
    joined = SignableJson.joined([(one, b',"km":1'), (two, b""), (three, b',"km":3')])
    assert orjson.loads(b"[" + bytes(joined.signed(sign)) + b"]") == [
        {"a": url("m1"), "b": url("m2", "thumb"), "km": 1},
        {"n": 2},
        {"c": url("m3"), "km": 3},
    ]
    assert joined.head is None


def test_a_value_without_a_form_on_the_wire_is_refused() -> None:
    with pytest.raises(TypeError):
        SignableJson.of(None, {"a": {1, 2}})
