"""Errors of profiles."""

from __future__ import annotations

from datingtoday.protocol.errors import AppError, Text


class UserNotFound(AppError):
    code = 501
    en = "user not found"
    zh = "用户不存在"
    cause = Text("Nobody has this id, or you may not see who has it.", "没有这个用户，或者你无权查看该用户。")
    cure = Text(
        "Use ids that a list gave you; people can hide, block, or leave.",
        "使用列表返回的 id；对方可能隐藏、拉黑或注销。",
    )
