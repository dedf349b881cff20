"""Endpoint of the hot list."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.discovery.hot.service import HotList
from datingtoday.infra.text import Text
from datingtoday.profiles.schemas import CardSchema
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.paging import PageParams, PageRequest, page_ahead, page_schema


def hot_routes(hot: HotList) -> Blueprint:
    """``/api/user/hot/list``."""
    bp = Blueprint("hot", __name__, url_prefix="/api/user")

    @bp.get("/hot/list")
    @endpoint(
        "List recommended people, most popular first",
        "热门推荐",
        params=PageParams,
        returns=page_schema(CardSchema),
        description=Text(
            "People of the gender you want to meet who want to meet yours, where these are set; with "
            "`personal=0` the same list "
            "for everybody. `cursor` continues the list as it was on the first page.",
            "按双方想认识的性别筛选（已填写时）；`personal=0` 时所有人看到相同的列表。"
            "用 `cursor` 翻页时，列表保持第一页时的样子。",
        ),
        shows="cards",
        ahead=lambda user_id, params, _: hot.keys_ahead(user_id, page_ahead(params)),
    )
    def hot_list(call: Call, page: PageRequest) -> Any:
        return hot.page(call.session, call.user_id, page, call.cache)

    return bp
