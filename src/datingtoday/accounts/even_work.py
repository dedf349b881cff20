"""The same work for every wrong code, so that its time does not tell to which numbers codes were sent."""

from __future__ import annotations

from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Session

from datingtoday.accounts.models import SmsDecoy

DECOYS = 1024
"""Rows; tries at one number wait for each other, as they do where a try is counted, and hardly for another's."""


def write_decoy(session: Session, seed: str) -> None:
    """Change one row, so that the commit has something to bring to the disk.

    :param seed: hex digits that nobody else can predict; the same ones for the same number.
    """
    row = {"id": int(seed, 16) % DECOYS, "tries": 0}
    # Every time another value: a row that is written as it was is not written.
    changed = {"tries": 1 - SmsDecoy.tries}
    if session.get_bind().dialect.name == "sqlite":
        insert = sqlite.insert(SmsDecoy).values(row)
        session.execute(insert.on_conflict_do_update(index_elements=[SmsDecoy.id], set_=changed))
    else:
        session.execute(mysql.insert(SmsDecoy).values(row).on_duplicate_key_update(changed))
