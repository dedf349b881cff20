"""Signatures that SQL remembers, because Redis need not: those that can be read as of a later time.

Redis remembers an accepted request for as long as it is fresh. A few md5 signatures can be cut differently so that
they would be fresh again much later (see `recuts`); they are also written down here, before the request goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.protocol.signing.models import KeptSignature

_FORGOTTEN_AT_ONCE = 1_000


class KeptSignatures:
    """Safe for threads and processes. :raises DatabaseDown: from both methods."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def has(self, sign: str) -> bool:
        """True if this signature was accepted before."""
        with self._database.reading() as session:
            return session.scalar(select(KeptSignature.sign).where(KeptSignature.sign == sign)) is not None

    def keep(self, sign: str, *, until: datetime) -> bool:
        """Remember a signature.

        :return: False if it was there already: of two at the same time one is told so.
        """
        try:
            # Without the ORM, which would take ten times as long: a few requests in a hundred come here.
            with self._database.statements() as connection:
                connection.execute(_INSERT, {"sign": sign, "until": until})
        except IntegrityError:
            return False
        return True

    def forget_old(
        self, now: datetime, *, report_progress: Callable[[int], None] = lambda forgotten: None
    ) -> int:
        """Forget those whose time is over, in small transactions; how many.

        :param report_progress: called after every batch with how many are gone so far.
        """
        forgotten = 0
        while some := self._database.retried(lambda session: _forget_some(session, now)):
            forgotten += some
            report_progress(forgotten)
        return forgotten


def _forget_some(session: Session, now: datetime) -> int:
    old = select(KeptSignature.sign).where(KeptSignature.until < now).order_by(KeptSignature.until)
    signs = session.scalars(old.limit(_FORGOTTEN_AT_ONCE)).all()
    if signs:
        session.execute(delete(KeptSignature).where(KeptSignature.sign.in_(signs)))
    return len(signs)


_INSERT = insert(KeptSignature)
