"""What media refuses to do."""

from __future__ import annotations

from datingtoday.protocol.errors import AppError, Text


class FileRefused(AppError):
    """The upload is not taken. `en` and `zh` say what is wrong with it and what is allowed."""

    code = 1201
    en = "file refused: {reason}"
    zh = "文件被拒绝：{reason}"
    cause = Text(
        "Type, size or content of the upload is not allowed, or the file is damaged. The server looks at the "
        "content; name and declared type do not count.",
        "上传文件的类型、大小或内容不被允许，或文件已损坏。服务器只看内容，不看文件名和声明的类型。",
    )
    cure = Text(
        "Read the message: it says what is wrong and what is allowed. The same file will be refused again.",
        "看 msg：它写明了问题和允许的范围。同一个文件再传仍会被拒绝。",
    )

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(reason=Text(en, zh))


class MediaNotFound(AppError):
    code = 1204
    en = "media not found"
    zh = "媒体不存在"
    cause = Text(
        "There is no such media, it is somebody else's, it was removed or may not be seen any more, or its "
        "URL has expired or was changed.",
        "媒体不存在、属于他人、已被删除或不再可见，或者链接已过期、被改动。",
    )
    cure = Text(
        "Fetch the object that it belongs to again: its answer holds a fresh URL.",
        "重新获取它所属的对象，应答中有新的链接。",
    )
