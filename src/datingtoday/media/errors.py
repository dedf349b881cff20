"""Errors of media."""

from __future__ import annotations

from datingtoday.infra.text import Text
from datingtoday.protocol.errors import AppError


class FileRefused(AppError):
    """The upload is not taken. `en` and `zh` say what is wrong with it and what is allowed."""

    code = 1201
    en = "file refused: {reason}"
    zh = "文件被拒绝：{reason}"
    cause = Text(
        "The type, size or content of the upload is not allowed, or the file is damaged. Only the "
        "content is examined; file name and declared type do not count.",
        "上传文件的类型、大小或内容不被允许，或文件已损坏。服务器只看内容，不看文件名和声明的类型。",
    )
    cure = Text(
        "Read the message: it says what is wrong and what is allowed. Retrying with the same file will fail again.",
        "看 msg：它写明了问题和允许的范围。同一个文件再传仍会被拒绝。",
    )

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(reason=Text(en, zh))


class MediaNotFound(AppError):
    code = 1204
    en = "media not found"
    zh = "媒体不存在"
    cause = Text(
        "The media does not exist, belongs to another user, has the wrong kind for this use, was rejected by "
        "moderators, or was removed (unused uploads are removed after a day).",
        "媒体不存在、属于他人、类型不符、未通过审核，或已被删除（未使用的上传一天后删除）。",
    )
    cure = Text(
        "Send the `media_id` of one of your own uploads, or upload the file again.",
        "使用自己上传所得的 `media_id`，或重新上传。",
    )
