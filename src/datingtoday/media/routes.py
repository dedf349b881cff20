"""Endpoints of media: uploading, and the bytes."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from datingtoday.infra.storage.storage import ByteStream
from datingtoday.infra.text import Text
from datingtoday.media import schemas
from datingtoday.media.delivery import Asked, MediaDelivery
from datingtoday.media.errors import FileRefused
from datingtoday.media.http_ranges import Delivery
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.service import MediaService
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint, public_route
from datingtoday.protocol.errors import NotFound, ParameterError, RateLimited, Unavailable
from datingtoday.protocol.multipart_form import UploadedFile

_A_FILE = Text("one file, as a part of multipart/form-data", "multipart/form-data 中的一个文件")


def media_routes(media: MediaService, delivery: MediaDelivery, *, max_file_bytes: int) -> Blueprint:
    """``/api/media``.

    :param max_file_bytes: more is refused (413) while it arrives.
    """
    bp = Blueprint("media", __name__, url_prefix="/api/media")

    @bp.post("/upload")
    @endpoint(
        "Upload a photo, image, audio or video",
        "上传照片、图片、音频或视频",
        params=schemas.UploadParams,
        returns=schemas.MediaSchema,
        transaction="manual",
        raises=(FileRefused, RateLimited, Unavailable),
        max_file_bytes=max_file_bytes,
        description=Text(
            "Checked by its content alone, and stored without metadata. Uploads that are not used within a day "
            "(as album photo, avatar or message) are removed.",
            "只按内容判断，存储时去除全部元数据。一天后仍未被使用（相册、头像、消息）的上传会被删除。",
        ),
    )
    def upload(call: Call, kind: str) -> Any:
        return media.upload(call.user_id, Kind(kind), _file(call).stream, call.now)

    @bp.get("/<media_id>")
    @public_route(
        "Download a photo, image, audio or video by a URL the server signed",
        "通过服务器生成的链接获取照片、图片、音频或视频的内容",
        params=schemas.DeliveryParams,
        transaction="manual",
        own_answers={
            200: Text("the bytes", "内容"),
            206: Text("the part that `Range` asks for", "`Range` 请求的部分"),
            304: Text("not modified (`If-None-Match`)", "客户端已有（`If-None-Match`）"),
            416: Text("the range begins after the end", "请求范围超出末尾"),
        },
        raises=(NotFound, Unavailable),
        description=Text(
            "Answers 404 if the URL has expired or was changed, or if its viewer may no longer see the media. "
            "One range at a time.",
            "链接过期、被改动，或者该用户已无权查看时返回 404。一次只支持一个范围。",
        ),
    )
    def content(call: Call, media_id: str) -> Response:
        return _answer(*delivery.open(_asked(media_id), call.now))

    return bp


def _file(call: Call) -> UploadedFile:
    if call.file is None:
        raise ParameterError.missing("file", _A_FILE)
    return call.file


def _asked(media_id: str) -> Asked:
    query, headers = request.args, request.headers
    return Asked(
        media_id,
        size=query.get("size"),
        expires=query.get("expires"),
        signature=query.get("signature"),
        range_header=headers.get("Range"),
        if_range=headers.get("If-Range"),
        if_none_match=headers.get("If-None-Match"),
        head_only=request.method == "HEAD",
    )


def _answer(plan: Delivery, stream: ByteStream | None) -> Response:
    # The server closes the stream with the response, also when the client goes away in the middle.
    response = Response(stream, status=plan.status)
    # Flask would name a type for answers that have none.
    del response.headers["Content-Type"]
    response.headers.extend(plan.headers)
    return response
