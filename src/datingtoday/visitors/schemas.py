"""Answers of the visitor endpoints, and the event that clients receive."""

from __future__ import annotations

from marshmallow import Schema, fields

from datingtoday.infra.realtime import PushKind
from datingtoday.infra.text import Text
from datingtoday.profiles.schemas import CardSchema
from datingtoday.protocol.fields import WireTime
from datingtoday.protocol.paging import MAX_TOTAL
from datingtoday.visitors.models import VisitStatus


class VisitorSchema(Schema):
    """A visitor."""

    peer = fields.Nested(CardSchema, required=True)
    visit_time = WireTime(required=True, metadata={"description": "the last visit"})
    visits = fields.Integer(required=True)
    status = fields.Integer(
        required=True,
        metadata={"description": "0 unread, 1 read", "enum": [status.value for status in VisitStatus]},
    )


class VisitorCountSchema(Schema):
    """Number of visitors."""

    total = fields.Integer(
        required=True, metadata={"description": f"exact up to {MAX_TOTAL}, see total_more"}
    )
    total_more = fields.Boolean(metadata={"description": f"there are more than {MAX_TOTAL}"})
    unread = fields.Integer(required=True, metadata={"description": f"{MAX_TOTAL} at most"})


class VisitorEventSchema(Schema):
    """The payload of `visitor`."""

    total = fields.Integer(required=True)
    unread = fields.Integer(required=True)


VISITOR = PushKind(
    "visitor",
    VisitorEventSchema(),
    Text(
        "A user visited the profile; at most one every 2 s, with the numbers of `visitor/count`.",
        "有人访问了主页；最多每 2 秒一次，数字与 `visitor/count` 相同。",
    ),
)
"""Tells numbers only, so it is for everybody."""
