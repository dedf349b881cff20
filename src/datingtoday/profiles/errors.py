"""Errors of profiles."""

from __future__ import annotations

from typing import ClassVar

from datingtoday.infra.text import Text
from datingtoday.protocol.errors import AppError


class UserNotFound(AppError):
    code = 501
    en = "user not found"
    zh = "用户不存在"
    cause = Text("No user has this id, or you may not see that user.", "没有这个用户，或者你无权查看该用户。")
    cure = Text(
        "Use ids returned by a list; users can hide, block others, or delete their account.",
        "使用列表返回的 id；对方可能隐藏、拉黑或注销。",
    )


class NicknameRefused(AppError):
    rule: ClassVar[Text] = Text(
        "1 to 32 characters of any script, as a reader counts them (255 code points); at least one is visible, none is "
        "a control character or line break",
        "1 到 32 个字符（按肉眼所见计数，至多 255 个码点），任何文字均可；至少一个可见，不含控制字符和换行",
    )
    blank: ClassVar[Text] = Text("nothing of it is visible", "没有任何可见字符")
    control_characters: ClassVar[Text] = Text(
        "it has a control character, an override of the text's direction, or a line break",
        "含有控制字符、改变文字方向的字符或换行",
    )
    too_long: ClassVar[Text] = Text("it is too long", "过长")
    code = 505
    en = "nickname is not valid: {why}; allowed: " + rule.en
    zh = "昵称 nickname 不正确：{why}；允许：" + rule.zh
    cause = Text("A nickname breaks the rule that the message names.", "昵称不符合 msg 中写明的规则。")
    cure = Text("Choose another nickname. A nickname cannot be cleared.", "换一个昵称。昵称不能清空。")


class AlbumFull(AppError):
    code = 1202
    en = "album full; at most {most} photos"
    zh = "相册已满；最多 {most} 张照片"
    cause = Text("The album is full.", "相册中的照片数已达上限。")
    cure = Text("Remove a photo from my album first.", "先删除一张照片。")


class LabelUnknown(AppError):
    code = 1203
    en = "label unknown: {label_id}"
    zh = "未知的标签：{label_id}"
    cause = Text("No label has this id.", "没有这个 id 的标签。")
    cure = Text("Use ids of `/api/label/list`.", "使用 `/api/label/list` 返回的 id。")
