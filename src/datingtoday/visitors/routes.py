"""The endpoints under ``/api/visitor``."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.infra.text import Text
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.paging import PageParams, PageRequest, page_schema
from datingtoday.vip.errors import VipRequired
from datingtoday.visitors import schemas
from datingtoday.visitors.service import Visitors


def visitor_routes(visitors: Visitors) -> Blueprint:
    """Visitors of the caller's profile."""
    bp = Blueprint("visitor", __name__, url_prefix="/api/visitor")

    @bp.get("/list")
    @endpoint(
        "List the visitors of my profile",
        "谁看过我",
        params=PageParams,
        returns=page_schema(schemas.VisitorSchema),
        raises=(VipRequired,),
        shows="cards",
        description=Text(
            "For VIPs. The first page marks every visit up to now as read; it shows the status from before. "
            "Only visitors whom one may find now are listed.",
            "仅限会员。请求第一页会把此前的访问全部标为已读，返回的仍是标记前的状态。只列出当前可以找到的访客。",
        ),
    )
    def visitor_list(call: Call, page: PageRequest) -> Any:
        return visitors.list(call.session, call.user_id, page, call.now)

    @bp.get("/count")
    @endpoint(
        "Count the visitors of my profile",
        "访客数量",
        returns=schemas.VisitorCountSchema,
        description=Text(
            "Free for everybody. Stealthy visits, and visits between people who are hidden from each other, "
            "leave no trace.",
            "所有用户可用。隐身访问以及彼此不可见的用户之间的访问不留痕迹。",
        ),
    )
    def visitor_count(call: Call) -> Any:
        return visitors.count(call.session, call.user_id).form()

    return bp
