"""The order of people within a band of distance: a keyed hash that is another one every day.

It depends on nothing but the key, the day and where a person is listed (cell and bucket of it), so it tells nothing of
distances: whoever looks, from wherever, sees the people of a band in the same order.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b

HASH_BYTES = 6


class DailyOrder:
    """The order of one day; immutable."""

    def __init__(self, secret_key: bytes, day: int) -> None:
        key = hmac.digest(secret_key, b"datingtoday: order of nearby people, version 1", "sha256")
        self._key = hmac.digest(key, str(day).encode(), "sha256")
        self.cell = lru_cache(maxsize=1 << 14)(self._cell)

    def person(self, user_id: int) -> int:
        """The person's place among the people of the same bucket."""
        digest = blake2b(user_id.to_bytes(8, "little"), digest_size=HASH_BYTES, key=self._key)
        return int.from_bytes(digest.digest(), "little")

    def bucket(self, cell: int, bits: int, turn: int) -> int:
        """Index of the bucket, of a cell's ``2 ** bits``, whose turn it is; every bucket has one turn."""
        place = self.cell(cell)
        # Multiplied by an odd number, all numbers below a power of two come up once.
        return ((place | 1) * turn + (place >> 17)) & ((1 << bits) - 1)

    def _cell(self, cell: int) -> int:
        """The cell's place among the cells of a band."""
        digest = blake2b(b"cell" + cell.to_bytes(8, "little"), digest_size=HASH_BYTES, key=self._key)
        return int.from_bytes(digest.digest(), "little")


class Orders:
    """The orders of all days.

    :param secret_key: from which a key for this purpose is derived.
    """

    def __init__(self, secret_key: bytes) -> None:
        self.of_day = lru_cache(maxsize=4)(lambda day: DailyOrder(secret_key, day))


def day_of(moment: datetime) -> int:
    """The UTC day as a number."""
    return moment.astimezone(UTC).date().toordinal()
