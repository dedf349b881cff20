"""The event of accounts that clients receive."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import Schema, fields

from datingtoday.infra.realtime import PushKind
from datingtoday.infra.text import Text
from datingtoday.protocol.described import about


class KickSchema(Schema):
    """The payload of `kick`."""

    summary: ClassVar[Text] = Text("The payload of `kick`.", "`kick` 事件的内容。")

    code = fields.Integer(
        required=True,
        metadata=about(
            "1101, 1102: the login is refused; 1103: connected elsewhere",
            "1101、1102：登录已失效；1103：已在别处连接",
        ),
    )
    data = fields.Dict(
        metadata=about(
            "as in an answer with this code; left out if there is none", "与该错误码应答中的相同；没有则省略"
        )
    )


KICK = PushKind(
    "kick",
    KickSchema(),
    Text(
        "This connection is ended: its login is refused from now on (1101, 1102), or five newer connections of the "
        "user are open (1103). The server disconnects right after; do not reconnect by yourself.",
        "该连接被终止：登录已失效（1101、1102），或该用户已有五个更新的连接（1103）。随后服务器断开；不要自动重连。",
    ),
)
