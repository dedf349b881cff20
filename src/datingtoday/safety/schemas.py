"""Parameters and answers of safety."""

from __future__ import annotations

from collections.abc import Iterable

from marshmallow import Schema, fields

from datingtoday.protocol.fields import Choice, Id, Integer, ParamsSchema, SmsCode, TextBlock, WireTime
from datingtoday.safety.models import DETAIL_CHARS
from datingtoday.safety.reports import REASONS

_MAX_MESSAGE_ID = 2**63 - 1


class ReportParams(ParamsSchema):
    peer_id = Id(data_key="peerId")
    reason = Choice([reason.word for reason in REASONS])
    detail = TextBlock(most=DETAIL_CHARS, load_default="")
    message_id = Integer(least=1, most=_MAX_MESSAGE_ID, data_key="messageId", load_default=None)


class ReportedSchema(Schema):
    report_id = fields.Integer(required=True, attribute="id")


class CodeParams(ParamsSchema):
    code = SmsCode()


def export_schema(parts: Iterable[str]) -> Schema:
    """The schema of an export.

    :param parts: the names of the keepers of personal data, each of which adds one.
    """
    made = Schema.from_dict(
        {
            "user_id": fields.Integer(required=True),
            "exported_at": WireTime(required=True),
            **{name: fields.Dict(required=True) for name in parts},
        },
        name="ExportSchema",
    )
    return made()
