"""The epoch: a number by which clients notice that the database was set back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from datingtoday.chat.models import FIRST_EPOCH, ChatEpoch


def begin_epoch(session: Session, now: datetime) -> int:
    """Begin another epoch with the commit: clients drop their copies and read from 0.

    Never a number that was used before: an older database has forgotten those that came after it, so it is made of the
    time.
    """
    before = session.scalar(select(ChatEpoch.epoch).where(ChatEpoch.id == 1).with_for_update())
    epoch = max(int(now.timestamp()), (before or FIRST_EPOCH) + 1)
    if before is None:
        session.execute(insert(ChatEpoch).values(id=1, epoch=epoch))
    else:
        session.execute(update(ChatEpoch).where(ChatEpoch.id == 1).values(epoch=epoch))
    return epoch
