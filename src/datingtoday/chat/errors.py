"""Errors of chat."""

from __future__ import annotations

from datingtoday.infra.text import Text
from datingtoday.protocol.errors import AppError


class NotAccepted(AppError):
    code = 1401
    en = "not accepted by the other side"
    zh = "对方不接收你的消息"
    cause = Text(
        "The other person does not take messages from you (hidden, blocked either way, banned, deleted), or nobody "
        "has this id. Which of them is not told.",
        "对方不接收你的消息（隐藏、任一方拉黑、被封禁、已注销），或没有这个用户；不区分具体原因。",
    )
    cure = Text(
        "Keep the message as failed. Sending the same `clientId` again is harmless.",
        "把消息标记为发送失败；用同一个 `clientId` 重发是安全的。",
    )


class MessageNotFound(AppError):
    code = 1402
    en = "message not found"
    zh = "消息不存在"
    cause = Text(
        "There is no such message, or it is not yours (recall), or not that person's to you (report).",
        "没有这条消息；或不是你发的（撤回）；或不是该用户发给你的（举报）。",
    )
    cure = Text(
        "Use the `message_id` of a message that the server gave you.", "使用服务器返回的 `message_id`。"
    )


class TooManyConversations(AppError):
    code = 1404
    en = "too many new contacts today; at most {most}"
    zh = "今天新发起的会话过多；最多 {most} 个"
    cause = Text(
        "You began as many conversations today (UTC) as you may; refused ones do not count.",
        "你今天（UTC）主动发起的会话数已达上限；被拒绝的不计入。",
    )
    cure = Text(
        "Go on in the conversations that exist, or wait until the next day.",
        "继续已有的会话，或等到第二天。",
    )


class TooLateToRecall(AppError):
    code = 1405
    en = "too late to recall; at most {most_s} s after sending"
    zh = "已超过可撤回的时间；发送后 {most_s} 秒内可撤回"
    cause = Text("The message was sent too long ago.", "消息发送时间过久。")
    cure = Text("It stays as it is.", "消息保持不变。")


class PositionUnknown(AppError):
    code = 1406
    en = "sync position unknown; start from 0"
    zh = "同步位置无效；请从 0 开始"
    cause = Text(
        "`since` is ahead of the head of this account's stream, or `epoch` is another one than the server's: the "
        "database was set back, or the position belongs to another account.",
        "`since` 超过了该账号的最新位置，或 `epoch` 与服务器不同：数据库曾被回退，或该位置属于另一个账号。",
    )
    cure = Text(
        "Drop the local copy, and read from `since=0`, without `epoch`; what was not acknowledged is sent again.",
        "丢弃本地副本，从 `since=0`（不带 `epoch`）重新读取；未确认的消息继续重发。",
    )
