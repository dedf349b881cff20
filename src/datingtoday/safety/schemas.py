"""Parameters and answers of safety."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from marshmallow import Schema, fields

from datingtoday.infra.text import Text
from datingtoday.protocol.described import about
from datingtoday.protocol.fields import Choice, Id, Integer, ParamsSchema, SmsCode, TextBlock, WireTime
from datingtoday.safety.models import DETAIL_CHARS
from datingtoday.safety.reports import REASONS

_MAX_MESSAGE_ID = 2**63 - 1
_EXPORT = Text(
    "Everything that is stored on me, by the parts that store it.", "存储的我的全部数据，按部分列出。"
)


class ReportParams(ParamsSchema):
    peer_id = Id(data_key="peerId")
    reason = Choice({reason.word: Text(reason.en, reason.zh) for reason in REASONS})
    detail = TextBlock(most=DETAIL_CHARS, load_default="")
    message_id = Integer(least=1, most=_MAX_MESSAGE_ID, data_key="messageId", load_default=None)


class ReportedSchema(Schema):
    summary: ClassVar[Text] = Text("The report was taken.", "举报已受理。")

    report_id = fields.Integer(
        required=True, attribute="id", metadata=about("number of the report", "举报编号")
    )


class CodeParams(ParamsSchema):
    code = SmsCode()


def export_schema(parts: Iterable[str]) -> Schema:
    """The schema of an export.

    :param parts: the names of the keepers of personal data, each of which adds one.
    """
    made = Schema.from_dict(
        {
            "user_id": fields.Integer(required=True, metadata=about("my id", "我的用户 id")),
            "exported_at": WireTime(
                required=True, metadata=about("time of the export, UTC", "导出时间（UTC）")
            ),
            **{
                name: fields.Dict(
                    required=True,
                    metadata=about(f"what the part `{name}` stores on me", f"`{name}` 部分存储的我的数据"),
                )
                for name in parts
            },
        },
        name="ExportSchema",
    )
    made.summary = _EXPORT  # type: ignore[attr-defined]
    return made()
