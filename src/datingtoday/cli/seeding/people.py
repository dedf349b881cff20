"""Made-up people: plausible Chinese profiles, the same ones for the same seed and day."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from datingtoday.profiles.enumerations import EVERYONE, FOLLOWED, NOBODY

MIN_AGE, MAX_AGE = 18, 55
PICTURES = 48
"""Number of different drawn pictures for each gender."""

CITIES = (
    # (latitude, longitude, million inhabitants)
    (31.23, 121.47, 24.9), (39.90, 116.41, 21.9), (22.54, 114.06, 17.6), (23.13, 113.26, 18.7), (30.57, 104.07, 20.9),
    (29.56, 106.55, 16.3), (38.98, 117.36, 13.9), (30.59, 114.31, 12.3), (34.34, 108.94, 13.0), (31.30, 120.62, 12.7),
    (34.75, 113.63, 12.6), (30.27, 120.15, 11.9), (36.07, 120.38, 10.1), (28.23, 112.94, 10.0), (23.02, 113.75, 10.5),
    (32.06, 118.80, 9.3), (29.87, 121.55, 9.4), (31.82, 117.23, 9.4), (36.65, 117.12, 9.2), (41.81, 123.43, 9.1),
    (43.82, 125.32, 9.1), (45.80, 126.53, 10.0), (26.07, 119.30, 8.3), (24.48, 118.09, 5.2), (22.82, 108.37, 8.7),
    (25.04, 102.71, 8.5), (38.04, 114.51, 11.2), (37.87, 112.55, 5.3), (26.65, 106.63, 6.0), (28.68, 115.86, 6.3),
    (38.91, 121.61, 7.5), (36.06, 103.83, 4.4), (43.83, 87.62, 4.1), (40.84, 111.75, 3.4), (20.04, 110.32, 2.9),
    (38.49, 106.23, 2.9), (36.62, 101.78, 2.5), (31.49, 120.31, 7.5), (28.00, 120.67, 9.6), (29.65, 91.14, 0.9),
)  # fmt: skip
SURNAMES = (
    "王李张刘陈杨黄赵周吴徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢"
)
GIVEN = {
    1: "伟强磊洋勇军杰涛明超俊浩宇轩博文哲昊天泽辰睿航志远鹏飞凯嘉诚子豪",
    2: "芳娜敏静丽艳娟霞婷雪琳慧颖佳怡欣悦梦瑶诗涵雨桐思琪子萱若曦语嫣清",
}
MOODS = ("爱笑的", "安静的", "路过的", "追风的", "早起的", "迷路的", "温柔的", "认真的", "快乐的", "慢慢走的")
THINGS = ("小鱼", "猫咪", "月亮", "向日葵", "柠檬", "吉他", "小熊", "咖啡", "风筝", "橘子", "小鹿", "星星")
LIKES = (
    "看电影",
    "爬山",
    "做饭",
    "摄影",
    "跑步",
    "读书",
    "旅行",
    "听音乐",
    "养花",
    "打羽毛球",
    "游泳",
    "逛展",
)
HOPES = ("想认识聊得来的你", "希望遇见合适的人", "先做朋友也很好", "期待一起看日落", "认真找对象")
EVERYBODYS_LABELS, MENS_LABELS, WOMENS_LABELS = range(1, 10), range(10, 19), range(19, 28)
"""Ids of the labels that come with the database."""


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A made-up person."""

    nickname: str
    gender: int
    sexual: int
    birthday: date
    height: int | None
    education: int
    emotion: int | None
    salary: int | None
    intro: str
    authority: int
    label_ids: tuple[int, ...]
    point: tuple[float, float]
    lot: int
    created: datetime
    active: datetime
    attention: tuple[tuple[int, int], ...]
    """(days ago, visitors)."""
    picture: int | None
    """The number of the drawn picture of the gender's pool; None: without a photo."""

    @property
    def details_given(self) -> int:
        """Number of `ranking.DETAILS` that the profile states."""
        said = (self.intro, self.birthday, self.height, self.education, self.salary, self.gender)
        return sum(bool(value) for value in said) + (self.emotion is not None) + (self.picture is not None)


def made_up_people(count: int, seed: int, now: datetime) -> Iterator[MadeUp]:
    """Generate people; the first ones are the same for any number. Their days are relative to the day of ``now``."""
    rng = random.Random(seed)  # noqa: S311 - nothing secret
    today = datetime.combine(now.date(), time(), now.tzinfo)
    weights = [million for _, _, million in CITIES]
    for _ in range(count):
        yield _one(rng, today, rng.choices(CITIES, weights)[0])


def _one(rng: random.Random, today: datetime, city: tuple[float, float, float]) -> MadeUp:
    gender = 1 if rng.random() < 0.54 else 2
    age = min(MAX_AGE, MIN_AGE + int(rng.gammavariate(2.6, 3.6)))
    created = today - timedelta(seconds=int(86_400 * 700 * rng.random() ** 1.7) + 1)
    # Most were active these days, some have not been for long; nobody before they came.
    active = max(created, today - timedelta(seconds=int(rng.expovariate(1 / 12) * 86_400)))
    low = {1: 173.0, 2: 161.0}[gender]
    return MadeUp(
        nickname=_nickname(rng, gender),
        gender=gender,
        sexual=rng.choices((3 - gender, 0, gender), (78, 18, 4))[0],
        birthday=today.date() - timedelta(days=int((age + rng.random() * 0.99) * 365.2425) + 1),
        height=round(rng.gauss(low, 5.6)) if rng.random() < 0.9 else None,
        education=rng.choices((0, 1, 2, 3, 4, 5), (6, 14, 22, 45, 11, 2))[0],
        emotion=rng.choices((0, 1, 2, 3, None), (70, 2, 12, 6, 10))[0],
        salary=rng.choices((1, 2, 3, 4, 5, 6, None), (6, 14, 27, 18, 15, 6, 14))[0],
        intro=_intro(rng) if rng.random() < 0.7 else "",
        authority=rng.choices((EVERYONE, FOLLOWED, NOBODY), (970, 20, 10))[0],
        label_ids=_labels(rng, gender),
        point=_point(rng, city),
        lot=rng.getrandbits(31),
        created=created,
        active=active,
        attention=_attention(rng, (today - created).days),
        picture=rng.randrange(PICTURES) if rng.random() < 0.94 else None,
    )


def _nickname(rng: random.Random, gender: int) -> str:
    if rng.random() < 0.45:
        name = rng.choice(SURNAMES) + "".join(rng.choices(GIVEN[gender], k=rng.choice((1, 2, 2))))
        return name
    name = rng.choice(MOODS) + rng.choice(THINGS)
    return name + str(rng.randrange(1, 1000)) if rng.random() < 0.3 else name


def _intro(rng: random.Random) -> str:
    return f"喜欢{'、'.join(rng.sample(LIKES, 2))}，{rng.choice(HOPES)}。"


def _labels(rng: random.Random, gender: int) -> tuple[int, ...]:
    possible = [*EVERYBODYS_LABELS, *(MENS_LABELS if gender == 1 else WOMENS_LABELS)]
    return tuple(rng.sample(possible, rng.choices(range(6), (15, 15, 25, 25, 15, 5))[0]))


def _point(rng: random.Random, city: tuple[float, float, float]) -> tuple[float, float]:
    """In the city's core, or around it; bigger cities are wider."""
    latitude, longitude, million = city
    spread_km = (3.0 if rng.random() < 0.7 else 12.0) * math.sqrt(million) / 2
    north_km, east_km = rng.gauss(0, spread_km), rng.gauss(0, spread_km)
    return (
        latitude + north_km / 111.2,
        longitude + east_km / (111.2 * math.cos(math.radians(latitude))),
    )


def _attention(rng: random.Random, days_here: int) -> tuple[tuple[int, int], ...]:
    """A few are looked at by many, most by few."""
    popularity = rng.lognormvariate(0, 1.3)
    days = sorted(rng.sample(range(60), min(60, int(popularity * 1.5))))
    return tuple((day, 1 + int(popularity * rng.random())) for day in days if day <= days_here)
