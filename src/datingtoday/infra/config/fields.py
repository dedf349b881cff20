"""Declaration of a settings key: type, range, explanation in two languages, and parsing of its text.

A new setting is one line in `config_sections.py`; the loader, the masking, `config.example.ini` and the two
pages of documentation follow from it.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from datingtoday.infra.text import Text

MASK = "********"

_BOOLEANS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class KeyNotes:
    """Notes of a key beyond its pydantic type; `key()` makes it and `notes_of()` finds it again."""

    about: Text
    secret: bool = False
    uri: bool = False
    example: str | None = None
    """Shown in config.example.ini in place of the default; serving with an example *secret* is refused."""
    embedded_default: Any = None
    """The default while no DATABASE uri is given, where it differs from the ordinary one."""
    unset: Text | None = None
    """Effect of leaving the key out, where "empty" does not explain itself."""


class Section(BaseModel):
    """Base of the sections. Immutable; `repr` never shows a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __repr_args__(self) -> Any:
        for name, info in type(self).model_fields.items():
            yield name, masked(notes_of(info), getattr(self, name))


def key(
    default: Any,
    *,
    en: str,
    zh: str,
    secret: bool = False,
    uri: bool = False,
    example: str | None = None,
    embedded_default: Any = None,
    unset: tuple[str, str] | None = None,
    ge: float | None = None,
    le: float | None = None,
) -> Any:
    """Declare a setting.

    `secret` masks the value everywhere, `uri` masks the password inside it. `ge` and `le` are the inclusive
    range of a number. An empty string or tuple as `default` means "not set"; nobody can write that in a file.
    """
    notes = KeyNotes(
        about=Text(en, zh),
        secret=secret,
        uri=uri,
        example=example,
        embedded_default=embedded_default,
        unset=Text(*unset) if unset else None,
    )
    extra: dict[str, Any] = {"notes": notes}
    return Field(default, description=en, json_schema_extra=extra, ge=ge, le=le)


def notes_of(info: FieldInfo) -> KeyNotes:
    """The notes that `key()` put on the field; TypeError for a field that was declared without it."""
    extra: Any = info.json_schema_extra
    notes = extra.get("notes") if isinstance(extra, dict) else None
    if not isinstance(notes, KeyNotes):
        raise TypeError("settings are declared with key()")
    return notes


@dataclass(frozen=True, slots=True)
class TextRule:
    """Annotation of a text, or of each item of a list: what is allowed, and the check (ValueError if not)."""

    allowed: Text
    check: Callable[[str], object]


def matching(pattern: str, en: str, zh: str) -> TextRule:
    """A text that the pattern matches as a whole."""
    compiled = re.compile(pattern)

    def check(value: str) -> None:
        if compiled.fullmatch(value) is None:
            raise ValueError(en)

    return TextRule(Text(en, zh), check)


def uri_of(schemes: tuple[str, ...], en: str, zh: str) -> TextRule:
    """A URI with one of the schemes and, unless it names a file or socket, a host."""

    def check(value: str) -> None:
        parts = urlsplit(value)
        if parts.scheme not in schemes or any(character.isspace() for character in value):
            raise ValueError(en)
        by_path = parts.scheme.startswith(("sqlite", "unix"))
        if (by_path and not parts.path.strip("/")) or (not by_path and not parts.hostname):
            raise ValueError(en)
        _ = parts.port  # raises ValueError when it is no number of 0..65535

    return TextRule(Text(en, zh), check)


def _network(value: str) -> object:
    return ipaddress.ip_network(value, strict=True)


def time_zone(name: str) -> ZoneInfo:
    """:raises ValueError: no such time zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        # A folder of the database is no zone either.
        raise ValueError(name) from error


NETWORK = TextRule(
    Text(
        "addresses or networks, comma separated (10.0.0.0/8, 2001:db8::1)",
        "以逗号分隔的地址或网段（10.0.0.0/8, 2001:db8::1）",
    ),
    _network,
)


def allowed(info: FieldInfo) -> Text:
    """Values that this key allows, for error lines and documentation."""
    kind = info.annotation
    for item in info.metadata:
        if isinstance(item, TextRule):
            return item.allowed
    if kind is bool:
        return Text("1/0, true/false, yes/no, on/off", "1/0、true/false、yes/no、on/off")
    if get_origin(kind) is Literal:
        choices = ", ".join(get_args(kind))
        return Text(f"one of {choices}", f"以下之一：{choices}")
    if kind in (int, float):
        low, high = (_bound(info, name) for name in ("ge", "le"))
        en, zh = ("a whole number", "整数") if kind is int else ("a number", "数字")
        return Text(f"{en} from {low} to {high}", f"{low} 到 {high} 之间的{zh}")
    if get_origin(kind) is tuple:
        return Text("a comma separated list", "以逗号分隔的列表")
    return Text("a text", "文本")


def _bound(info: FieldInfo, name: str) -> str:
    for item in info.metadata:
        value = getattr(item, name, None)
        if value is not None:
            return f"{value:,}".replace(",", "") if isinstance(value, int) else f"{value:g}"
    raise TypeError(f"a number among the settings needs {name}=")


def parse(info: FieldInfo, text: str) -> Any:
    """Turn the text of a file or of the environment into the key's value.

    Raises ValueError for everything that `allowed()` does not allow, the empty text among it. The message of
    the error is for nobody: it may contain the value, and the value may be a secret.
    """
    text = text.strip()
    if not text or not text.isprintable():
        raise ValueError("empty, or with control characters")
    kind = info.annotation
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError("not a boolean")
        return _BOOLEANS[text.lower()]
    if kind is int or kind is float:
        if (_WHOLE if kind is int else _DECIMAL).fullmatch(text) is None:
            raise ValueError("not a number")
        return _in_range(info, kind(text))
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ValueError("not one of the choices")
        return text
    if get_origin(kind) is tuple:
        return tuple(_checked(info, item.strip()) for item in text.split(","))
    return _checked(info, text)


def _in_range(info: FieldInfo, value: float) -> float:
    for item in info.metadata:
        low, high = getattr(item, "ge", None), getattr(item, "le", None)
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError("out of range")
    return value


def _checked(info: FieldInfo, text: str) -> str:
    if not text:
        raise ValueError("empty item")
    for item in info.metadata:
        if isinstance(item, TextRule):
            item.check(text)
    return text


# Up to the last @: a password that was not percent-encoded may hold anything.
_PASSWORD_IN_URI = re.compile(r"(?<=://)([^/?#@:]*):.*(?=@)")
_PASSWORD_IN_QUERY = re.compile(r"(?i)([?&][^=&#]*(?:passw|secret|key)[^=&#]*=)[^&#]*")


def mask_uri(uri: str) -> str:
    """The URI without its password (nor one in the query); user, host and path stay readable."""
    return _PASSWORD_IN_QUERY.sub(rf"\g<1>{MASK}", _PASSWORD_IN_URI.sub(rf"\g<1>:{MASK}", uri))


def as_text(value: Any) -> str:
    """The value as one would write it in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value)


def masked(notes: KeyNotes, value: Any) -> str:
    """The value as people may see it."""
    text = as_text(value)
    if notes.secret and text:
        return MASK
    return mask_uri(text) if notes.uri and text else text
