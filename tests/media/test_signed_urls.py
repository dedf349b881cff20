"""Whoever changes anything in a URL, or waits too long, gets nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import string
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datingtoday.media import signed_urls
from datingtoday.media.signed_urls import SIZES, Grant, UrlSigner, chat_expires, photo_expires, unsigned_url

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SIGNER = UrlSigner("0f" * 32)
MEDIA = "5f0c1d2e3b4a59687766554433221100"

media_ids = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)
sizes = st.none() | st.sampled_from(SIZES)
viewers = st.integers(0, 2**63 - 1)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def parts_of(url: str) -> tuple[str, str | None, str, str]:
    """Media id, size, expires and signature, as a web framework takes them apart."""
    parsed = urlsplit(url)
    assert parsed.path.startswith("/api/media/")
    query = {name: values[0] for name, values in parse_qs(parsed.query, strict_parsing=True).items()}
    assert set(query) <= {"size", "expires", "signature"}
    return parsed.path.removeprefix("/api/media/"), query.get("size"), query["expires"], query["signature"]


def verify(
    media_id: str, size: str | None, expires: str | None, signature: str | None, now: datetime = NOW
) -> Grant | None:
    return SIGNER.verify(media_id, size=size, expires=expires, signature=signature, now=now)


@given(media_ids, sizes, viewers, moments)
def test_a_url_says_what_it_was_made_for(
    media_id: str, size: str | None, viewer_id: int, now: datetime
) -> None:
    expires = photo_expires(media_id, now)
    url = SIGNER.url(media_id, viewer_id=viewer_id, expires=expires, size=size)
    grant = verify(*parts_of(url), now=now)
    assert grant == Grant(media_id, size, viewer_id, expires)
    assert url == unsigned_url(media_id, expires=expires, size=size) + SIGNER.signature(
        media_id, viewer_id=viewer_id, expires=expires, size=size
    )


@given(st.data(), media_ids, sizes, viewers)
def test_no_letter_can_be_changed(
    data: st.DataObject, media_id: str, size: str | None, viewer_id: int
) -> None:
    expires = chat_expires(NOW)
    good = parts_of(SIGNER.url(media_id, viewer_id=viewer_id, expires=expires, size=size))
    assert verify(*good) is not None
    which = data.draw(st.sampled_from([index for index, part in enumerate(good) if part]))
    part = good[which]
    assert part is not None
    at = data.draw(st.integers(0, len(part) - 1))
    other = data.draw(st.sampled_from(string.printable) | st.characters())
    kind = data.draw(st.sampled_from(["replace", "insert", "delete"]))
    changed = part[:at] + {"replace": other, "insert": other + part[at], "delete": ""}[kind] + part[at + 1 :]
    assume(changed != part)
    tampered = list(good)
    tampered[which] = changed
    assert verify(*tampered) is None  # type: ignore[arg-type]


def test_every_letter_of_one_url() -> None:
    """The same without chance: each letter of the signature, by every letter that could stand there."""
    good = parts_of(SIGNER.url(MEDIA, viewer_id=100785, expires=chat_expires(NOW), size="thumb"))
    letters = string.ascii_letters + string.digits + "-_"
    accepted = [
        (at, letter)
        for at in range(len(good[3]))
        for letter in letters
        if letter != good[3][at] and verify(*good[:3], good[3][:at] + letter + good[3][at + 1 :]) is not None
    ]
    assert accepted == []


@given(media_ids, media_ids, viewers, viewers, sizes, sizes)
def test_signatures_do_not_move(
    media_id: str, other_id: str, viewer_id: int, other_viewer: int, size: str | None, other_size: str | None
) -> None:
    assume(media_id != other_id and viewer_id != other_viewer and size != other_size)
    expires = chat_expires(NOW)
    signature = SIGNER.signature(media_id, viewer_id=viewer_id, expires=expires, size=size)
    assert verify(media_id, size, str(expires), signature) is not None
    assert verify(other_id, size, str(expires), signature) is None
    assert verify(media_id, other_size, str(expires), signature) is None
    assert verify(media_id, size, str(expires + 1), signature) is None
    # Another viewer's id before the same MAC, and the other way round.
    other = SIGNER.signature(media_id, viewer_id=other_viewer, expires=expires, size=size)
    for at in range(1, len(signature)):
        mixed = other[:at] + signature[at:]
        if mixed not in (signature, other):
            assert verify(media_id, size, str(expires), mixed) is None


@given(media_ids, sizes, viewers)
def test_another_server_secret(media_id: str, size: str | None, viewer_id: int) -> None:
    expires = chat_expires(NOW)
    foreign = UrlSigner("0e" * 32).signature(media_id, viewer_id=viewer_id, expires=expires, size=size)
    assert verify(media_id, size, str(expires), foreign) is None


def test_the_bare_secret_is_not_the_key() -> None:
    """A key per purpose: what another part signs with the same secret opens nothing here."""
    expires = chat_expires(NOW)
    message = f"{MEDIA}\n\n{expires}\n".encode() + (1).to_bytes(8, "big")
    for secret in (b"0f" * 32, b"\x0f" * 32):
        mac = hmac.digest(secret, message, "sha256")
        raw = (1).to_bytes(8, "big") + mac
        signature = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        assert verify(MEDIA, None, str(expires), signature) is None


@pytest.mark.parametrize("missing", ["expires", "signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_left_out(missing: str, value: str | None) -> None:
    media_id, size, expires, signature = parts_of(
        SIGNER.url(MEDIA, viewer_id=100785, expires=chat_expires(NOW), size=None)
    )
    given_parts: dict[str, str | None] = {"expires": expires, "signature": signature, missing: value}
    assert verify(media_id, size, given_parts["expires"], given_parts["signature"]) is None


@pytest.mark.parametrize(
    "spelling",
    ["{} ", " {}", "+{}", "0{}", "{}.0", "{}e0", "{}\n", "{}_0", "-{}", "{}" + "0" * 5000, "٢{}"],
)
def test_one_spelling_of_the_time(spelling: str) -> None:
    media_id, size, expires, signature = parts_of(
        SIGNER.url(MEDIA, viewer_id=100785, expires=chat_expires(NOW), size=None)
    )
    assert verify(media_id, size, spelling.format(expires), signature) is None


@given(st.text(), st.none() | st.text(), st.none() | st.text(), st.none() | st.text())
def test_noise_is_refused_and_breaks_nothing(
    media_id: str, size: str | None, expires: str | None, signature: str | None
) -> None:
    assert verify(media_id, size, expires, signature) is None


def test_an_empty_size_is_not_a_missing_one() -> None:
    media_id, _, expires, signature = parts_of(
        SIGNER.url(MEDIA, viewer_id=100785, expires=chat_expires(NOW), size=None)
    )
    assert verify(media_id, "", expires, signature) is None


def test_the_end() -> None:
    expires = chat_expires(NOW)
    parts = parts_of(SIGNER.url(MEDIA, viewer_id=100785, expires=expires))
    end = datetime.fromtimestamp(expires, UTC)
    assert verify(*parts, now=end - timedelta(milliseconds=1)) is not None
    assert verify(*parts, now=end) is None
    assert verify(*parts, now=end + timedelta(days=1000)) is None


def test_the_comparison_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def noted(one: bytes, other: bytes) -> bool:
        compared.append(len(one))
        return hmac.compare_digest(one, other)

    class Noted:
        digest = staticmethod(hmac.digest)
        compare_digest = staticmethod(noted)

    monkeypatch.setattr(signed_urls, "hmac", Noted)
    assert verify(*parts_of(SIGNER.url(MEDIA, viewer_id=1, expires=chat_expires(NOW)))) is not None
    assert compared == [hashlib.sha256().digest_size]


@given(moments)
def test_chat_urls_live_ten_minutes(now: datetime) -> None:
    left_s = chat_expires(now) - now.timestamp()
    assert 599 <= left_s <= 600


@given(media_ids, moments)
def test_photo_urls_change_once_a_day_and_work_for_a_day(media_id: str, now: datetime) -> None:
    expires = photo_expires(media_id, now)
    left_s = expires - now.timestamp()
    assert 86_400 <= left_s < 2 * 86_400
    # Stable until it is renewed, and then for exactly a day.
    renewal = datetime.fromtimestamp(expires - 86_400, UTC)
    assert photo_expires(media_id, renewal) == expires
    assert photo_expires(media_id, renewal + timedelta(milliseconds=1)) == expires + 86_400
    assert photo_expires(media_id, renewal + timedelta(seconds=1)) == expires + 86_400
    assert photo_expires(media_id, renewal + timedelta(days=1)) == expires + 86_400
    assert photo_expires(media_id, renewal + timedelta(days=1, seconds=1)) == expires + 2 * 86_400


def test_photo_urls_do_not_all_change_at_once() -> None:
    hours = {photo_expires(f"{number:032x}", NOW) % 86_400 // 3600 for number in range(500)}
    assert len(hours) == 24


@pytest.mark.parametrize("media_id", ["", "a/b", "a b", "ä", "a" * 65, "a\n", "..", "a?b"])
def test_unusable_ids_are_not_signed(media_id: str) -> None:
    with pytest.raises(ValueError, match="media id"):
        SIGNER.url(media_id, viewer_id=1, expires=chat_expires(NOW))


def test_unusable_sizes_and_times_are_not_signed() -> None:
    with pytest.raises(ValueError, match="size"):
        SIGNER.url(MEDIA, viewer_id=1, expires=chat_expires(NOW), size="huge")
    with pytest.raises(ValueError, match="time"):
        SIGNER.url(MEDIA, viewer_id=1, expires=5)
    with pytest.raises(OverflowError):
        SIGNER.url(MEDIA, viewer_id=-1, expires=chat_expires(NOW))
