"""Errors of places."""

from __future__ import annotations

from datingtoday.protocol.errors import ParameterError


def place_unknown() -> ParameterError:
    """The list of people nearby was requested by a user without a known location."""
    return ParameterError.plain(
        "latlng is missing, and no place of yours is known; allowed: lat,lng in decimal degrees",
        "缺少参数 latlng，且尚无你的位置；允许：纬度,经度（十进制度数）",
    )


def nothing_to_change() -> ParameterError:
    """Neither a place nor a choice was sent."""
    return ParameterError.plain(
        "latlng or hide is missing; allowed: latlng as lat,lng in decimal degrees, hide as 1 or 0",
        "缺少参数 latlng 或 hide；允许：latlng 为“纬度,经度”（十进制度数），hide 为 1 或 0",
    )


def page_too_deep(people: int) -> ParameterError:
    """:param people: how many can be reached by the number of a page."""
    return ParameterError.plain(
        f"page reaches the nearest {people} people; allowed: a smaller one, or cursor to go on from a page",
        f"page 最多翻到最近的 {people} 人；允许：更小的页码，或用 cursor 接着上一页",
    )
