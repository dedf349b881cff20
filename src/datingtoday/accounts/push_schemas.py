"""The event of accounts that clients receive."""

from __future__ import annotations

from marshmallow import Schema, fields

from datingtoday.infra.realtime import PushKind
from datingtoday.infra.text import Text


class KickSchema(Schema):
    """The payload of `kick`."""

    code = fields.Integer(
        required=True, metadata={"description": "1101, 1102: the login is refused; 1103: connected elsewhere"}
    )
    data = fields.Dict(metadata={"description": "as in an answer with this code; left out if there is none"})


KICK = PushKind(
    "kick",
    KickSchema(),
    Text(
        "This connection is ended: its login is refused from now on (1101, 1102), or five newer connections of the "
        "user are open (1103). The server disconnects right after; do not reconnect by yourself.",
        "该连接被终止：登录已失效（1101、1102），或该用户已有五个更新的连接（1103）。随后服务器断开；不要自动重连。",
    ),
)
