"""Signatures that SQL remembers, because Redis need not: those that can be read as of a later time.

Redis remembers an accepted request for as long as it is fresh. A few md5 signatures can be cut differently so that
they would be fresh again much later (see `recuts`); they are also written down here, before the request goes on.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from datingtoday.infra.db import Database
from datingtoday.protocol.signing.models import KeptSignature

_TIDIED_EVERY = 20
"""Insertions, on the average, after which what is over is deleted."""


class KeptSignatures:
    """Safe for threads and processes. :raises DatabaseDown: from both methods."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def has(self, sign: str) -> bool:
        """Whether this signature was accepted before."""
        with self._database.transaction(write=False) as session:
            return session.scalar(select(KeptSignature.sign).where(KeptSignature.sign == sign)) is not None

    def keep(self, sign: str, *, until: datetime, now: datetime) -> bool:
        """Remember a signature, and now and then forget those whose time is over.

        :return: False if it was there already: of two at the same time one is told so.
        """
        try:
            # Without the ORM, which would take ten times as long: a few requests in a hundred come here.
            with self._database.statements() as connection:
                connection.execute(_INSERT, {"sign": sign, "until": until})
                if secrets.randbelow(_TIDIED_EVERY) == 0:
                    connection.execute(_FORGET, {"now": now})
        except IntegrityError:
            return False
        return True


_INSERT = insert(KeptSignature)
_FORGET = delete(KeptSignature).where(KeptSignature.until < bindparam("now"))
