"""The demo's story: three made-up people with phone numbers, who know each other and have talked already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.accounts.models import LOGIN_BY_PHONE, UserAuth
from datingtoday.chat.forms import TEXT
from datingtoday.chat.sending import Draft
from datingtoday.infra.config.demo import DEMO_PEOPLE, DEMO_PHONES
from datingtoday.infra.packet_transaction import PacketTransaction
from datingtoday.profiles.enumerations import EVERYONE
from datingtoday.profiles.models import UserInfo

if TYPE_CHECKING:
    from datingtoday.app import Parts


LEAST_FOR_A_STORY = 30
"""Among so many made-up people there are enough with a face to cast the roles."""


@dataclass(frozen=True, slots=True)
class _Role:
    gender: int
    sexual: int
    age: int
    height: int
    intro: str


_ROLES = (
    _Role(2, 1, 26, 165, "产品设计师，周末喜欢逛展和爬山。想认识聊得来的你。"),
    _Role(1, 2, 29, 180, "后端工程师，会做饭，会修自行车。最近在学吉他。"),
    _Role(2, 1, 27, 168, "自由插画师。你发消息，我会自己回答。"),
)
_TALKS: tuple[tuple[int, int, tuple[tuple[int, str], ...]], ...] = (
    # (one, the other, (who speaks, what))
    (
        0,
        1,
        (
            (1, "你好小雨，看到你也喜欢爬山"),
            (0, "你好呀！上周刚去了香山，红叶特别好看"),
            (1, "我也想去！下周末天气不错，要不要一起？"),
            (0, "好啊，早上九点地铁站见？"),
            (1, "一言为定"),
        ),
    ),
    (2, 0, ((2, "你的照片拍得真好，是在哪里？"), (0, "在洱海边，去年夏天"), (2, "好想去看看"))),
    (1, 2, ((1, "你好，你的插画太棒了"), (2, "谢谢！你也画画吗？"))),
)
_GREETINGS = ("你好，很高兴认识你", "嗨，周末一般喜欢做什么？", "看到你也喜欢摄影，方便聊聊吗？", "你好呀")


@dataclass(frozen=True, slots=True)
class _Line:
    at: datetime
    number: int
    """In its conversation, from 0."""
    speaker: int
    listener: int
    text: str


class DemoStory:
    """Turns some of the made-up people into those whom the demo logs in as.

    :param parts: of the application that the people are for.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def tell(self, user_ids: Sequence[int], now: datetime) -> None:
        """Cast the roles among these people and let them follow, write and visit.

        May be repeated after an interruption: roles that are cast stay, and what was said is not said again.
        """
        database = self._parts.base.database
        with database.transaction() as session:
            cast, others = self._cast(session, user_ids, now)
        with database.transaction() as session:
            self._follow(session, cast, others, now)
            self._visit(session, cast, others, now)
        for line in _script(cast, others, now):
            with database.transaction() as session:
                self._say(session, line)

    def _cast(self, session: Session, user_ids: Sequence[int], now: datetime) -> tuple[list[int], list[int]]:
        """The three, and others with a face who may be written to."""
        found = session.scalars(
            select(UserInfo)
            .where(
                UserInfo.id.in_(user_ids),
                UserInfo.avatar.is_not(None),
                UserInfo.authority == EVERYONE,
            )
            .order_by(UserInfo.id)
        ).all()
        cast = self._already_cast(session)
        if cast:
            return cast, self._others(found, cast)
        for role, phone, nickname in zip(_ROLES, DEMO_PHONES, DEMO_PEOPLE, strict=True):
            person = next(it for it in found if it.gender == role.gender and it.id not in cast)
            cast.append(person.id)
            person.phone = phone
            session.add(
                UserAuth(user_id=person.id, open_id=phone, login_type=LOGIN_BY_PHONE, create_time=now)
            )
            changes = {
                "nickname": nickname,
                "intro": role.intro,
                "height": role.height,
                "sexual": role.sexual,
                "birthday": date(now.year - role.age, 5, 20),
            }
            self._parts.profiles.service.update(session, person.id, changes, now)
        return cast, self._others(found, cast)

    @staticmethod
    def _already_cast(session: Session) -> list[int]:
        """The three, if an interrupted run cast them."""
        rows = session.execute(
            select(UserAuth.open_id, UserAuth.user_id).where(
                UserAuth.open_id.in_(DEMO_PHONES), UserAuth.login_type == LOGIN_BY_PHONE
            )
        )
        found = {row.open_id: row.user_id for row in rows}
        return [found[phone] for phone in DEMO_PHONES if phone in found]

    @staticmethod
    def _others(found: Sequence[UserInfo], cast: Sequence[int]) -> list[int]:
        return [it.id for it in found if it.id not in cast][: len(_GREETINGS)]

    def _follow(self, session: Session, cast: Sequence[int], others: Sequence[int], now: datetime) -> None:
        follows = self._parts.profiles.follows
        for user_id, peer_id in (
            (cast[0], cast[1]),
            (cast[1], cast[0]),
            (cast[2], cast[0]),
            *((other, cast[0]) for other in others),
        ):
            follows.follow(session, user_id, peer_id, now)

    def _visit(self, session: Session, cast: Sequence[int], others: Sequence[int], now: datetime) -> None:
        visitors = [*others, cast[2], cast[1]]
        times = [now - timedelta(minutes=25 * number + 3) for number in range(len(visitors), 0, -1)]
        self._parts.visitors.service.write(
            session,
            [
                [owner, visitor, int(at.timestamp() * 1_000_000)]
                for owner in cast[:2]
                for visitor, at in zip(visitors, times, strict=True)
                if visitor != owner
            ],
        )

    def _say(self, session: Session, line: _Line) -> None:
        """Whoever speaks has read what was said before."""
        chat = self._parts.chat
        if line.number:
            chat.conversations.read(session, line.speaker, line.listener, line.number, line.at)
        draft = Draft(line.listener, TEXT, f"story-{line.number}-{line.listener}", line.text, None)
        chat.sending.send(PacketTransaction.within(session), line.speaker, draft, line.at)


def _script(cast: Sequence[int], others: Sequence[int], now: datetime) -> list[_Line]:
    """Every message in the order of time, some minutes apart."""
    talks = [
        [(cast[who], cast[first + second - who], text) for who, text in lines]
        for first, second, lines in _TALKS
    ]
    talks += [
        [(other, cast[number % 2], text)]
        for number, (other, text) in enumerate(zip(others, _GREETINGS, strict=False))
    ]
    lines = [
        _Line(now - timedelta(minutes=3 * (len(talk) - number) + 17 * talk_number), number, *line)
        for talk_number, talk in enumerate(talks)
        for number, line in enumerate(talk)
    ]
    return sorted(lines, key=lambda line: line.at)
