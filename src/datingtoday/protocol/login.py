"""Interface through which the guard verifies tokens; `app.py` passes the verifier in.

The verifier's Redis commands travel in the same round trip as the replay guard's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from datingtoday.infra.memory import Reading

TOKEN = re.compile(r"[0-9a-f]{32}\Z", re.ASCII)
_JOINS = re.compile(r"[0-9]{2}|.*(?:1[7-9]|2[0-3])[0-9]{0,8}\Z", re.ASCII)
USER_ID = re.compile(r"[1-9][0-9]{0,9}\Z", re.ASCII)


class Login(NamedTuple):
    """User and session of a login."""

    user_id: int
    session_id: int


def new_token() -> str:
    """128 bits from a CSPRNG, as 32 lower-case hex digits.

    Two in five are drawn again (which leaves 127 bits): an md5 client signs its user id, the token and the timestamp
    without delimiters, and digits at the token's ends would let them be read as another, later time. The guard would
    remember every request of that person in SQL (see docs/decisions/md5-has-many-readings.md).
    """
    while _JOINS.match(token := secrets.token_hex(16)):
        pass
    return token


def digest_of(token: str) -> str:
    """The SHA-256 of a token, in hex: what is stored in its place, anywhere."""
    return sha256(token.encode()).hexdigest()


class TokenVerifier(Protocol):
    """Knows which tokens are live, by their digests."""

    def reading(self, digest: str) -> Reading:
        """Commands that read the cached entry of the token. :raises RedisDown:"""

    def verify(
        self, user_id: int, digest: str, reading: Reading, answers: Sequence[Any], now: datetime
    ) -> Login:
        """Log in by the token.

        :param reading: what `reading` said. :param answers: to its commands.
        :raises NoPermission, TokenExpired, AccountBanned: in this order of the checks.
        """
