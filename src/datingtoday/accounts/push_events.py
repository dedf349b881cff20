"""The event that ends a connection: its session is refused from now on."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from marshmallow import Schema, fields

from datingtoday.accounts.sessions import SessionsEnded
from datingtoday.infra.realtime import PushEvent, PushKind, Realtime
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


def kick_when_ended(realtime: Realtime) -> Callable[[SessionsEnded], None]:
    """The listener that tells the push processes."""

    def kick(ended: SessionsEnded) -> None:
        realtime.publish([kick_event(ended)])

    return kick


def kick_event(ended: SessionsEnded) -> PushEvent:
    """The event as push processes receive it: with ``session_ids``, which clients do not get."""
    payload: dict[str, object] = {"code": ended.code, "session_ids": ended.session_ids}
    if ended.data is not None:
        payload["data"] = dict(ended.data)
    return PushEvent(ended.user_id, KICK.name, orjson.dumps(payload))
