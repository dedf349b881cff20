"""marshmallow fields for parameters: each takes the text of a request and says in two languages what is allowed.

A value that a field refuses becomes a `ParameterError` that names the parameter; `loading.py` does that for a
whole schema, first parameter first. Names on the wire are camelCase: ``data_key`` gives them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, cast

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load

from datingtoday.infra.bounded_memory import BoundedMemory
from datingtoday.infra.text import Text
from datingtoday.protocol.described import YES_NO, Names, enumerated, named_values
from datingtoday.protocol.envelope import wire_time
from datingtoday.protocol.errors import AppError, ParameterError
from datingtoday.protocol.phone_numbers import DEFAULT_REGION, MAX_CHARS, to_e164

MAX_ID = 2**31 - 1
_MAX_REMEMBERED = 1_000
"""Combinations of parameters that a process keeps for each endpoint that remembers them."""
_DIGITS = re.compile(r"[0-9]+\Z", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z", re.ASCII)
_MAX_DECIMAL_CHARS = 400
"""More than any double takes that is written out in full."""
_PLACE_DECIMALS = 6
"""Decimals of degrees: a tenth of a metre."""
LINE_BREAKS = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
"""Every other way to write a line break."""


class ParamsSchema(Schema):
    """Base of every endpoint's parameters; what is not declared is ignored."""

    remembers: ClassVar[frozenset[str]] = frozenset()
    """Names of parameters that thousands send alike (a page's number): what was read of the same texts before is taken
    again if no others are given. Only those whose values cannot be changed and tell nothing of anybody."""
    late: ClassVar[str | None] = None
    """Another one that may be given with them, a `Parameter` of the same name: `put_late` puts its value in."""

    class Meta:
        unknown = EXCLUDE

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.declared = [
            (field.attribute or own_name, field.data_key or own_name, cast(Parameter, field))
            for own_name, field in self.load_fields.items()
        ]
        """Each parameter as (attribute, name, field), in the schema's order."""
        self.names = tuple(field.data_key or attribute for attribute, field in self.load_fields.items())
        self._own = frozenset(self.names) - self.remembers - {self.late}
        self.read_before = BoundedMemory[tuple[str | None, ...], dict[str, Any]](
            "parameters", _MAX_REMEMBERED
        )

    def gathered(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values as the view takes them.

        :raises ValidationError: they do not go together; it names the parameter that is to blame.
        """
        return values

    @post_load
    def _gather(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        return self.gathered(values)

    def may_remember(self, params: Mapping[str, str]) -> bool:
        """True if only such parameters are given, and perhaps the late one."""
        return bool(self.remembers) and self._own.isdisjoint(params)

    def put_late(self, values: dict[str, Any], late: Any) -> dict[str, Any]:
        """The values of all, from those without the late parameter and its own."""
        raise NotImplementedError


class NotAllowed(ValueError):
    """A value that a parameter's `read` refuses with an error of its own, which says why."""

    def __init__(self, error: AppError) -> None:
        super().__init__(str(error))
        self.error = error


class Parameter(fields.Field[Any]):
    """A parameter as text. Subclasses say what is ``allowed`` and `read` the text, raising ValueError."""

    allowed: Text
    refusal: ClassVar[AppError | None] = None
    openapi: ClassVar[dict[str, Any]] = {"type": "string"}

    def __init__(self, **options: Any) -> None:
        options.setdefault("required", "load_default" not in options)
        super().__init__(**options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return self.read(value)
        except NotAllowed as error:
            raise ValidationError([error.error]) from error
        except ValueError as error:
            raise ValidationError("malformed") from error

    def read(self, text: str) -> Any:
        raise NotImplementedError

    def refuse(self, name: str, *, absent: bool) -> AppError:
        """The error for a value that `read` refused, or for one that is absent."""
        if absent:
            return ParameterError.missing(name, self.allowed)
        return ParameterError.malformed(name, self.allowed)

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the text, for the documentation."""
        return dict(self.openapi)


class TextLine(Parameter):
    """Text in any script without control characters.

    :param most: in characters (code points) after trimming; :param least: 0 lets an empty value through.
    """

    def __init__(self, *, most: int, least: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.most, self.least = most, least
        length = length_of(least, most)
        self.allowed = Text(f"{length.en}, no control characters", f"{length.zh}，不含控制字符")

    def read(self, text: str) -> str:
        text = text.strip()
        if not self.least <= len(text) <= self.most or has_control_characters(text):
            raise ValueError(text)
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": self.least, "maxLength": self.most}


def length_of(least: int, most: int) -> Text:
    """Number of characters in words."""
    if least == most:
        return Text(f"exactly {most} characters", f"正好 {most} 个字符")
    if least == 0:
        return Text(f"up to {most} characters", f"最多 {most} 个字符")
    return Text(f"{least} to {most} characters", f"{least} 到 {most} 个字符")


class TextBlock(Parameter):
    """Text in any script, which may stand in several lines; every kind of line break is read as ``\\n``.

    :param most: in characters (code points) after trimming. An empty value is let through.
    """

    def __init__(self, *, most: int, **options: Any) -> None:
        super().__init__(**options)
        self.most = most
        self.allowed = Text(
            f"up to {most} characters, no control characters but line breaks",
            f"最多 {most} 个字符，除换行外不含控制字符",
        )

    def read(self, text: str) -> str:
        text = LINE_BREAKS.sub("\n", text).strip()
        if len(text) > self.most or has_control_characters(text.replace("\n", "")):
            raise ValueError(text)
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.most}


class Integer(Parameter):
    """A whole number in decimal ASCII digits, within a range."""

    def __init__(self, *, least: int, most: int, **options: Any) -> None:
        super().__init__(**options)
        self.least, self.most = least, most
        self.allowed = Text(f"a whole number from {least} to {most}", f"{least} 到 {most} 的整数")

    def read(self, text: str) -> int:
        if not _DIGITS.match(text) or len(text) > len(str(self.most)):
            raise ValueError(text)
        number = int(text)
        if not self.least <= number <= self.most:
            raise ValueError(text)
        return number

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Id(Integer):
    """The number of a user, session, photo …"""

    def __init__(self, **options: Any) -> None:
        super().__init__(least=1, most=MAX_ID, **options)


def id_or_none(text: str | None) -> int | None:
    """The number that an `Id` would read, None for anything else: for guesses ahead of the check."""
    return int(text) if text and len(text) <= 10 and _DIGITS.match(text) else None


class Flag(Parameter):
    """``1`` or ``0``."""

    allowed = Text("1 (yes) or 0 (no)", "1（是）或 0（否）")
    openapi: ClassVar[dict[str, Any]] = {"type": "string", **enumerated(YES_NO)}

    def read(self, text: str) -> bool:
        if text not in ("0", "1"):
            raise ValueError(text)
        return text == "1"


class Choice(Parameter):
    """One of a few words.

    :param names: the words and what they mean.
    """

    def __init__(self, names: Names, **options: Any) -> None:
        super().__init__(**options)
        self.names = names
        listed = named_values(names)
        self.allowed = Text(f"one of {listed.en}", f"以下之一：{listed.zh}")

    def read(self, text: str) -> str:
        if text not in self.names:
            raise ValueError(text)
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", **enumerated(self.names)}


class Number(Parameter):
    """One of a few numbers, given in digits: an enumeration whose numbers have meanings.

    :param names: the numbers and what they mean.
    """

    def __init__(self, names: Names, **options: Any) -> None:
        super().__init__(**options)
        self.names = names
        self._texts = frozenset(map(str, names))
        listed = named_values(names)
        self.allowed = Text(f"one of {listed.en}", f"以下之一：{listed.zh}")

    def read(self, text: str) -> int:
        if text not in self._texts:
            raise ValueError(text)
        return int(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", **enumerated(self.names)}


class Ids(Parameter):
    """Numbers separated by commas, each once; an empty value is none.

    :param most: maximum number of ids.
    """

    def __init__(self, *, most: int, **options: Any) -> None:
        super().__init__(**options)
        self.most = most
        self.allowed = Text(
            f"up to {most} different ids separated by commas", f"最多 {most} 个不同的 id，用逗号分隔"
        )

    def read(self, text: str) -> list[int]:
        if not text:
            return []
        parts = text.split(",")
        if len(parts) > self.most:
            raise ValueError(text)
        single = Id()
        numbers = [single.read(part) for part in parts]
        if len(set(numbers)) != len(numbers):
            raise ValueError(text)
        return numbers


class Phone(Parameter):
    """A phone number in any usual notation; read into E.164 by libphonenumber.

    Numbers without a country code are taken for the default region's.
    """

    allowed = Text(
        "a mobile or other phone number; with + and country code outside the default region",
        "手机号；非默认地区需带 + 和国家码",
    )
    openapi: ClassVar[dict[str, Any]] = {
        "type": "string",
        "maxLength": MAX_CHARS,
        "examples": ["18922986865"],
    }

    region = DEFAULT_REGION
    """ISO 3166 code; `use_region` sets it from the settings."""

    def read(self, text: str) -> str:
        return to_e164(text, self.region)

    def refuse(self, name: str, *, absent: bool) -> AppError:
        if absent:
            return super().refuse(name, absent=True)
        return ParameterError.plain("phone number format error.", "手机号 (phone) 格式错误。")


class SmsCode(Parameter):
    """The digits that came by SMS."""

    allowed = Text("the 6 digits of the SMS", "短信中的 6 位数字")
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "pattern": "^[0-9]{6}$", "examples": ["493027"]}

    def read(self, text: str) -> str:
        # The articles' codes had five digits: whatever has about the length of a code is judged as a code.
        if not _DIGITS.match(text) or not 4 <= len(text) <= 8:
            raise ValueError(text)
        return text


class LatLngRefused(AppError):
    code = 502
    en = "lat,lng error: {name} must be two decimal degrees, latitude -90..90 and longitude -180..180"
    zh = "lat,lng 错误：{name} 应为两个十进制度数，纬度 -90..90，经度 -180..180"
    cause = Text("A location is not of the form `lat,lng`.", "位置不是 `纬度,经度` 的形式。")
    cure = Text(
        "Send decimal degrees, for example `latlng=23.129,113.264`.",
        "发送十进制度数，例如 `latlng=23.129,113.264`。",
    )


class LatLng(Parameter):
    """``lat,lng`` in decimal degrees, in every form in which programs print a number; rounded."""

    allowed = Text("lat,lng in decimal degrees", "纬度,经度（十进制度数）")
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "examples": ["23.129,113.264"]}

    def read(self, text: str) -> tuple[float, float]:
        parts = text.split(",")
        if len(parts) != 2:
            raise ValueError(text)
        latitude, longitude = (_degrees(part.strip()) for part in parts)
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            raise ValueError(text)
        return latitude, longitude

    def refuse(self, name: str, *, absent: bool) -> AppError:
        return super().refuse(name, absent=True) if absent else LatLngRefused(name=name)


def _degrees(text: str) -> float:
    if len(text) > _MAX_DECIMAL_CHARS or not _DECIMAL.match(text):
        raise ValueError(text)
    # Not -0.0, which would be written with its sign.
    return round(float(text), _PLACE_DECIMALS) + 0.0


class WireTime(fields.Field[datetime]):
    """An answer's moment: UTC, ``YYYY-MM-DD HH:MM:SS``; null where there is none."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else wire_time(value)


def use_region(schema: Schema, region: str) -> Schema:
    """Let every phone number of the schema be read as one of this region unless it says otherwise."""
    for field in schema.fields.values():
        if isinstance(field, Phone):
            field.region = region
    return schema


_NOT_IN_TEXT = re.compile(
    # Control characters, surrogates and private code points, whose numbers Unicode will never change.
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\U000f0000-\U0010ffff"
    # Direction overrides and isolates.
    "\u202a-\u202e\u2066-\u2069"
    # Noncharacters: a block of them, and the last two of every plane.
    f"\ufdd0-\ufdef{''.join(chr(plane << 16 | last) for plane in range(15) for last in (0xFFFE, 0xFFFF))}]"
)


def has_control_characters(text: str) -> bool:
    """Control characters, surrogates, private code points, noncharacters, and direction overrides.

    What this Python's Unicode tables call unassigned is let through: it may be a rare Chinese character or an emoji of
    a newer version.
    """
    return _NOT_IN_TEXT.search(text) is not None
