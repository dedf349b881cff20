"""Leaving: an account goes at once for everybody else, and its data a month later.

At once, in one transaction: the code is used up, the number is free, every device is logged out (1101), and the person
is invisible everywhere. A deadlock does all of it again, with the same code: nothing of the lost attempt was kept.

Rows are locked in the order in which a login locks them (code, `user_auth`, `user_info`, sessions). A login at the same
time is therefore either before, then its new token ends with the others; or after, then the number is a new person's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from datingtoday.accounts.service import Accounts
from datingtoday.infra.db import Database
from datingtoday.infra.events import Events
from datingtoday.infra.personal_data import PersonalData, PersonalDataStore
from datingtoday.profiles.service import Profiles

KEPT = timedelta(days=30)
"""Retention of the data of a deleted account, for moderators and courts."""
BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class AccountDeleted:
    """Event: an account was deleted."""

    user_id: int


class Deletion:
    """The rules of leaving."""

    def __init__(
        self,
        accounts: Accounts,
        profiles: Profiles,
        events: Events,
        stores: PersonalData,
    ) -> None:
        self._accounts = accounts
        self._profiles = profiles
        self._events = events
        self._stores = stores

    def delete(self, session: Session, user_id: int, code: str, *, address: str, now: datetime) -> None:
        """The person leaves, with the commit.

        :param code: sent to their own number for the purpose ``delete``.
        :raises SmsCodeWrong, TooMany: the account stays.
        :raises RedisDown: nothing was changed, the code is still good.
        """
        self._accounts.confirm(session, user_id, "delete", code, address=address, now=now)
        self._accounts.close_account(session, user_id, now=now)
        self._profiles.leave(session, user_id, now)
        self._events.announce(session, AccountDeleted(user_id))

    def purge(
        self,
        database: Database,
        now: datetime,
        *,
        batch_rows: int = BATCH_ROWS,
        report_progress: Callable[[int], None] = lambda purged: None,
    ) -> int:
        """Remove what is stored on those who left more than `KEPT` ago, in small transactions; how many people.

        May run beside servers, be stopped, and run twice.

        :param batch_rows: the most rows that a transaction removes.
        :param report_progress: called after every person with how many are done.
        :raises DatabaseDown: what was removed until then stays removed.
        """
        purged = 0
        while user_ids := self._due(database, now):
            for user_id in user_ids:
                self._purge_person(database, user_id, batch_rows)
                purged += 1
                report_progress(purged)
        return purged

    def _due(self, database: Database, now: datetime) -> list[int]:
        with database.reading() as session:
            return self._profiles.left_before(session, now - KEPT, most=100)

    def _purge_person(self, database: Database, user_id: int, batch_rows: int) -> None:
        for store in reversed(self._stores):

            def some(session: Session, store: PersonalDataStore = store) -> int:
                return store.remove(session, user_id, batch_rows)

            while database.retried(some):
                pass
        database.retried(lambda session: self._profiles.purged(session, user_id))
