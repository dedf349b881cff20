"""Endpoints of profiles."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.infra.text import Text
from datingtoday.media.errors import MediaNotFound
from datingtoday.profiles import schemas
from datingtoday.profiles.album import Album
from datingtoday.profiles.blocks import Blocks
from datingtoday.profiles.errors import AlbumFull, LabelUnknown, NicknameRefused, UserNotFound
from datingtoday.profiles.follows import Follows
from datingtoday.profiles.labels import Labels
from datingtoday.profiles.service import Profiles
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.fields import id_or_none
from datingtoday.protocol.paging import PageParams, PageRequest, page_schema


def user_routes(profiles: Profiles) -> Blueprint:
    """``/api/user``: profiles."""
    bp = Blueprint("user", __name__, url_prefix="/api/user")

    @bp.get("/show")
    @endpoint(
        "Show a profile: mine, or another user's",
        "用户资料：自己的或他人的",
        params=schemas.ShowParams,
        returns=schemas.ProfileSchema,
        raises=(UserNotFound,),
        shows="profiles",
        ahead=lambda user_id, params, _: profiles.keys_to_show(user_id, id_or_none(params.get("peerId"))),
    )
    def show(call: Call, peer_id: int | None) -> Any:
        return profiles.show(call.session, call.user_id, peer_id, call.cache)

    @bp.post("/update")
    @endpoint(
        "Update my profile",
        "修改自己的资料",
        params=schemas.UpdateParams,
        returns=schemas.UpdatedSchema,
        raises=(NicknameRefused, MediaNotFound),
        description=Text(
            "Parameters left out keep their values; an empty value clears (except the nickname). An empty "
            "update succeeds.",
            "未传的字段保持不变；空值表示清除（昵称除外）。什么都不传也算成功。",
        ),
    )
    def update(call: Call, **changes: Any) -> Any:
        return profiles.update(call.session, call.user_id, changes, call.now)

    return bp


def follow_routes(follows: Follows, blocks: Blocks) -> Blueprint:
    """``/api/user``: following and blocking."""
    bp = Blueprint("user_ties", __name__, url_prefix="/api/user")
    cards = page_schema(schemas.CardSchema)

    @bp.post("/follow")
    @endpoint(
        "Follow a user",
        "关注",
        params=schemas.PeerParams,
        returns=schemas.FollowSchema,
        raises=(UserNotFound,),
    )
    def follow(call: Call, peer_id: int) -> Any:
        return follows.follow(call.session, call.user_id, peer_id, call.now)

    @bp.post("/unfollow")
    @endpoint(
        "Unfollow a user",
        "取消关注",
        params=schemas.PeerParams,
        returns=schemas.FollowSchema,
    )
    def unfollow(call: Call, peer_id: int) -> Any:
        return follows.unfollow(call.session, call.user_id, peer_id)

    @bp.get("/follow/list")
    @endpoint("List the users I follow", "我关注的人", params=PageParams, returns=cards, shows="cards")
    def follow_list(call: Call, page: PageRequest) -> Any:
        return follows.following(call.session, call.user_id, page, call.now)

    @bp.get("/fans/list")
    @endpoint("List my followers", "关注我的人", params=PageParams, returns=cards, shows="cards")
    def fans_list(call: Call, page: PageRequest) -> Any:
        return follows.fans(call.session, call.user_id, page, call.now)

    @bp.post("/block")
    @endpoint(
        "Block a user in both directions; follows between the two end",
        "拉黑（双向生效，互相关注同时解除）",
        params=schemas.PeerParams,
        raises=(UserNotFound,),
    )
    def block(call: Call, peer_id: int) -> None:
        blocks.block(call.session, call.user_id, peer_id, call.now)

    @bp.post("/unblock")
    @endpoint("Unblock a user", "取消拉黑", params=schemas.PeerParams)
    def unblock(call: Call, peer_id: int) -> None:
        blocks.unblock(call.session, call.user_id, peer_id)

    @bp.get("/block/list")
    @endpoint("List the users I have blocked", "我拉黑的人", params=PageParams, returns=cards)
    def block_list(call: Call, page: PageRequest) -> Any:
        return blocks.blocked(call.session, call.user_id, page, call.now)

    return bp


def label_routes(labels: Labels) -> Blueprint:
    """Labels: the public list, and the user's choice."""
    bp = Blueprint("label", __name__, url_prefix="/api")

    @bp.get("/label/list")
    @endpoint(
        "List the labels that can be chosen",
        "可选的标签",
        require_token=False,
        params=schemas.LabelListParams,
        returns=schemas.LabelSchema(many=True),
    )
    def label_list(call: Call, gender: int | None) -> Any:
        return labels.fitting(gender, call.now)

    @bp.post("/user/label/update")
    @endpoint(
        "Replace my labels",
        "设置自己的标签",
        params=schemas.ChooseLabelsParams,
        returns=schemas.ChosenLabelSchema(many=True),
        raises=(LabelUnknown,),
    )
    def label_update(call: Call, label_ids: list[int]) -> Any:
        return labels.choose(call.session, call.user_id, label_ids)

    return bp


def album_routes(album: Album) -> Blueprint:
    """``/api/album``."""
    bp = Blueprint("album", __name__, url_prefix="/api/album")
    photos = schemas.AlbumPhotoSchema(many=True)

    @bp.get("/list")
    @endpoint(
        "Show an album: mine, or another user's",
        "相册：自己的或他人的",
        params=schemas.AlbumParams,
        returns=photos,
        raises=(UserNotFound,),
        shows="profiles",
    )
    def album_list(call: Call, peer_id: int | None) -> Any:
        return album.show(call.session, call.user_id, peer_id, call.now)

    @bp.post("/add")
    @endpoint(
        "Add a photo to the end of my album",
        "添加照片（排在最后）",
        params=schemas.AddPhotoParams,
        returns=photos,
        raises=(MediaNotFound, AlbumFull),
    )
    def album_add(call: Call, media_id: str) -> Any:
        return album.add(call.session, call.user_id, media_id, call.now)

    @bp.post("/remove")
    @endpoint(
        "Remove a photo from my album",
        "移除照片",
        params=schemas.RemovePhotoParams,
        returns=photos,
        raises=(MediaNotFound,),
    )
    def album_remove(call: Call, photo_id: int) -> Any:
        return album.remove(call.session, call.user_id, photo_id, call.now)

    @bp.post("/order")
    @endpoint(
        "Move photos to the front, in this order; the first one is the cover",
        "调整顺序：列出的照片排在最前；相册第一张为封面",
        params=schemas.OrderPhotosParams,
        returns=photos,
        raises=(MediaNotFound,),
    )
    def album_order(call: Call, photo_ids: list[int]) -> Any:
        return album.order(call.session, call.user_id, photo_ids, call.now)

    return bp
