"""Parameters and answers of media."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import Schema, fields

from datingtoday.infra.text import Text
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.signed_urls import SIZES
from datingtoday.protocol.described import about
from datingtoday.protocol.fields import Choice, Integer, ParamsSchema, TextLine

KIND_NAMES = {
    Kind.PHOTO.value: Text("photo of the profile", "个人资料的照片"),
    Kind.IMAGE.value: Text("image in chat", "聊天图片"),
    Kind.AUDIO.value: Text("voice message", "语音消息"),
    Kind.VIDEO.value: Text("video in chat", "聊天视频"),
}
_SIZE_NAMES = dict(
    zip(
        SIZES,
        (
            Text("at most 240 pixels", "边长不超过 240 像素"),
            Text("at most 720 pixels", "边长不超过 720 像素"),
        ),
        strict=True,
    )
)


class UploadParams(ParamsSchema):
    kind = Choice(KIND_NAMES)


class DeliveryParams(ParamsSchema):
    """For the documentation: clients take the URL as it is."""

    size = Choice(_SIZE_NAMES, load_default=None)
    expires = Integer(least=10**9, most=10**11 - 1)
    signature = TextLine(least=54, most=54)


class MediaSchema(Schema):
    """An upload as it is stored, which is never what was uploaded."""

    summary: ClassVar[Text] = Text(
        "An upload as it is stored, which is never what was uploaded.",
        "已存储的上传内容（经过重新编码，与上传的文件不同）。",
    )

    media_id = fields.String(
        required=True,
        metadata=about("id of the upload: `mediaId` of other requests", "媒体 id，即其他请求中的 `mediaId`"),
    )
    kind = fields.String(
        required=True, metadata=about("what it was uploaded as", "上传时的用途", names=KIND_NAMES)
    )
    mime = fields.String(
        required=True, metadata=about("MIME type of the stored file", "存储文件的 MIME 类型")
    )
    bytes = fields.Integer(
        required=True, metadata=about("size of the stored file in bytes", "存储文件的字节数")
    )
    url = fields.String(
        required=True,
        metadata=about(
            "path and query, to be resolved against the API's address", "路径和查询字符串，以 API 地址为基准"
        ),
    )
    thumb_url = fields.String(
        metadata=about(
            "a thumbnail of at most 240 pixels; not for audio", "缩略图，边长不超过 240 像素；音频没有"
        )
    )
    width = fields.Integer(metadata=about("in pixels, after rotation", "宽度（像素，已按方向旋转）"))
    height = fields.Integer(metadata=about("in pixels, after rotation", "高度（像素，已按方向旋转）"))
    duration_ms = fields.Integer(
        metadata=about("duration of audio and video in milliseconds", "音频和视频的时长（毫秒）")
    )
