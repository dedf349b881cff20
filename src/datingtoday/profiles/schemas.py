"""Parameters and answers of profiles."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import Schema, fields

from datingtoday.profiles import enumerations as numbers
from datingtoday.profiles.parameters import (
    Birthday,
    Clearable,
    Email,
    MediaId,
    Nickname,
    clearable_number,
)
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
    gender = Number(numbers.GENDER.numbers, load_default=None)


class ChooseLabelsParams(ParamsSchema):
    label_ids = Ids(most=numbers.MAX_LABELS, data_key="labelIds")


class CardSchema(Schema):
    """The short form of a person, in lists."""

    user_id = fields.Integer(required=True)
    nickname = fields.String(required=True)
    age = fields.Integer(required=True, allow_none=True)
    gender = fields.Integer(required=True)
    avatar = fields.String(required=True, allow_none=True)
    height = fields.Integer(required=True, allow_none=True, metadata={"description": "cm"})
    sexual = fields.Integer(required=True, metadata={"description": "the wanted gender"})
    education = fields.Integer(required=True)
    salary = fields.Integer(required=True, allow_none=True)
    emotion = fields.Integer(required=True, allow_none=True)
    vip = fields.Boolean(required=True)
    labels = fields.List(fields.String(), required=True)


class ChosenLabelSchema(Schema):
    label_id = fields.Integer(required=True)
    name = fields.String(required=True)


class LabelSchema(ChosenLabelSchema):
    gender = fields.Integer(required=True, metadata={"description": "0 everyone, 1 men, 2 women"})
    meaning = fields.String(required=True)


class PhotoSchema(Schema):
    photo_id = fields.Integer(required=True)
    url = fields.String(required=True)
    thumb_url = fields.String(required=True)


class PeerProfileSchema(CardSchema):
    """Another person's profile."""

    labels = fields.List(fields.Nested(ChosenLabelSchema), required=True)
    intro = fields.String(required=True)
    album = fields.List(fields.Nested(PhotoSchema), required=True)
    following = fields.Boolean(required=True)
    followed_by = fields.Boolean(required=True)
    last_active = fields.Date(required=True, metadata={"description": "the day, UTC"})


class ProfileSchema(PeerProfileSchema):
    """A profile; the fields from ``phone`` on only for its owner."""

    phone = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    birthday = fields.Date(allow_none=True)
    authority = fields.Integer()
    stealth = fields.Boolean()
    personal = fields.Boolean()
    create_time = WireTime()
    vip_deadline = WireTime(allow_none=True)


class UpdatedSchema(ProfileSchema):
    """The user's own profile, and the user id under the name that the articles give it."""

    data = fields.Integer(required=True, metadata={"description": "the user id"})


class AlbumParams(ParamsSchema):
    peer_id = Id(data_key="peerId", load_default=None)


class AddPhotoParams(ParamsSchema):
    media_id = MediaId(data_key="mediaId")


class RemovePhotoParams(ParamsSchema):
    photo_id = Id(data_key="photoId")


class OrderPhotosParams(ParamsSchema):
    photo_ids = Ids(most=numbers.MAX_ALBUM, data_key="photoIds")


class AlbumPhotoSchema(PhotoSchema):
    create_time = WireTime(required=True)


class FollowSchema(Schema):
    following = fields.Boolean(required=True)
    mutual = fields.Boolean(required=True, metadata={"description": "each follows the other"})
