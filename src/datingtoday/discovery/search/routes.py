"""Endpoint of search."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.discovery.search.schemas import SearchParams
from datingtoday.discovery.search.service import Filters, Search
from datingtoday.infra.text import Text
from datingtoday.profiles.schemas import CardSchema
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.paging import PageRequest, page_schema


def search_routes(search: Search) -> Blueprint:
    """``/api/user/search``."""
    bp = Blueprint("search", __name__, url_prefix="/api/user")

    @bp.get("/search")
    @endpoint(
        "Search people by their profiles",
        "按资料搜索用户",
        params=SearchParams,
        returns=page_schema(CardSchema),
        shows="cards",
        description=Text(
            "Results match all filters given; newest members come first. A nickname matches any part of it. For "
            "rare combinations a page may hold fewer than asked for, or nobody, while `has_next` is true: go on with "
            "`cursor`.",
            "须同时满足所传的全部条件；最新注册的排在前面。昵称可按任意片段查找。条件很少见时，"
            "一页可能不满甚至为空而 `has_next` 仍为 true：请用 `cursor` 继续。",
        ),
    )
    def find(call: Call, page: PageRequest, **filters: Any) -> Any:
        return search.find(call.session, call.user_id, Filters(**filters), page, call.now)

    return bp
