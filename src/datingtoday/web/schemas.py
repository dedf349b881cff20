"""Answers of the endpoints that describe the app."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import Schema, fields

from datingtoday.infra.text import Text
from datingtoday.protocol.described import about


class NumberOptionSchema(Schema):
    summary: ClassVar[Text] = Text("A number and its names.", "一个数字及其名称。")

    value = fields.Integer(
        required=True, metadata=about("number in requests and answers", "请求和应答中的数字")
    )
    en = fields.String(required=True, metadata=about("name in English", "英文名称"))
    zh = fields.String(required=True, metadata=about("name in Chinese", "中文名称"))


class WordOptionSchema(Schema):
    summary: ClassVar[Text] = Text("A word and its names.", "一个取值及其名称。")

    value = fields.String(required=True, metadata=about("word in requests", "请求中的取值"))
    en = fields.String(required=True, metadata=about("name in English", "英文名称"))
    zh = fields.String(required=True, metadata=about("name in Chinese", "中文名称"))


class VipRightSchema(Schema):
    summary: ClassVar[Text] = Text("A right that VIP unlocks or raises.", "一项会员权益。")

    name = fields.String(required=True, metadata=about("name of the right", "权益名称"))
    free = fields.Raw(
        required=True,
        metadata=about(
            "without VIP: whether, or how many",
            "非会员：是否可用，或数量",
            oneOf=[{"type": "boolean"}, {"type": "integer"}],
        ),
    )
    vip = fields.Raw(
        required=True,
        metadata=about(
            "with VIP: whether, or how many",
            "会员：是否可用，或数量",
            oneOf=[{"type": "boolean"}, {"type": "integer"}],
        ),
    )


class AppConfigSchema(Schema):
    summary: ClassVar[Text] = Text(
        "What a client needs to know before it can show a form.", "客户端展示表单前需要知道的内容。"
    )

    enumerations = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.Nested(NumberOptionSchema)),
        required=True,
        metadata=about("field → its numbers and their names", "字段 → 可取的数字及名称"),
    )
    report_reasons = fields.List(
        fields.Nested(WordOptionSchema),
        required=True,
        metadata=about("reasons of `user/report`", "`user/report` 的举报原因"),
    )
    limits = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata=about("limit → its value; the unit ends the name", "限制 → 数值，名称末尾为单位"),
    )
    vip_rights = fields.List(
        fields.Nested(VipRightSchema), required=True, metadata=about("what VIP unlocks", "会员权益")
    )
    payment_channels = fields.List(
        fields.String(), required=True, metadata=about("channels that are set up", "已开通的支付渠道")
    )
    min_client_version = fields.String(
        required=True,
        metadata=about(
            "older clients should ask for an update; empty: none",
            "低于此版本的客户端应提示更新；为空表示不限",
        ),
    )
    server_time = fields.String(required=True, metadata=about("the server's clock, UTC", "服务器时间（UTC）"))
    server_time_ms = fields.Integer(
        required=True, metadata=about("the same in ms since 1970", "服务器时间，1970 年以来的毫秒数")
    )
