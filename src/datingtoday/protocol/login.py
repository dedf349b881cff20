"""What the guard asks about a token; the answer comes from a verifier that `app.py` hands in.

The verifier's Redis commands travel in the same round trip as the replay guard's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from datingtoday.infra.redis import Command

TOKEN = re.compile(r"[0-9a-f]{32}\Z", re.ASCII)
USER_ID = re.compile(r"[1-9][0-9]{0,9}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Login:
    """Who is logged in, and by which session."""

    user_id: int
    session_id: int


class TokenVerifier(Protocol):
    """Knows which tokens are live."""

    def commands(self, token: str) -> list[Command]:
        """Commands that fetch what is cached of the token; they only read."""

    def verify(self, user_id: int, token: str, answers: Sequence[Any], now: datetime) -> Login:
        """Who this is.

        :param answers: to the commands of `commands`.
        :raises NoPermission, TokenExpired, AccountBanned: in this order of the checks.
        """
