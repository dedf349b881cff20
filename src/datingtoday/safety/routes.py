"""Endpoints of people's rights: reporting, deleting and exporting an account."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.accounts.errors import SmsCodeWrong
from datingtoday.chat.errors import MessageNotFound
from datingtoday.infra.text import Text
from datingtoday.profiles.errors import UserNotFound
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.envelope import ReadyJson, to_json
from datingtoday.protocol.errors import RateLimited
from datingtoday.safety import schemas
from datingtoday.safety.deletion import Deletion
from datingtoday.safety.export import Export
from datingtoday.safety.reports import Reports


def rights_routes(reports: Reports, deletion: Deletion, export: Export) -> Blueprint:
    """``/api/user``: reports, account deletion and data export."""
    bp = Blueprint("rights", __name__, url_prefix="/api/user")

    @bp.post("/report")
    @endpoint(
        "Report a user",
        "举报",
        params=schemas.ReportParams,
        returns=schemas.ReportedSchema,
        raises=(UserNotFound, MessageNotFound, RateLimited),
        description=Text(
            "Stores the reported user's profile as it is now, and the message if one is named.",
            "保存被举报人当前的资料；指定消息时一并保存该消息。",
        ),
    )
    def report(call: Call, peer_id: int, **what: Any) -> Any:
        return reports.report(call.session, call.user_id, peer_id, now=call.now, **what)

    @bp.post("/delete")
    @endpoint(
        "Delete my account",
        "注销账号",
        params=schemas.CodeParams,
        raises=(SmsCodeWrong, RateLimited),
        description=Text(
            "Needs a code sent to your own number for the purpose `delete`. Every login ends, the account is "
            "invisible and the number is free at once; the rest is purged after 30 days.",
            "需要向本人手机号发送、用途为 `delete` 的验证码。所有登录立即失效，账号立即不可见，手机号立即释放；"
            "其余数据 30 天后清除。",
        ),
    )
    def delete(call: Call, code: str) -> None:
        deletion.delete(call.session, call.user_id, code, address=call.address, now=call.now)

    @bp.post("/export")
    @endpoint(
        "Export my data",
        "导出自己的全部数据",
        params=schemas.CodeParams,
        returns=schemas.export_schema(export.parts),
        raises=(SmsCodeWrong, RateLimited),
        description=Text(
            "Needs a code sent to your own number for the purpose `export`; once a day.",
            "需要向本人手机号发送、用途为 `export` 的验证码；每天一次。",
        ),
    )
    def export_(call: Call, code: str) -> Any:
        data = export.export(call.session, call.user_id, code, address=call.address, now=call.now)
        return ReadyJson(to_json(data))

    return bp
