"""Answers of the visitor endpoints, and the event that clients receive."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import Schema, fields

from datingtoday.infra.realtime import PushKind
from datingtoday.infra.text import Text
from datingtoday.profiles.schemas import CardSchema
from datingtoday.protocol.described import about
from datingtoday.protocol.fields import WireTime
from datingtoday.visitors.models import VisitStatus

STATUS_NAMES = {
    VisitStatus.UNREAD.value: Text("unread", "未读"),
    VisitStatus.READ.value: Text("read", "已读"),
}


class VisitorSchema(Schema):
    """A visitor."""

    summary: ClassVar[Text] = Text("A visitor of my profile.", "访问过我主页的人。")

    peer = fields.Nested(CardSchema, required=True, metadata=about("the visitor", "访客"))
    visit_time = WireTime(required=True, metadata=about("the last visit", "最近一次访问的时间（UTC）"))
    visits = fields.Integer(required=True, metadata=about("number of visits", "访问次数"))
    status = fields.Integer(
        required=True, metadata=about("seen in the list before", "此前是否在列表中看过", names=STATUS_NAMES)
    )


class VisitorCountSchema(Schema):
    """Number of visitors."""

    summary: ClassVar[Text] = Text("Number of visitors.", "访客人数。")

    total = fields.Integer(
        required=True,
        metadata=about("exact up to 1000, see total_more", "访客人数，1000 以内准确，见 total_more"),
    )
    total_more = fields.Boolean(metadata=about("there are more than 1000", "超过 1000 人"))
    unread = fields.Integer(
        required=True, metadata=about("new visitors, 1000 at most", "新访客人数，最多 1000")
    )


class VisitorEventSchema(Schema):
    """The payload of `visitor`."""

    summary: ClassVar[Text] = Text("The payload of `visitor`.", "`visitor` 事件的内容。")

    total = fields.Integer(required=True, metadata=about("as in `visitor/count`", "与 `visitor/count` 相同"))
    unread = fields.Integer(required=True, metadata=about("as in `visitor/count`", "与 `visitor/count` 相同"))


VISITOR = PushKind(
    "visitor",
    VisitorEventSchema(),
    Text(
        "A user visited the profile; at most one every 2 s, with the numbers of `visitor/count`.",
        "有人访问了主页；最多每 2 秒一次，数字与 `visitor/count` 相同。",
    ),
)
"""Tells numbers only, so it is for everybody."""
