"""The demo person who answers messages by itself, so that a first message in the demo is not the last."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.accounts.models import LOGIN_BY_PHONE, UserAuth
from datingtoday.chat.errors import NotAccepted
from datingtoday.chat.forms import TEXT
from datingtoday.chat.models import Contact
from datingtoday.chat.parts import ChatParts
from datingtoday.chat.sending import Draft
from datingtoday.infra.config.demo import ANSWERING_PHONE
from datingtoday.infra.milliseconds import moment_of
from datingtoday.infra.packet_transaction import PacketTransaction
from datingtoday.infra.parts import Foundation

log = structlog.get_logger(__name__)

EVERY_S = 2.0
_AT_ONCE = 50
_THINKS_FOR = timedelta(seconds=2)
"""A person who answers within the second is a machine."""
_ANSWERS = (
    "哈哈，真的吗？多说一点",
    "我也是这么想的！",
    "好有意思，那你平时周末都做什么？",
    "听起来不错，下次一起去？",
    "我刚画完一张画，正好休息一下",
    "嗯嗯，我在听～",
    "这个我喜欢！你呢？",
)


class DemoAnswers:
    """Reads what was written to the answering demo person, and answers it."""

    def __init__(self, base: Foundation, chat: ChatParts) -> None:
        self._base = base
        self._chat = chat

    def has_work(self, now: datetime) -> bool:
        """True if a message waits for an answer."""
        with self._base.database.reading() as session:
            return bool(self._waiting(session, most=1)[1])

    def run(self, now: datetime) -> None:
        """Answer everybody who has waited long enough; to the others, be seen typing.

        Safe to repeat: an answer's ``clientId`` is made of the message that it answers.
        """
        with self._base.database.reading() as session:
            me, waiting = self._waiting(session, most=_AT_ONCE)
        for peer_id, seq, written_ms in waiting:
            age = now - moment_of(written_ms)
            if age < _THINKS_FOR:
                self._type(me, peer_id, now)
            else:
                self._answer(me, peer_id, seq, now)

    def _type(self, me: int, peer_id: int, now: datetime) -> None:
        with self._base.database.reading() as session:
            may_type = self._chat.typing.may_type(session, me, peer_id, now)
        if may_type:
            self._base.realtime.publish([self._chat.typing.event(me, peer_id)])

    def _answer(self, me: int, peer_id: int, seq: int, now: datetime) -> None:
        text = _ANSWERS[zlib.crc32(f"{peer_id}:{seq}".encode()) % len(_ANSWERS)]
        draft = Draft(peer_id, TEXT, f"answer-{peer_id}-{seq}", text, None)
        try:
            with self._base.database.transaction() as session:
                self._chat.conversations.read(session, me, peer_id, seq, now)
                self._chat.sending.send(PacketTransaction.within(session), me, draft, now)
        except NotAccepted:
            # Blocked, or gone: no answer is due, and the others must not wait for it.
            log.info("demo_answer_not_accepted", peer_id=peer_id)
            with self._base.database.transaction() as session:
                self._chat.conversations.read(session, me, peer_id, seq, now)

    @staticmethod
    def _waiting(session: Session, *, most: int) -> tuple[int, list[tuple[int, int, int]]]:
        """The answering person, and (peer, last seq, when it was written) of unread conversations."""
        me = session.scalar(
            select(UserAuth.user_id).where(
                UserAuth.login_type == LOGIN_BY_PHONE, UserAuth.open_id == ANSWERING_PHONE
            )
        )
        if me is None:
            return 0, []
        rows = session.execute(
            select(Contact.peer_id, Contact.last_seq, Contact.update_ms)
            .where(Contact.user_id == me, Contact.unread > 0)
            .order_by(Contact.update_ms)
            .limit(most)
        )
        return me, [(peer_id, seq, written_ms) for peer_id, seq, written_ms in rows]
