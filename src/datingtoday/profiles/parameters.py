"""Parameters that only profiles have: values that can be cleared, nicknames, birthdays, e-mail addresses."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Any, ClassVar

from marshmallow import ValidationError
from marshmallow.validate import Email as EmailForm

from datingtoday.infra.text import Text
from datingtoday.profiles.enumerations import (
    EARLIEST_BIRTH_YEAR,
    EMAIL_CHARS,
    NICKNAME_CHARS,
    NICKNAME_CODE_POINTS,
    Enumeration,
)
from datingtoday.profiles.errors import NicknameRefused
from datingtoday.protocol.errors import AppError
from datingtoday.protocol.fields import LINE_BREAKS, NotAllowed, Number, Parameter, has_control_characters
from datingtoday.protocol.visible_text import characters, shows_something, trimmed

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", re.ASCII)
_email_form = EmailForm()


class Clearable(Parameter):
    """Another parameter that may also be empty, which clears what is stored.

    :param cleared: the value that an empty parameter stands for.
    """

    def __init__(self, inner: Parameter, *, cleared: Any, **options: Any) -> None:
        super().__init__(**{"required": False, **options})
        self.inner = inner
        self.cleared = cleared
        self.allowed = Text(f"{inner.allowed.en}; empty clears", f"{inner.allowed.zh}；空值表示清除")

    def read(self, text: str) -> Any:
        return self.cleared if text == "" else self.inner.read(text)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.inner.schema(), {"type": "string", "maxLength": 0}]}


def clearable_number(enumeration: Enumeration) -> Clearable:
    """One of an enumeration's numbers; empty is its ``unset``."""
    return Clearable(Number(enumeration.names), cleared=enumeration.unset)


class Nickname(Parameter):
    """A nickname in Unicode's composed form (NFC), trimmed; code 505 for one that is refused, with the reason."""

    allowed = NicknameRefused.rule
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": NICKNAME_CODE_POINTS}

    def read(self, text: str) -> str:
        text = trimmed(unicodedata.normalize("NFC", text))
        if (reason := _fault_of(text)) is not None:
            raise NotAllowed(NicknameRefused(why=reason))
        return text

    def refuse(self, name: str, *, absent: bool) -> AppError:
        return NicknameRefused(why=NicknameRefused.blank)


def _fault_of(nickname: str) -> Text | None:
    """The rule that a nickname breaks."""
    if has_control_characters(nickname) or LINE_BREAKS.search(nickname):
        return NicknameRefused.control_characters
    if not shows_something(nickname):
        return NicknameRefused.blank
    if len(nickname) > NICKNAME_CODE_POINTS or len(characters(nickname)) > NICKNAME_CHARS:
        return NicknameRefused.too_long
    return None


class Birthday(Parameter):
    """A day. That its person is old enough depends on today, so the service checks it."""

    allowed = Text(
        f"a date YYYY-MM-DD, not before {EARLIEST_BIRTH_YEAR} and at least 18 years ago",
        f"日期 YYYY-MM-DD，不早于 {EARLIEST_BIRTH_YEAR} 年，且年满 18 岁",
    )
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "format": "date"}

    def read(self, text: str) -> date:
        if not _DAY.match(text):
            raise ValueError(text)
        day = date.fromisoformat(text)
        if day.year < EARLIEST_BIRTH_YEAR:
            raise ValueError(text)
        return day


class Email(Parameter):
    """An e-mail address by its form; that it reaches anybody is not checked."""

    allowed = Text(
        f"an e-mail address of up to {EMAIL_CHARS} characters", f"电子邮箱地址，最多 {EMAIL_CHARS} 个字符"
    )
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "format": "email", "maxLength": EMAIL_CHARS}

    def read(self, text: str) -> str:
        if len(text) > EMAIL_CHARS or has_control_characters(text) or '"' in text:
            raise ValueError(text)
        if "." not in text.rpartition("@")[2]:
            raise ValueError(text)
        try:
            return _email_form(text)
        except ValidationError as error:
            raise ValueError(text) from error


class MediaId(Parameter):
    """The id of an uploaded object."""

    allowed = Text("the id of an upload of your own", "自己上传的媒体 id")
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": 64}

    _FORM = re.compile(r"[0-9A-Za-z_-]{1,64}\Z", re.ASCII)

    def read(self, text: str) -> str:
        if not self._FORM.match(text):
            raise ValueError(text)
        return text
