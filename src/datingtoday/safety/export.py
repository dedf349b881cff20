"""Export of all data stored on a person, for that person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from datingtoday.accounts.service import Accounts
from datingtoday.infra.days import DAY_S
from datingtoday.infra.db import on_commit
from datingtoday.infra.personal_data import PersonalData
from datingtoday.infra.ratelimit import RateLimits


class Export:
    """The rules of exporting.

    :param per_day: exports of one person in any 24 hours; None: no limit.
    """

    def __init__(
        self,
        accounts: Accounts,
        limits: RateLimits,
        stores: PersonalData,
        *,
        per_day: int | None,
    ) -> None:
        self._accounts = accounts
        self._limits = limits
        self._stores = stores
        self._per_day = per_day

    @property
    def parts(self) -> list[str]:
        """The names under which features hand out what they store."""
        return [store.name for store in self._stores]

    def export(
        self, session: Session, user_id: int, code: str, *, address: str, now: datetime
    ) -> dict[str, Any]:
        """All personal data of the person, by feature. The code is used up and the day counted if all of it succeeds.

        :param code: sent to their own number for the purpose ``export``.
        :raises TooMany: once a day; the code is still good. :raises SmsCodeWrong:
        """
        self._limits.refuse_if_reached("export", str(user_id), self._per_day, per_s=DAY_S, now=now)
        self._accounts.confirm(session, user_id, "export", code, address=address, now=now)
        data = {store.name: store.export(session, user_id, now) for store in self._stores}
        on_commit(
            session,
            lambda: self._limits.count("export", str(user_id), self._per_day, per_s=DAY_S, now=now),
        )
        return {"user_id": user_id, "exported_at": now, **data}
