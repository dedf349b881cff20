"""Range and headers as in RFC 9110."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datingtoday.media.http_ranges import (
    ByteRange,
    Delivery,
    RangeNotSatisfiable,
    parse_range,
    plan_delivery,
    plan_internal_redirect,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
EXPIRES = int(NOW.timestamp()) + 600
SHA256 = "ab" * 32
ETAG = f'"{SHA256}"'


def plan(size_bytes: int = 1000, mime: str = "video/mp4", **headers: str) -> Delivery:
    return plan_delivery(
        mime=mime,
        size_bytes=size_bytes,
        sha256=SHA256,
        expires=EXPIRES,
        now=NOW,
        range_header=headers.get("range"),
        if_range=headers.get("if_range"),
        if_none_match=headers.get("if_none_match"),
    )


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 1000),
        ("bytes=0-499", 0, 500),
        ("bytes=500-999", 500, 1000),
        ("bytes=500-", 500, 1000),
        ("bytes=999-", 999, 1000),
        ("bytes=-500", 500, 1000),
        ("bytes=-1", 999, 1000),
        ("bytes=-1000", 0, 1000),
        ("bytes=-5000", 0, 1000),
        ("bytes=900-5000", 900, 1000),
        ("bytes=0-18446744073709551616000", 0, 1000),
        ("bytes=-99999999999999999999999", 0, 1000),
        ("Bytes=1-2", 1, 3),
        ("bytes= 1-2 ", 1, 3),
        ("bytes=0001-0002", 1, 3),
        ("bytes=-" + "0" * 5000 + "7", 993, 1000),
    ],
)
def test_single_ranges(header: str, start: int, end: int) -> None:
    assert parse_range(header, 1000) == ByteRange(start, end)


@pytest.mark.parametrize(
    "header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=" + "9" * 5000 + "-"]
)
def test_ranges_behind_the_end(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, 1000)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=1-2,5-6",
        "bytes=1-2,",
        "bytes=--5",
        "bytes=+1-2",
        "bytes=1_0-20",
        "bytes=１-２",
        "bytes=1-2x",
        "bytes:1-2",
        "items=1-2",
        "bytes=0x1-2",
        "bytes=1.0-2",
        "bytes=1-2\n",
    ],
)
def test_what_is_ignored(header: str | None) -> None:
    assert parse_range(header, 1000) is None


def test_nothing_to_cut() -> None:
    assert parse_range("bytes=-5", 0) is None
    with pytest.raises(RangeNotSatisfiable):
        parse_range("bytes=0-", 0)


@given(st.text(), st.integers(0, 10**9))
def test_noise(header: str, size: int) -> None:
    try:
        part = parse_range("bytes=" + header, size)
    except RangeNotSatisfiable:
        return
    assert part is None or 0 <= part.start < part.end <= size


@given(st.integers(0, 3000), st.none() | st.integers(0, 3000), st.integers(0, 2000))
def test_ranges_are_slices(first: int, last: int | None, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    header = f"bytes={first}-{'' if last is None else last}"
    if last is not None and last < first:
        assert parse_range(header, size) is None
        return
    expected = content[first : None if last is None else last + 1]
    if not expected:
        with pytest.raises(RangeNotSatisfiable):
            parse_range(header, size)
        return
    part = parse_range(header, size)
    assert part is not None
    assert content[part.start : part.end] == expected


@given(st.integers(1, 3000), st.integers(1, 2000))
def test_suffixes_are_slices(suffix: int, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    part = parse_range(f"bytes=-{suffix}", size)
    assert part is not None
    assert content[part.start : part.end] == content[-suffix:]


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(1, 2000))
def test_the_answer_agrees_with_itself(first: int, last: int, size: int) -> None:
    answer = plan(size_bytes=size, range=f"bytes={first}-{last}")
    if answer.status == 416:
        assert first >= size and last >= first
        assert answer.headers["Content-Range"] == f"bytes */{size}"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.body is None
        return
    assert answer.body is not None
    assert answer.headers["Content-Length"] == str(answer.body.end - answer.body.start)
    if answer.status == 206:
        assert answer.headers["Content-Range"] == f"bytes {answer.body.start}-{answer.body.end - 1}/{size}"
    else:
        assert answer.status == 200 and last < first
        assert "Content-Range" not in answer.headers and answer.body == ByteRange(0, size)


def test_the_whole() -> None:
    answer = plan(mime="image/jpeg")
    assert (answer.status, answer.body) == (200, ByteRange(0, 1000))
    assert answer.headers == {
        "Content-Type": "image/jpeg",
        "Content-Length": "1000",
        "Content-Disposition": 'inline; filename="media.jpg"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=600",
        "Accept-Ranges": "bytes",
        "ETag": ETAG,
    }


def test_only_types_that_media_makes() -> None:
    with pytest.raises(KeyError):
        plan(mime="text/html")


def test_if_range() -> None:
    assert plan(range="bytes=0-9", if_range=ETAG).status == 206
    for stale in ('"other"', f"W/{ETAG}", "Sun, 22 Nov 2026 12:00:00 GMT", ""):
        answer = plan(range="bytes=0-9", if_range=stale)
        assert (answer.status, answer.body) == (200, ByteRange(0, 1000))
    assert plan(range="bytes=5000-", if_range='"other"').status == 200


@pytest.mark.parametrize("header", [ETAG, f"W/{ETAG}", "*", f'"x", {ETAG}', f'"x",W/{ETAG},"y"'])
def test_not_modified(header: str) -> None:
    answer = plan(if_none_match=header, range="bytes=0-9")
    assert (answer.status, answer.body) == (304, None)
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Cache-Control"] == "private, max-age=600"
    assert "Content-Length" not in answer.headers and "Content-Type" not in answer.headers


@pytest.mark.parametrize("header", ['"x"', "", SHA256, '"x", "y"'])
def test_modified(header: str) -> None:
    assert plan(if_none_match=header).status == 200


def test_a_url_that_ends_now_is_not_kept() -> None:
    answer = plan_delivery(mime="image/jpeg", size_bytes=5, sha256=SHA256, expires=EXPIRES - 700, now=NOW)
    assert answer.headers["Cache-Control"] == "private, max-age=0"


@pytest.mark.parametrize("location", ["/_media/", "/_media"])
def test_nginx_sends_the_file(location: str) -> None:
    answer = plan_internal_redirect(
        mime="audio/mpeg", location=location, internal_path="ab/cd/abcd", expires=EXPIRES, now=NOW
    )
    assert (answer.status, answer.body) == (200, None)
    assert answer.headers["X-Accel-Redirect"] == "/_media/ab/cd/abcd"
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.headers["Content-Disposition"] == 'inline; filename="media.mp3"'
    assert answer.headers["Cache-Control"] == "private, max-age=600"
    # nginx computes these from the file.
    assert not {"Content-Length", "ETag", "Accept-Ranges"} & set(answer.headers)
