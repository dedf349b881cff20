"""The numbers with meanings of a profile, as the original database has them, and their names in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from datingtoday.infra.text import Text


class Option(NamedTuple):
    """One number and what it means."""

    number: int
    en: str
    zh: str


class Choice(NamedTuple):
    """One word that a client sends and what it means."""

    word: str
    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Enumeration:
    """The allowed numbers of a field; ``unset`` is what an empty value stands for (None: nothing said)."""

    options: tuple[Option, ...]
    unset: int | None

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(option.number for option in self.options)

    @property
    def names(self) -> dict[int, Text]:
        return {option.number: Text(option.en, option.zh) for option in self.options}


GENDER = Enumeration(
    (Option(0, "unknown", "未知"), Option(1, "male", "男"), Option(2, "female", "女")),
    unset=0,
)
SEXUAL = Enumeration(
    (Option(0, "any", "不限"), Option(1, "male", "男"), Option(2, "female", "女")),
    unset=0,
)
"""The wanted gender."""
EMOTION = Enumeration(
    (
        Option(0, "single", "单身"),
        Option(1, "married", "已婚"),
        Option(2, "divorced", "离异"),
        Option(3, "secret", "保密"),
    ),
    unset=None,
)
EDUCATION = Enumeration(
    (
        Option(0, "unknown", "未知"),
        Option(1, "high school or less", "高中及以下"),
        Option(2, "vocational school", "中专"),
        Option(3, "college", "大学"),
        Option(4, "master", "硕士"),
        Option(5, "doctor", "博士"),
    ),
    unset=0,
)
SALARY = Enumeration(
    (
        Option(1, "below 3000", "3000 以下"),
        Option(2, "3000 to 5000", "3000-5000"),
        Option(3, "5000 to 8000", "5000-8000"),
        Option(4, "8000 to 10000", "8000-10000"),
        Option(5, "10000 to 20000", "10000-20000"),
        Option(6, "above 20000", "20000 以上"),
    ),
    unset=None,
)
"""Yuan a month."""

NOBODY, EVERYONE, FOLLOWED = 0, 1, 2
AUTHORITY = Enumeration(
    (
        Option(NOBODY, "nobody", "任何人不可见"),
        Option(EVERYONE, "everyone", "所有人可见"),
        Option(FOLLOWED, "only people whom I follow", "仅我关注的人可见"),
    ),
    unset=EVERYONE,
)
"""Settings of who may find, see and write to a person; `visibility.py` says what follows from it."""

ENUMERATIONS = {
    "gender": GENDER,
    "sexual": SEXUAL,
    "emotion": EMOTION,
    "education": EDUCATION,
    "salary": SALARY,
    "authority": AUTHORITY,
}

LABEL_EVERYONE = 0
"""A label's gender: 0 fits everyone, 1 men, 2 women."""
LABEL_GENDERS = {
    LABEL_EVERYONE: Text("everyone", "所有人"),
    1: Text("men", "男"),
    2: Text("women", "女"),
}

HEIGHT_CM = (100, 250)
NICKNAME_CHARS = 32
"""Characters as a reader counts them: a family of emoji is one."""
NICKNAME_CODE_POINTS = 255
"""The same in code points: 32 of nearly any emoji, and an end to characters with hundreds of marks."""
INTRO_CHARS = 500
EMAIL_CHARS = 64
LEAST_AGE_YEARS = 18
EARLIEST_BIRTH_YEAR = 1900
MAX_LABELS = 10
MAX_ALBUM = 30
