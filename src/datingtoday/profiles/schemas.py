"""Parameters and answers of profiles."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import Schema, fields

from datingtoday.infra.text import Text
from datingtoday.profiles import enumerations as numbers
from datingtoday.profiles.parameters import (
    Birthday,
    Clearable,
    Email,
    MediaId,
    Nickname,
    clearable_number,
)
from datingtoday.protocol.described import NOT_SET, about
from datingtoday.protocol.fields import Flag, Id, Ids, Integer, Number, ParamsSchema, TextBlock, WireTime


class ShowParams(ParamsSchema):
    remembers: ClassVar[frozenset[str]] = frozenset({"peerId"})

    peer_id = Id(data_key="peerId", load_default=None)


class UpdateParams(ParamsSchema):
    """Changes to the profile; parameters left out stay. The names are those of the columns."""

    nickname = Nickname(required=False)
    email = Clearable(Email(), cleared=None)
    gender = clearable_number(numbers.GENDER)
    sexual = clearable_number(numbers.SEXUAL)
    height = Clearable(Integer(least=numbers.HEIGHT_CM[0], most=numbers.HEIGHT_CM[1]), cleared=None)
    education = clearable_number(numbers.EDUCATION)
    emotion = clearable_number(numbers.EMOTION)
    salary = clearable_number(numbers.SALARY)
    birthday = Clearable(Birthday(), cleared=None)
    avatar = Clearable(MediaId(), cleared=None)
    authority = clearable_number(numbers.AUTHORITY)
    intro = Clearable(TextBlock(most=numbers.INTRO_CHARS), cleared="")
    stealth = Clearable(Flag(), cleared=False)
    personal = Clearable(Flag(), cleared=True)


class PeerParams(ParamsSchema):
    peer_id = Id(data_key="peerId")


class LabelListParams(ParamsSchema):
    gender = Number(numbers.GENDER.names, load_default=None)


class ChooseLabelsParams(ParamsSchema):
    label_ids = Ids(most=numbers.MAX_LABELS, data_key="labelIds")


class CardSchema(Schema):
    """The short form of a person, in lists."""

    summary: ClassVar[Text] = Text("The short form of a person, in lists.", "列表中的用户卡片。")

    user_id = fields.Integer(required=True, metadata=about("id of the user", "用户 id"))
    nickname = fields.String(required=True, metadata=about("nickname", "昵称"))
    age = fields.Integer(
        required=True,
        allow_none=True,
        metadata=about("age in years; null: no birthday given", "年龄；null 表示未填写生日"),
    )
    gender = fields.Integer(required=True, metadata=about("gender", "性别", names=numbers.GENDER.names))
    avatar = fields.String(
        required=True,
        allow_none=True,
        metadata=about(
            "URL of the avatar, to be resolved against the API's address; null: none",
            "头像地址，以 API 地址为基准；null 表示没有",
        ),
    )
    height = fields.Integer(
        required=True,
        allow_none=True,
        metadata=about("height in cm; null: not set", "身高（厘米）；null 表示未填写"),
    )
    sexual = fields.Integer(
        required=True, metadata=about("the wanted gender", "想认识的性别", names=numbers.SEXUAL.names)
    )
    education = fields.Integer(
        required=True, metadata=about("education", "学历", names=numbers.EDUCATION.names)
    )
    salary = fields.Integer(
        required=True,
        allow_none=True,
        metadata=about(
            "monthly income in yuan; null: not set",
            "月收入（元）；null 表示未填写",
            names=numbers.SALARY.names | NOT_SET,
        ),
    )
    emotion = fields.Integer(
        required=True,
        allow_none=True,
        metadata=about(
            "relationship status; null: not set",
            "感情状况；null 表示未填写",
            names=numbers.EMOTION.names | NOT_SET,
        ),
    )
    vip = fields.Boolean(required=True, metadata=about("VIP now", "现在是否会员"))
    labels = fields.List(
        fields.String(), required=True, metadata=about("names of the chosen labels", "所选标签的名称")
    )


class ChosenLabelSchema(Schema):
    summary: ClassVar[Text] = Text("A label that a user chose.", "用户所选的标签。")

    label_id = fields.Integer(required=True, metadata=about("id of the label", "标签 id"))
    name = fields.String(required=True, metadata=about("name to show", "标签名称"))


class LabelSchema(ChosenLabelSchema):
    summary: ClassVar[Text] = Text("A label that can be chosen.", "可选的标签。")

    gender = fields.Integer(
        required=True, metadata=about("gender that it fits", "适用的性别", names=numbers.LABEL_GENDERS)
    )
    meaning = fields.String(required=True, metadata=about("explanation to show", "标签含义"))


class PhotoSchema(Schema):
    summary: ClassVar[Text] = Text("A photo of an album.", "相册中的照片。")

    photo_id = fields.Integer(
        required=True, metadata=about("id of the photo in the album", "照片在相册中的 id")
    )
    url = fields.String(
        required=True,
        metadata=about(
            "URL of the photo, to be resolved against the API's address", "照片地址，以 API 地址为基准"
        ),
    )
    thumb_url = fields.String(required=True, metadata=about("URL of its thumbnail", "缩略图地址"))


class PeerProfileSchema(CardSchema):
    """Another person's profile."""

    summary: ClassVar[Text] = Text("Another person's profile.", "他人的资料。")

    labels = fields.List(
        fields.Nested(ChosenLabelSchema), required=True, metadata=about("chosen labels", "所选标签")
    )
    intro = fields.String(required=True, metadata=about("introduction", "自我介绍"))
    album = fields.List(
        fields.Nested(PhotoSchema),
        required=True,
        metadata=about("photos of the album, the cover first", "相册，第一张为封面"),
    )
    following = fields.Boolean(required=True, metadata=about("I follow this user", "我已关注该用户"))
    followed_by = fields.Boolean(required=True, metadata=about("this user follows me", "该用户已关注我"))
    last_active = fields.Date(required=True, metadata=about("the day, UTC", "最近活跃日期（UTC）"))


class ProfileSchema(PeerProfileSchema):
    """A profile; the fields from ``phone`` on only for its owner."""

    summary: ClassVar[Text] = Text(
        "A profile; the fields from `phone` on only for its owner.",
        "用户资料；`phone` 及其后的字段仅本人可见。",
    )

    phone = fields.String(allow_none=True, metadata=about("phone number in E.164", "手机号（E.164 格式）"))
    email = fields.String(
        allow_none=True, metadata=about("e-mail address; null: not set", "电子邮箱；null 表示未填写")
    )
    birthday = fields.Date(
        allow_none=True, metadata=about("birthday; null: not set", "生日；null 表示未填写")
    )
    authority = fields.Integer(
        metadata=about(
            "who may find, see and write to me",
            "谁可以找到我、查看我的资料并给我发消息",
            names=numbers.AUTHORITY.names,
        )
    )
    stealth = fields.Boolean(
        metadata=about("visit profiles without leaving a trace (VIP)", "访问他人主页时不留记录（会员）")
    )
    personal = fields.Boolean(
        metadata=about(
            "personal recommendations; false: the same list for everybody",
            "个性化推荐；false 表示使用所有人相同的列表",
        )
    )
    create_time = WireTime(metadata=about("time of registration, UTC", "注册时间（UTC）"))
    vip_deadline = WireTime(
        allow_none=True,
        metadata=about("end of VIP, UTC; null: never was VIP", "会员到期时间（UTC）；null 表示从未开通"),
    )


class UpdatedSchema(ProfileSchema):
    """The user's own profile, and the user id under the name that the articles give it."""

    summary: ClassVar[Text] = Text(
        "The user's own profile, and the user id under the name that the articles give it.",
        "自己的资料，另以 `data` 返回用户 id。",
    )

    data = fields.Integer(required=True, metadata=about("the user id", "用户 id"))


class AlbumParams(ParamsSchema):
    peer_id = Id(data_key="peerId", load_default=None)


class AddPhotoParams(ParamsSchema):
    media_id = MediaId(data_key="mediaId")


class RemovePhotoParams(ParamsSchema):
    photo_id = Id(data_key="photoId")


class OrderPhotosParams(ParamsSchema):
    photo_ids = Ids(most=numbers.MAX_ALBUM, data_key="photoIds")


class AlbumPhotoSchema(PhotoSchema):
    summary: ClassVar[Text] = Text(
        "A photo of an album, with the time of its adding.", "相册中的照片及添加时间。"
    )

    create_time = WireTime(required=True, metadata=about("time of adding, UTC", "添加时间（UTC）"))


class FollowSchema(Schema):
    summary: ClassVar[Text] = Text("Who follows whom after the request.", "操作之后双方的关注关系。")

    following = fields.Boolean(required=True, metadata=about("I follow this user", "我已关注该用户"))
    mutual = fields.Boolean(required=True, metadata=about("each follows the other", "互相关注"))
